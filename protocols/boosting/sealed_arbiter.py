"""The arbiter's side of sealed trees: the steps of sealed.py's figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols.boosting import constraints, gradients, held_out, leaves, level_sums, prepare, product, rings, walk
from protocols.boosting import scale as scales
from protocols.boosting.blocks import Layout
from protocols.boosting.by_class import ByClass
from protocols.boosting.constraints import SignsToArbiter
from protocols.boosting.keys import agree
from protocols.boosting.level_sums import LeftChildren, at_root
from protocols.boosting.levels import unpack_bits
from protocols.boosting.params import Params
from protocols.boosting.prepare import Prepared
from protocols.boosting.sealed import (
    MaskedSums,
    Owners,
    RootSums,
    Start,
    Wins,
    first_of,
    layout_of,
    level_of,
    more_margin,
    receive_start,
    seats,
    walked,
)
from protocols.boosting.sealed_parts import GUEST, NO_SPLIT, ArbiterTrees, Shape, loaded_shape, saved_shape
from protocols.boosting.split import Bounds, Offer, choose, leaf_values
from protocols.cipher import DecryptionKey, key_offer
from protocols.codec import check_lengths
from protocols.errors import PlaintextOverflow
from protocols.glm.sealed_link import refuse_beyond
from protocols.kept import Keep, KeptRows
from protocols.marked import Marked
from protocols.recovery.checkpoint import Arrays
from protocols.row_blocks import receive_vector
from protocols.session import Session

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bits = NDArray[np.bool_]


@dataclass(eq=False)
class ArbiterState:
    """The same at the arbiter, with leaf values; made, best: of the rounds of this training how many are made, and up
    to which the loss of held-out rows was lowest."""

    margin: list[KeptRows[np.uint64]]
    keep: Keep
    shape: Shape
    value: Ints
    made: int = 0
    best: int = 0
    beyond: int = 0
    over: bool = False

    def save(self) -> Arrays:
        return saved_shape(self.shape) | {
            "margin": np.array([own[:] for own in self.margin]),
            "value": self.value,
            "numbers": np.array([self.beyond, int(self.over), self.made, self.best]),
        }

    def load(self, saved: Mapping[str, NDArray[Any]]) -> None:
        self.margin = [KeptRows.of(own, self.keep) for own in saved["margin"].astype(np.uint64)]
        self.shape, self.value = loaded_shape(self.shape.depth, saved), saved["value"]
        self.beyond, over, self.made, self.best = saved["numbers"].tolist()
        self.over = bool(over)


def arbiter(session: Session, p: Params, before: ArbiterTrees | None = None, *, weighted: bool = False) -> ArbiterTrees:
    """The arbiter's side: holds the key, chooses splits, keeps leaf values.  before: its part of the model that gets
    more rounds.

    Learns: sums over unnamed candidates (above).  Raises DataError, PlaintextOverflow, ProtocolError.
    """
    columns, told = receive_start(session, None, None)  # 0
    rows = told.rows
    layout_of(p, rows, session.scheme.bits, weighted)
    key = session.scheme.generate(session.me, session.seed("key"))
    key_offer.offer(session, key)
    keys = agree(session)
    scale = scales.receive(session, p, rows, weighted)
    layout = Layout(rows, p.max_depth, scale.slots, session.scheme.bits)
    held = unpack_bits(told.held_out, rows, session.roles.guest)
    start = Start(p, columns, held, layout, scale, keys, first_of(p, len(before.shape) if before else 0))
    if before:
        found = walked(session, lambda: walk.arbiter(session, keys, before))
        margin = [KeptRows.of(own, session.keep) for own in found]
        del found
        state = ArbiterState(margin, session.keep, before.shape, before.value)
    else:
        shape, nothing = Shape.empty(p.max_depth), np.broadcast_to(np.uint64(0), rows)
        margin = [KeptRows.of(nothing, session.keep) for _ in range(p.num_class)]
        state = ArbiterState(margin, session.keep, shape, np.zeros((0, 1 << p.max_depth), dtype=np.int64))
    for step in session.steps("train", start.steps, state, until=lambda: state.over):
        prepared = [prepare.arbiter(session, key, group, len(start.rows)) for group in start.groups(step)]  # 1
        if p.monotone_constraints:
            receive_signs(session, prepared)
        for number in step:
            arbiter_round(session, key, start, state, step, number, prepared)
            if p.early_stopping_rounds and number + 1 < p.n_estimators:
                state.over = state.made - state.best >= p.early_stopping_rounds
                held_out.tell(session, held_out.MoreRounds(not state.over))
                if state.over:
                    break
    refuse_beyond(session, state.beyond)
    kept = len(state.shape)
    if p.early_stopping_rounds and state.made:
        best = start.first + state.best
        held_out.tell(session, held_out.RoundsKept(best))
        kept = (best - p.guest_only_trees) * p.num_class
    shape, value = state.shape.first(kept), state.value[:kept]
    rounding_key = session.seed("rounding key").secret
    return ArbiterTrees(told.model_id, p.num_class, p.score_bits, shape, value, rounding_key)


def arbiter_round(
    session: Session,
    key: DecryptionKey,
    start: Start,
    state: ArbiterState,
    step: range,
    number: int,
    prepared: Sequence[Prepared],
) -> None:
    p, scale, keys = start.p, start.scale, start.keys
    classes, n = p.num_class, len(start.held_out)
    pair, state.beyond = gradients.arbiter(
        session, keys, scale, f"round {number}", ByClass(start.rows, state.margin)
    )  # 2
    shares = at_root(session, start, partial(pair.x, scale.slots), 0)
    del pair
    owners_of, orders_of, total = (
        list[Ints](),
        [np.zeros((classes, 1), dtype=np.int64)],
        np.zeros((2, classes), dtype=np.int64),
    )
    bounds = Bounds.none(classes)
    offers = list[Offer]()
    of_class = [(prepared[group], tree) for group, tree in (start.place(step, number, k) for k in range(classes))]
    for level in range(p.max_depth):
        places, lefts = 1 << level, LeftChildren(start, shares, level, orders_of[level])
        pads = level_sums.arbiter(session, start, lefts, level, of_class)  # 4
        if not level:
            roots = session.guest.recv(RootSums).sums  # 3
            check_lengths(session.roles.guest, classes, roots)
            whole = (roots + pads).residue(start.layout.bits(level))
            total = np.array(scale.slots.split(whole, 1))[:, 0]
        found = [
            receive_sums(session, start, step, number, level, prepared, party) for party in range(len(start.columns))
        ]  # 5
        offers = [with_rights(*pair, orders_of[level]) for pair in zip(found, offers, strict=True)] if level else found
        check_range(session, offers, total[1], n)
        owners, positions, total, bounds = decide(session, start, offers, total, bounds)
        tell_winners(session, owners, positions)  # 6
        orders = seats(session, keys, session.roles.guest, p, number, level + 1)
        shares = product.arbiter(session, keys, level_of(start, number, level), shares, owners, orders)  # 7
        if orders is not None:
            seated = (orders + (np.arange(classes) * orders.shape[1])[:, None]).ravel()
            total, bounds = total[:, seated], bounds.take(seated)
        owners_of.append(owners.reshape(classes, places))
        orders_of.append(np.zeros((0, 0), dtype=np.int64) if orders is None else orders)
    units = scale.units
    limits = bounds if p.monotone_constraints else None
    exact = leaf_values(p, total[0] * units.g_unit, total[1] * units.h_unit, limits) / scale.margin_unit
    value = np.rint(exact).astype(np.int64).reshape(classes, -1)
    for k in range(classes):
        u = partial(shares.u, k)
        more = leaves.arbiter(session, keys, f"leaves {number} {k}", n, u, value[k])  # 8
        state.margin[k] = more_margin(session, state.margin[k], more)
        state.shape = state.shape.plus([o[k] for o in owners_of], [o[k] for o in orders_of[: p.max_depth]])
    state.value = np.vstack([state.value, value])
    if p.early_stopping_rounds:
        compare_losses(session, key, start, state, number)  # 9


def compare_losses(session: Session, key: DecryptionKey, start: Start, state: ArbiterState, number: int) -> None:
    """Step 9: whether this round has the lowest loss so far."""
    held, label = ByClass(Marked(start.held_out), state.margin), f"held out {number}"
    lower = held_out.arbiter(session, key, start.keys, start.scale, label, held, first=not state.made)
    state.made += 1
    state.best = state.made if lower else state.best


def receive_signs(session: Session, prepared: Sequence[Prepared]) -> None:
    """Of every owner's candidates, where the job has monotone constraints."""
    for one in prepared:
        for party, name in enumerate(session.roles.data_parties):
            one.signs.append(constraints.receive(session.channels[name], SignsToArbiter, one.candidates(party)))


def receive_sums(
    session: Session, start: Start, step: range, number: int, level: int, prepared: Sequence[Prepared], party: int
) -> Offer:
    """Step 5 at the arbiter: one owner's sums at the roots of a round's trees, or at the left children of a level,
    (classes * slots, candidates)."""
    name, classes = session.roles.data_parties[party], start.p.num_class
    candidates = prepared[0].candidates(party)
    message = receive_vector(session.channels[name], MaskedSums, classes * candidates, what="sums")
    g, h = [], []
    for k, answer in enumerate(rings.cut(message, classes)):
        group, tree = start.place(step, number, k)
        sums = start.scale.slots.split(prepared[group].sums(party, tree, level, answer), start.layout.nodes(level))
        g.append(sums[0])
        h.append(sums[1])
    signs = prepared[start.place(step, number, 0)[0]].signs  # of one class: with several, nothing is constrained
    return Offer(np.concatenate(g), np.concatenate(h), signs[party] if signs else None)


def with_rights(lefts: Offer, above: Offer, orders: Ints) -> Offer:
    """One owner's sums at every node of a level, from those at its left children and at the nodes above: a right
    child's are its parent's less its sibling's.
    orders (classes, nodes): which child of its tree sits at each seat."""
    seats = (np.arange(len(orders))[:, None] * orders.shape[1] + orders).ravel()

    def both(left: Ints, parent: Ints) -> Ints:
        return np.asarray(np.stack([left, parent - left], axis=1).reshape(len(seats), -1)[seats])

    return Offer(both(lefts.g, above.g), both(lefts.h, above.h), lefts.signs)


def check_range(session: Session, offers: Sequence[Offer], whole: Ints, rows: int) -> None:
    """Raises PlaintextOverflow where a part of a node has more h than the node: sums have spilled, or an owner did not
    add up the rows."""
    for party, offer in zip(session.roles.data_parties, offers, strict=True):
        if offer.h.size and (offer.h.min() < -rows or (offer.h - whole[:, None]).max() > rows):
            raise PlaintextOverflow(
                f"the sums of {party} lie outside the range that the job was planned for",
                remedy="Check for extreme labels or weights, or lower learning_rate",
                party=party,
            )


def decide(
    session: Session, start: Start, offers: Sequence[Offer], total: Ints, bounds: Bounds
) -> tuple[Ints, Ints, Ints, Bounds]:
    """Step 6: of each node the owner of its split, its position in the owner's list, the sums of both children, (2,
    2 * nodes), and the bounds of their weights; of equal gains one drawn at random."""
    limits = bounds if start.p.monotone_constraints else None
    choices = choose(start.p, start.scale.units, offers, total[0], total[1], limits)
    draws = session.seed("ties").words(len(choices))
    owners, positions = np.full(len(choices), NO_SPLIT, dtype=np.int64), np.full(len(choices), -1, dtype=np.int64)
    below = np.zeros((2, 2 * len(choices)), dtype=np.int64)
    below[:, ::2] = total
    for node, choice in enumerate(choices):
        if choice is not None:
            position = int(choice.ties[int(draws[node] % np.uint64(len(choice.ties)))])
            owners[node], positions[node] = choice.party, position
            left = np.array([offers[choice.party].g[node, position], offers[choice.party].h[node, position]])
            below[:, 2 * node], below[:, 2 * node + 1] = left, total[:, node] - left
    lower = [bounds.take(np.array([node, node])) if one is None else one.below for node, one in enumerate(choices)]
    return owners, positions, below, Bounds.join(lower)


def tell_winners(session: Session, owners: Ints, positions: Ints) -> None:
    """Step 6: everybody hears of its own wins; the guest also whose the other splits are."""
    session.guest.send(Owners(owners.astype(np.int32), np.where(owners == GUEST, positions, -1).astype(np.int32)))
    for k, channel in enumerate(session.hosts, 1):
        helps = int((owners == GUEST).sum()) if k == 1 else 0
        channel.send(Wins(np.where(owners == k, positions, -1).astype(np.int32), helps))
