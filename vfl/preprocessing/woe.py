"""Columns as their weight of evidence: fine bins before the protocol (`protocols/binning/by_label.py`), final bins
after it.

Numbers are cut at quantiles, [a, b) a bin; texts are categories.  Bins of fewer than `min_bin_rows` rows do not exist:
rare categories share one.  Few missing values or special codes have none: their weight of evidence is 0, as of what
training had nothing like, and they are counted in all ordinary bins alike, so that no sum is over few rows.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protocols.binning.by_label import FineBins
from protocols.binning.merging import MergedBins, iv_terms, weight_of_evidence
from protocols.binning.quantile import quantile_cuts
from vfl.preprocessing.settings import Preprocessing

Ints = NDArray[np.int64]
NEUTRAL = -1  # the bin of what training had nothing like: its weight of evidence is 0


class WoeColumn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A column's bins 0, 1, ...: of numbers `cuts` ascending, or of texts `categories`; other, special, missing: the
    bins of rare texts, special numbers and missing values, or -1.  rows and events are those of training; the party
    that keeps them can compute its event rates.
    """

    name: str
    cuts: tuple[float, ...]
    categories: tuple[tuple[str, ...], ...] | None
    special_codes: tuple[float, ...]
    other: int
    special: int
    missing: int
    rows: tuple[int, ...]
    events: tuple[int, ...]

    @property
    def woe(self) -> NDArray[np.float64]:
        """(bins,)"""
        return weight_of_evidence(np.array(self.rows), np.array(self.events))

    @property
    def iv(self) -> float:
        return float(iv_terms(np.array(self.rows), np.array(self.events)).sum())

    @property
    def names(self) -> frozenset[str]:
        """The texts that are named in a bin."""
        return frozenset(name for names in self.categories or () for name in names)

    def bin_of(self, values: pd.Series) -> Ints:
        """(n,) bins; NEUTRAL for a category, or a missing value, that training had nothing like."""
        gap = values.isna().to_numpy(np.bool_)
        if self.categories is not None:
            place = {v: k for k, names in enumerate(self.categories) for v in names}
            found = np.fromiter((place.get(v, self.other) for v in values), np.int64, len(values))
        else:
            numbers = values.to_numpy(np.float64)
            found = np.searchsorted(np.array(self.cuts), numbers, side="right").astype(np.int64)
            found[np.isin(numbers, self.special_codes)] = self.special
        found[gap] = self.missing
        return found

    def fits(self) -> bool:
        """Whether it is a column that can be, when it was read from a file."""
        bins, ordinary = len(self.rows), len(self.cuts) + 1
        places = all(NEUTRAL <= k < bins for k in (self.other, self.special, self.missing))
        whole = bins == ordinary + len({k for k in (self.special, self.missing) if k >= ordinary})
        shape = whole if self.categories is None else len(self.categories) == bins and not self.cuts
        ascending = all(a < b for a, b in itertools.pairwise(self.cuts)) and all(
            map(math.isfinite, (*self.cuts, *self.special_codes))
        )
        counts = len(self.events) == bins and all(
            0 <= e <= n < 2**53 for n, e in zip(self.rows, self.events, strict=True)
        )
        return places and shape and ascending and counts and 0 < sum(self.events) < sum(self.rows)

    def labels(self) -> list[str]:
        """What each bin stands for."""
        if self.categories is None:
            ends = ["-inf", *(f"{c:.6g}" for c in self.cuts), "inf"]
            names = [f"[{a}, {b})" if k else f"(-inf, {b})" for k, (a, b) in enumerate(itertools.pairwise(ends))]
            names += [""] * (len(self.rows) - len(names))
        else:
            names = [", ".join(v) for v in self.categories]
        for k, name in ((self.other, "rare"), (self.special, "special"), (self.missing, "missing")):
            if k != NEUTRAL:
                names[k] = f"{names[k]}, {name}" if names[k] else name
        return names

    @property
    def neutral(self) -> list[str]:
        """What has no bin, and so a weight of evidence of 0."""
        unseen = self.missing == NEUTRAL or (self.categories is not None and self.other == NEUTRAL)
        return [
            *(["special, neutral"] if self.special_codes and self.special == NEUTRAL else []),
            *(["missing, neutral"] if self.missing == NEUTRAL else []),
            *(["anything else"] if unseen else []),
        ]

    def table(self) -> list[dict[str, Any]]:
        """One row per bin: bin, rows, events, event_rate, woe, iv."""
        rows, events = np.array(self.rows), np.array(self.events)
        columns = (
            self.labels(),
            self.rows,
            self.events,
            (events / rows).tolist(),
            self.woe.tolist(),
            iv_terms(rows, events).tolist(),
        )
        names = ("bin", "rows", "events", "event_rate", "woe", "iv")
        return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]


class Woe(msgspec.Struct, frozen=True, tag="woe", tag_field="step", forbid_unknown_fields=True):
    """Each column as the weight of evidence of its bins."""

    columns: tuple[WoeColumn, ...]

    @property
    def names(self) -> dict[str, frozenset[str]]:
        """By column of texts those that have a bin of their own; of rare ones only the bin is known."""
        return {c.name: c.names for c in self.columns if c.categories is not None}

    def fits(self) -> bool:
        return all(column.fits() for column in self.columns)

    @property
    def rare(self) -> tuple[str, ...]:
        """The columns with a bin of rare texts, which are not known by name."""
        return tuple(c.name for c in self.columns if c.categories is not None and c.other != NEUTRAL)

    def apply(self, frame: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame(
            {c.name: np.append(c.woe, 0.0)[c.bin_of(frame[c.name])] for c in self.columns}, index=frame.index
        )


@dataclass(frozen=True, eq=False)
class FineColumn:
    """A column before bins are merged; bins (n,) of the training rows.  Ordinary bins first, then `apart` for special
    and missing values."""

    name: str
    bins: Ints
    ordinary: int
    apart: int
    cuts: tuple[float, ...]
    categories: tuple[tuple[str, ...], ...] | None
    special_codes: tuple[float, ...]
    other: int
    special: int
    missing: int

    def final(self, merged: MergedBins) -> WoeColumn:
        """With the final bins of the protocol."""

        def to(bin_: int) -> int:
            return NEUTRAL if bin_ == NEUTRAL else int(merged.group[bin_])

        cuts, categories = self.cuts, None
        if self.categories is None:
            cuts = tuple(c for k, c in enumerate(self.cuts) if merged.group[k] != merged.group[k + 1])
        else:
            joined: list[tuple[str, ...]] = [()] * len(merged.rows)
            for k, names in enumerate(self.categories):
                joined[int(merged.group[k])] += names
            categories = tuple(tuple(sorted(names)) for names in joined)
        tables = (tuple(merged.rows.tolist()), tuple(merged.events.tolist()))
        return WoeColumn(
            self.name, cuts, categories, self.special_codes, to(self.other), to(self.special), to(self.missing), *tables
        )


def fine_bins(columns: Sequence[FineColumn], rows: int) -> FineBins:
    """As the protocol takes them."""
    bins = np.column_stack([c.bins for c in columns]) if columns else np.zeros((rows, 0), dtype=np.int64)
    widths = tuple(c.ordinary + c.apart for c in columns)
    return FineBins(bins, widths, tuple(c.apart for c in columns), tuple(c.categories is None for c in columns))


def fine_column(values: pd.Series, settings: Preprocessing, *, text: bool) -> FineColumn:
    """The fine bins of a column of the training rows, which has a value at least."""
    return _categories(values, settings) if text else _numbers(values, settings)


def _numbers(values: pd.Series, settings: Preprocessing) -> FineColumn:
    numbers, least = values.to_numpy(np.float64), settings.min_bin_rows
    gap, code = np.isnan(numbers), np.isin(numbers, settings.special_codes)
    known = np.sort(numbers[~gap & ~code])
    special, missing = bool(code.sum() >= least), bool(gap.sum() >= least)
    if len(known) < least:  # too few ordinary rows for a bin
        return _undivided(values, settings)
    cuts = quantile_cuts(known, settings.max_n_prebins, least, 0)
    ordinary = len(cuts) + 1
    place, where = ordinary if special else NEUTRAL, ordinary + special if missing else NEUTRAL
    bins = np.searchsorted(cuts, numbers, side="right").astype(np.int64)
    for rows, own in ((code, place), (gap, where)):
        bins[rows] = _everywhere(rows, ordinary) if own == NEUTRAL else own
    apart, codes = special + missing, settings.special_codes
    return FineColumn(str(values.name), bins, ordinary, apart, tuple(cuts.tolist()), None, codes, NEUTRAL, place, where)


def _everywhere(rows: NDArray[np.bool_], ordinary: int) -> Ints:
    """Bins in which these rows, too few for one of their own, are counted: all alike."""
    return np.arange(int(rows.sum()), dtype=np.int64) % ordinary


def _undivided(values: pd.Series, settings: Preprocessing) -> FineColumn:
    """All rows in one bin."""
    return FineColumn(str(values.name), np.zeros(len(values), np.int64), 1, 0, (), None, (), NEUTRAL, NEUTRAL, 0)


def _categories(values: pd.Series, settings: Preprocessing) -> FineColumn:
    least, gap = settings.min_bin_rows, values.isna()
    counts = values[~gap].value_counts()
    order = sorted(counts.index, key=lambda v: (-counts[v], v))
    kept = [v for v in order if counts[v] >= least][: settings.max_n_prebins]
    missing = bool(gap.sum() >= least)
    shared = int(counts.sum() - counts[kept].sum())
    while (kept and 0 < shared < least) or (len(kept) + (shared > 0) > settings.max_n_prebins):
        shared += int(counts[kept.pop()])
    if not kept and shared < least:
        missing = False  # too few rows beside the missing ones for a bin of their own
    other = len(kept) if shared or not kept else NEUTRAL
    ordinary = len(kept) + (other != NEUTRAL)
    where = ordinary if missing else NEUTRAL
    place = {v: k for k, v in enumerate(kept)}
    bins = np.fromiter((place.get(v, other) for v in values), np.int64, len(values))
    bins[gap.to_numpy()] = where if missing else _everywhere(gap.to_numpy(np.bool_), ordinary)
    categories = tuple((str(v),) for v in kept) + ((),) * (ordinary - len(kept))
    return FineColumn(str(values.name), bins, ordinary, int(missing), (), categories, (), other, NEUTRAL, where)
