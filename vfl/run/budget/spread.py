"""How far a host's columns differ from each other: columns that correlate are as good as fewer ones, and so fewer
scores determine them.

m score vectors of a linear model are m linear combinations of the columns, whatever labels, penalty and number of
passes the guest chooses.  They explain at most what the m directions of most variance explain (Fan 1949): of the
variance of all standardised columns together, the sum of the m largest eigenvalues of their correlation matrix.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

SAMPLE = 10_000  # rows, evenly spaced: a thousand columns then take a second
HALF = 0.5 + 1e-9


@dataclass(frozen=True)
class Spread:
    """most: the largest number of score vectors that explain at most half of the columns' variance, at least 1; first:
    how much the first can explain."""

    most: int
    first: float


def spread_of(features: pd.DataFrame) -> Spread:
    """Of a host's own table.  Missing values count as their column's mean, a constant column not at all, and a column
    of categories as one that correlates with none."""
    numeric = features.select_dtypes(include=["number", "bool"])
    x = numeric.iloc[:: max(1, -(-len(features) // SAMPLE))].to_numpy(np.float64, na_value=np.nan)
    x = x[:, ~np.isnan(x).all(axis=0)]
    x = np.where(np.isnan(x), np.nanmean(x, axis=0) if x.size else 0.0, x)
    x = x[:, x.max(axis=0) > x.min(axis=0)] if x.size else x
    parts = np.ones(features.shape[1] - numeric.shape[1])
    if x.size:
        parts = np.append(parts, np.linalg.eigvalsh(np.atleast_2d(np.corrcoef(x, rowvar=False))))
    if not parts.size:
        return Spread(1, 0.0)
    explained = np.cumsum(np.sort(parts)[::-1]) / parts.sum()
    return Spread(max(1, int((explained <= HALF).sum())), float(explained[0]))
