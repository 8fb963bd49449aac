"""Whether two samples are alike: bins fitted on one, counts of the other, and the population stability index (PSI) of
both.

PSI = sum over the bins of (a - e) ln(a / e), with the shares e of the first sample and a of the second; an empty bin
counts as half a row.
The usual limits of scorecard practice: below 0.1 stable, from 0.25 shifted, between them to be checked.  Two samples of
one population of n and m rows have an index above 0 too: over b bins about (1/n + 1/m) times a chi-square with b - 1
degrees of freedom (Yurdakul, Statistical Properties of Population Stability Index, 2018).  So an index is marked only
above the 95 % quantile of that.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from protocols.errors import DataError
from vfl.data.texts import say_shape

WATCH, SHIFTED = 0.1, 0.25
ABOVE = 1.644854  # standard deviations of a normal number, which it exceeds once in twenty
BINS, VALUES, TEXTS = (
    10,
    12,
    20,
)  # quantile bins; a column of at most so many values has a bin for each; of texts so many have their own


def psi(expected: ArrayLike, actual: ArrayLike) -> float | None:
    """The index of two lists of counts over the same bins; None if either has no row.  Raises DataError: other lengths,
    negative counts, no numbers."""
    e, a = _counts_of("expected", expected), _counts_of("actual", actual)
    if e.shape != a.shape:
        raise DataError(
            "counts of bins are not two lists of one length",
            expected=say_shape(e.shape),
            found=say_shape(a.shape),
            remedy="Count both samples with the same Bins",
        )
    if not e.sum() or not a.sum():
        return None
    used = (e > 0) | (a > 0)
    e, a = (np.maximum(counts[used], 0.5) / counts.sum() for counts in (e, a))
    return float(((a - e) * np.log(a / e)).sum())


def by_chance(expected: ArrayLike, actual: ArrayLike) -> tuple[float, float] | None:
    """What the index of such counts is between two samples of one population: its mean, and the quantile that it
    exceeds once in twenty; None as `psi`."""
    e, a = _counts_of("expected", expected), _counts_of("actual", actual)
    if psi(e, a) is None:
        return None
    freedom, scale = max(1, int(((e > 0) | (a > 0)).sum()) - 1), float(1 / e.sum() + 1 / a.sum())
    spread = 2 / (9 * freedom)  # the quantile by Wilson and Hilferty (1931)
    return freedom * scale, freedom * (1 - spread + ABOVE * spread**0.5) ** 3 * scale


def mark(expected: ArrayLike, actual: ArrayLike) -> str | None:
    """Of two lists of counts over the same bins "stable", "watch" or "shifted", or None as `psi`: "stable" too where
    samples of one population, of as many rows, have such an index once in twenty.  Raises DataError as `psi`."""
    index, chance = psi(expected, actual), by_chance(expected, actual)
    if index is None or chance is None:
        return None
    return "stable" if index < WATCH or index <= chance[1] else "watch" if index < SHIFTED else "shifted"


@dataclass(frozen=True)
class Bins:
    """The bins of one column: inner `edges` (a value equal to an edge lies left of it) or single `values`; one more for
    the rest, one for missing.

    numbers of many values: len(edges) + 1 bins, then missing.  Few values, or texts: one each, then all others, then
    missing.
    """

    edges: tuple[float, ...] | None = None
    values: tuple[float | str, ...] | None = None

    @classmethod
    def fit(cls, column: pd.Series) -> Bins:
        """The bins of a column (n,) of numbers or texts: at most 10 quantile bins, 12 values or the 20 most frequent
        texts.  Raises DataError for anything else."""
        _check_column(column)
        known = column.dropna()
        if not _numeric(known):
            frequent = (
                known.astype(str).value_counts(sort=False).sort_index().sort_values(ascending=False, kind="stable")
            )
            return cls(values=tuple(frequent.index[:TEXTS]))
        numbers = known.to_numpy(np.float64)
        distinct = np.unique(numbers)
        if len(distinct) <= VALUES:
            return cls(values=tuple(float(v) for v in distinct))
        inner = np.unique(np.quantile(numbers, np.linspace(0, 1, BINS + 1)[1:-1], method="inverted_cdf"))
        return cls(edges=tuple(float(v) for v in inner))

    def count(self, column: pd.Series) -> list[int]:
        """Rows of a column in each bin.  Raises DataError if it holds texts where numbers were fitted."""
        _check_column(column)
        missing = column.isna().to_numpy(np.bool_)
        known = column[~missing]
        if self.edges is not None or (self.values and not isinstance(self.values[0], str)):
            if not _numeric(known):
                raise DataError(
                    f"column '{column.name}' holds no numbers, and did when the model was trained",
                    remedy="Store it as numbers",
                )
            numbers = known.to_numpy(np.float64)
            if self.edges is not None:
                return _counted(np.searchsorted(self.edges, numbers), len(self.edges) + 1, int(missing.sum()))
            return _counted(self._places(numbers.tolist()), len(self.values or ()) + 1, int(missing.sum()))
        return _counted(self._places(known.astype(str).tolist()), len(self.values or ()) + 1, int(missing.sum()))

    def _places(self, found: list[float] | list[str]) -> NDArray[np.int64]:
        at = {value: i for i, value in enumerate(self.values or ())}
        return np.fromiter((at.get(v, len(at)) for v in found), np.int64, len(found))

    def names(self) -> list[str]:
        """What each bin holds, in words."""
        if self.edges is None:
            shown = [v if isinstance(v, str) else f"{v:.6g}" for v in self.values or ()]
            return [*shown, "others", "missing"]
        texts = [f"{e:.6g}" for e in self.edges]
        middle = [f"{a} to {b}" for a, b in itertools.pairwise(texts)]
        return [f"up to {texts[0]}", *middle, f"above {texts[-1]}", "missing"]


def _check_column(column: object) -> None:
    """Raises DataError unless it is a column."""
    if not isinstance(column, pd.Series):
        raise DataError(
            f"a column is a pandas Series, and this is a {type(column).__name__}", remedy="Pass pd.Series(values)"
        )


def _counts_of(name: str, given: ArrayLike) -> NDArray[np.float64]:
    """Counts of bins (n,), finite and at least 0.  Raises DataError."""
    try:
        counts = np.asarray(given, np.float64)
    except (TypeError, ValueError, OverflowError):
        counts = np.array(np.nan)
    if counts.ndim != 1:
        raise DataError(f"{name} is not a list of counts", remedy="Pass one number per bin, as Bins.count gives them")
    if not np.isfinite(counts).all():
        raise DataError(f"{name} holds a count that is missing or infinite", remedy="Count rows with Bins.count")
    if (counts < 0).any():
        raise DataError(f"{name} holds a negative count", remedy="Pass counts of rows, not differences")
    return counts


def _numeric(column: pd.Series) -> bool:
    return bool(pd.api.types.is_numeric_dtype(column.dtype) or pd.api.types.is_bool_dtype(column.dtype)) or not len(
        column
    )


def _counted(places: NDArray[np.int64], width: int, missing: int) -> list[int]:
    return [*(int(c) for c in np.bincount(places, minlength=width)), missing]
