"""Steps on numbers: fill what is missing, cut extremes, keep chosen columns.  Each is plain data, fitted on training
rows, and equals its scikit-learn twin."""

from __future__ import annotations

import msgspec
import numpy as np
import pandas as pd


class Imputer(msgspec.Struct, frozen=True, tag="impute", tag_field="step", forbid_unknown_fields=True):
    """Fills missing numbers; indicators: the columns that get an additional column of 0 and 1.  As `SimpleImputer`, and
    `add_indicator`'s "missing-only"."""

    columns: tuple[str, ...]
    values: tuple[float, ...]
    indicators: tuple[str, ...]

    @classmethod
    def fit(
        cls, frame: pd.DataFrame, columns: list[str], strategy: str, fill_value: float | None, add_indicator: bool
    ) -> Imputer:
        """columns: numbers, each with a value at least."""
        values = [_filling(frame[c].to_numpy(np.float64), strategy, fill_value) for c in columns]
        return cls(tuple(columns), tuple(values), tuple(c for c in columns if add_indicator and frame[c].isna().any()))

    def fits(self) -> bool:
        return len(self.columns) == len(self.values) and set(self.indicators) <= set(self.columns)

    def apply(self, frame: pd.DataFrame) -> pd.DataFrame:
        flags = {f"{c} is missing": frame[c].isna().astype(np.float64) for c in self.indicators}
        filled = {c: frame[c].fillna(v) for c, v in zip(self.columns, self.values, strict=True)}
        return frame.assign(**filled, **flags)


class Clipper(msgspec.Struct, frozen=True, tag="clip", tag_field="step", forbid_unknown_fields=True):
    """Cuts numbers to [low, high]; missing ones stay missing."""

    columns: tuple[str, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]

    @classmethod
    def fit(cls, frame: pd.DataFrame, columns: list[str], quantiles: tuple[float, float]) -> Clipper:
        """Bounds are linearly interpolated quantiles of the values that are not missing."""
        bounds = [np.nanquantile(frame[c].to_numpy(np.float64), quantiles).tolist() for c in columns]
        return cls(tuple(columns), tuple(low for low, _ in bounds), tuple(high for _, high in bounds))

    def fits(self) -> bool:
        return len(self.columns) == len(self.low) == len(self.high) and all(
            a <= b for a, b in zip(self.low, self.high, strict=True)
        )

    def apply(self, frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(
            **{c: frame[c].clip(a, b) for c, a, b in zip(self.columns, self.low, self.high, strict=True)}
        )


class Keep(msgspec.Struct, frozen=True, tag="keep", tag_field="step", forbid_unknown_fields=True):
    """Keeps these columns; dropped: the others, and why each went."""

    columns: tuple[str, ...]
    dropped: dict[str, str]

    def fits(self) -> bool:
        return not set(self.columns) & set(self.dropped)

    def apply(self, frame: pd.DataFrame) -> pd.DataFrame:
        return frame[list(self.columns)]


def _filling(values: np.ndarray[tuple[int], np.dtype[np.float64]], strategy: str, fill_value: float | None) -> float:
    known = values[~np.isnan(values)]
    if strategy == "constant":
        assert fill_value is not None
        return float(fill_value)
    if strategy == "most_frequent":
        distinct, counts = np.unique(known, return_counts=True)
        return float(distinct[counts.argmax()])
    return float(np.mean(known) if strategy == "mean" else np.median(known))
