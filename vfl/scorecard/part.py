"""What one party keeps of a scorecard: the bins of its own columns and their points; the guest the base points too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from vfl.preprocessing import Preprocessor, Standardiser, WoeColumn, check_columns
from vfl.scorecard.points import Ints, Scale


@dataclass(frozen=True, eq=False, repr=False)
class ScorecardPart:
    """bins, weights and points stand in one order: of each column (d,) its bins, its coefficient and the points of each bin, the last for what training had
    nothing like.

    A weight is on the scale of log-odds of the event a unit of WOE; base and classes are the guest's.
    """

    party: str
    model_id: bytes
    bins: tuple[WoeColumn, ...]
    weights: NDArray[np.float64]
    points: tuple[Ints, ...]
    scale: Scale
    base: int | None = None
    classes: tuple[Any, ...] | None = None
    score_bits: int = 0  # a host opens a sum of whole points

    @classmethod
    def of(
        cls,
        party: str,
        model_id: bytes,
        preprocessor: Preprocessor,
        standardiser: Standardiser,
        weights: NDArray[np.float64],
        scale: Scale,
        intercept: float | None = None,
        classes: tuple[Any, ...] | None = None,
    ) -> ScorecardPart:
        """From a regression on standardised WOE: weights (d,), and the intercept at the guest."""
        woe = preprocessor.woe
        found = {c.name: c for c in woe.columns} if woe is not None else {}
        bins = tuple(found[c] for c in preprocessor.columns)
        levels = [np.append(c.woe, 0.0) for c in bins]
        centred = [
            np.clip((w - m) / s, -standardiser.clip, standardiser.clip)
            for w, m, s in zip(levels, standardiser.mean, standardiser.scale, strict=True)
        ]
        points = tuple(scale.points(w * x) for w, x in zip(weights, centred, strict=True))
        base = None if intercept is None else scale.base(intercept)
        return cls(party, model_id, bins, np.asarray(weights / standardiser.scale), points, scale, base, classes)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.party}: {len(self.columns)} columns>"

    @property
    def is_guests(self) -> bool:
        """Whether the part is the guest's."""
        return self.base is not None

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that score, and that a table to be scored must have."""
        return tuple(c.name for c in self.bins)

    @property
    def inputs(self) -> tuple[str, ...]:
        """The columns that a table to be scored must have."""
        return self.columns

    @property
    def texts(self) -> tuple[str, ...]:
        """Those of them that hold texts."""
        return tuple(c.name for c in self.bins if c.categories is not None)

    @property
    def coef(self) -> pd.Series:
        """Coefficients by column: log-odds of the event a unit of WOE.  One above 0 contradicts its column's bins."""
        return pd.Series(self.weights, index=list(self.columns), name="coef")

    def points_of(self, features: pd.DataFrame) -> pd.DataFrame:
        """(n, d) points of each row in each column.  Raises DataError for a column that the table lacks."""
        check_columns(features, self.columns, self.party)
        rows = {c.name: p[c.bin_of(features[c.name])] for c, p in zip(self.bins, self.points, strict=True)}
        return pd.DataFrame(rows, index=features.index, columns=list(self.columns), dtype=np.int64)

    def predictor(self, features: pd.DataFrame) -> NDArray[np.float64]:
        """(n,) this party's points of each row, the base points included where they are held: whole numbers."""
        return np.asarray(self.points_of(features).sum(axis=1).to_numpy(np.float64) + (self.base or 0))

    def reasons(self, features: pd.DataFrame, most: int = 4) -> list[list[tuple[str, str, int]]]:
        """Of each row up to `most` reasons: the columns in which it has least points below the column's best bin, with the bin and the points lost; worst first."""
        got, names = self.points_of(features), list(self.columns)
        lost = np.column_stack([p[:-1].max() for p in self.points]) - got.to_numpy() if names else np.zeros((len(got), 0), np.int64)
        bins = {c.name: (c.labels(), c.bin_of(features[c.name])) for c in self.bins}
        found = []
        for row in range(len(got)):
            order = np.argsort(-lost[row], kind="stable")[:most]
            told = [(names[k], _label(*bins[names[k]], row), int(lost[row, k])) for k in order if lost[row, k] > 0]
            found.append(told)
        return found

    def reason_table(self, features: pd.DataFrame, most: int = 4) -> pd.DataFrame:
        """(n, 1 + 2 most): this party's points of each row, the base points included where they are held; `reason_1`, `lost_1`, ...: column and bin, points lost."""
        found: dict[str, Any] = {"points": self.predictor(features).astype(np.int64)}
        reasons = self.reasons(features, most)
        for k in range(most):
            found[f"reason_{k + 1}"] = [f"{row[k][0]}: {row[k][1]}" if k < len(row) else None for row in reasons]
            found[f"lost_{k + 1}"] = pd.array([row[k][2] if k < len(row) else None for row in reasons], dtype="Int64")
        return pd.DataFrame(found)

    def table(self) -> list[dict[str, Any]]:
        """One row a bin: column, bin, rows, events, event_rate, woe, iv, points; and of each column one for values that training had nothing like, where there can be such."""
        lines = []
        for column, points in zip(self.bins, self.points, strict=True):
            lines += [{"column": column.name, **row, "points": int(p)} for row, p in zip(column.table(), points, strict=False)]
            if column.missing < 0 or (column.categories is not None and column.other < 0):
                empty = {"bin": "anything else", "rows": 0, "events": 0, "event_rate": None, "woe": 0.0, "iv": 0.0}
                lines.append({"column": column.name, **empty, "points": int(points[-1])})
        return lines


def _label(labels: list[str], bins: Ints, row: int) -> str:
    return labels[bins[row]] if bins[row] >= 0 else "anything else"
