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
