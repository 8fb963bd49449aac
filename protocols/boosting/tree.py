"""The guest's trees: what it keeps of them, and how one grows level by level.

A node is split by the guest's own column (owner 0) or by host k (owner k), of which the guest knows a handle only.  The
guest alone knows leaf values.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from protocols.binning.quantile import Binned, Candidates
from protocols.boosting.packing import Floats, Ints, Quantised
from protocols.boosting.params import Params
from protocols.boosting.split import Bounds, Choice, Offer, leaf_values

Bits = NDArray[np.bool_]
Split = tuple[int, int, int, bool, float]  # owner, feature or handle, cut, missing_left, gain
LEAF, GUEST = -1, 0


@dataclass(frozen=True, eq=False)
class Tree:
    """Arrays over nodes, the root first, level by level; the right child follows the left one."""

    owner: Ints  # LEAF, GUEST, or the number of a host from 1
    feature: Ints  # guest: its column; host: the handle
    cut: Ints  # guest: the last bin that goes left
    missing_left: Bits  # guest
    left: Ints  # the left child; -1 at a leaf
    gain: Floats
    value: Floats  # of a leaf: a step of the margin

    def __len__(self) -> int:
        return len(self.owner)

    def route(self, rows: int, goes_left: Callable[[int, Ints], Bits]) -> Ints:
        """(rows,) the leaf of each row; goes_left(node, rows) answers for the rows at a node."""
        at = np.zeros(rows, dtype=np.int64)
        for node in np.flatnonzero(self.owner != LEAF):
            here = np.flatnonzero(at == node)
            if len(here):
                at[here] = np.where(goes_left(int(node), here), self.left[node], self.left[node] + 1)
        return at


@dataclass(eq=False)
class Growing:
    """A tree in the making: `at` is the node of every row, `active` are the nodes of the present level, `pads` their
    places among 2^level; bounds: of the weights of all nodes, with monotone constraints."""

    rows: int
    at: Ints = field(init=False)
    active: Ints = field(init=False)
    pads: Ints = field(init=False)
    pad_of: Ints = field(init=False)  # (rows,) the place of each row among 2^level, dead branches included
    owner: list[int] = field(default_factory=lambda: [LEAF])
    feature: list[int] = field(default_factory=lambda: [-1])
    cut: list[int] = field(default_factory=lambda: [-1])
    missing_left: list[bool] = field(default_factory=lambda: [False])
    left: list[int] = field(default_factory=lambda: [-1])
    gain: list[float] = field(default_factory=lambda: [0.0])
    bounds: Bounds = field(default_factory=lambda: Bounds.none(1))

    def __post_init__(self) -> None:
        self.at = np.zeros(self.rows, dtype=np.int64)
        self.active = self.pads = np.zeros(1, dtype=np.int64)
        self.pad_of = np.zeros(self.rows, dtype=np.int64)

    def position(self) -> Ints:
        """(rows,) where each row's node stands in `active`, -1 in finished leaves."""
        place = np.full(len(self.owner), -1, dtype=np.int64)
        place[self.active] = np.arange(len(self.active))
        return place[self.at]

    def totals(self, q: Quantised) -> tuple[Ints, Ints]:
        """G and H of the active nodes."""
        position = self.position()
        inside = position >= 0
        sums = (np.bincount(position[inside], weights=v[inside], minlength=len(self.active)) for v in (q.g, q.h))
        g, h = (s.astype(np.int64) for s in sums)
        return g, h

    def rows_of(self) -> list[Ints]:
        """The rows of each active node, ascending."""
        position = self.position()
        order = np.argsort(position, kind="stable")
        edges = np.searchsorted(position[order], np.arange(len(self.active) + 1))
        return [order[a:b] for a, b in itertools.pairwise(edges)]

    def active_bounds(self, p: Params) -> Bounds | None:
        """Of the weights of the active nodes; None without monotone constraints."""
        return self.bounds.take(self.active) if p.monotone_constraints else None

    def split(
        self,
        choices: Sequence[Choice | None],
        splits: Sequence[Split | None],
        lefts: Sequence[Bits | None],
        rows: Sequence[Ints],
    ) -> None:
        """One level down: of each active node what was chosen, its split and which of its rows go left, or None for a
        leaf."""
        active, pads, below = [], [], [self.bounds]
        self.pad_of *= 2
        for node, pad, choice, split, left, here in zip(
            self.active.tolist(), self.pads.tolist(), choices, splits, lefts, rows, strict=True
        ):
            if choice is None or split is None or left is None:
                continue
            below.append(choice.below)
            first = len(self.owner)
            self.owner[node], self.feature[node], self.cut[node], self.missing_left[node], self.gain[node] = split
            self.left[node] = first
            for column, empty in (
                (self.owner, LEAF),
                (self.feature, -1),
                (self.cut, -1),
                (self.missing_left, False),
                (self.left, -1),
                (self.gain, 0.0),
            ):
                column += [empty, empty]
            self.at[here] = np.where(left, first, first + 1)
            self.pad_of[here] += ~left
            active += [first, first + 1]
            pads += [2 * pad, 2 * pad + 1]
        self.active, self.pads = np.array(active, dtype=np.int64), np.array(pads, dtype=np.int64)
        self.bounds = Bounds.join(below)

    def finish(self, p: Params, g: Floats, h: Floats, sampled: Bits) -> tuple[Tree, Floats]:
        """The tree, and the step (rows,) of every row's margin; leaf values from exact g, h over the sampled rows."""
        nodes = len(self.owner)
        g_sum, h_sum = (
            np.bincount(self.at[sampled], weights=v[sampled], minlength=nodes).astype(np.float64) for v in (g, h)
        )
        tree = self.tree(leaf_values(p, g_sum, h_sum, self.bounds if p.monotone_constraints else None))
        return tree, tree.value[self.at]

    def tree(self, values: Floats) -> Tree:
        """With what each node would be worth as a leaf."""
        owner = np.array(self.owner, dtype=np.int64)
        return Tree(
            owner,
            np.array(self.feature, dtype=np.int64),
            np.array(self.cut, dtype=np.int64),
            np.array(self.missing_left, dtype=np.bool_),
            np.array(self.left, dtype=np.int64),
            np.array(self.gain),
            np.where(owner == LEAF, values, 0.0),
        )


def plain_offer(binned: Binned, candidates: Candidates, growing: Growing, q: Quantised) -> Offer:
    """The sums on the left of every candidate at every active node, from q in the clear."""
    position, nodes, bins = growing.position(), len(growing.active), binned.missing + 1
    if not len(candidates):
        return Offer(np.zeros((nodes, 0), dtype=np.int64), np.zeros((nodes, 0), dtype=np.int64), candidates.sign)
    inside = np.flatnonzero(position >= 0)
    columns, place = np.unique(candidates.feature, return_inverse=True)
    tables, start = np.zeros((2, nodes, len(columns), bins), dtype=np.int64), position[inside] * bins
    for k, column in enumerate(columns):  # one at a time: rows are many
        cells = start + binned.bins[inside, column]
        for table, values in zip(tables, (q.g, q.h), strict=True):
            found = np.bincount(cells, weights=values[inside], minlength=nodes * bins)
            table[:, k] = found.astype(np.int64).reshape(nodes, bins)
    sums = []
    for table in tables:
        upto, alone = np.cumsum(table[:, :, :-1], axis=2)[:, place, candidates.cut], table[:, place, candidates.cut]
        sums.append(
            np.where(candidates.single, alone, upto) + np.where(candidates.missing_left, table[:, place, -1], 0)
        )
    return Offer(sums[0], sums[1], candidates.sign)


def own_split(candidates: Candidates, choice: Choice, c: int | None = None) -> Split:
    """Candidate c of those that tie, whoever's they are; by default the first in canonical order."""
    c = int(choice.ties[0]) if c is None else c
    return (
        choice.party,
        int(candidates.feature[c]),
        int(candidates.cut[c]),
        bool(candidates.missing_left[c]),
        choice.gain,
    )


def walker(binned: Binned, tree: Tree, tables: Sequence[NDArray[np.bool_]]) -> Callable[[int, Ints], Bits]:
    """Directions at the nodes of one tree, from the guest's own columns and what the hosts sent, (splits, rows)
    each."""

    def goes_left(node: int, rows: Ints) -> Bits:
        owner, feature = int(tree.owner[node]), int(tree.feature[node])
        if owner == GUEST:
            return binned.goes_left(rows, feature, int(tree.cut[node]), bool(tree.missing_left[node]))
        return np.asarray(tables[owner - 1][feature, rows])

    return goes_left
