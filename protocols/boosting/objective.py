"""Losses: their first and second derivatives by the margin, what training starts from, and how a margin becomes a
prediction.

As xgboost has them (Chen and Guestrin, KDD 2016, for the second-order expansion); h of Poisson is enlarged by e^0.7 and
h of softprob doubled, as there.
Sealed trees of several classes are one against the rest: each class's trees have the logistic loss, and probabilities
are made to add up to 1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from protocols.boosting.params import Params
from protocols.errors import DataError

Floats = NDArray[np.float64]
POISSON_STEP = 0.7


def check_labels(p: Params, y: Floats) -> None:
    """Raises DataError where the labels do not fit the objective; never names a value."""
    problem = None
    if not len(y) or not np.isfinite(y).all():
        problem = "the label has missing or infinite values, or there are no rows"
    elif p.objective == "binary:logistic" and not (np.isin(y, (0, 1)).all() and 0 < y.mean() < 1):
        problem = "binary:logistic needs labels 0 and 1, and rows of both"
    elif p.objective == "count:poisson" and not ((y >= 0).all() and y.sum() > 0):
        problem = "count:poisson needs labels of at least 0, not all of them 0"
    elif p.objective == "multi:softprob" and not (
        np.isin(y, np.arange(p.num_class)).all() and len(np.unique(y)) == p.num_class
    ):
        problem = "multi:softprob needs the labels 0 to num_class - 1, and rows of each"
    if problem:
        raise DataError(problem, remedy="Choose another objective, or another label")


def base_margin(p: Params, y: Floats, weight: Floats) -> Floats:
    """(outputs,) the constant margin that training starts from: the weighted mean label, or `base_score`, under the
    link."""
    if p.objective == "multi:softprob":
        if not p.sealed:
            return np.zeros(p.num_class)
        rates = np.average(y[:, None] == np.arange(p.num_class), axis=0, weights=weight)
        return np.asarray(np.log(rates / (1 - rates)))
    mean = float(np.average(y, weights=weight)) if p.base_score is None else p.base_score
    if p.objective == "binary:logistic":
        return np.array([np.log(mean / (1 - mean))])
    return np.array([np.log(mean) if p.objective == "count:poisson" else mean])


def gradients(p: Params, y: Floats, margin: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """g and h (n, outputs) at `margin` (n, outputs); y (n,), weight (n,)."""
    mean = predictions(p, margin)
    if p.objective == "multi:softprob":
        one_hot = y[:, None] == np.arange(p.num_class)
        if p.sealed:
            mean = _sigmoid(margin)
        g, h = mean - one_hot, np.maximum((1 if p.sealed else 2) * mean * (1 - mean), 1e-16)
    elif p.objective == "binary:logistic":
        g, h = mean - y[:, None], np.maximum(mean * (1 - mean), 1e-16)
    elif p.objective == "count:poisson":
        g, h = mean - y[:, None], mean * np.exp(POISSON_STEP)
    else:
        g, h = mean - y[:, None], np.ones_like(margin)
    return g * weight[:, None], h * weight[:, None]


def predictions(p: Params, margin: Floats) -> Floats:
    """Means: probabilities, expected counts, values; (n, outputs) from margins (n, outputs)."""
    if p.objective == "binary:logistic":
        return _sigmoid(margin)
    if p.objective == "count:poisson":
        return np.exp(margin)
    if p.objective == "multi:softprob" and p.sealed:
        each = _sigmoid(margin)
        return np.asarray(each / each.sum(axis=1, keepdims=True))
    if p.objective == "multi:softprob":
        odds = np.exp(margin - margin.max(axis=1, keepdims=True))
        return np.asarray(odds / odds.sum(axis=1, keepdims=True))
    return margin


def loss(p: Params, y: Floats, margin: Floats) -> float:
    """Mean loss: what early stopping watches."""
    mean = predictions(p, margin)
    tiny = 1e-15
    if p.objective == "binary:logistic":
        q = np.clip(mean[:, 0], tiny, 1 - tiny)
        return float(-np.mean(y * np.log(q) + (1 - y) * np.log(1 - q)))
    if p.objective == "multi:softprob":
        return float(-np.mean(np.log(np.clip(mean[np.arange(len(y)), y.astype(np.int64)], tiny, 1))))
    if p.objective == "count:poisson":
        return float(np.mean(mean[:, 0] - y * margin[:, 0]))
    return float(np.mean((mean[:, 0] - y) ** 2))


def _sigmoid(margin: Floats) -> Floats:
    return np.asarray(1.0 / (1.0 + np.exp(-margin)))
