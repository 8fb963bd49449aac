"""Vertical gradient-boosted trees in which no row's gradient, margin, node or direction is known to anybody: `membership="sealed"`.

Source: the setting is Cheng et al., SecureBoost (arXiv 1901.08755).  There the guest learns which rows go left at every split: directions alone order every
column of the hosts (docs/protocols/boosting.md).  Here margins, gradients and membership are shares of guest and arbiter.
Adversary: honest but curious, one party alone.

 step    guest (labels)                        arbiter (key, leaf values)                   owner P: the guest, and every host (columns)
  0      SplitColumns, SealedStart, TreeRowOrder, PublicKeyOffer, PairKey, TargetScale: sizes, one secret order of rows, the keys
 each group of trees that share plaintexts
  1      prepare.py: one-time pads r, encrypted; their sums over bins, masked              -->  opened by the arbiter: blind
 each round; its trees, one a class, grow together
  2      gradients.py: shares of g and h of each row, rounded at random
  3      RootSums  ------------------------->  sums over all rows
 each level
  4                       <------------------  LevelShares: own shares less r
         xi = own shares + these: uniform
         Blocks xi  ------------------------------------------------------------------->    adds up xi by bin
  5                                                <------------------------------------    MaskedSums t
                                               sums left of every candidate that it cannot name; gains; the best of each node
  6                       <------------------  Owners: whose split a node has, and of the guest's own which
                                               Wins: which of its splits won, at which seat -------->
  7      product.py: shares of the left children; the right ones are the parents less these; seats are drawn anew
 after the last level
  8      leaves.py: the leaf values, from the winners' sums, go into the margins
  9      held_out.py, with early stopping

Who learns what.  Guest: which party owns a split, so the trees' shapes; its own splits.  Host: how many of its splits won at each level and which, at nodes that it
cannot name; the first host how many the guest's did.  Arbiter: for every candidate of every party, which it cannot name, at every node the sums of g and h: base rate, rows and
events of each bin of unnamed columns, node sizes, the shape of the trees, leaf values; never a row.  Of candidates with the same gain it draws one.  Which
candidates are the same in different trees can be told from their sums.
Arbiter and host together: every row's label and nodes.  Arbiter and guest together: the directions of all rows.  Nobody alone learns a row.
Cost a tree: an encryption for each row and group; owners one histogram for each group; a factor and an opening for each candidate and group; in plain about 31 numbers for each row at depth 5.
Error: none: the trees equal those of twin.py that is given the same rounded gradients, and the shares of margins add up to the model's, bit for bit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols import key_offer
from protocols._native import PlainVec
from protocols.binning import Binned
from protocols.boosting import gradients, held_out, leaves, prepare, product, rings, twin
from protocols.boosting.blocks import Layout
from protocols.boosting.ensemble import Ensemble, HostSplits, Rounds
from protocols.boosting.gradients import Scale
from protocols.boosting.keys import PairKeys, agree
from protocols.boosting.levels import check_ints, own_columns, pack_bits, unpack_bits
from protocols.boosting.opening import MAX_COLUMNS, SplitColumns, party_of
from protocols.boosting.params import Params
from protocols.boosting.prepare import Owned, Prepared
from protocols.boosting.product import Level
from protocols.boosting.rings import Shares, Words
from protocols.boosting.sealed_parts import GUEST, NO_SPLIT, ArbiterTrees, GuestTrees, Shape, loaded_shape, saved_shape
from protocols.boosting.split import Offer, choose, leaf_values
from protocols.boosting.tree import walker
from protocols.channel import broadcast
from protocols.checkpoint import Arrays
from protocols.codec import Int32s, check_lengths
from protocols.errors import PlaintextOverflow, RemoteProtocolError
from protocols.glm.sealed_link import refuse_beyond
from protocols.message import BLINDED, PUBLIC, REVEALED, Message
from protocols.randomness import Seed
from protocols.session import Session

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bits = NDArray[np.bool_]
MOST_ROWS = 1 << 32


class SealedStart(
    Message,
    disclosure=PUBLIC,
    learns="how many columns each data party has, how many rows there are and which are held out to end training, the model's name",
):
    columns: Int32s  # of the guest, then of the hosts
    rows: int
    held_out: bytes  # bitmap, in the secret order of rows
    model_id: bytes  # (16,)


class TreeRowOrder(Message, disclosure=BLINDED, learns="nothing: the seed of a random order of rows"):
    seed: bytes  # (32,)


class LevelShares(Message, disclosure=BLINDED, learns="nothing: for each row a uniform number, the sender's share less a pad"):
    shares: PlainVec  # (classes * sampled rows,)


class Blocks(Message, disclosure=BLINDED, learns="nothing: for each row a uniform number, all shares less a pad"):
    xi: PlainVec  # (classes * sampled rows,)


class RootSums(
    Message, disclosure=REVEALED, permit="bin-sums-to-arbiter", learns="the sums of g and h over all rows that a tree is trained on"
):
    sums: PlainVec  # (classes,)


class MaskedSums(
    Message,
    disclosure=REVEALED,
    permit="bin-sums-to-arbiter",
    learns="at every node, the sums of g and h left of each of the sender's candidates, which it cannot name",
):
    sums: PlainVec  # (classes * candidates,)


class Owners(
    Message,
    disclosure=REVEALED,
    permit="wins-to-owners",
    learns="which party's split each node of a level has, if any, and which of its own splits won",
):
    owners: Int32s  # (classes * nodes,)
    positions: Int32s  # (classes * nodes,) in the receiver's list; -1 where another's split won


class Wins(
    Message,
    disclosure=REVEALED,
    permit="wins-to-owners",
    learns="which of its own splits won at a level of a tree, at nodes that it cannot name; the first host also at how many nodes the guest's did",
):
    positions: Int32s  # (classes * nodes,) in the receiver's list; -1 where none of its splits won
    helps: int


@dataclass(frozen=True)
class Start:
    """What all parties know when training begins: how many columns each has, the numbers of the rounds by step, the rows held out, layout and scale."""

    p: Params
    columns: list[int]
    held_out: Bits
    layout: Layout
    scale: Scale
    keys: PairKeys
    first: int  # joint rounds before this training

    @property
    def steps(self) -> list[range]:
        """The joint rounds; those whose trees share plaintexts are one step."""
        together = max(1, self.layout.trees // self.p.num_class)
        if self.p.subsample < 1 or self.p.colsample_bytree < 1:
            together = 1  # rows or columns differ by round
        numbers = range(self.first, self.p.n_estimators)
        return [numbers[k : k + together] for k in range(0, len(numbers), together)]

    def groups(self, step: range) -> int:
        """How often pads are prepared in a step."""
        return -(-len(step) * self.p.num_class // self.layout.trees)

    def place(self, step: range, number: int, k: int) -> tuple[int, int]:
        """Of class k's tree in a round: which group of the step, and its number there."""
        return divmod((number - step.start) * self.p.num_class + k, self.layout.trees)

    def rows(self, number: int) -> Ints:
        """The rows that a round's trees are trained on."""
        return np.flatnonzero(self.p.sampled(number, self.held_out))

    def joint(self, number: int, k: int) -> int:
        """The number of class k's tree among the joint ones."""
        return (number - self.p.guest_only_trees) * self.p.num_class + k


def layout_of(p: Params, rows: int, key_bits: int, weighted: bool) -> Layout:
    """Raises ConfigError where a level of a tree does not fit into a plaintext, whatever the labels."""
    scale = Scale(p.objective, p.bits(rows), rows, weighted=weighted)
    return Layout(rows, p.max_depth, scale.slots, key_bits)


@dataclass(eq=False)
class GuestState:
    """What the guest carries from step to step: its shares of margins (classes, rows), and its part of the trees so far."""

    margin: Words
    shape: Shape
    feature: Ints
    cut: Ints
    missing_left: Bits
    over: bool = False

    def save(self) -> Arrays:
        return saved_shape(self.shape) | {
            "margin": self.margin,
            "feature": self.feature,
            "cut": self.cut,
            "missing_left": self.missing_left,
            "over": np.array(self.over),
        }

    def load(self, saved: Mapping[str, NDArray[Any]]) -> None:
        self.margin, self.shape = saved["margin"].astype(np.uint64), loaded_shape(self.shape.depth, saved)
        self.feature, self.cut, self.missing_left = saved["feature"], saved["cut"], saved["missing_left"].astype(np.bool_)
        self.over = bool(saved["over"])


@dataclass(eq=False)
class ArbiterState:
    """The same at the arbiter, with leaf values, and the losses of held-out rows."""

    margin: Words
    shape: Shape
    value: Ints
    losses: list[float] = field(default_factory=list)
    beyond: int = 0
    over: bool = False

    def save(self) -> Arrays:
        return saved_shape(self.shape) | {
            "margin": self.margin,
            "value": self.value,
            "losses": np.array(self.losses),
            "numbers": np.array([self.beyond, int(self.over)]),
        }

    def load(self, saved: Mapping[str, NDArray[Any]]) -> None:
        self.margin, self.shape, self.value = saved["margin"].astype(np.uint64), loaded_shape(self.shape.depth, saved), saved["value"]
        self.losses, (self.beyond, over) = saved["losses"].tolist(), saved["numbers"].tolist()
        self.over = bool(over)


@dataclass(eq=False)
class HostState:
    """The same at a host."""

    splits: HostSplits
    over: bool = False

    def save(self) -> Arrays:
        return self.splits.save() | {"over": np.array(self.over)}

    def load(self, saved: Mapping[str, NDArray[Any]]) -> None:
        self.splits.load(saved)
        self.over = bool(saved["over"])


# -- the guest ---------------------------------------------------------------------------------------------------------------------


def guest(
    session: Session,
    binned: Binned,
    p: Params,
    y: Floats,
    model_id: bytes,
    weight: Floats | None = None,
    held: Bits | None = None,
    before: tuple[GuestTrees, Words] | None = None,
) -> GuestTrees:
    """binned: the guest's n rows; y (n,) labels; weight (n,) or None for ones; held (n,): rows that no tree is trained on and that early stopping looks at;
    model_id (16,) bytes; before: its part of the model that gets more rounds, and its shares (outputs, n) of the joint trees' margins.

    Learns: owners of splits, its own wins.  Raises ConfigError (head-room), DataError, ProtocolError.
    """
    layout_of(p, len(binned), session.scheme.bits, weight is not None)  # where it does not fit, nothing is sent
    earlier = before[0].own if before else None
    own = Rounds(p, y, weight=weight, held_out=held, before=None if earlier is None else (earlier, alone(earlier, binned)))
    if p.early_stopping_rounds:
        held_out.check_rows(int(own.held_out.sum()), session.me)
    columns, order = start_guest(session, binned, own.held_out, model_id)  # 0
    if earlier is None:
        grow_alone(binned, p, own, columns)
    binned, labels = Binned(binned.binner, binned.bins[order]), outputs_of(p, own.y[order])
    weights = None if weight is None else own.weight[order]
    key_offer.accept(session)
    keys = agree(session)
    inside = ~own.held_out
    weighed = None if weight is None else own.weight[inside]
    scale = gradients.announce(session, p, len(binned), own.y[inside], weighed, float(own.base[0]))
    layout = Layout(len(binned), p.max_depth, scale.slots, session.scheme.bits)
    start = Start(p, columns, own.held_out[order], layout, scale, keys, first_joint(p, before[0] if before else None))
    margin = np.rint(own.margin.T / scale.margin_unit).astype(np.int64).view(np.uint64)
    if before:
        margin = margin + before[1]
    state = guest_state(p, margin[:, order], before[0] if before else None)
    for step in session.steps("train", start.steps, state, until=lambda: state.over):
        owned = [
            prepare.owner(session, binned, binned.candidates(own_columns(p, step[0], columns, GUEST)), layout, start.rows(step[0]))
            for _ in range(start.groups(step))
        ]  # 1
        for number in step:
            guest_round(session, start, state, step, number, binned, owned, labels, weights)
            if p.early_stopping_rounds and number + 1 < p.n_estimators:
                state.over = not session.arbiter.recv(held_out.MoreRounds).more
                if state.over:
                    break
    kept = len(state.shape)
    if p.early_stopping_rounds:
        kept = kept_trees(session, start, len(state.shape))
    own_part = Ensemble(p, model_id, own.base, tuple(own.trees))
    return GuestTrees(
        own_part,
        state.shape.first(kept),
        state.feature[:kept],
        state.cut[:kept],
        state.missing_left[:kept],
        scale.margin_unit,
        before[0].score_key if before else session.seed("score key").secret,
    )


def grow_alone(binned: Binned, p: Params, own: Rounds, columns: Sequence[int]) -> None:
    """The first rounds, on the guest's own columns alone, in the clear."""
    for number in range(min(p.guest_only_trees, p.n_estimators)):
        g, h, sampled = own.gradients(number)
        candidates = binned.candidates(own_columns(p, number, columns, GUEST))
        trees = p.trees_of(number)
        own.add([twin.grow([binned], [candidates], p, tree, g[:, k], h[:, k], sampled) for k, tree in enumerate(trees)])


def alone(part: Ensemble, binned: Binned) -> Floats:
    """Margins (rows, outputs) of the trees on the guest's columns alone, base included."""
    steps = [tree.value[tree.route(len(binned), walker(binned, tree, ()))] for tree in part.trees]
    return part.margin(steps, len(binned))


def outputs_of(p: Params, y: Floats) -> Floats:
    """(outputs, rows) labels: of several classes, whether a row is of each."""
    return (y == np.arange(p.num_class)[:, None]).astype(np.float64) if p.num_class > 1 else y[None]


def guest_state(p: Params, margin: Words, before: GuestTrees | None) -> GuestState:
    if before is not None:
        return GuestState(margin, before.shape, before.feature, before.cut, before.missing_left)
    empty = Shape.empty(p.max_depth)
    return GuestState(margin, empty, empty.owner, empty.owner.copy(), empty.owner.astype(np.bool_))


def start_guest(session: Session, binned: Binned, held: Bits, model_id: bytes) -> tuple[list[int], Ints]:
    """Step 0 at the guest: how many columns each party has, and the secret order of rows."""
    columns = [binned.columns]
    for channel in session.hosts:
        (count,) = check_ints(channel.peer, np.array([channel.recv(SplitColumns).count]), 0, MAX_COLUMNS, "a number of columns")
        columns.append(int(count))
    seed = session.seed("row order")
    order = seed.permutation(len(binned))
    broadcast(session.hosts, TreeRowOrder(seed.secret))
    told = SealedStart(np.array(columns, dtype=np.int32), len(binned), pack_bits([held[order]]), model_id)
    broadcast([*session.hosts, session.arbiter], told)
    return columns, order


def guest_round(
    session: Session,
    start: Start,
    state: GuestState,
    step: range,
    number: int,
    binned: Binned,
    owned: Sequence[Owned],
    labels: Floats,
    weights: Floats | None,
) -> None:
    p, scale, keys, rows = start.p, start.scale, start.keys, start.rows(number)
    classes, n = p.num_class, len(binned)
    weight = None if weights is None else np.tile(weights[rows], classes)
    pair = gradients.guest(session, keys, scale, f"round {number}", state.margin[:, rows].ravel(), labels[:, rows].ravel(), weight)  # 2
    shares = Shares(tuple(rings.cut(pair.x(scale.slots), classes)), np.ones((classes, n), dtype=np.uint64))
    trees, owners_of, orders_of = Winners.empty(p, classes), list[Ints](), [np.zeros((classes, 1), dtype=np.int64)]
    for level in range(p.max_depth):
        places, blocks = 1 << level, [start.layout.bits(level)]
        theirs = session.arbiter.recv(LevelShares).shares  # 4
        check_lengths(session.roles.arbiter, classes * len(rows), theirs)
        xi = [
            (own + other).residue(blocks[0]) for own, other in zip(stacked(start, shares, classes), rings.cut(theirs, classes), strict=True)
        ]
        if not level:
            session.arbiter.send(RootSums(rings.join([x.sum().residue(blocks[0]) for x in xi])))  # 3
        broadcast(session.hosts, Blocks(rings.join(xi)))
        session.arbiter.send(MaskedSums(answers(session, start, owned, step, number, level, xi)))  # 5
        told = session.arbiter.recv(Owners)  # 6
        owners = check_ints(session.roles.arbiter, told.owners, NO_SPLIT, len(session.roles.data_parties), "owners")
        check_lengths(session.roles.arbiter, classes * places, owners, told.positions, what="nodes")
        left = trees.take(session, start, step, number, level, binned, owned, owners == GUEST, told.positions)
        lefts = product.guest(session, keys, level_of(start, number, level, rows, n), down(shares, level, p), owners, left)  # 7
        orders = seats(session, keys, session.roles.arbiter, p, number, level + 1)
        shares = product.children(down(shares, level, p), lefts, orders)
        owners_of.append(owners.reshape(classes, places))
        orders_of.append(np.zeros((0, 0), dtype=np.int64) if orders is None else orders)
    for k in range(classes):
        u = shares.u.reshape(classes, 1 << p.max_depth, n)[k]
        state.margin[k] += leaves.guest(session, keys, f"leaves {number} {k}", u)  # 8
        state.shape = state.shape.plus([o[k] for o in owners_of], [o[k] for o in orders_of[: p.max_depth]])
    state.feature, state.cut = np.vstack([state.feature, trees.feature]), np.vstack([state.cut, trees.cut])
    state.missing_left = np.vstack([state.missing_left, trees.missing_left])
    if p.early_stopping_rounds:
        held = start.held_out
        held_out.guest(session, keys, scale, f"held out {number}", state.margin[:, held].ravel(), labels[:, held].ravel())  # 9


@dataclass(eq=False)
class Winners:
    """The guest's own splits in a round's trees (classes, 2^depth - 1)."""

    feature: Ints
    cut: Ints
    missing_left: Bits

    @classmethod
    def empty(cls, p: Params, classes: int) -> Winners:
        nodes = (classes, (1 << p.max_depth) - 1)
        return cls(np.full(nodes, -1, dtype=np.int64), np.full(nodes, -1, dtype=np.int64), np.zeros(nodes, dtype=np.bool_))

    def take(
        self,
        session: Session,
        start: Start,
        step: range,
        number: int,
        level: int,
        binned: Binned,
        owned: Sequence[Owned],
        mine: Bits,
        positions: NDArray[np.int32],
    ) -> Bits:
        """Keeps what won at a level; returns which rows go left there, (own nodes, rows)."""
        places, left, every = 1 << level, [], np.arange(len(binned))
        for node in np.flatnonzero(mine):
            k, seat = divmod(int(node), places)
            group = owned[start.place(step, number, k)[0]]
            c = candidate(session.roles.arbiter, group, int(positions[node]))
            at, found = places - 1 + seat, binned.candidates(own_columns(start.p, number, start.columns, GUEST))
            self.feature[k, at], self.cut[k, at], self.missing_left[k, at] = found.feature[c], found.cut[c], found.missing_left[c]
            left.append(binned.goes_left(every, int(found.feature[c]), int(found.cut[c]), bool(found.missing_left[c])))
        return np.array(left, dtype=np.bool_).reshape(len(left), len(binned))


# -- a host ------------------------------------------------------------------------------------------------------------------------


def host(
    session: Session,
    binned: Binned,
    p: Params,
    held: Bits | None = None,
    before: HostSplits | None = None,
    *,
    weighted: bool = False,
) -> HostSplits:
    """binned: the host's n rows in the shared order; held (n,): rows that no tree is trained on; before: its part of the model that gets more rounds; weighted: whether the
    guest's rows have weights.

    Learns: its own wins.  Raises ConfigError, InvalidKey, ProtocolError.
    """
    layout_of(p, len(binned), session.scheme.bits, weighted)  # where it does not fit, nothing is sent
    outside = np.zeros(len(binned), dtype=np.bool_) if held is None else held
    columns, order, name = start_host(session, binned, outside)  # 0
    binned = Binned(binned.binner, binned.bins[order])
    key_offer.accept(session)
    keys = agree(session)
    scale = gradients.receive(session, p, len(binned), weighted)
    layout = Layout(len(binned), p.max_depth, scale.slots, session.scheme.bits)
    start = Start(p, columns, outside[order], layout, scale, keys, first_of(p, before.trees if before else 0))
    splits = before.continued(name, len(before)) if before else HostSplits(name, score_key=session.seed("score key").secret)
    state = HostState(splits)
    for step in session.steps("train", start.steps, state, until=lambda: state.over):
        candidates = binned.candidates(own_columns(p, step[0], columns, party_of(session)))
        rows = start.rows(step[0])
        owned = [prepare.owner(session, binned, candidates, layout, rows) for _ in range(start.groups(step))]  # 1
        for number in step:
            host_round(session, start, splits, step, number, binned, owned)
            if p.early_stopping_rounds and number + 1 < p.n_estimators:
                state.over = not session.arbiter.recv(held_out.MoreRounds).more
                if state.over:
                    break
    return splits.first(kept_trees(session, start, splits.trees)) if p.early_stopping_rounds else splits


def start_host(session: Session, binned: Binned, held: Bits) -> tuple[list[int], Ints, bytes]:
    """Step 0 at a host: how many columns each party has, the order of rows, the model's name."""
    guest_name = session.roles.guest
    session.guest.send(SplitColumns(binned.columns))
    seed = session.guest.recv(TreeRowOrder).seed
    check_lengths(guest_name, 32, seed, what="bytes of a seed")
    order = Seed(guest_name, seed).permutation(len(binned))
    columns, told = receive_start(session, len(binned), held[order])
    if columns[party_of(session)] != binned.columns:
        raise RemoteProtocolError(f"{guest_name} announced another number of columns than this party has", party=guest_name)
    return columns, order, told.model_id


def receive_start(session: Session, rows: int | None, held: Bits | None) -> tuple[list[int], SealedStart]:
    """At hosts, which know the rows, and at the arbiter, which does not."""
    guest_name, told = session.roles.guest, session.guest.recv(SealedStart)
    columns = check_ints(guest_name, told.columns, 0, MAX_COLUMNS, "numbers of columns").tolist()
    check_lengths(guest_name, len(session.roles.data_parties), columns, what="numbers of columns")
    check_lengths(guest_name, 16, told.model_id, what="bytes of the model's name")
    if not 0 < told.rows <= MOST_ROWS or rows not in (None, told.rows):
        raise RemoteProtocolError(f"{guest_name} announced an impossible number of rows", party=guest_name)
    found = unpack_bits(told.held_out, told.rows, guest_name)
    if held is not None and not np.array_equal(found, held):
        raise RemoteProtocolError(f"{guest_name} holds out other rows than agreed", party=guest_name)
    return columns, told


def host_round(
    session: Session, start: Start, splits: HostSplits, step: range, number: int, binned: Binned, owned: Sequence[Owned]
) -> None:
    p, keys, rows, classes, n = start.p, start.keys, start.rows(number), start.p.num_class, len(binned)
    gradients.host(session, keys, start.scale, f"round {number}", classes * len(rows))  # 2
    candidates, every = binned.candidates(own_columns(p, number, start.columns, party_of(session))), np.arange(n)
    for level in range(p.max_depth):
        places = 1 << level
        xi = session.guest.recv(Blocks).xi  # 4
        check_lengths(session.roles.guest, classes * len(rows), xi)
        if xi.max_bits() > start.layout.bits(level):
            raise RemoteProtocolError(f"{session.roles.guest} sent shares out of range", party=session.roles.guest)
        session.arbiter.send(MaskedSums(answers(session, start, owned, step, number, level, rings.cut(xi, classes))))  # 5
        wins = session.arbiter.recv(Wins)  # 6
        check_lengths(session.roles.arbiter, classes * places, wins.positions, what="nodes")
        left = []
        for node in np.flatnonzero(wins.positions >= 0):
            k, seat = divmod(int(node), places)
            c = candidate(session.roles.arbiter, owned[start.place(step, number, k)[0]], int(wins.positions[node]))
            handle = splits.keep(candidates, c, (start.joint(number, k), level, seat))
            left.append(splits.goes_left(binned, every, handle))
        helps = wins.helps if session.me == session.roles.hosts[0] else 0
        if not 0 <= helps <= classes * places - len(left):
            raise RemoteProtocolError(f"{session.roles.arbiter} asks for impossible help", party=session.roles.arbiter)
        bits = np.array(left, dtype=np.bool_).reshape(len(left), n)
        product.host(session, keys, level_of(start, number, level, rows, n), bits, helps)  # 7
    for k in range(classes):
        leaves.host(session, keys, f"leaves {number} {k}", 1 << p.max_depth, n)  # 8
    splits.trees += classes
    if p.early_stopping_rounds:
        held_out.host(session, keys, start.scale, f"held out {number}", classes * int(start.held_out.sum()))  # 9


# -- the arbiter -------------------------------------------------------------------------------------------------------------------


def arbiter(
    session: Session, p: Params, before: tuple[ArbiterTrees, Words] | None = None, *, weighted: bool = False
) -> ArbiterTrees:
    """The arbiter's side: holds the key, chooses splits, keeps leaf values.  before: its part of the model that gets more rounds, and its shares of margins.

    Learns: sums over unnamed candidates (above).  Raises DataError, PlaintextOverflow, ProtocolError.
    """
    columns, told = receive_start(session, None, None)  # 0
    rows = told.rows
    layout_of(p, rows, session.scheme.bits, weighted)
    key = session.scheme.generate(session.me, session.seed("key"))
    key_offer.offer(session, key)
    keys = agree(session)
    scale = gradients.receive(session, p, rows, weighted)
    layout = Layout(rows, p.max_depth, scale.slots, session.scheme.bits)
    held = unpack_bits(told.held_out, rows, session.roles.guest)
    start = Start(p, columns, held, layout, scale, keys, first_of(p, len(before[0].shape) if before else 0))
    if before:
        state = ArbiterState(before[1], before[0].shape, before[0].value)
    else:
        shape = Shape.empty(p.max_depth)
        state = ArbiterState(np.zeros((p.num_class, rows), dtype=np.uint64), shape, np.zeros((0, 1 << p.max_depth), dtype=np.int64))
    for step in session.steps("train", start.steps, state, until=lambda: state.over):
        prepared = [prepare.arbiter(session, key, layout, len(start.rows(step[0]))) for _ in range(start.groups(step))]  # 1
        for number in step:
            arbiter_round(session, start, state, step, number, prepared)
            if p.early_stopping_rounds and number + 1 < p.n_estimators:
                state.over = len(state.losses) - 1 - int(np.argmin(state.losses)) >= p.early_stopping_rounds
                held_out.tell(session, held_out.MoreRounds(not state.over))
                if state.over:
                    break
    refuse_beyond(session, state.beyond)
    kept = len(state.shape)
    if p.early_stopping_rounds and state.losses:
        best = start.first + int(np.argmin(state.losses)) + 1
        held_out.tell(session, held_out.RoundsKept(best))
        kept = (best - p.guest_only_trees) * p.num_class
    return ArbiterTrees(told.model_id, p.num_class, p.score_bits, state.shape.first(kept), state.value[:kept])


def arbiter_round(session: Session, start: Start, state: ArbiterState, step: range, number: int, prepared: Sequence[Prepared]) -> None:
    p, scale, keys, rows = start.p, start.scale, start.keys, start.rows(number)
    classes, n = p.num_class, len(start.held_out)
    pair, state.beyond = gradients.arbiter(session, keys, scale, f"round {number}", state.margin[:, rows].ravel())  # 2
    shares = Shares(tuple(rings.cut(pair.x(scale.slots), classes)), np.zeros((classes, n), dtype=np.uint64))
    owners_of, orders_of, total = list[Ints](), [np.zeros((classes, 1), dtype=np.int64)], np.zeros((2, classes), dtype=np.int64)
    for level in range(p.max_depth):
        places, bits = 1 << level, start.layout.bits(level)
        pads = [prepared[group].pads(tree, level) for group, tree in (start.place(step, number, k) for k in range(classes))]
        own = [(s - r).residue(bits) for s, r in zip(stacked(start, shares, classes), pads, strict=True)]
        session.guest.send(LevelShares(rings.join(own)))  # 4
        if not level:
            roots = session.guest.recv(RootSums).sums  # 3
            check_lengths(session.roles.guest, classes, roots)
            whole = (roots + rings.join([r.sum() for r in pads])).residue(bits)
            total = np.array(scale.slots.split(whole, 1))[:, 0]
        offers = [receive_sums(session, start, step, number, level, prepared, party) for party in range(len(start.columns))]  # 5
        check_range(session, offers, total[1], n)
        owners, positions, total = decide(session, start, offers, total)
        tell_winners(session, owners, positions)  # 6
        lefts = product.arbiter(session, keys, level_of(start, number, level, rows, n), down(shares, level, p), owners)  # 7
        orders = seats(session, keys, session.roles.guest, p, number, level + 1)
        shares = product.children(down(shares, level, p), lefts, orders)
        if orders is not None:
            total = np.take_along_axis(total.reshape(2, classes, -1), orders[None], axis=2).reshape(2, -1)
        owners_of.append(owners.reshape(classes, places))
        orders_of.append(np.zeros((0, 0), dtype=np.int64) if orders is None else orders)
    units = scale.units
    exact = leaf_values(p, total[0] * units.g_unit, total[1] * units.h_unit) / scale.margin_unit
    value = np.rint(exact).astype(np.int64).reshape(classes, -1)
    for k in range(classes):
        u = shares.u.reshape(classes, 1 << p.max_depth, n)[k]
        state.margin[k] += leaves.arbiter(session, keys, f"leaves {number} {k}", u, value[k])  # 8
        state.shape = state.shape.plus([o[k] for o in owners_of], [o[k] for o in orders_of[: p.max_depth]])
    state.value = np.vstack([state.value, value])
    if p.early_stopping_rounds:
        state.losses.append(held_out.arbiter(session, keys, scale, f"held out {number}", state.margin[:, start.held_out].ravel()))  # 9


def receive_sums(session: Session, start: Start, step: range, number: int, level: int, prepared: Sequence[Prepared], party: int) -> Offer:
    """Step 5 at the arbiter: one owner's sums at every node of a round's trees, (classes * nodes, candidates)."""
    name, classes = session.roles.data_parties[party], start.p.num_class
    message = session.channels[name].recv(MaskedSums).sums
    candidates = prepared[0].candidates(party)
    check_lengths(name, classes * candidates, message, what="sums")
    g, h = [], []
    for k, answer in enumerate(rings.cut(message, classes)):
        group, tree = start.place(step, number, k)
        sums = start.scale.slots.split(prepared[group].sums(party, tree, level, answer), 1 << level)
        g.append(sums[0])
        h.append(sums[1])
    return Offer(np.concatenate(g), np.concatenate(h))


def check_range(session: Session, offers: Sequence[Offer], whole: Ints, rows: int) -> None:
    """Raises PlaintextOverflow where a part of a node has more h than the node: sums have spilled, or an owner did not add up the rows."""
    for party, offer in zip(session.roles.data_parties, offers, strict=True):
        if offer.h.size and (offer.h.min() < -rows or (offer.h - whole[:, None]).max() > rows):
            raise PlaintextOverflow(
                f"the sums of {party} lie outside the range that the job was planned for",
                remedy="Look for extreme labels or weights, or lower learning_rate",
                party=party,
            )


def decide(session: Session, start: Start, offers: Sequence[Offer], total: Ints) -> tuple[Ints, Ints, Ints]:
    """Step 6: of each node the owner of its split, its position in the owner's list, and the sums of both children, (2, 2 * nodes); of equal gains one drawn at random."""
    choices = choose(start.p, start.scale.units, offers, *total)
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
    return owners, positions, below


def tell_winners(session: Session, owners: Ints, positions: Ints) -> None:
    """Step 6: everybody hears of its own wins; the guest also whose the other splits are."""
    session.guest.send(Owners(owners.astype(np.int32), np.where(owners == GUEST, positions, -1).astype(np.int32)))
    for k, channel in enumerate(session.hosts, 1):
        helps = int((owners == GUEST).sum()) if k == 1 else 0
        channel.send(Wins(np.where(owners == k, positions, -1).astype(np.int32), helps))


# -- what several parties do -------------------------------------------------------------------------------------------------------


def first_joint(p: Params, before: GuestTrees | None) -> int:
    """The number of the first round of this training in which hosts take part."""
    return first_of(p, len(before.shape) if before else 0)


def first_of(p: Params, joint: int) -> int:
    return p.guest_only_trees + joint // p.num_class


def stacked(start: Start, shares: Shares, classes: int) -> list[PlainVec]:
    """Of each class, a holder's shares at the nodes of a level as one number for each row."""
    places = len(shares.x) // classes
    return [start.layout.stacked(shares.take(np.arange(k * places, (k + 1) * places))) for k in range(classes)]


def answers(
    session: Session, start: Start, owned: Sequence[Owned], step: range, number: int, level: int, xi: Sequence[PlainVec]
) -> PlainVec:
    """Step 5 at an owner: t of each class, one after the other."""
    found = []
    for k, rows in enumerate(xi):
        group, tree = start.place(step, number, k)
        found.append(owned[group].answer(session, tree, level, rows))
    return rings.join(found)


def candidate(sender: str, owned: Owned, position: int) -> int:
    """What stands at a position of an owner's list; raises RemoteProtocolError where nothing does."""
    if not 0 <= position < len(owned.order):
        raise RemoteProtocolError(f"{sender} named a position where nothing stands", party=sender)
    return int(owned.order[position])


def down(shares: Shares, level: int, p: Params) -> Shares:
    """What goes down from a level: to the last nodes membership alone."""
    return shares if level + 1 < p.max_depth else Shares((), shares.u)


def level_of(start: Start, number: int, level: int, rows: Ints, n: int) -> Level:
    return Level(f"round {number} level {level}", n, rows if level + 1 < start.p.max_depth else None)


def seats(session: Session, keys: PairKeys, other: str, p: Params, number: int, level: int) -> Ints | None:
    """(classes, 2^level): which child sits where, drawn by guest and arbiter; None below the last level, whose order nobody sees."""
    if level == p.max_depth:
        return None
    return np.array([keys.with_(other, f"seats {number} {k} {level}").permutation(1 << level) for k in range(p.num_class)])


def kept_trees(session: Session, start: Start, trees: int) -> int:
    """At a data party after early stopping: how many joint trees the model keeps."""
    if not start.steps:
        return trees
    rounds = session.arbiter.recv(held_out.RoundsKept).rounds
    kept = (rounds - start.p.guest_only_trees) * start.p.num_class
    if not 0 <= kept <= trees:
        raise RemoteProtocolError(f"{session.roles.arbiter} keeps an impossible number of rounds", party=session.roles.arbiter)
    return kept
