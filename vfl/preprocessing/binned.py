"""What bins leave of a host's columns: how few values rows can have in them once a job has binned them."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from vfl.preprocessing.settings import Preprocessing


def as_binned(features: pd.DataFrame, settings: Preprocessing | None) -> pd.DataFrame:
    """The table with each number replaced by its bin, where `settings` bin numbers: by quantiles, as many as there are
    at most.  Bins by the label are known only later; they are no more than these, and lie elsewhere."""
    if settings is None or settings.encode not in ("quantile", "woe"):
        return features
    bins = settings.n_bins if settings.encode == "quantile" else settings.max_n_bins
    numbers = features.select_dtypes(include=["number"]).columns
    found = features.copy(deep=False)
    for name in numbers:
        found[name] = bin_of(features[name].to_numpy(np.float64, na_value=np.nan), bins)
    return found


def bin_of(values: NDArray[np.float64], bins: int) -> NDArray[np.int64]:
    """-1 for a missing value."""
    missing = np.isnan(values)
    if missing.all():
        return np.full(len(values), -1)
    edges = np.unique(np.nanquantile(values, np.arange(1, bins) / bins))
    return np.where(missing, -1, np.searchsorted(edges, values, side="right"))
