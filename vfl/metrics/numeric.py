"""The numbers and curves of an outcome that is a number or a count, and of its predicted mean."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from protocols.errors import DataError
from vfl.metrics.binary import Metrics
from vfl.metrics.ranks import Floats, rounded

NUMERIC = ("r2", "rmse", "mae", "mean_observed", "mean_predicted")
COUNT = ("deviance", "d2", "rmse", "mae", "mean_observed", "mean_predicted")


def numeric_metrics(y: ArrayLike, mean: ArrayLike) -> Metrics:
    """R2, root mean squared and mean absolute error, both means, n.  y, mean (n,).  Raises DataError: other lengths,
    not finite."""
    observed, predicted = _checked(y, mean)
    out: Metrics = dict.fromkeys(NUMERIC) | {"n": len(observed)}
    if len(observed):
        from sklearn.metrics import r2_score

        out |= _errors(observed, predicted)
        out["r2"] = float(r2_score(observed, predicted)) if np.ptp(observed) else None
    return out


def count_metrics(y: ArrayLike, mean: ArrayLike) -> Metrics:
    """Mean Poisson deviance, the share of it explained (D2), both errors, both means, n.

    y (n,) 0 or more; mean (n,) above 0.  Raises DataError for anything else.
    """
    observed, predicted = _checked(y, mean)
    if (observed < 0).any() or (predicted <= 0).any():
        raise DataError(
            "an outcome is below 0, or a predicted mean is not above 0", remedy="A Poisson model is measured on counts"
        )
    out: Metrics = dict.fromkeys(COUNT) | {"n": len(observed)}
    if len(observed):
        from sklearn.metrics import d2_tweedie_score, mean_poisson_deviance

        out |= _errors(observed, predicted)
        out["deviance"] = float(mean_poisson_deviance(observed, predicted))
        out["d2"] = float(d2_tweedie_score(observed, predicted, power=1)) if np.ptp(observed) else None
    return out


def explained_deviance(y: ArrayLike, mean: ArrayLike, weight: ArrayLike) -> float:
    """The share of the weighted Poisson deviance that is explained, against the weighted mean of y; 0 where y is
    constant.  All (n,); y 0 or more, mean above 0."""
    observed, predicted = _checked(y, mean)
    if not np.ptp(observed):
        return 0.0
    from sklearn.metrics import d2_tweedie_score

    return float(d2_tweedie_score(observed, predicted, sample_weight=np.asarray(weight, np.float64), power=1))


def deviances(observed: Floats, predicted: Floats) -> Floats:
    """The unit deviance (n,) of Poisson, 2 (y ln(y / m) - y + m), which a bootstrap weights; scikit-learn has the
    mean."""
    part = observed * np.log(np.where(observed > 0, observed, 1.0) / predicted)
    return 2 * (np.where(observed > 0, part, 0.0) - observed + predicted)


def numeric_series(y: ArrayLike, mean: ArrayLike) -> dict[str, Any]:
    """`calibration` and `deciles` by predicted mean, and the histogram of the `residuals`.

    calibration: mean `predicted`, mean `observed`, `count`, and `low`, `high`: the observed mean's 95 % interval (1.96
    standard errors).
    """
    observed, predicted = _checked(y, mean)
    if not len(observed):
        return {"calibration": None, "deciles": [], "residuals": None}
    order = np.argsort(-predicted, kind="stable")
    groups = [g for g in np.array_split(order, min(10, len(order))) if len(g)]
    cells = [_cell(observed[g], predicted[g]) for g in groups]
    residuals = observed - predicted
    middle = np.quantile(residuals, [0.005, 0.995])  # a few large ones would leave one bar
    low, high = (
        (float(v) for v in middle) if middle[0] < middle[1] else (float(middle[0]) - 0.5, float(middle[0]) + 0.5)
    )
    counts, edges = np.histogram(np.clip(residuals, low, high), 25, (low, high))
    names = ("predicted", "observed", "count", "low", "high")
    return {
        "calibration": {name: [cell[name] for cell in cells] for name in names},
        "deciles": [
            {"decile": k, "rows": c["count"], "mean_observed": c["observed"], "mean_predicted": c["predicted"]}
            for k, c in enumerate(cells, 1)
        ],
        "residuals": {"edges": rounded(edges), "count": [int(c) for c in counts]},
    }


def _cell(observed: Floats, predicted: Floats) -> dict[str, Any]:
    at, n = float(observed.mean()), len(observed)
    half = 1.959964 * float(observed.std(ddof=1)) / n**0.5 if n > 1 else 0.0
    mean = {"predicted": float(predicted.mean()), "observed": at, "low": at - half, "high": at + half}
    return {name: round(value, 6) for name, value in mean.items()} | {"count": n}


def _errors(observed: Floats, predicted: Floats) -> Metrics:
    from sklearn.metrics import mean_absolute_error, root_mean_squared_error

    return {
        "rmse": float(root_mean_squared_error(observed, predicted)),
        "mae": float(mean_absolute_error(observed, predicted)),
        "mean_observed": float(observed.mean()),
        "mean_predicted": float(predicted.mean()),
    }


def _checked(y: ArrayLike, mean: ArrayLike) -> tuple[Floats, Floats]:
    observed, predicted = np.asarray(y, np.float64), np.asarray(mean, np.float64)
    if observed.ndim != 1 or observed.shape != predicted.shape:
        raise DataError(
            "outcomes and predictions are not two lists of one length", expected=observed.shape, found=predicted.shape
        )
    if not (np.isfinite(observed).all() and np.isfinite(predicted).all()):
        raise DataError(
            "an outcome or a prediction is not finite",
            remedy="Leave out the rows that were not matched before measuring",
        )
    return observed, predicted
