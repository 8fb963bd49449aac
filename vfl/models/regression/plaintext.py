"""Regressions in the clear by scikit-learn: what the guest's own columns are worth without the hosts'.

The same objectives and links as the protocol's.  scikit-learn takes a second to import, so it is imported where a guest
fits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
# Of columns (n, d), labels (n,), the rows' weights (n,), C, and whether there is an intercept: the weights (d,), and
# the intercept last if there is one.
Curve = Callable[[Floats, Floats, Floats, float, bool], Floats]
EXACT = {"tol": 1e-12, "max_iter": 200, "solver": "newton-cholesky"}


def logistic(x: Floats, y: Floats, rows: Floats, C: float, intercept: bool) -> Floats:
    """Labels 0 and 1."""
    from sklearn.linear_model import LogisticRegression

    tiny = np.finfo(np.float64).eps
    p = np.clip(np.average(y, weights=rows), tiny, 1 - tiny)
    if not np.ptp(y) and intercept:
        return _fitted(None, x, y, rows, float(np.log(p / (1 - p))))
    if not np.ptp(y):  # a single class, which scikit-learn refuses: with a row of the other one, of no weight
        x, y, rows = np.vstack([x, np.zeros(x.shape[1])]), np.append(y, 1 - y[0]), np.append(rows, 0.0)
    return _fitted(
        LogisticRegression(C=C, fit_intercept=intercept, **EXACT),
        x,
        y,
        rows,
        float(np.log(p / (1 - p))) if intercept else None,
    )


def taylor(x: Floats, y: Floats, rows: Floats, C: float, intercept: bool) -> Floats:
    """The logistic loss to second order around 0, z^2 / 8 - (y - 1/2) z: least squares of 4 y - 2."""
    return squared(x, 4 * y - 2, rows, C / 4, intercept)


def squared(x: Floats, y: Floats, rows: Floats, C: float, intercept: bool) -> Floats:
    """The loss (z - y)^2 / 2."""
    from sklearn.linear_model import Ridge

    model = Ridge(alpha=1 / C, fit_intercept=intercept)
    return _fitted(model, x, y, rows, float(np.average(y, weights=rows)) if intercept else None)


def poisson(x: Floats, y: Floats, rows: Floats, C: float, intercept: bool) -> Floats:
    """Counts, or rates with their exposures as the rows' weights; log link."""
    from sklearn.linear_model import PoissonRegressor

    level = float(np.log(max(np.average(y, weights=rows), np.finfo(np.float64).tiny)))
    model = (
        PoissonRegressor(alpha=1 / (C * rows.sum()), fit_intercept=intercept, **EXACT)
        if y.any() or not intercept
        else None
    )
    return _fitted(model, x, y, rows, level if intercept else None)


def _fitted(model: Any, x: Floats, y: Floats, rows: Floats, alone: float | None) -> Floats:
    """The weights, and the intercept last; alone: the intercept of no column, None without an intercept.  model: None
    where there is nothing to fit."""
    if model is None or not x.shape[1]:
        return np.append(np.zeros(x.shape[1]), [] if alone is None else alone)
    model.fit(x, y, sample_weight=rows)
    return np.append(model.coef_, [] if alone is None else model.intercept_)


def minimised(
    x: Floats, y: Floats, C: float, curve: Curve = logistic, weights: Floats | None = None, *, intercept: bool = True
) -> Floats:
    """The w (d,) that minimises C * (weighted sum of the rows' losses) + |w|^2 / 2.

    x (n, d); intercept: whether the last column is one, whose weight is un-penalised.
    """
    rows = np.ones(len(y)) if weights is None else weights
    return curve(x[:, :-1] if intercept else x, y, rows, C, intercept)
