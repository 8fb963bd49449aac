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

from protocols.binning.quantile import Bins, Candidates
from protocols.boosting.packing import Floats, Gradients, Ints, Quantised
from protocols.boosting.params import Params
from protocols.boosting.split import Bounds, Choice, Offer, leaf_values
from protocols.parts import parts

Bits = NDArray[np.bool_]
Rows = NDArray[np.int32]  # as many as a table can have, in half the memory
Nodes = NDArray[np.int16]  # of a tree, which has less than 2^(MAX_DEPTH + 1)
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
        """(rows,) the leaf of each row of a block; goes_left(node, rows) answers for the rows at a node."""
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
    at: Nodes = field(init=False)
    active: Ints = field(init=False)
    pads: Ints = field(init=False)
    owner: list[int] = field(default_factory=lambda: [LEAF])
    feature: list[int] = field(default_factory=lambda: [-1])
    cut: list[int] = field(default_factory=lambda: [-1])
    missing_left: list[bool] = field(default_factory=lambda: [False])
    left: list[int] = field(default_factory=lambda: [-1])
    gain: list[float] = field(default_factory=lambda: [0.0])
    bounds: Bounds = field(default_factory=lambda: Bounds.none(1))

    def __post_init__(self) -> None:
        self.at = np.zeros(self.rows, dtype=np.int16)
        self.active = self.pads = np.zeros(1, dtype=np.int64)

    def position(self, rows: slice = slice(None)) -> Ints:
        """(rows,) where each row's node stands in `active`, -1 in finished leaves."""
        place = np.full(len(self.owner), -1, dtype=np.int64)
        place[self.active] = np.arange(len(self.active))
        return place[self.at[rows]]

    def totals(self, q: Quantised) -> tuple[Ints, Ints]:
        """G and H of the active nodes."""
        found = np.zeros((2, len(self.active)), dtype=np.int64)
        for part in parts(self.rows):
            position = self.position(part.rows)
            inside = position >= 0
            for total, values in zip(found, (q.g[part.rows], q.h[part.rows]), strict=True):
                sums = np.bincount(position[inside], weights=values[inside], minlength=len(self.active))
                total += sums.astype(np.int64)
        return found[0], found[1]

    def rows_of(self) -> list[Rows]:
        """The rows of each active node, ascending."""
        nodes = len(self.active)
        sizes = np.zeros(nodes, dtype=np.int64)
        for part in parts(self.rows):
            sizes += np.bincount(self.position(part.rows) + 1, minlength=nodes + 1)[1:]
        found, filled = [np.empty(size, dtype=np.int32) for size in sizes.tolist()], np.zeros(nodes, dtype=np.int64)
        for part in parts(self.rows):
            position = self.position(part.rows)
            order = np.argsort(position, kind="stable")
            edges = np.searchsorted(position[order], np.arange(nodes + 1)).tolist()
            for node, (first, last) in enumerate(itertools.pairwise(edges)):
                start = int(filled[node])
                found[node][start : start + last - first] = order[first:last] + part.first
                filled[node] += last - first
        return found

    def active_bounds(self, p: Params) -> Bounds | None:
        """Of the weights of the active nodes; None without monotone constraints."""
        return self.bounds.take(self.active) if p.monotone_constraints else None

    def split(
        self,
        choices: Sequence[Choice | None],
        splits: Sequence[Split | None],
        lefts: Sequence[Bits | None],
        rows: Sequence[Rows],
    ) -> None:
        """One level down: of each active node what was chosen, its split and which of its rows go left, or None for a
        leaf."""
        active, pads, below = [], [], [self.bounds]
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
            self.at[here] = first + 1
            self.at[here[left]] = first
            active += [first, first + 1]
            pads += [2 * pad, 2 * pad + 1]
        self.active, self.pads = np.array(active, dtype=np.int64), np.array(pads, dtype=np.int64)
        self.bounds = Bounds.join(below)

    def finish(self, p: Params, gradients: Gradients, k: int) -> tuple[Tree, Nodes]:
        """The tree of class k, and the leaf (rows,) of every row; leaf values from exact g, h over the sampled rows,
        which are added up one row after the other."""
        sums = np.zeros((2, len(self.owner)))
        for part in parts(self.rows):
            inside = gradients.sampled[part.rows]
            for total, values in zip(sums, gradients.block(part.rows), strict=True):
                np.add.at(total, self.at[part.rows][inside], values[inside, k])
        tree = self.tree(leaf_values(p, sums[0], sums[1], self.bounds if p.monotone_constraints else None))
        return tree, self.at

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


def plain_offer(binned: Bins, candidates: Candidates, growing: Growing, q: Quantised) -> Offer:
    """The sums on the left of every candidate at every active node, from q in the clear."""
    nodes, bins = len(growing.active), binned.missing + 1
    if not len(candidates):
        return Offer(np.zeros((nodes, 0), dtype=np.int64), np.zeros((nodes, 0), dtype=np.int64), candidates.sign)
    columns, place = np.unique(candidates.feature, return_inverse=True)
    tables = np.zeros((2, nodes, len(columns), bins), dtype=np.int64)
    for part in parts(growing.rows):
        position = growing.position(part.rows)
        inside = np.flatnonzero(position >= 0)
        start, both = position[inside] * bins, [values[part.rows][inside] for values in (q.g, q.h)]
        for k, column in enumerate(columns.tolist()):
            cells = start + binned.column(column, part.rows)[inside]
            for table, values in zip(tables, both, strict=True):
                found = np.bincount(cells, weights=values, minlength=nodes * bins)
                table[:, k] += found.astype(np.int64).reshape(nodes, bins)
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


def walker(binned: Bins, tree: Tree, tables: Sequence[NDArray[np.bool_]]) -> Callable[[int, Ints], Bits]:
    """Directions at the nodes of one tree, from the guest's own columns and what the hosts sent, (splits, rows)
    each."""

    def goes_left(node: int, rows: Ints) -> Bits:
        owner, feature = int(tree.owner[node]), int(tree.feature[node])
        if owner == GUEST:
            return binned.goes_left(rows, feature, int(tree.cut[node]), bool(tree.missing_left[node]))
        return np.asarray(tables[owner - 1][feature, rows])

    return goes_left
