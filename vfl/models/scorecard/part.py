"""What one party keeps of a scorecard: the bins of its own columns, and its shares of their weights or, where these
were revealed to it, the points."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protocols.allowance import own_name
from protocols.glm.block import fixed_point
from protocols.glm.plan import FEATURE, WEIGHT
from protocols.glm.scoring import Own
from protocols.glm.shares import WeightShares
from vfl.data.schema import Schema
from vfl.models.regression.part import score_error, unknown_weights
from vfl.models.scorecard.points import Ints, Scale
from vfl.preprocessing import WoeColumn, check_columns
from vfl.screen.sentences import counted


@dataclass(frozen=True, eq=False, repr=False)
class ScorecardPart:
    """bins, mean and spread stand in one order: of each column (d,) its bins, and how its weights of evidence were
    standardised.

    shares: of the weights (1, d) on that scale, at the guest (1, d + 1), the intercept last.  arbiter: whether the
    arbiter holds shares of any party's weights: then a row's score is the rounded sum of what all bring, else the exact
    sum of whole points.  score_key: at a host, of its errors (protocols/glm/scoring.py).
    classes: the guest's.
    """

    party: str
    model_id: bytes
    bins: tuple[WoeColumn, ...]
    mean: NDArray[np.float64]
    spread: NDArray[np.float64]
    clip: float
    shares: WeightShares
    scale: Scale
    arbiter: bool
    is_guests: bool = False
    score_key: bytes = field(default=b"", repr=False)
    classes: tuple[Any, ...] | None = None
    schema: Schema = Schema()  # noqa: RUF009

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.party}: {counted(len(self.columns), 'column')}>"

    @property
    def known(self) -> bool:
        """Whether this party knows its weights, and so its points."""
        return self.shares.whole

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that score, and that a table to be scored must have."""
        return tuple(c.name for c in self.bins)

    @property
    def own_name(self) -> bytes:
        """The name under which a host counts what the model opens."""
        return own_name(self.model_id, self.score_key)

    @property
    def inputs(self) -> tuple[str, ...]:
        """The columns that a table to be scored must have."""
        return self.columns

    @property
    def categories(self) -> dict[str, frozenset[str]]:
        """Of each of them that holds categories, those that have a bin of their own."""
        return {c.name: c.names for c in self.bins if c.categories is not None}

    @property
    def score_bits(self) -> int:
        """The steps of a host's error in log-odds: at most a point."""
        return min(20, max(0, math.ceil(math.log2(self.scale.factor))))

    @cached_property
    def weights(self) -> NDArray[np.float64]:
        """(d,) log-odds of the event per unit of WOE.  Raises ModelError where they stay shared."""
        return np.asarray(self._standardised()[: len(self.bins)] / self.spread)

    @cached_property
    def points(self) -> tuple[Ints, ...]:
        """Of each column the points of each bin, the last for what training had nothing like.  Raises ModelError where
        weights stay shared."""
        weights = self._standardised()[: len(self.bins)]
        return tuple(self.scale.points(w * x) for w, x in zip(weights, self._levels(), strict=True))

    @property
    def base(self) -> int | None:
        """What every row starts with, at the guest.  Raises ModelError where weights stay shared."""
        return self.scale.base(float(self._standardised()[-1])) if self.is_guests else None

    def _standardised(self) -> NDArray[np.float64]:
        if not self.known:
            raise unknown_weights(self.party, guest=self.is_guests)
        return np.asarray(self.shares.weights()[0])

    def _levels(self) -> list[NDArray[np.float64]]:
        """Of each column the standardised WOE of each bin, the last for what training had nothing like."""
        levels = (np.append(c.woe, 0.0) for c in self.bins)
        return [
            np.clip((w - m) / s, -self.clip, self.clip) for w, m, s in zip(levels, self.mean, self.spread, strict=True)
        ]

    @property
    def coef(self) -> pd.Series:
        """Coefficients by column: log-odds of the event per unit of WOE.  One above 0 contradicts its column's bins.
        Raises ModelError where they stay shared."""
        return pd.Series(self.weights, index=list(self.columns), name="coef")

    def points_of(self, features: pd.DataFrame) -> pd.DataFrame:
        """(n, d) points of each row in each column.  Raises DataError for a column that the table lacks, ModelError
        where weights stay shared."""
        return self._looked_up(features, self.points, np.int64)

    def _looked_up(self, features: pd.DataFrame, values: Sequence[NDArray[Any]], kind: type[Any]) -> pd.DataFrame:
        check_columns(features, self.columns, self.party)
        rows = {c.name: v[c.bin_of(features[c.name])] for c, v in zip(self.bins, values, strict=True)}
        return pd.DataFrame(rows, index=features.index, columns=list(self.columns), dtype=kind)

    @property
    def factors(self) -> WeightShares:
        """As `AdditivePart.factors`: of whole points ones."""
        ones = np.full((1, len(self.bins) + self.is_guests), 1 << WEIGHT, np.int64)
        return self.shares if self.arbiter else WeightShares.known(ones)

    def own(self, features: pd.DataFrame, ids: Iterable[bytes]) -> Own:
        """What this party brings to the scores of its rows: whole points where all parties know theirs, else their
        values as integers, and at a host its error."""
        if not self.arbiter:
            x = self.points_of(features).to_numpy(np.int64)
            x = np.column_stack([x, np.full(len(x), self.base, np.int64)]) if self.is_guests else x
            return Own(self.model_id, np.ascontiguousarray(x << FEATURE), self.factors, self.arbiter)
        x = fixed_point(self._looked_up(features, self._levels(), np.float64).to_numpy(np.float64), self.is_guests)
        error = None if self.is_guests else score_error(self.score_key, self.model_id, ids, x, 1, self.score_bits)
        return Own(self.model_id, x, self.shares, self.arbiter, error)

    def standardised(self, features: pd.DataFrame) -> NDArray[np.float64]:
        """(n, d) standardised weights of evidence, at the guest (n, d + 1) with a column of ones."""
        x = self._looked_up(features, self._levels(), np.float64).to_numpy(np.float64)
        return np.column_stack([x, np.ones(len(x))]) if self.is_guests else x

    def opened(self, predictors: NDArray[np.float64]) -> NDArray[np.float64]:
        """Whole points (n,) from joint predictors (n, 1)."""
        found = predictors[:, 0]
        return np.rint(self.scale.offset - self.scale.factor * found) if self.arbiter else np.asarray(found)

    def own_points(self, features: pd.DataFrame) -> Ints:
        """(n,) this party's points of each row, the base points included where they are held.  Raises ModelError where
        weights stay shared."""
        return np.asarray(self.points_of(features).sum(axis=1).to_numpy(np.int64) + (self.base or 0))

    def reasons(self, features: pd.DataFrame, most: int = 4) -> list[list[tuple[str, str, int]]]:
        """Of each row up to `most` reasons: the columns in which it has least points below the column's best bin, with
        the bin and the points lost; worst first."""
        got, names = self.points_of(features), list(self.columns)
        lost = (
            np.column_stack([p[:-1].max() for p in self.points]) - got.to_numpy()
            if names
            else np.zeros((len(got), 0), np.int64)
        )
        bins = {c.name: (c.labels(), c.bin_of(features[c.name])) for c in self.bins}
        found = []
        for row in range(len(got)):
            order = np.argsort(-lost[row], kind="stable")[:most]
            told = [(names[k], _label(*bins[names[k]], row), int(lost[row, k])) for k in order if lost[row, k] > 0]
            found.append(told)
        return found

    def reason_table(self, features: pd.DataFrame, most: int = 4) -> pd.DataFrame:
        """(n, 1 + 2 most): this party's points of each row, the base points included where they are held; `reason_1`,
        `lost_1`, ...: column and bin, points lost."""
        found: dict[str, Any] = {"points": self.own_points(features)}
        reasons = self.reasons(features, most)
        for k in range(most):
            found[f"reason_{k + 1}"] = [f"{row[k][0]}: {row[k][1]}" if k < len(row) else None for row in reasons]
            found[f"lost_{k + 1}"] = pd.array([row[k][2] if k < len(row) else None for row in reasons], dtype="Int64")
        return pd.DataFrame(found)

    def table(self) -> list[dict[str, Any]]:
        """One row per bin: column, bin, rows, events, event_rate, woe, iv, and where this party knows them points; and
        of each column those for what has neutral points: special codes and missing values of which training had few or
        none, and anything else that it had nothing like, where there can be such."""
        lines = list[dict[str, Any]]()
        for k, column in enumerate(self.bins):
            rows = [{"column": column.name, **row} for row in column.table()]
            for name in column.neutral:
                empty = {"bin": name, "rows": 0, "events": 0, "event_rate": None, "woe": 0.0, "iv": 0.0}
                rows.append({"column": column.name, **empty})
            if self.known:
                own = [*self.points[k][:-1], *[self.points[k][-1]] * len(column.neutral)]
                rows = [row | {"points": int(p)} for row, p in zip(rows, own, strict=True)]
            lines += rows
        return lines


def _label(labels: list[str], bins: Ints, row: int) -> str:
    return labels[bins[row]] if bins[row] >= 0 else "anything else"
