"""Weight of evidence, information value, and which neighbouring bins become one: pure functions of counts.

With e_b events and n_b - e_b others in bin b, E and N - E in all,

    WOE_b = ln( ((n_b - e_b) / (N - E)) / (e_b / E) )        IV = sum over b of ((n_b - e_b) / (N - E) - e_b / E) WOE_b

where an empty class of a bin counts 0.5.  The sign is optbinning's: a bin with more events than average has a negative
WOE.

Source: Siddiqi, Credit Risk Scorecards (2006), for WOE, IV and their use; Ayer et al. (1955) for pooling adjacent
violators.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols.errors import ConfigError
from protocols.values import check_types

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
TRENDS = ("auto", "ascending", "descending", "none")


@dataclass(frozen=True)
class BinningRule:
    """How columns are binned, under optbinning's names.

    max_n_prebins: quantile bins (or categories) that a column starts with.  min_bin_rows: no bin of fewer rows is ever
    counted for another party.
    min_bin_size: the least part of all rows in a final bin.  max_n_bins: final bins of a column, special and missing
    values aside.
    monotonic_trend: the event rate over the bins of an ordered column rises ("ascending"), falls, does what keeps more
    IV ("auto"), or is free ("none").
    """

    max_n_prebins: int = 20
    min_bin_rows: int = 50
    min_bin_size: float = 0.05
    max_n_bins: int = 10
    monotonic_trend: str = "auto"

    def __post_init__(self) -> None:
        check_types("binning", self)
        rules: tuple[tuple[str, bool, str], ...] = (
            ("max_n_prebins", _whole(self.max_n_prebins, 2, 256), "a whole number from 2 to 256"),
            ("min_bin_rows", _whole(self.min_bin_rows, 1, 1_000_000), "a whole number of at least 1"),
            ("min_bin_size", 0 <= self.min_bin_size <= 0.5, "a number from 0 to 0.5"),
            ("max_n_bins", _whole(self.max_n_bins, 2, 256), "a whole number from 2 to 256"),
            ("monotonic_trend", self.monotonic_trend in TRENDS, "one of " + ", ".join(TRENDS)),
        )
        for name, good, rule in rules:
            if not good:
                raise ConfigError(
                    f"binning: {name} = {getattr(self, name)!r} is not possible", remedy=f"{name} is {rule}"
                )


@dataclass(frozen=True, eq=False)
class MergedBins:
    """A column's final bins: of each fine bin its final one (b,), and rows and events (m,) of the final ones."""

    group: Ints
    rows: Ints
    events: Ints

    @property
    def woe(self) -> Floats:
        return weight_of_evidence(self.rows, self.events)

    @property
    def iv(self) -> float:
        return float(iv_terms(self.rows, self.events).sum())


def to_arrays(columns: Sequence[MergedBins], prefix: str = "") -> dict[str, Ints]:
    """Columns as plain arrays, under names that begin with `prefix`."""
    sizes = {"fine": [len(c.group) for c in columns], "final": [len(c.rows) for c in columns]}
    found = {f"{prefix}{name}": np.array(value, dtype=np.int64) for name, value in sizes.items()}
    nothing = np.zeros(0, dtype=np.int64)
    return found | {
        f"{prefix}{name}": np.concatenate([nothing, *(getattr(c, name) for c in columns)])
        for name in ("group", "rows", "events")
    }


def from_arrays(arrays: Mapping[str, NDArray[Any]], prefix: str = "") -> list[MergedBins]:
    """What `to_arrays` was given."""
    fine, final = (np.cumsum(arrays[f"{prefix}{name}"]) for name in ("fine", "final"))
    if not len(fine):
        return []
    group = np.split(arrays[f"{prefix}group"], fine[:-1])
    rows, events = (np.split(arrays[f"{prefix}{name}"], final[:-1]) for name in ("rows", "events"))
    return [MergedBins(g, n, e) for g, n, e in zip(group, rows, events, strict=True)]


def weight_of_evidence(rows: Ints, events: Ints) -> Floats:
    """(m,) of each bin; rows and events (m,) cover all rows, which hold both classes."""
    others, hits = _shares(rows, events)
    return np.asarray(np.log(others / hits), dtype=np.float64)


def iv_terms(rows: Ints, events: Ints) -> Floats:
    """(m,) what each bin adds to the column's IV."""
    others, hits = _shares(rows, events)
    return np.asarray((others - hits) * np.log(others / hits), dtype=np.float64)


def merge(rule: BinningRule, rows: Ints, events: Ints, *, apart: int, ordered: bool) -> MergedBins:
    """rows, events (b,) of a column's fine bins, none of them empty; the last `apart` ones (special and missing values)
    stay as they are.

    An ordered column's neighbours are merged until the trend holds; a category's neighbours are those of next event
    rate.  Then the smallest bin joins its likelier neighbour until each has min_bin_size of the rows, and the two that
    cost least IV until max_n_bins are left.
    """
    known = len(rows) - apart
    order = np.arange(known) if ordered else np.lexsort((np.arange(known), events[:known] / rows[:known]))
    trends = [rule.monotonic_trend] if rule.monotonic_trend != "auto" else ["ascending", "descending"]
    found = [
        _merged(rule, rows, events, order, trend if ordered else "none")
        for trend in (trends if ordered else trends[:1])
    ]
    return max(found, key=lambda m: m.iv)  # the first of equals


def _merged(rule: BinningRule, rows: Ints, events: Ints, order: Ints, trend: str) -> MergedBins:
    least = rule.min_bin_size * rows.sum()
    blocks = [[int(b)] for b in order]
    counts = [(int(rows[b]), int(events[b])) for b in order]
    if trend != "none":
        blocks, counts = _pooled(blocks, counts, falls=trend == "descending")
    while len(blocks) > 1 and min(n for n, _ in counts) < least:
        small = min(range(len(counts)), key=lambda k: counts[k][0])
        near = [k for k in (small - 1, small + 1) if 0 <= k < len(counts)]
        _join(blocks, counts, min(small, min(near, key=lambda k: abs(_rate(counts[k]) - _rate(counts[small])))))
    rest = [(int(rows[b]), int(events[b])) for b in range(len(order), len(rows))]
    while len(blocks) > rule.max_n_bins:
        _join(
            blocks,
            counts,
            max(
                range(len(blocks) - 1),
                key=lambda k: _iv([*counts[:k], _sum(counts[k : k + 2]), *counts[k + 2 :], *rest]),
            ),
        )
    group = np.zeros(len(rows), dtype=np.int64)
    for k, block in enumerate(blocks):
        group[block] = k
    group[len(order) :] = len(blocks) + np.arange(len(rest))
    total = np.array([*counts, *rest], dtype=np.int64).reshape(-1, 2)
    return MergedBins(group, total[:, 0], total[:, 1])


def _pooled(
    blocks: list[list[int]], counts: list[tuple[int, int]], *, falls: bool
) -> tuple[list[list[int]], list[tuple[int, int]]]:
    """Adjacent violators pooled: event rates rise (or fall) strictly afterwards.  Compared as integers."""
    kept: list[list[int]] = []
    sums: list[tuple[int, int]] = []
    for block, count in zip(blocks, counts, strict=True):
        kept.append(list(block))
        sums.append(count)
        while len(sums) > 1:
            (n0, e0), (n1, e1) = sums[-2:]
            if (e0 * n1 > e1 * n0) if falls else (e0 * n1 < e1 * n0):
                break
            _join(kept, sums, len(sums) - 2)
    return kept, sums


def _join(blocks: list[list[int]], counts: list[tuple[int, int]], k: int) -> None:
    blocks[k : k + 2] = [blocks[k] + blocks[k + 1]]
    counts[k : k + 2] = [_sum(counts[k : k + 2])]


def _sum(counts: list[tuple[int, int]]) -> tuple[int, int]:
    return sum(n for n, _ in counts), sum(e for _, e in counts)


def _rate(count: tuple[int, int]) -> float:
    return count[1] / count[0]


def _iv(counts: list[tuple[int, int]]) -> float:
    table = np.array(counts, dtype=np.int64)
    return float(iv_terms(table[:, 0], table[:, 1]).sum())


def _shares(rows: Ints, events: Ints) -> tuple[Floats, Floats]:
    """Each bin's share of the non-events, and of the events; an empty class counts 0.5."""
    others = rows - events
    return np.where(others == 0, 0.5, others) / others.sum(), np.where(events == 0, 0.5, events) / events.sum()


def _whole(value: object, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
