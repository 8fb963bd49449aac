"""What the guest can derive from a host's sums in the profile `shared`: everything subtracted from everything."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray
from protocols.boosting.shared import HostTree

from protocols.boosting.sums import SumTable

Bits = NDArray[np.bool_]


@dataclass
class Seen:
    """One node: its sampled rows, and the distinct sets of rows (sets, n) whose sums the guest received."""

    rows: Bits
    sets: Bits


Level = list[Seen]


@contextmanager
def watching() -> Iterator[list[list[Level]]]:
    """Collects, for each tree of each host, the row sets behind every sum that is sent."""
    trees: list[list[Level]] = []
    honest, grow = HostTree.offer, HostTree.grow

    def offer(self: HostTree, table: SumTable, place: int) -> NDArray[np.int64]:
        lists, n = honest(self, table, place), len(self.binned)
        c, every, level = self.candidates, np.arange(n), []
        for rows, listed in zip(self.rows, lists, strict=True):
            inside = np.zeros(n, dtype=np.bool_)
            inside[self.inside(rows)] = True
            splits = [(int(c.feature[k]), int(c.cut[k]), bool(c.missing_left[k])) for k in np.unique(listed[listed >= 0])]
            sets = [inside, *(self.binned.goes_left(every, *s) & inside for s in splits)]
            for f in {f for f, _, _ in splits if self.binned.binner.categories[f]}:
                sets += unions([s for s, (g, _, _) in zip(sets[1:], splits, strict=False) if g == f])
            level.append(Seen(inside, np.unique(np.array(sets), axis=0)))
        trees[-1].append(level)
        return lists

    def begin(self: HostTree, table: SumTable, place: int) -> None:
        trees.append([])
        grow(self, table, place)

    with patch.object(HostTree, "offer", offer), patch.object(HostTree, "grow", begin):
        yield trees


def unions(sets: list[Bits]) -> list[Bits]:
    """What sums of categories of one column add up to: the parts that they are made of, in every combination, the rest aside."""
    parts = [np.logical_and.reduce([s if inside else ~s for s, inside in zip(sets, row, strict=True)]) for row in np.unique(sets, axis=1).T]
    parts = [part for part, row in zip(parts, np.unique(sets, axis=1).T, strict=True) if row.any()]
    chosen = itertools.chain.from_iterable(itertools.combinations(parts, k) for k in range(1, len(parts) + 1))
    return [np.logical_or.reduce(some) for some in chosen]


def at_nodes(tree: list[Level], least: int) -> int:
    """Rows of the smallest difference, at least 1, of two sums at one node, its total and complements included (`least` if none is smaller)."""
    nodes = [node for level in tree for node in level if set(node.sets.sum(axis=1)) - {0, node.rows.sum()}]  # where a sum of the host cuts
    return min((pairwise([[node]], least) for node in nodes), default=least)


def pairwise(tree: list[Level], least: int) -> int:
    """The same over any two sums of the tree."""
    known = [np.vstack([node.sets, node.rows & ~node.sets]) for level in tree for node in level]
    every = np.unique(np.vstack(known), axis=0).astype(np.float32)
    apart = every.sum(axis=1)[:, None] + every.sum(axis=1) - 2 * every @ every.T
    return int(apart[apart > 0].min(initial=least))


def covers(tree: list[Level], least: int) -> int:
    """The same for a node's sum less one sum of each node that covers it further down."""
    smallest = least
    for depth, level in enumerate(tree):
        for node in level:
            for chosen in node.sets:
                smallest = min([smallest, *(d for d in reach(tree, depth, node, chosen, least) if d)])
    return smallest


def reach(tree: list[Level], depth: int, node: Seen, chosen: Bits, least: int) -> set[int]:
    """By how many rows (< least) sums at this node and below can miss the set `chosen` of an ancestor."""
    part, total = chosen & node.rows, int(node.rows.sum())
    apart = (node.sets ^ part).sum(axis=1)
    found = {int(d) for d in np.minimum(apart, total - apart) if d < least}
    below = [n for n in tree[depth + 1] if (n.rows & node.rows).any()] if depth + 1 < len(tree) else []
    if len(below) == 2:
        left, right = (reach(tree, depth + 1, n, chosen, least) for n in below)
        found |= {a + b for a in left for b in right if a + b < least}
    return found
