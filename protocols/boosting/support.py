"""Which of a host's candidates it may answer for, so that no sum over fewer than `min_bin_rows` rows can be derived (profile `shared`).

Every candidate cuts a node's rows in two; the guest gets the sum of the left part, and knows which rows a node has.  By subtraction it then knows sums
over the difference of any two parts, at one node or piece by piece further down.  Let the distance of two cuts at a node be the number of rows on which they,
or one of them and the other's mirror image, disagree; the empty cut is one too.  What a host answers for obeys four rules:

 1  at every node, any two cuts are at distance 0 or at least m = min_bin_rows, and so is each from the empty cut;
 2  siblings have the same list: a cut is answered for at both or at neither;
 3  a node's list is part of its parent's.  With 2, subtracting siblings from parents then gives nothing that was not sent;
 4  no cut of a node is pieced together further down but for a few rows: if every node that covers it below contributes the cut of its list, or the empty
    one, that is nearest, the distances add up to 0 or at least m.  Where a list would break this, the cuts that would help leave it.

Categorical columns (each cut is a category) add a fifth, because sums of several categories of a column add up:

 5  with the rest of its rows each categorical column divides a node into parts of 0 or at least m rows, and no other cut is at a distance below m, but 0,
    from a union of such parts.

A distance of 0 gives the guest a sum that it has.  Rows outside a tree's sample do not count.
Rule 4 holds wherever the host can help it: if splits of *other* parties cut a node in almost the way of one of this host's columns, the rows of the nodes
below tell that without any sum of this host.  Unions of categories do not count in rule 4, nor unions of one column against unions of another in rule 5.
Nor is it covered what the guest does with columns of its own, or of another host, that nearly copy this host's.
Cost at a node: joint counts of every two columns, rows * columns^2 additions (the larger sibling's are a difference), and (columns * bins)^2 in time and,
for the nodes of two levels, in memory: tens of columns are cheap, hundreds are not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from protocols.binning import Binned, Candidates
from protocols.boosting.packing import Ints

Bits = NDArray[np.bool_]
Counts = NDArray[np.int32]
FAR = np.int32(1 << 30)


@dataclass(frozen=True, eq=False)
class Reach:
    """How near each candidate (candidates,) can be come at a node: whether exactly, and the least distance above 0."""

    exact: Bits
    least: Counts

    def __or__(self, other: Reach) -> Reach:
        """By either way."""
        return Reach(self.exact | other.exact, np.minimum(self.least, other.least))

    def __and__(self, other: Reach) -> Reach:
        """By both together, at two nodes."""
        mine, theirs = np.where(self.exact, 0, self.least), np.where(other.exact, 0, other.least)
        least = np.minimum(self.least + theirs, other.least + mine)
        return Reach(self.exact & other.exact, np.minimum(least, FAR))


@dataclass(eq=False)
class Node:
    """What a host keeps of one node: joint counts (columns, bins, columns, bins), rows, its list (candidates,), and how near the rest can be come."""

    counts: Counts
    rows: int
    listed: Bits
    parent: Node | None = None
    children: tuple[Node, Node] | None = None
    direct: Reach = field(default_factory=lambda: Reach(np.zeros(0, dtype=np.bool_), np.zeros(0, dtype=np.int32)))

    def reach(self) -> Reach:
        """At this node, or piece by piece below."""
        return self.direct | self.below() if self.children else self.direct

    def below(self) -> Reach:
        assert self.children is not None
        return self.children[0].reach() & self.children[1].reach()


class Support:
    """The lists of one tree's nodes at one host."""

    def __init__(self, binned: Binned, candidates: Candidates, min_rows: int) -> None:
        self._bins, self._width, self._min = binned.bins, binned.missing + 1, min_rows
        self._candidates = candidates
        self._columns, self._place = np.unique(candidates.feature, return_inverse=True)
        self._named = np.unique(self._place[candidates.single])

    def root(self, rows: Ints) -> Node:
        """The first node, with its list; rows: the tree's sampled rows."""
        everything = np.ones(len(self._candidates), dtype=np.bool_)
        if self._min == 1:
            return Node(np.zeros((0, 0, 0, 0), dtype=np.int32), len(rows), everything)
        node = Node(self._count(rows), len(rows), everything)
        apart = self._distances(node)
        node.listed = self._unite([node], self._separate([apart], everything))
        node.direct = self._direct(apart, node.listed)
        return node

    def descend(self, splits: Sequence[tuple[Node, Ints, int]]) -> list[tuple[Node, Node]]:
        """The next level with its lists; for each node that is split: the sampled rows of its smaller child, and how many the other has."""
        pairs = []
        for parent, smaller, rest in splits:
            counts = parent.counts if self._min == 1 else self._count(smaller)
            small = Node(counts, len(smaller), parent.listed, parent)
            large = Node(parent.counts - counts, rest, parent.listed, parent)
            pairs.append((small, large))
        if self._min == 1:
            return pairs
        for parent, _, _ in splits:
            parent.counts = parent.counts[:0]  # only the level at hand needs them
        nothing = np.zeros(len(self._candidates), dtype=np.bool_)
        for pair in pairs:
            for node in pair:
                node.listed, node.direct = nothing, self._direct(self._sizes(node)[:, None], nothing)
        for (split, _, _), pair in zip(splits, pairs, strict=True):
            split.children = pair
        known = [[self._pieced(above) for above in ancestors(pair[0])] for pair in pairs]  # by the nodes' rows alone
        for pair, before in zip(pairs, known, strict=True):
            self._choose(pair, before)
        return pairs

    def _choose(self, pair: tuple[Node, Node], before: list[Bits]) -> None:
        """The list of two siblings; before: for each ancestor, the cuts that are pieced together anyway."""
        apart = [self._distances(node) for node in pair]
        parent = pair[0].parent
        assert parent is not None
        listed = self._separate(apart, parent.listed)
        while True:
            listed = self._unite(pair, listed)
            for node, distances in zip(pair, apart, strict=True):
                node.listed, node.direct = listed, self._direct(distances, listed)
            pieced = np.zeros(len(listed), dtype=np.bool_)
            for above, anyway in zip(ancestors(pair[0]), before, strict=True):
                pieced |= self._pieced(above) & ~anyway
            helpers = listed & np.logical_or.reduce([(d[pieced, :-1] < self._min).any(axis=0) for d in apart])
            if not helpers.any():
                return
            listed = listed & ~helpers

    def _pieced(self, node: Node) -> Bits:
        """Which cuts of a node's list are pieced together below it but for a few rows."""
        return node.listed & (node.below().least < self._min)

    def _count(self, rows: Ints) -> Counts:
        """How many of `rows` lie in each pair of bins of each pair of columns."""
        bins, d, w = self._bins[np.ix_(rows, self._columns)].astype(np.int64), len(self._columns), self._width
        right = bins + np.arange(d) * w
        tables = [np.bincount((bins[:, f, None] * (d * w) + right).ravel(), minlength=w * d * w) for f in range(d)]
        return np.array(tables, dtype=np.int32).reshape(d, w, d, w)

    def _sizes(self, node: Node) -> Counts:
        """(candidates,) distances from the empty cut."""
        size = self._lefts(node.counts[:, :, :1].sum(axis=(2, 3), dtype=np.int32))
        return np.asarray(np.minimum(size, node.rows - size))

    def _lefts(self, counts: Counts) -> Counts:
        """counts (columns, bins, ...): of each candidate what lies on its left, (candidates, ...)."""
        c, place, extra = self._candidates, self._place, (1,) * (counts.ndim - 2)
        upto = np.cumsum(counts[:, :-1], axis=1, dtype=np.int32)[place, c.cut]
        left = np.where(c.single.reshape(-1, *extra), counts[place, c.cut], upto)
        return np.asarray(left + np.where(c.missing_left.reshape(-1, *extra), counts[place, -1], 0), dtype=np.int32)

    def _distances(self, node: Node) -> Counts:
        """(candidates, candidates + 1); the last column is the distance from the empty cut."""
        both = self._lefts(self._lefts(node.counts).transpose(1, 2, 0))
        size = both.diagonal()
        apart = size[:, None] + size - 2 * both
        return np.column_stack([np.minimum(apart, node.rows - apart), self._sizes(node)])

    def _direct(self, apart: Counts, listed: Bits) -> Reach:
        """How near each candidate can be come by one cut of the list, or the empty one; apart: as `_distances`, or its last column alone."""
        helpful = apart[:, np.append(listed, True)] if apart.shape[1] > 1 else apart
        return Reach((helpful == 0).any(axis=1), np.where(helpful > 0, helpful, FAR).min(axis=1))

    def _separate(self, distances: Sequence[Counts], allowed: Bits) -> Bits:
        """Rule 1, greedily in canonical order; distances: of each of the nodes that share the list."""
        clash = np.logical_or.reduce([(d > 0) & (d < self._min) for d in distances])
        listed: Bits = allowed & ~clash[:, -1]
        for c in np.flatnonzero(listed & clash[:, :-1].any(axis=1)):
            if listed[c]:
                listed[np.flatnonzero(clash[c, c + 1 : -1]) + c + 1] = False
        return listed

    def _unite(self, nodes: Sequence[Node], listed: Bits) -> Bits:
        """Rule 5, for nodes that share the list: small categories join the rest, the smallest a rest that is small, and cuts near a union of parts leave."""
        before = np.zeros_like(listed)
        while (listed != before).any():
            before = listed
            for f in self._named:
                for node in nodes:
                    listed = listed & self._apart_from_unions(node, int(f), listed)
        return listed

    def _apart_from_unions(self, node: Node, f: int, listed: Bits) -> Bits:
        """Which candidates may stay beside what is listed of the categorical column `f`."""
        c, own, sizes = self._candidates, self._place == f, node.counts[f, :, 0].sum(axis=1)
        part = np.isin(np.arange(self._width), c.cut[own & listed])
        if not sizes[part].any():
            return np.ones_like(listed)
        if 0 < sizes[-1] < self._min and (own & listed & c.missing_left).any():
            return np.asarray(~(own & c.missing_left))
        part[-1] = sizes[-1] >= self._min  # fewer missing values count with the rest
        small, rest = part & (sizes > 0) & (sizes < self._min), sizes[~part].sum()
        if 0 < rest < self._min and not small.any():
            small[np.argmin(np.where(part & (sizes > 0), sizes, FAR)[:-1])] = True
        if small.any():
            return np.asarray(~(own & small[c.cut]))
        inside, whole = self._lefts(node.counts)[:, f], np.append(sizes[part], rest)
        inside = np.column_stack([inside[:, part], inside[:, ~part].sum(axis=1)])
        near = np.minimum(inside, whole - inside).sum(axis=1)
        return np.asarray(own | (near == 0) | (near >= self._min))


def ancestors(node: Node) -> list[Node]:
    """The parent first."""
    return [] if node.parent is None else [node.parent, *ancestors(node.parent)]
