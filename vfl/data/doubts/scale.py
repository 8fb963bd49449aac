"""Where the numbers of a column lie and how far they spread, by measures that a few wrong values do not move."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Sorted:
    """The different numbers of a column in rising order, and in how many rows each stands."""

    values: Floats
    rows: NDArray[np.int64]

    @classmethod
    def of(cls, numbers: Floats) -> Sorted:
        """numbers (n,): those that are missing or infinite do not count."""
        values, rows = np.unique(numbers[np.isfinite(numbers)], return_counts=True)
        return cls(values, rows.astype(np.int64))

    @property
    def total(self) -> int:
        """The rows with a value."""
        return int(self.rows.sum())

    def quantile(self, share: float) -> float:
        """The smallest number that this share of the rows does not exceed."""
        return float(self.values[np.searchsorted(np.cumsum(self.rows), share * self.rows.sum())])

    def where(self, kept: NDArray[np.bool_]) -> Sorted:
        """Of these values alone."""
        return Sorted(self.values[kept], self.rows[kept])

    @property
    def turned(self) -> Sorted:
        """With the other sign."""
        return Sorted(-self.values[::-1], self.rows[::-1])


@dataclass(frozen=True)
class Scale:
    """middle: the median; spread: the distance of the quartiles, or where more than half of the rows have one value,
    the usual distance of the others from it; 0 where all rows have one."""

    middle: float
    spread: float

    @classmethod
    def of(cls, column: Sorted) -> Scale:
        """column: not empty."""
        middle = column.quantile(0.5)
        quartiles = column.quantile(0.75) - column.quantile(0.25)
        others = column.where(column.values != middle)
        if not others.total:
            return cls(middle, 0.0)
        order = np.argsort(np.abs(others.values - middle), kind="stable")
        apart = Sorted(np.abs(others.values - middle)[order], others.rows[order])
        return cls(middle, max(quartiles, apart.quantile(0.5)))
