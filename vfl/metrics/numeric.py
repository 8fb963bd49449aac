"""The numbers and curves of an outcome that is a number or a count, and of its predicted mean."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from protocols.errors import DataError
from vfl.data.texts import say_shape
from vfl.metrics.binary import Metrics
from vfl.metrics.ranks import Floats, lorenz, rounded, weights_of

NUMERIC = ("r2", "rmse", "mae", "mean_observed", "mean_predicted")
COUNT = ("deviance", "d2", "gini", "lift_10", "rmse", "mae", "mean_observed", "mean_predicted")


def numeric_metrics(y: ArrayLike, mean: ArrayLike, weight: ArrayLike | None = None) -> Metrics:
    """R2, root mean squared and mean absolute error, both means, n.  y, mean (n,), weight (n,) of the rows.  Raises
    DataError: other lengths, not finite."""
    observed, predicted = _checked(y, mean)
    weights = weights_of(weight, len(observed))
    out: Metrics = dict.fromkeys(NUMERIC) | {"n": len(observed)}
    if len(observed):
        from sklearn.metrics import r2_score

        out |= _errors(observed, predicted, weights)
        out["r2"] = float(r2_score(observed, predicted, sample_weight=weights)) if np.ptp(observed) else None
    return out


def count_metrics(y: ArrayLike, mean: ArrayLike, weight: ArrayLike | None = None) -> Metrics:
    """Mean Poisson deviance, the share of it explained (D2: against one mean for all), Gini, lift, both errors, both
    means, n.

    y (n,) 0 or more; mean (n,) above 0; weight (n,) of the rows.  Of counts with exposures y and mean are rates, and
    the exposures weigh: the null model of D2 is then one rate times the exposure.  Gini: of the Lorenz curve down the
    predicted means, 0 for a random order; lift_10: the mean of the tenth that is predicted highest over that of all.
    Raises DataError for anything else.
    """
    observed, predicted = _checked(y, mean)
    weights = weights_of(weight, len(observed))
    if (observed < 0).any() or (predicted <= 0).any():
        raise DataError(
            "an outcome is below 0, or a predicted mean is not above 0", remedy="A Poisson model is measured on counts"
        )
    out: Metrics = dict.fromkeys(COUNT) | {"n": len(observed)}
    if len(observed):
        from sklearn.metrics import d2_tweedie_score, mean_poisson_deviance

        out |= _errors(observed, predicted, weights)
        out["deviance"] = float(mean_poisson_deviance(observed, predicted, sample_weight=weights))
        explained = d2_tweedie_score(observed, predicted, power=1, sample_weight=weights) if np.ptp(observed) else None
        out["d2"] = None if explained is None else float(explained)
        out |= _order(observed, predicted, weights)
    return out


def _order(observed: Floats, predicted: Floats, weights: Floats) -> Metrics:
    """What the order of the predictions is worth; undefined without an event."""
    if not observed.any():
        return {"gini": None, "lift_10": None}
    rows, events = lorenz(predicted, weights, observed * weights)
    return {
        "gini": float(np.diff(rows) @ (events[1:] + events[:-1]) - 1),
        "lift_10": float(np.interp(0.1, rows, events) / 0.1),
    }


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


def numeric_series(y: ArrayLike, mean: ArrayLike, weight: ArrayLike | None = None) -> dict[str, Any]:
    """`calibration` and `deciles` by predicted mean, and the histogram of the `residuals`; weight (n,) of the rows, as
    for the measures.

    calibration: mean `predicted`, mean `observed`, `count`, and `low`, `high`: the observed mean's 95 % interval (1.96
    standard errors).
    """
    observed, predicted = _checked(y, mean)
    if not len(observed):
        return {"calibration": None, "deciles": [], "residuals": None}
    weights = weights_of(weight, len(observed))
    order = np.argsort(-predicted, kind="stable")
    groups = [g for g in np.array_split(order, min(10, len(order))) if len(g)]
    cells = [_cell(observed[g], predicted[g], weights[g]) for g in groups]
    residuals = observed - predicted
    middle = np.quantile(residuals, [0.005, 0.995])  # a few large ones would leave one bar
    low, high = (
        (float(v) for v in middle) if middle[0] < middle[1] else (float(middle[0]) - 0.5, float(middle[0]) + 0.5)
    )
    counts, edges = np.histogram(np.clip(residuals, low, high), 25, (low, high), weights=weights)
    names = ("predicted", "observed", "count", "low", "high")
    return {
        "calibration": {name: [cell[name] for cell in cells] for name in names},
        "deciles": [
            {"decile": k, "rows": c["count"], "mean_observed": c["observed"], "mean_predicted": c["predicted"]}
            for k, c in enumerate(cells, 1)
        ],
        "residuals": {
            "edges": rounded(edges),
            "count": [int(c) for c in counts] if weight is None else rounded(counts),
        },
    } | ({} if weight is None else {"weighted": True})


def _cell(observed: Floats, predicted: Floats, weights: Floats) -> dict[str, Any]:
    at, n, total = float(np.average(observed, weights=weights)), len(observed), float(weights.sum())
    apart = float(((weights * (observed - at)) ** 2).sum()) * n / max(n - 1, 1)
    half = 1.959964 * apart**0.5 / total if n > 1 else 0.0
    mean = {
        "predicted": float(np.average(predicted, weights=weights)),
        "observed": at,
        "low": at - half,
        "high": at + half,
    }
    return {name: round(value, 6) for name, value in mean.items()} | {"count": n}


def _errors(observed: Floats, predicted: Floats, weights: Floats) -> Metrics:
    from sklearn.metrics import mean_absolute_error, root_mean_squared_error

    return {
        "rmse": float(root_mean_squared_error(observed, predicted, sample_weight=weights)),
        "mae": float(mean_absolute_error(observed, predicted, sample_weight=weights)),
        "mean_observed": float(np.average(observed, weights=weights)),
        "mean_predicted": float(np.average(predicted, weights=weights)),
    }


def _checked(y: ArrayLike, mean: ArrayLike) -> tuple[Floats, Floats]:
    observed, predicted = np.asarray(y, np.float64), np.asarray(mean, np.float64)
    if observed.ndim != 1 or observed.shape != predicted.shape:
        raise DataError(
            "outcomes and predictions are not two lists of one length",
            expected=say_shape(observed.shape),
            found=say_shape(predicted.shape),
            remedy="Pass one outcome and one prediction per row",
        )
    if not (np.isfinite(observed).all() and np.isfinite(predicted).all()):
        raise DataError(
            "an outcome or a prediction is not finite",
            remedy="Leave out the rows that were not matched before measuring",
        )
    return observed, predicted
