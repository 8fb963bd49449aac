"""How far a host's columns differ from each other: columns that correlate are as good as fewer ones, and so fewer
scores determine them.

m score vectors of a linear model are m linear combinations of the columns, whatever labels, penalty and number of
passes the guest chooses.  They explain at most what the m directions of most variance explain (Fan 1949): of the
variance of all standardised columns together, the sum of the m largest eigenvalues of their correlation matrix.

Columns of few values need more than that.  Rows with the same values in them differ in the other columns alone.  With
more score vectors than there are others, some combination of the vectors has none of these in it, and rows with the
same values are equal there.  So the bound holds for the columns of many values by themselves too
(docs/adr/0046-columns-of-few-values.md).
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from vfl.job.policy import ROWS_PER_COMBINATION

SAMPLE = 10_000  # rows, evenly spaced: a thousand columns then take a second
HALF = 0.5 + 1e-9


@dataclass(frozen=True)
class Spread:
    """most: the largest number of score vectors that explain at most half of the columns' variance, of all columns and
    of those with many values, at least 1; first: how much the first can explain."""

    most: int
    first: float


def spread_of(features: pd.DataFrame) -> Spread:
    """Of a host's own table.  Missing values count as their column's mean, a constant column not at all, and a column
    of categories as one that correlates with none."""
    every, many = explained(features), explained(features.drop(columns=few_valued(features)))
    if not every.size:
        return Spread(1, 0.0)
    return Spread(max(1, min(int((each <= HALF).sum()) for each in (every, many))), float(every[0]))


def explained(features: pd.DataFrame) -> NDArray[np.float64]:
    """(columns,) the part of the columns' variance that one, two, three ... vectors can explain."""
    numeric = features.select_dtypes(include=["number", "bool"])
    x = numeric.iloc[:: max(1, -(-len(features) // SAMPLE))].to_numpy(np.float64, na_value=np.nan)
    x = x[:, ~np.isnan(x).all(axis=0)]
    x = np.where(np.isnan(x), np.nanmean(x, axis=0) if x.size else 0.0, x)
    x = x[:, x.max(axis=0) > x.min(axis=0)] if x.size else x
    parts = np.ones(features.shape[1] - numeric.shape[1])
    if x.size:
        parts = np.append(parts, np.linalg.eigvalsh(np.atleast_2d(np.corrcoef(x, rowvar=False))))
    return np.asarray(np.cumsum(np.sort(parts)[::-1]) / parts.sum())


def few_valued(features: pd.DataFrame) -> list[Hashable]:
    """The columns with the fewest values, as many as have together no more than one combination of values for
    ROWS_PER_COMBINATION rows."""
    most, found = len(features) // ROWS_PER_COMBINATION, list[Hashable]()
    values = features.nunique(dropna=False).sort_values(kind="stable")
    together = np.zeros(len(features), np.int64)
    for name, count in values.items():
        here = pd.factorize(features[name], use_na_sentinel=False)[0]
        together = pd.factorize(together * int(count) + here)[0]
        if together.max(initial=0) >= most:
            break
        found.append(name)
    return found
