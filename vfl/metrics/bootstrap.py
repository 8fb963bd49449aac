"""How sure the partner's worth is: a paired bootstrap of the difference of two models on the same rows.

Rows are drawn with replacement (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, percentile interval);
both models are measured on the same draw, so that what they have in common cancels.  The draws follow from the seed
alone: every reader gets the same interval.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from protocols.errors import ConfigError
from vfl.metrics import binary, classes, numeric
from vfl.metrics.ranks import Floats, checked, weights_of

Counts = NDArray[np.int64]  # (n,): how often each row was drawn
Measure = Callable[[Counts], dict[str, float]]
LEVEL, PLACE = 0.95, np.int32  # of a row among those that are measured: there are fewer than 2^31
VISITS = 20_000_000  # of rows: the fewer the rows, the more draws


def uplift_interval(
    y: ArrayLike,
    joint: ArrayLike,
    alone: ArrayLike,
    outcome: str = "binary",
    *,
    seed: int = 0,
    weight: ArrayLike | None = None,
) -> dict[str, object]:
    """Joint minus guest alone, for each measure: `change` on the rows as they are, and `low`, `high` of its 95 %
    interval; in `models` the interval of each model's own measure.

    y (n,) and both predictions as the metrics of this `outcome` take them ("binary", "numeric", "count", "multiclass");
    weight (n,): of the rows.
    `draws`: 200 to 1000, fewer for many rows.  A measure that less than half of the draws define (hardly an event) has
    no interval.
    Raises ConfigError: outcome not known; DataError as the metrics.
    """
    if outcome not in MEASURES:
        raise ConfigError(f"the outcome {outcome!r} is not known", remedy=f"Use one of {', '.join(MEASURES)}")
    both = [MEASURES[outcome](y, p, weight) for p in (joint, alone)]
    n = len(np.asarray(y))
    draws = int(np.clip(VISITS // max(n, 1), 200, 1000)) if n else 0
    rng = np.random.default_rng(seed)
    found: dict[str, list[tuple[float, float]]] = {}
    for _ in range(draws):
        counts = np.bincount(rng.integers(0, n, n), minlength=n)
        drawn, other = (measure(counts) for measure in both)
        for name in drawn.keys() & other.keys():
            found.setdefault(name, []).append((drawn[name], other[name]))
    here, there = (measure(np.ones(n, np.int64)) if n else {} for measure in both)
    measures: dict[str, dict[str, float | None]] = {}
    models: dict[str, dict[str, dict[str, float | None]]] = {"joint": {}, "guest_alone": {}}
    for name in (name for name in here if name in there):
        values = np.array(found.get(name, []), np.float64).reshape(-1, 2)
        measures[name] = {"change": here[name] - there[name], **_ends(values[:, 0] - values[:, 1], draws)}
        for model, own in zip(models, values.T, strict=True):
            models[model][name] = _ends(own, draws)
    return {"level": LEVEL, "draws": draws, "seed": seed, "measures": measures, "models": models}


def _ends(values: Floats, draws: int) -> dict[str, float | None]:
    """Of the interval, where half of the draws or more define a value."""
    if 2 * len(values) < draws:
        return {"low": None, "high": None}
    edge = (1 - LEVEL) / 2
    low, high = np.quantile(values, [edge, 1 - edge])
    return {"low": float(low), "high": float(high)}


def _binary(y: ArrayLike, p: ArrayLike, weight: ArrayLike | None) -> Measure:
    labels, scores = checked(y, p)
    weights: Any = 1 if weight is None else weights_of(weight, len(labels))  # without, sums are of whole numbers
    order = np.argsort(-scores, kind="stable").astype(PLACE)
    last = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True)[: len(order)])  # of each group of equal scores
    last, sorted_labels = last.astype(PLACE), labels[order].astype(np.int8)
    loss, square = binary.log_losses(labels, scores), (scores - labels) ** 2

    def measure(counts: Counts) -> dict[str, float]:
        worth = counts * weights
        drawn = worth[order]
        events, rows = (np.concatenate([[0], np.cumsum(c)[last]]) for c in (drawn * sorted_labels, drawn))
        total, n = float(events[-1]), float(rows[-1])
        out = {"log_loss": float(worth @ loss) / n, "brier": float(worth @ square) / n}
        if 0 < total < n:
            tpr, fpr = events / total, (rows - events) / (n - total)
            auc = float(np.diff(fpr) @ (tpr[1:] + tpr[:-1]) / 2)
            out |= {"auc": auc, "gini": 2 * auc - 1, "ks": float(np.abs(tpr - fpr).max())}
        return out

    return measure


def _means(losses: dict[str, Floats], weights: Floats) -> Measure:
    return lambda counts: {
        name: float((counts * weights) @ values) / float((counts * weights).sum()) for name, values in losses.items()
    }


def _numeric(y: ArrayLike, mean: ArrayLike, weight: ArrayLike | None) -> Measure:
    numeric.numeric_metrics(y, mean, weight)  # checks all
    observed, gap = np.asarray(y, np.float64), np.asarray(y, np.float64) - np.asarray(mean, np.float64)
    weights = weights_of(weight, len(observed))

    def measure(drawn: Counts) -> dict[str, float]:
        counts = drawn * weights
        n, squares = float(counts.sum()), float(counts @ gap**2)
        spread = float(counts @ (observed - float(counts @ observed) / n) ** 2)
        out = {"rmse": (squares / n) ** 0.5, "mae": float(counts @ np.abs(gap)) / n}
        return out | ({"r2": 1 - squares / spread} if spread > 0 else {})

    return measure


def _count(y: ArrayLike, mean: ArrayLike, weight: ArrayLike | None) -> Measure:
    numeric.count_metrics(y, mean, weight)
    observed, predicted = np.asarray(y, np.float64), np.asarray(mean, np.float64)
    losses = {"deviance": numeric.deviances(observed, predicted), "mae": np.abs(observed - predicted)}
    return _means(losses, weights_of(weight, len(observed)))


def _multiclass(y: ArrayLike, p: ArrayLike, weight: ArrayLike | None) -> Measure:
    classes.class_metrics(y, p)
    codes, shares = np.asarray(y, np.int64), np.asarray(p, np.float64)
    right = (shares.argmax(axis=1) == codes).astype(np.float64)
    losses = {"log_loss": classes.log_losses(codes, shares), "accuracy": right}
    return _means(losses, weights_of(weight, len(codes)))


MEASURES: dict[str, Callable[..., Measure]] = {
    "binary": _binary,
    "numeric": _numeric,
    "count": _count,
    "multiclass": _multiclass,
}
