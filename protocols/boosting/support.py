"""Which of a host's candidates it may answer for, so that no sum over fewer than `min_bin_rows` rows can be derived (profile `shared`).

Every candidate cuts a node's rows in two; the guest gets the sum of the left part, knows the node's total and which rows a node has.  By subtraction it
then knows sums over the differences of any two parts, at one node, or between a node and its children.  Let the distance of two cuts at a node be the
number of rows on which they, or one of them and the other's mirror image, disagree; the empty cut is one too.  What a host answers for obeys four rules:

 1  at every node, any two cuts are at distance 0 or at least m = min_bin_rows, and so is each from the empty cut;
 2  siblings have the same list: a cut is answered for at both or at neither;
 3  a node's list is part of its parent's.  With 2, subtracting siblings from parents then gives nothing that was not sent;
 4  a cut that the parent had and the children have no more cannot be pieced together from the children's lists but for a few rows: its distances from
    the nearest cut of either child, the empty one included, add up to 0 or at least m, wherever the children's lists can help it.

A distance of 0 gives the guest a sum that it has.  Rows outside a tree's sample do not count.
Not covered: what the guest can do with columns of its own, or of another host, that are near copies of this host's.
Cost at a node: the table of joint counts of every two columns, rows * columns^2 / 2 additions (the larger sibling's is a difference).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protocols.binning import Binned, Candidates
from protocols.boosting.packing import Ints

Bits = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Node:
    """What a host keeps of one node: joint counts (columns, bins, columns, bins), rows, and its list (candidates,)."""

    counts: NDArray[np.int32]
    rows: int
    listed: Bits


class Support:
    """The lists of one tree's nodes at one host."""

    def __init__(self, binned: Binned, candidates: Candidates, min_rows: int) -> None:
        self._bins, self._width, self._min = binned.bins, binned.missing + 1, min_rows
        self._candidates = candidates
        self._columns, self._place = np.unique(candidates.feature, return_inverse=True)

    def root(self, rows: Ints) -> Node:
        """The first node's list; rows: the tree's sampled rows."""
        if self._min == 1:
            return Node(np.zeros((0, 0, 0, 0), dtype=np.int32), len(rows), np.ones(len(self._candidates), dtype=np.bool_))
        counts = self._count(rows)
        everything = np.ones(len(self._candidates), dtype=np.bool_)
        return Node(counts, len(rows), self._choose([self._distances(counts, len(rows))], everything))

    def children(self, parent: Node, smaller: Ints, larger: int) -> tuple[Node, Node]:
        """The two children's; smaller: the sampled rows of the one that has fewer, larger: how many the other has."""
        if self._min == 1:
            return Node(parent.counts, len(smaller), parent.listed), Node(parent.counts, larger, parent.listed)
        small = self._count(smaller)
        large = parent.counts - small
        distances = [self._distances(small, len(smaller)), self._distances(large, larger)]
        listed = self._choose(distances, parent.listed)
        return Node(small, len(smaller), listed), Node(large, larger, listed)

    def _count(self, rows: Ints) -> NDArray[np.int32]:
        """How many of `rows` lie in each pair of bins of each pair of columns."""
        bins, d, w = self._bins[np.ix_(rows, self._columns)].astype(np.int64), len(self._columns), self._width
        right = bins + np.arange(d) * w
        tables = [np.bincount((bins[:, f, None] * (d * w) + right).ravel(), minlength=w * d * w) for f in range(d)]
        return np.array(tables, dtype=np.int32).reshape(d, w, d, w)

    def _distances(self, counts: NDArray[np.int32], rows: int) -> NDArray[np.int32]:
        """(candidates, candidates + 1); the last column is the distance from the empty cut."""
        c, place = self._candidates, self._place
        left = np.cumsum(counts[:, :-1], axis=1, dtype=np.int32)[place, c.cut]
        left += np.where(c.missing_left[:, None, None], counts[place, -1], 0)
        both = np.cumsum(left[:, :, :-1], axis=2, dtype=np.int32)[:, place, c.cut]
        both += np.where(c.missing_left, left[:, place, -1], 0)
        size = both.diagonal()
        apart = np.column_stack([size[:, None] + size - 2 * both, size])
        return np.asarray(np.minimum(apart, rows - apart))

    def _choose(self, distances: list[NDArray[np.int32]], allowed: Bits) -> Bits:
        """Rules 1 to 4, greedily in canonical order; distances: of each of the nodes that share the list."""
        near = [(d > 0) & (d < self._min) for d in distances]
        clash = np.logical_or.reduce(near)
        listed: Bits = allowed & ~clash[:, -1]
        for c in np.flatnonzero(listed & clash[:, :-1].any(axis=1)):
            if listed[c]:
                listed[np.flatnonzero(clash[c, c + 1 : -1]) + c + 1] = False
        while len(distances) > 1:
            lost = np.flatnonzero(allowed & ~listed)
            help_ = np.append(listed, True)
            reach = [np.where(help_, d[lost], np.iinfo(np.int32).max) for d in distances]
            nearest = [r.min(axis=1) for r in reach]
            total = nearest[0].astype(np.int64) + nearest[1]
            pieced = np.flatnonzero((total > 0) & (total < self._min))
            helpers = np.zeros(len(listed), dtype=np.bool_)
            for i in pieced:
                for r, nearest_one in zip(reach, nearest, strict=True):
                    helpers |= (r[i, :-1] == nearest_one[i]) & (r[i, -1] > nearest_one[i])
            if not helpers.any():
                break
            listed &= ~helpers
        return listed
