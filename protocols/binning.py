"""A party's columns as small integers: quantile bins of its own rows, with a bin of their own for missing values.

Each party bins alone; nothing about the cuts is ever sent.  A value x of a column lies in bin b = number of cuts <= x, so that a split after bin b
sends a row left where x < cuts[b]: xgboost's convention.  Missing values (NaN) have the bin `missing` behind all others.

Source: the histogram method of Chen and Guestrin, XGBoost (KDD 2016); quantiles are exact here, since a party sorts its own column.
Cost: one sort a column.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protocols.errors import ConfigError, DataError

MIN_BIN, MAX_BIN = 2, 256
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Binner:
    """The cuts of each column, ascending; which columns have a bin for missing values.  It belongs to its party's model part."""

    cuts: tuple[Floats, ...]
    has_missing: tuple[bool, ...]

    @classmethod
    def fit(cls, x: Floats, max_bin: int, min_rows: int = 1) -> Binner:
        """x (n, d) float64, NaN where missing: at most `max_bin` bins a column, each of at least `min_rows` rows (of fewer there is no bin).

        Fewer than `min_rows` missing values get no bin: they count with the smallest values.  A constant column has one bin and can never split.
        Raises ConfigError (max_bin), DataError (infinite values).
        """
        if not MIN_BIN <= max_bin <= MAX_BIN:
            raise ConfigError(f"max_bin = {max_bin} is not possible", remedy=f"Choose {MIN_BIN} to {MAX_BIN} bins a column")
        if np.isinf(x).any():
            raise DataError("a column has infinite values", remedy="Remove them, or mark them as missing")
        cuts, has_missing = [], []
        for column in x.T:
            missing = int(np.isnan(column).sum())
            apart = missing >= max(1, min_rows)
            known = np.sort(column[~np.isnan(column)])
            cuts.append(quantile_cuts(known, max_bin, min_rows, 0 if apart else missing))
            has_missing.append(apart and len(known) > 0)
        return cls(tuple(cuts), tuple(has_missing))

    @property
    def width(self) -> int:
        """Ordinary bins of the column that has most."""
        return max((len(c) + 1 for c in self.cuts), default=1)

    def transform(self, x: Floats) -> Binned:
        """x (n, d) in bins.  A missing value of a column without a bin for it goes to bin 0."""
        bins = np.zeros(x.shape, dtype=np.int16)
        for f, (column, cuts, apart) in enumerate(zip(x.T, self.cuts, self.has_missing, strict=True)):
            missing = np.isnan(column)
            bins[:, f] = np.searchsorted(cuts, column, side="right")
            bins[missing, f] = self.width if apart else 0
        return Binned(self, bins)


@dataclass(frozen=True, eq=False)
class Binned:
    """n rows of one party: bins (n, d) int16 in [0, width], where `width` stands for missing."""

    binner: Binner
    bins: NDArray[np.int16]

    def __len__(self) -> int:
        return len(self.bins)

    @property
    def columns(self) -> int:
        return int(self.bins.shape[1])

    @property
    def missing(self) -> int:
        """The index of the bin for missing values."""
        return self.binner.width

    @property
    def any_missing(self) -> bool:
        return any(self.binner.has_missing)

    def candidates(self, columns: Sequence[int]) -> Candidates:
        """Every way to split on one of `columns`, in canonical order: by column, then cut, then missing values right before left."""
        rows = []
        for f in columns:
            apart, cuts = self.binner.has_missing[f], len(self.binner.cuts[f])
            rows += [(f, b, left) for b in range(cuts) for left in ((0, 1) if apart else (0,))]
            rows += [(f, cuts, 0)] if apart else []  # known against missing
        table = np.array(rows, dtype=np.int64).reshape(-1, 3)
        return Candidates(table[:, 0], table[:, 1], table[:, 2].astype(np.bool_))

    def goes_left(self, rows: NDArray[np.int64], feature: int, cut: int, missing_left: bool) -> NDArray[np.bool_]:
        """Whether each of `rows` goes left at a split after bin `cut`."""
        column = self.bins[rows, feature]
        left: NDArray[np.bool_] = (column <= cut) | (missing_left & (column == self.missing))
        return left


@dataclass(frozen=True, eq=False)
class Candidates:
    """(c,) possible splits: rows of `feature` in bins 0..cut go left, those with missing values where `missing_left`."""

    feature: NDArray[np.int64]
    cut: NDArray[np.int64]
    missing_left: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.feature)


def quantile_cuts(known: Floats, max_bin: int, min_rows: int, extra: int) -> Floats:
    """Cuts half-way between neighbours of the sorted values `known`, nearest to the quantiles; `extra` rows more lie in the first bin."""
    edges = np.flatnonzero(known[1:] > known[:-1]) + 1  # known[:e] < known[e:]
    if not len(edges):
        return np.zeros(0)
    if len(edges) >= max_bin:
        targets = np.arange(1, max_bin) * len(known) / max_bin
        above = np.clip(np.searchsorted(edges, targets), 0, len(edges) - 1)
        below = np.maximum(above - 1, 0)
        nearest = np.where(targets - edges[below] < edges[above] - targets, below, above)
        edges = edges[np.unique(nearest)]
    kept, last = list[int](), -extra
    for edge in edges.tolist():
        if edge - last >= min_rows and len(known) - edge >= min_rows:
            kept.append(edge)
            last = edge
    low, high = known[np.array(kept, dtype=np.int64) - 1], known[np.array(kept, dtype=np.int64)]
    middle = low / 2 + high / 2
    return np.where((low < middle) & (middle <= high), middle, high)
