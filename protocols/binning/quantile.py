"""A party's columns as small integers: quantile bins of its own rows, or a bin a category, with a bin of their own for
missing values.

Each party bins by itself; nothing about the cuts is ever sent.  A value x of a column lies in bin b = number of cuts <=
x, so that a split after bin b sends a row left where x < cuts[b]: xgboost's convention.  Missing values (NaN) have the
bin `missing` behind all others.  A categorical column splits one bin from the rest, as xgboost does below
`max_cat_to_onehot`; categories of too few rows, or beyond the `max_bin` most frequent, share one bin.

Source: the histogram method of Chen and Guestrin, XGBoost (KDD 2016); quantiles are exact here, since a party sorts its
own column.
Cost: one sort per column.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from protocols.errors import ConfigError, DataError
from protocols.kept import Keep, KeptRows
from protocols.parts import parts

MIN_BIN, MAX_BIN = 2, 256
MAX_CATEGORIES = 4096
UNSEEN = -1
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Rows = NDArray[np.integer[Any]]


@dataclass(frozen=True, eq=False)
class Categories:
    """The categories (k,) of one column, ascending, the bin of each, and the bin of those not seen in training: UNSEEN
    is on no split's own side."""

    values: Floats
    bins: Ints
    other: int

    @property
    def count(self) -> int:
        """How many bins they have."""
        return max(int(self.bins.max(initial=-1)), self.other) + 1

    @classmethod
    def fit(cls, known: Floats, max_bin: int, min_rows: int, extra: int) -> Categories:
        """One bin for each of the most frequent values of `known`; one for the rest, and for `extra` rows more.  Raises
        DataError (too many)."""
        values, rows = np.unique(known, return_counts=True)
        if len(values) > MAX_CATEGORIES:
            raise DataError(
                "a categorical column has too many categories to learn from",
                remedy="Group them, treat the column as a number, or leave it out: is it an id?",
                expected=f"at most {MAX_CATEGORIES}",
                found=len(values),
            )
        by_rows = np.lexsort((values, -rows))
        kept = min(int((rows >= min_rows).sum()), max_bin)
        rest = int(rows[by_rows[kept:]].sum()) + extra
        while kept and rest and (rest < min_rows or kept == max_bin):
            kept -= 1
            rest += int(rows[by_rows[kept]])
        bins = np.full(len(values), kept, dtype=np.int64)
        bins[np.sort(by_rows[:kept])] = np.arange(kept)
        return cls(values, bins, kept if rest else UNSEEN)

    def transform(self, column: Floats) -> Ints:
        place = np.minimum(np.searchsorted(self.values, column), max(0, len(self.values) - 1))
        return (
            np.where(self.values[place] == column, self.bins[place], self.other)
            if len(self.values)
            else np.full(len(column), self.other)
        )


@dataclass(frozen=True, eq=False)
class Binner:
    """The cuts of each column, ascending, or its categories; which columns have a bin for missing values.  It belongs
    to its party's model part."""

    cuts: tuple[Floats, ...]
    has_missing: tuple[bool, ...]
    categories: tuple[Categories | None, ...]

    @classmethod
    def fit(cls, x: Floats, max_bin: int, min_rows: int = 1, categorical: Collection[int] = ()) -> Binner:
        """x (n, d) float64, NaN where missing: at most `max_bin` bins per column, each of at least `min_rows` rows (of
        fewer there is no bin).

        categorical: the columns whose numbers are names.  Fewer than `min_rows` missing, or known, values get no bin of
        their own: the missing ones count with the smallest values, or with the rare categories.  A constant column has
        one bin and can never split.
        Raises ConfigError (max_bin), DataError (infinite values, more than MAX_CATEGORIES categories).
        """
        return cls.of_columns(x.T, max_bin, min_rows, categorical)

    @classmethod
    def of_columns(
        cls, columns: Iterable[Floats], max_bin: int, min_rows: int = 1, categorical: Collection[int] = ()
    ) -> Binner:
        """The same, one column at a time."""
        if not MIN_BIN <= max_bin <= MAX_BIN:
            raise ConfigError(
                f"max_bin = {max_bin} is not possible", remedy=f"Choose {MIN_BIN} to {MAX_BIN} bins per column"
            )
        cuts, has_missing, categories = list[Floats](), [], list[Categories | None]()
        for f, column in enumerate(columns):
            if np.isinf(column).any():
                raise DataError("a column has infinite values", remedy="Remove them, or replace them by missing values")
            known = column[~np.isnan(column)]
            known.sort()
            missing = len(column) - len(known)
            apart = min(missing, len(known)) >= max(1, min_rows)
            extra = 0 if apart else missing
            named = f in categorical
            cuts.append(np.zeros(0) if named else quantile_cuts(known, max_bin, min_rows, extra))
            categories.append(Categories.fit(known, max_bin, min_rows, extra) if named else None)
            has_missing.append(apart)
        return cls(tuple(cuts), tuple(has_missing), tuple(categories))

    @property
    def width(self) -> int:
        """Ordinary bins of the column that has most; a categorical one that misses values has an empty bin more
        (`Binned.candidates`)."""
        named = [c.count + apart for c, apart in zip(self.categories, self.has_missing, strict=True) if c]
        return max([1, *named, *(len(c) + 1 for c in self.cuts)])

    def transform(self, x: Floats) -> Binned:
        """x (n, d) in bins.  A missing value of a column without a bin for it goes to bin 0, in a categorical one to
        the categories not seen in training."""
        bins = np.zeros(x.shape, dtype=np.int16)
        for f, column in enumerate(x.T):
            bins[:, f] = self.bins_of(f, column)
        return Binned(self, bins)

    def bins_of(self, f: int, column: Floats) -> NDArray[np.int16]:
        """(n,) of one column."""
        named, missing = self.categories[f], np.isnan(column)
        bins = named.transform(column) if named else np.searchsorted(self.cuts[f], column, side="right")
        found = bins.astype(np.int16)
        found[missing] = self.width if self.has_missing[f] else named.other if named else 0
        return found

    def kept(self, rows: int, column: Callable[[int], Floats], keep: Keep) -> KeptBins:
        """As `transform`, one column at a time; column: reads it by its number."""

        def blocks(f: int, whole: Floats) -> Iterator[NDArray[np.int16]]:
            return (self.bins_of(f, whole[part.rows]) for part in parts(rows))

        return KeptBins(self, tuple(KeptRows(keep, blocks(f, column(f))) for f in range(len(self.cuts))), rows)


@dataclass(frozen=True, eq=False)
class Bins(ABC):
    """n rows of one party in bins of d columns, from 0 to width, where `width` stands for missing."""

    binner: Binner
    # (d,) 1 where predictions must not fall when the column rises, -1 where they must not rise, else 0; None: 0 for all
    monotone: Ints | None = field(default=None, kw_only=True)

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def column(self, feature: int, rows: Rows | slice) -> NDArray[np.int16]:
        """The bins of these rows in one column."""

    def ordered(self, order: KeptRows[np.int64], keep: Keep) -> KeptBins:
        """The rows in another order, kept block by block; one column is in memory at a time."""
        wholes = (self.column(f, slice(None)) for f in range(self.columns))
        kept = tuple(KeptRows(keep, (whole[rows] for rows in order.blocks())) for whole in wholes)
        return KeptBins(self.binner, kept, len(order), monotone=self.monotone)

    @abstractmethod
    def take(self, rows: Ints) -> Binned:
        """These rows, in this order, in memory."""

    @property
    def columns(self) -> int:
        return len(self.binner.cuts)

    @property
    def missing(self) -> int:
        """The index of the bin for missing values."""
        return self.binner.width

    @property
    def any_missing(self) -> bool:
        return any(self.binner.has_missing)

    def constrained(self, signs: Sequence[int]) -> Self:
        """With a sign for each column.  Raises ConfigError for a categorical column, which has no order."""
        if any(sign and named is not None for sign, named in zip(signs, self.binner.categories, strict=True)):
            raise ConfigError(
                "a categorical column has no order: predictions cannot be monotone in it",
                remedy="Leave it out of monotone_constraints",
            )
        return replace(self, monotone=np.array(signs, dtype=np.int64))

    def candidates(self, columns: Sequence[int]) -> Candidates:
        """Every way to split on one of `columns`, in canonical order: by column, then cut, then missing values right
        before left."""
        rows = []
        for f in columns:
            apart, named = self.binner.has_missing[f], self.binner.categories[f]
            cuts = len(self.binner.cuts[f]) if named is None else named.count if named.count > 2 else named.count - 1
            rows += [(f, b, left, named is not None) for b in range(cuts) for left in ((0, 1) if apart else (0,))]
            if apart:  # known against missing; of categories no bin but the missing values
                rows.append((f, cuts, 0, False) if named is None else (f, named.count, 1, True))
        table = np.array(rows, dtype=np.int64).reshape(-1, 4)
        sign = np.zeros(len(table), dtype=np.int64) if self.monotone is None else self.monotone[table[:, 0]]
        return Candidates(table[:, 0], table[:, 1], table[:, 2].astype(np.bool_), table[:, 3].astype(np.bool_), sign)

    def goes_left(self, rows: Rows | slice, feature: int, cut: int, missing_left: bool) -> NDArray[np.bool_]:
        """Whether each of `rows` goes left at a split after bin `cut`, or in a categorical column at one of `cut` from
        the rest."""
        column = self.column(feature, rows)
        near = column <= cut if self.binner.categories[feature] is None else column == cut
        left: NDArray[np.bool_] = near | (missing_left & (column == self.missing))
        return left


@dataclass(frozen=True, eq=False)
class Binned(Bins):
    """In memory: bins (n, d) int16."""

    bins: NDArray[np.int16]

    def __len__(self) -> int:
        return len(self.bins)

    def column(self, feature: int, rows: Rows | slice) -> NDArray[np.int16]:
        return self.bins[rows, feature]

    def take(self, rows: Ints) -> Binned:
        return replace(self, bins=self.bins[rows])


@dataclass(frozen=True, eq=False, repr=False)
class KeptBins(Bins):
    """Kept in blocks of each column."""

    kept: tuple[KeptRows[np.int16], ...]
    rows: int

    def __repr__(self) -> str:
        return f"<KeptBins of {self.rows} rows>"

    def __len__(self) -> int:
        return self.rows

    def column(self, feature: int, rows: Rows | slice) -> NDArray[np.int16]:
        kept = self.kept[feature]
        return kept[rows] if isinstance(rows, slice) else kept.take(rows)

    def take(self, rows: Ints) -> Binned:
        bins = np.empty((len(rows), self.columns), dtype=np.int16)
        for f, column in enumerate(self.kept):
            bins[:, f] = column.take(rows)
        return Binned(self.binner, bins, monotone=self.monotone)


@dataclass(frozen=True, eq=False)
class Candidates:
    """(c,) possible splits: rows of `feature` in bins 0..cut go left, or where `single` in bin cut alone; those with
    missing values where `missing_left`.  sign: of the column's monotone constraint."""

    feature: Ints
    cut: Ints
    missing_left: NDArray[np.bool_]
    single: NDArray[np.bool_]
    sign: Ints

    def __len__(self) -> int:
        return len(self.feature)


def quantile_cuts(known: Floats, max_bin: int, min_rows: int, extra: int) -> Floats:
    """Cuts half-way between neighbours of the sorted values `known`, nearest to the quantiles; `extra` rows more lie in
    the first bin."""
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
