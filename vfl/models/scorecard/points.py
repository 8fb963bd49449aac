"""Points: log-odds on a scale that people read, rounded to whole numbers, so that a table of them gives every row's
score exactly.

With factor = pdo / ln 2 and offset = base_score - factor ln(base_odds), a row with log-odds z of the event has offset -
factor z points: odds (of no event) of base_odds give base_score points, and pdo points more double the odds.

Source: Siddiqi, Credit Risk Scorecards (2006), on scaling.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols.errors import ConfigError
from protocols.values import check_types

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Scale:
    """base_score points stand for odds of base_odds to 1 that there is no event; pdo points more double the odds."""

    base_score: float = 600.0
    base_odds: float = 50.0
    pdo: float = 20.0

    def __post_init__(self) -> None:
        check_types("scorecard", self)
        rules: tuple[tuple[str, bool, str], ...] = (
            ("base_score", abs(self.base_score) <= 1e5, "a number from -100000 to 100000"),
            ("base_odds", 1e-6 <= self.base_odds <= 1e6, "a number from 0.000001 to 1000000"),
            ("pdo", 1 <= self.pdo <= 1e4, "a number from 1 to 10000"),
        )
        for name, good, rule in rules:
            if not good:
                raise ConfigError(
                    f"scorecard: {name} = {getattr(self, name)!r} is not possible", remedy=f"{name} is {rule}"
                )

    @property
    def factor(self) -> float:
        return self.pdo / math.log(2)

    @property
    def offset(self) -> float:
        return self.base_score - self.factor * math.log(self.base_odds)

    def points(self, log_odds: Floats) -> Ints:
        """What adds these log-odds of the event, to the nearest whole point."""
        return np.rint(-self.factor * log_odds).astype(np.int64)

    def base(self, intercept: float) -> int:
        """The points that every row starts with."""
        return round(self.offset - self.factor * intercept)

    def log_odds(self, score: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
        """Of the event, from a row's points."""
        return (self.offset - score) / self.factor
