"""The guest's side of sealed trees: the steps of sealed.py's figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols.binning.quantile import Bins
from protocols.boosting import gradients, guest_rows, held_out, leaves, level_sums, product, twin, walk
from protocols.boosting.blocks import Layout
from protocols.boosting.by_class import ByClass
from protocols.boosting.ensemble import Ensemble, Rounds
from protocols.boosting.guest_rows import Targets
from protocols.boosting.keys import agree
from protocols.boosting.level_sums import LeftChildren, LevelSums, at_root
from protocols.boosting.levels import check_ints, own_columns, pack_bits
from protocols.boosting.opening import MAX_COLUMNS, SplitColumns
from protocols.boosting.params import Params
from protocols.boosting.prepare import Owned
from protocols.boosting.sealed import (
    MaskedSums,
    Owners,
    RootSums,
    SealedStart,
    Start,
    TreeRowOrder,
    candidate,
    first_of,
    in_order,
    kept_trees,
    layout_of,
    level_of,
    more_margin,
    other_scale,
    prepared_by,
    seats,
    shuffled_order,
    walked,
)
from protocols.boosting.sealed_parts import GUEST, NO_SPLIT, GuestTrees, Shape, alone, loaded_shape, saved_shape
from protocols.channel import broadcast
from protocols.cipher import CipherVec, EncryptionKey, key_offer
from protocols.codec import check_lengths
from protocols.group_size import check_rows
from protocols.kept import Keep, KeptRows, Sliced
from protocols.marked import Marked
from protocols.parts import Part
from protocols.randomness import Seed
from protocols.recovery.checkpoint import Arrays
from protocols.row_blocks import send_vector
from protocols.session import Session

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bits = NDArray[np.bool_]


@dataclass(eq=False)
class GuestState:
    """What the guest carries from step to step: its shares of margins, of each class (rows,), its part of the trees so
    far, and with early stopping the lowest loss so far under the arbiter's key; keep: where margins are put."""

    margin: list[KeptRows[np.uint64]]
    keep: Keep
    shape: Shape
    feature: Ints
    cut: Ints
    missing_left: Bits
    key: EncryptionKey
    over: bool = False
    lowest: CipherVec | None = None

    def save(self) -> Arrays:
        kept = {} if self.lowest is None else {"lowest": np.frombuffer(self.lowest.raw.to_bytes(), np.uint8)}
        return (
            saved_shape(self.shape)
            | kept
            | {
                "margin": np.array([own[:] for own in self.margin]),
                "feature": self.feature,
                "cut": self.cut,
                "missing_left": self.missing_left,
                "over": np.array(self.over),
            }
        )

    def load(self, saved: Mapping[str, NDArray[Any]]) -> None:
        self.margin = guest_rows.kept_margins(saved["margin"].astype(np.uint64), self.keep)
        self.shape = loaded_shape(self.shape.depth, saved)
        self.feature, self.cut, self.missing_left = (
            saved["feature"],
            saved["cut"],
            saved["missing_left"].astype(np.bool_),
        )
        self.over, self.lowest = bool(saved["over"]), None
        if "lowest" in saved:
            self.lowest = CipherVec(self.key, self.key.raw.ciphers_from_bytes(saved["lowest"].tobytes()))


def guest(
    session: Session,
    binned: Bins,
    p: Params,
    y: Sliced[np.float64],
    model_id: bytes,
    weight: Sliced[np.float64] | None = None,
    held: Bits | None = None,
    before: GuestTrees | None = None,
) -> GuestTrees:
    """binned: the guest's n rows; y (n,) labels; weight (n,) or None for ones; held (n,): rows that no tree is trained
    on and on which early stopping evaluates the loss;
    model_id (16,) bytes; before: its part of the model that gets more rounds.  What is kept of rows is not held.

    Learns: owners of splits, its own wins.  Raises ConfigError (head-room), DataError, ProtocolError.
    """
    layout_of(p, len(binned), session.scheme.bits, weight is not None)  # where it does not fit, nothing is sent
    earlier = before.own if before else None
    own = Rounds(
        p,
        y[:],
        weight=None if weight is None else weight[:],
        held_out=held,
        before=None if earlier is None else (earlier, alone(earlier, binned)),
    )
    if p.early_stopping_rounds:
        check_rows(int(own.held_out.sum()), session.me, held_out.MORE_ROWS)  # whose weights do not weigh their loss
    columns, order = start_guest(session, binned, own.held_out, model_id)  # 0
    if earlier is None:
        grow_alone(binned, p, own, columns)
    key = key_offer.accept(session)
    keys = agree(session)
    scale = guest_rows.announced(session, p, own, weighted=weight is not None)
    targets = Targets.of(session, p, own, order, weighted=weight is not None)
    margin = guest_rows.kept_margins(own.margin.T, session.keep, order, scale.margin_unit)
    binned, held = binned.ordered(order, session.keep), in_order(own.held_out, order, session.keep)[:]
    base, grown = own.base, tuple(own.trees)
    del own, order, y, weight  # of which nothing is held from here on
    layout = Layout(len(binned), p.max_depth, scale.slots, session.scheme.bits)
    start = Start(p, columns, held, layout, scale, keys, first_of(p, len(before.shape) if before else 0))
    if before:
        if before.margin_unit != scale.margin_unit:
            raise other_scale(session.me)
        more = walked(session, lambda: walk.guest(session, keys, binned, before))
        margin = [KeptRows.of(own[:] + step, session.keep) for own, step in zip(margin, more, strict=True)]
        del more
    state = guest_state(session, p, margin, before, key)
    sample = session.seed("row sample") if p.subsample < 1 else None
    for step in session.steps("train", start.steps, state, until=lambda: state.over):
        owned = prepared_by(session, start, step, binned, GUEST)  # 1
        for number in step:
            guest_round(session, start, state, step, number, binned, owned, targets, sample)
            if p.early_stopping_rounds and number + 1 < p.n_estimators:
                state.over = not session.arbiter.recv(held_out.MoreRounds).more
                if state.over:
                    break
    kept = len(state.shape)
    if p.early_stopping_rounds:
        kept = kept_trees(session, start, len(state.shape))
    own_part = Ensemble(p, model_id, base, grown)
    splits = state.feature[:kept], state.cut[:kept], state.missing_left[:kept]
    rounding_key = session.seed("rounding key").secret
    return GuestTrees(own_part, state.shape.first(kept), *splits, scale.margin_unit, rounding_key)


def grow_alone(binned: Bins, p: Params, own: Rounds, columns: Sequence[int]) -> None:
    """The first rounds, on the guest's own columns alone, in the clear."""
    for number in range(min(p.guest_only_trees, p.n_estimators)):
        gradients = own.gradients(number)
        candidates = binned.candidates(own_columns(p, number, columns, GUEST))
        trees = p.trees_of(number)
        own.add([twin.grow([binned], [candidates], p, tree, gradients, k) for k, tree in enumerate(trees)])


def guest_state(
    session: Session,
    p: Params,
    margin: list[KeptRows[np.uint64]],
    before: GuestTrees | None,
    key: EncryptionKey,
) -> GuestState:
    if before is not None:
        return GuestState(margin, session.keep, before.shape, before.feature, before.cut, before.missing_left, key)
    empty = Shape.empty(p.max_depth)
    nothing = empty.owner, empty.owner.copy(), empty.owner.astype(np.bool_)
    return GuestState(margin, session.keep, empty, *nothing, key)


def start_guest(session: Session, binned: Bins, held: Bits, model_id: bytes) -> tuple[list[int], KeptRows[np.int64]]:
    """Step 0 at the guest: how many columns each party has, and the secret order of rows."""
    columns = [binned.columns]
    for channel in session.hosts:
        (count,) = check_ints(
            channel.peer, np.array([channel.recv(SplitColumns).count]), 0, MAX_COLUMNS, "a number of columns"
        )
        columns.append(int(count))
    seed = session.seed("row order")
    order = shuffled_order(seed, len(binned), session.keep)
    broadcast(session.hosts, TreeRowOrder(seed.secret))
    outside = pack_bits([in_order(held, order, session.keep)[:]])
    told = SealedStart(np.array(columns, dtype=np.int32), len(binned), outside, model_id)
    broadcast([*session.hosts, session.arbiter], told)
    return columns, order


def guest_round(
    session: Session,
    start: Start,
    state: GuestState,
    step: range,
    number: int,
    binned: Bins,
    owned: Sequence[Owned],
    targets: Targets,
    sample: Seed | None,
) -> None:
    p, scale, keys, rows = start.p, start.scale, start.keys, start.rows
    classes, n = p.num_class, len(binned)
    margin, labels = ByClass(rows, state.margin), ByClass(rows, targets.labels)
    weight = None if targets.weights is None else ByClass(rows, [targets.weights] * classes)
    inside = (
        None if sample is None else guest_rows.drawn_rows(sample.child(str(number)), p.subsample, len(rows), classes)
    )
    pair = gradients.guest(session, keys, scale, f"round {number}", margin, labels, weight, inside)  # 2
    shares = at_root(session, start, partial(pair.x, scale.slots), 1)
    del pair
    trees, owners_of, orders_of = Winners.empty(p, classes), list[Ints](), [np.zeros((classes, 1), dtype=np.int64)]
    for level in range(p.max_depth):
        places, sums = 1 << level, LevelSums(start, owned, step, number, level)
        roots = level_sums.guest(session, start, LeftChildren(start, shares, level, orders_of[level]), level, sums)  # 4
        if not level:
            session.arbiter.send(RootSums(roots))  # 3
        send_vector([session.arbiter], MaskedSums, sums.answers(session))  # 5
        told = session.arbiter.recv(Owners)  # 6
        owners = check_ints(session.roles.arbiter, told.owners, NO_SPLIT, len(session.roles.data_parties), "owners")
        check_lengths(session.roles.arbiter, classes * places, owners, told.positions, what="nodes")
        left = trees.take(session, start, step, number, level, binned, owned, owners == GUEST, told.positions)
        orders = seats(session, keys, session.roles.arbiter, p, number, level + 1)
        products = level_of(start, number, level)
        shares = product.guest(session, keys, products, shares, owners, left, orders)  # 7
        owners_of.append(owners.reshape(classes, places))
        orders_of.append(np.zeros((0, 0), dtype=np.int64) if orders is None else orders)
    for k in range(classes):
        shape, u = (1 << p.max_depth, n), partial(shares.u, k)
        more = leaves.guest(session, keys, f"leaves {number} {k}", shape, u)  # 8
        state.margin[k] = more_margin(session, state.margin[k], more)
        state.shape = state.shape.plus([o[k] for o in owners_of], [o[k] for o in orders_of[: p.max_depth]])
    state.feature, state.cut = np.vstack([state.feature, trees.feature]), np.vstack([state.cut, trees.cut])
    state.missing_left = np.vstack([state.missing_left, trees.missing_left])
    if p.early_stopping_rounds:
        held, label = Marked(start.held_out), f"held out {number}"
        margin, labels = ByClass(held, state.margin), ByClass(held, targets.labels)
        state.lowest = held_out.guest(session, keys, scale, label, margin, labels, state.lowest)  # 9


@dataclass(eq=False)
class Winners:
    """The guest's own splits in a round's trees (classes, 2^depth - 1)."""

    feature: Ints
    cut: Ints
    missing_left: Bits

    @classmethod
    def empty(cls, p: Params, classes: int) -> Winners:
        nodes = (classes, (1 << p.max_depth) - 1)
        return cls(
            np.full(nodes, -1, dtype=np.int64), np.full(nodes, -1, dtype=np.int64), np.zeros(nodes, dtype=np.bool_)
        )

    def take(
        self,
        session: Session,
        start: Start,
        step: range,
        number: int,
        level: int,
        binned: Bins,
        owned: Sequence[Owned],
        mine: Bits,
        positions: NDArray[np.int32],
    ) -> product.Goes:
        """Keeps what won at a level; returns which rows of a block go left there, (own nodes, rows)."""
        places, won = 1 << level, list[tuple[int, int, bool]]()
        for node in np.flatnonzero(mine):
            k, seat = divmod(int(node), places)
            group = owned[start.place(step, number, k)[0]]
            c = candidate(session.roles.arbiter, group, int(positions[node]))
            at, found = places - 1 + seat, binned.candidates(own_columns(start.p, number, start.columns, GUEST))
            self.feature[k, at], self.cut[k, at], self.missing_left[k, at] = (
                found.feature[c],
                found.cut[c],
                found.missing_left[c],
            )
            won.append((int(found.feature[c]), int(found.cut[c]), bool(found.missing_left[c])))

        def left(part: Part) -> Bits:
            each = [binned.goes_left(part.rows, *split) for split in won]
            return np.array(each, dtype=np.bool_).reshape(-1, len(part))

        return left
