"""Each party's own standardisation, the last step before a regression, fitted on its training rows and kept in its
model part."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protocols.errors import DataError
from vfl.preprocessing.pipeline import Preprocessor, check_columns

Frames = Callable[[], Iterable[pd.DataFrame]]  # the rows of a table in blocks, each time that it is called
FARTHEST = 128.0  # standard deviations: values beyond could leave the fixed-point numbers of the protocol


@dataclass(frozen=True)
class Standardiser:
    """(x - mean) / scale, clipped to [-clip, clip]; mean and scale (d,), scale with ddof 0 and 1 where a column is
    constant (which then carries no weight).

    steps: what is done to a table before; `columns` are those that come out of it.
    """

    columns: tuple[str, ...]
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    clip: float
    steps: Preprocessor | None = None

    @classmethod
    def fit(
        cls,
        features: pd.DataFrame,
        clip: float | None,
        steps: Preprocessor | None = None,
        *,
        party: str = "this party",
    ) -> Standardiser:
        """features (n, d): the training rows, as they came; clip: None to limit nothing below the head-room."""
        return cls.fit_blocks(lambda: [features], clip, steps, party=party)

    @classmethod
    def fit_blocks(cls, frames: Frames, clip: float | None, steps: Preprocessor | None, *, party: str) -> Standardiser:
        """As `fit`, of rows that come in blocks, twice: sums are of each block, and then of blocks in their order."""

        def columns() -> Iterator[pd.DataFrame]:
            return (frame if steps is None else steps.transform(frame, party) for frame in frames())

        names, rows, total, largest = tuple[str, ...](), 0, np.zeros(0), np.zeros(0)
        with np.errstate(over="ignore", invalid="ignore"):
            for frame in columns():
                values = frame.to_numpy(np.float64)
                most = np.abs(values).max(axis=0, initial=0.0)
                total = total + values.sum(axis=0) if rows else values.sum(axis=0)
                largest = np.maximum(largest, most) if rows else most
                names, rows = tuple(map(str, frame.columns)), rows + len(frame)
            mean, square = total / rows, np.zeros(len(names))
            for frame in columns():
                values = frame.to_numpy(np.float64) - mean
                square = square + np.multiply(values, values, out=values).sum(axis=0)
            scale = np.sqrt(square / rows)
        if not np.isfinite(scale).all():
            wrong = [f"'{c}'" for c, s in zip(names, scale, strict=True) if not np.isfinite(s)]
            told = f"column {wrong[0]} holds" if len(wrong) == 1 else f"columns {', '.join(wrong)} hold"
            raise DataError(
                f"{party}: {told} values that are too large to standardise",
                remedy="Scale or clip them before the run",
                party=party,
            )
        limit = FARTHEST if clip is None else clip
        return cls(names, mean, np.where(scale <= 1e-12 * largest, 1.0, scale), limit, steps)

    @property
    def inputs(self) -> tuple[str, ...]:
        """The columns that a table must have."""
        return self.columns if self.steps is None else self.steps.inputs

    @property
    def categories(self) -> Mapping[str, Collection[str]]:
        """Of each of them that holds categories, those that were fitted on."""
        return {} if self.steps is None else self.steps.categories

    def gaps(self, features: pd.DataFrame, party: str) -> pd.DataFrame:
        """(n, columns) by column that must have a value: where it is missing."""
        if self.steps is not None:
            return self.steps.gaps(features, party)
        check_columns(features, self.columns, party)
        return features[list(self.columns)].isna()

    def unseen(self, features: pd.DataFrame) -> pd.DataFrame:
        """(n, columns) by column of texts: where a text stands that no step knows."""
        return features[[]] if self.steps is None else self.steps.unseen(features)

    def transform(self, features: pd.DataFrame, party: str) -> NDArray[np.float64]:
        """(n, d) in the fitted order of columns, whatever theirs.  Raises DataError naming the columns that are
        missing, or that miss values."""
        values = self._standardised(features, party)
        return np.clip(values, -self.clip, self.clip, out=values)

    def beyond(self, features: pd.DataFrame, party: str) -> dict[str, int]:
        """By column, how many values `transform` limits, where it limits any.  Raises DataError as that does."""
        return self.beyond_in([features], party)

    def beyond_in(self, frames: Iterable[pd.DataFrame], party: str) -> dict[str, int]:
        """As `beyond`, of rows in blocks."""
        rows = sum((np.abs(self._standardised(frame, party)) > self.clip).sum(axis=0) for frame in frames)
        return {name: int(count) for name, count in zip(self.columns, rows, strict=True) if count}

    def _standardised(self, features: pd.DataFrame, party: str) -> NDArray[np.float64]:
        if self.steps is not None:
            features = self.steps.transform(features, party)
        if tuple(features.columns) != self.columns:
            check_columns(features, self.columns, party)
            features = features[list(self.columns)]
        values = features.to_numpy(np.float64, copy=True)
        values -= self.mean
        values /= self.scale
        return values
