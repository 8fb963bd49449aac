"""Each party's own standardisation, fitted on its training rows and kept in its model part."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protocols.errors import DataError


@dataclass(frozen=True)
class Standardiser:
    """(x - mean) / scale, clipped to [-clip, clip]; mean and scale (d,), scale with ddof 0 and 1 where a column is constant (which then carries no weight)."""

    columns: tuple[str, ...]
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    clip: float

    @classmethod
    def fit(cls, features: pd.DataFrame, clip: float) -> Standardiser:
        """features (n, d): the training rows."""
        values = features.to_numpy(np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            scale = values.std(axis=0)
        if not np.isfinite(scale).all():
            wrong = ", ".join(str(c) for c, s in zip(features.columns, scale, strict=True) if not np.isfinite(s))
            raise DataError(f"the columns {wrong} hold values too large to standardise", remedy="Scale or clip them before the run")
        constant = scale <= 1e-12 * np.abs(values).max(axis=0, initial=0.0)
        return cls(tuple(map(str, features.columns)), values.mean(axis=0), np.where(constant, 1.0, scale), clip)

    def transform(self, features: pd.DataFrame, party: str) -> NDArray[np.float64]:
        """(n, d) in the fitted order of columns, whatever theirs.  Raises DataError naming the columns that are missing."""
        missing = [c for c in self.columns if c not in features.columns]
        if missing:
            raise DataError(f"{party}'s table lacks the columns {', '.join(missing)} that the model was trained with", party=party)
        values = features[list(self.columns)].to_numpy(np.float64)
        return np.clip((values - self.mean) / self.scale, -self.clip, self.clip)
