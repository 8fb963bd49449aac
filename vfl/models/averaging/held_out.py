"""What an averaged model is worth to one member: measures on the rows that it held out, compared with those of the
same model trained on its own rows alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from vfl.metrics import binary_metrics, count_metrics, numeric_metrics
from vfl.models.averaging.course import Both, Course, Scaling
from vfl.models.averaging.families import Family, Floats
from vfl.models.averaging.local import Rows, alone
from vfl.models.averaging.spec import Averaging

MEASURES = {
    "binary": ("auc", "log_loss", "base_rate", "mean_predicted"),
    "numeric": ("rmse", "r2"),
    "count": ("deviance", "rmse"),
}
OPENED = {"binary": ("auc", "log_loss"), "numeric": ("rmse", "r2"), "count": ("deviance", "rmse")}  # as means
RISING = ("auc", "r2")  # the larger the better; of the others the smaller
MOST = 2.0**60  # of a measure in a sum
Held = NDArray[np.bool_]


def drawn(rows: int, test: float, seed: int, place: int) -> Held:
    """(rows,) which rows a member holds out; place: of the member, from 0."""
    held = np.zeros(rows, np.bool_)
    order = np.random.default_rng([seed, place]).permutation(rows)
    held[order[: round(test * rows)]] = True
    return held


def drawn_alone(rows: Floats, test: float, seed: int) -> Held:
    """(n,) the same with privacy: by a hash of the row's own numbers (n, columns + 1) and the seed, so that no row
    decides whether another one is held out."""
    numbers = pd.DataFrame(np.column_stack([rows, np.full(len(rows), float(seed))]))
    hashes = pd.util.hash_pandas_object(numbers, index=False).to_numpy(np.uint64)
    return np.asarray(hashes < np.uint64(round(test * 2.0**64)))


def measures(spec: Averaging, y: Floats, means: Floats) -> dict[str, float | None]:
    """The measures of predictions (n,) of labels (n,), None where the rows do not define one."""
    measure: Any = {"binary": binary_metrics, "numeric": numeric_metrics, "count": count_metrics}[spec.label]
    found: Mapping[str, Any] = measure(y, means)
    return {name: found[name] for name in MEASURES[spec.label]}


def predicted(spec: Averaging, scaling: Scaling, weights: Floats, x: Floats) -> Floats:
    """(n,) predictions of rows as they are in a table."""
    with np.errstate(over="ignore", invalid="ignore"):
        means = Family.of(spec, x.shape[1]).mean(weights, scaling.columns(x))
    return means * scaling.label_deviation + scaling.label_mean if spec.label == "numeric" else means


@dataclass(frozen=True, repr=False)
class HeldOut:
    """Rows that a member has trained on, and those that it held out; place: of the member, from 0."""

    spec: Averaging
    training: Rows
    rows: Rows
    place: int

    @cached_property
    def alone(self) -> Floats:
        """(n,) predictions of the held-out rows by the member's own model."""
        return predicted(self.spec, *alone(self.spec, self.training, self.place), self.rows.x)

    def averaged(self, course: Course) -> Floats:
        """(n,) the same by the averaged model."""
        assert course.scaling is not None
        return predicted(self.spec, course.scaling, course.weights, self.rows.x)

    def compared(self, course: Course) -> tuple[dict[str, Both], bool]:
        """Both models' measures that the rows define, and whether the first one is better of the averaged model."""
        if not len(self.rows.y) or not np.isfinite(self.alone).all():
            return {}, False
        after, before = (measures(self.spec, self.rows.y, each) for each in (self.averaged(course), self.alone))
        found = dict[str, Both]()
        for name in course.measures:
            now, own = after[name], before[name]
            if now is not None and own is not None and max(abs(now), abs(own)) < MOST:
                found[name] = Both(now, own)
        first = found.get(course.measures[0])
        return found, first is not None and _better(course.measures[0], first)


def _better(name: str, both: Both) -> bool:
    return both.averaged > both.alone if name in RISING else both.averaged < both.alone
