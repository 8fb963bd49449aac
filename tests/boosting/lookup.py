"""The honest guest's look-up: which rows of a node have just the g and h by which two of the sums that it received differ?

The guest knows every row's quantised g and h, so a difference of two sums that fits one row, or two, and no other names them: they lie alone between two
of the host's boundaries.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from protocols.binning import Binned
from protocols.boosting.packing import Ints, Quantised
from protocols.boosting.split import Offer

PAIRS = 200  # rows of the largest node in which pairs are looked up
SHIFT = 1 << 32


@dataclass
class Seen:
    """One level: g and h of all rows, and of each node its rows and the sums of the first host (nodes, length) with the node's own at the end."""

    q: Quantised
    rows: list[Ints]
    g: Ints
    h: Ints


@contextmanager
def watching(profile: ModuleType) -> Iterator[list[Seen]]:
    """Collects what the guest of a profile has at every level of every tree."""
    levels: list[Seen] = []
    choose, own_lefts = profile.choose, profile.own_lefts

    def choosing(p: Any, q: Quantised, offers: Sequence[Offer], g: Ints, h: Ints) -> Any:
        levels.append(Seen(q, [], np.column_stack([offers[1].g, g]), np.column_stack([offers[1].h, h])))
        return choose(p, q, offers, g, h)

    def lefts(binned: Any, candidates: Any, choices: Any, rows: list[Ints]) -> Any:
        levels[-1].rows = rows
        return own_lefts(binned, candidates, choices, rows)

    with patch.object(profile, "choose", choosing), patch.object(profile, "own_lefts", lefts):
        yield levels


def named(levels: Sequence[Seen], host: Binned) -> tuple[int, int, int]:
    """How many rows lie in cells of one or two rows of a node and a column's bin, how many of these the look-up names, and how many cells it claims."""
    members = found = claims = 0
    for level in levels:
        for node, rows in enumerate(level.rows):
            claimed = look_up(level, node, rows)
            claims += len(claimed)
            for bins in host.bins[rows].T:
                for b in np.flatnonzero(np.isin(np.bincount(bins), (1, 2))):
                    cell = tuple(rows[bins == b].tolist())
                    members += len(cell)
                    found += len(cell) * (cell in claimed)
    return members, found, claims


def look_up(level: Seen, node: int, rows: Ints) -> set[tuple[int, ...]]:
    """The rows, and pairs of rows, that the guest names at a node."""
    own = level.q.g[rows] * SHIFT + level.q.h[rows]
    a, b = np.triu_indices(len(rows) if len(rows) <= PAIRS else 0, 1)
    values = np.concatenate([own, own[a] + own[b]])
    once = np.isin(values, [v for v, count in zip(*np.unique(values, return_counts=True), strict=True) if count == 1])
    sums = np.unique(np.stack([np.append(level.g[node], 0), np.append(level.h[node], 0)]), axis=1)
    g, h = (s[:, None] - s for s in sums)
    near = (h > 0) & (h <= 2 * level.q.h[rows].max(initial=0))
    hits = np.flatnonzero(once & np.isin(values, g[near] * SHIFT + h[near]))
    singles, pairs = hits[hits < len(rows)], hits[hits >= len(rows)] - len(rows)
    return {(int(rows[k]),) for k in singles} | {(int(rows[a[k]]), int(rows[b[k]])) for k in pairs}


@dataclass
class Deepest:
    """A tree's last level: g and h of all rows, and the node of each, -1 in finished leaves."""

    q: Quantised
    node: Ints

    def cells(self, inside: NDArray[np.bool_]) -> tuple[Ints, Ints]:
        """Sums of g and h of a bin's rows at each node: what the guest would have."""
        rows = np.flatnonzero(inside & (self.node >= 0))
        g, h = (np.bincount(self.node[rows], weights=v[rows], minlength=self.node.max() + 1) for v in (self.q.g, self.q.h))
        return g.astype(np.int64), h.astype(np.int64)


def alone(classes: Sequence[Deepest], host: Binned) -> tuple[int, int, int]:
    """Cells of one row of a class's node and a column's bin: how many there are, how many rows are named by that class's sums, and how many by all classes'.

    With the sums of all classes over the *same* bin, a row is ruled out where its node in another class's tree holds nothing of the bin that could be it.
    """
    cells = apart = linked = 0
    for bins in host.bins.T:
        for b in np.unique(bins):
            sums = [one.cells(bins == b) for one in classes]
            for one, (g, h) in zip(classes, sums, strict=True):
                for node in np.flatnonzero(np.bincount(one.node[(bins == b) & (one.node >= 0)], minlength=len(g)) == 1):
                    fit = np.flatnonzero((one.node == node) & (one.q.g == g[node]) & (one.q.h == h[node]))
                    left = [r for r in fit if all(possible(other, theirs, r) for other, theirs in zip(classes, sums, strict=True))]
                    cells, apart, linked = cells + 1, apart + (len(fit) == 1), linked + (len(left) == 1)
    return cells, apart, linked


def possible(one: Deepest, sums: tuple[Ints, Ints], row: int) -> bool:
    """Whether a row can be among those of a bin, by the sums at its node of one tree."""
    node = one.node[row]
    if node < 0:
        return True
    g, h = sums[0][node] - one.q.g[row], sums[1][node] - one.q.h[row]
    return bool(h > 0 or (h == 0 and g == 0))
