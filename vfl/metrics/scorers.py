"""Measures by which candidates are chosen, under scikit-learn's names: the greater the better."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from vfl.data.labels import Objective
from vfl.metrics.binary import binary_metrics
from vfl.metrics.classes import class_metrics
from vfl.metrics.numeric import count_metrics, numeric_metrics

ERRORS: dict[str, tuple[str, int]] = {
    "neg_root_mean_squared_error": ("rmse", -1),
    "neg_mean_absolute_error": ("mae", -1),
}
# by the kind of outcome, the default first
NAMES: dict[Objective, dict[str, tuple[str, int]]] = {
    "binary": {
        "roc_auc": ("auc", 1),
        "neg_log_loss": ("log_loss", -1),
        "neg_brier_score": ("brier", -1),
        "average_precision": ("average_precision", 1),
        "accuracy": ("accuracy", 1),
    },
    "multiclass": {
        "neg_log_loss": ("log_loss", -1),
        "accuracy": ("accuracy", 1),
        "roc_auc_ovr": ("macro_auc", 1),
        "f1_macro": ("macro_f1", 1),
    },
    "numeric": {"r2": ("r2", 1), **ERRORS},
    "count": {"neg_mean_poisson_deviance": ("deviance", -1), "d2": ("d2", 1), **ERRORS},
}
MEASURES: dict[Objective, Callable[..., Any]] = {
    "binary": binary_metrics,
    "multiclass": class_metrics,
    "numeric": numeric_metrics,
    "count": count_metrics,
}


def default_scorer(outcome: Objective) -> str:
    """The measure of an outcome where none is named."""
    return next(iter(NAMES[outcome]))


def scored(name: str, outcome: Objective, y: Any, predictions: Any, weight: Any = None) -> float | None:
    """The measure `name` of predictions (n,) or (n, classes) for labels y (n,), with the weights of the rows, where
    they have any; None where these rows do not define it."""
    measure, sign = NAMES[outcome][name]
    value = MEASURES[outcome](y, predictions, weight)[measure]
    return None if value is None else sign * float(value)
