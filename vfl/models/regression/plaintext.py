"""Regressions in the clear, by Newton's method: what the guest's own columns are worth without the hosts'.

The same objectives and links as the protocol's; numpy alone.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Curve = Callable[
    [Floats, Floats], tuple[Floats, Floats, Floats]
]  # of (z, y): the loss of each row, and its first and second derivative by z


def logistic(z: Floats, y: Floats) -> tuple[Floats, Floats, Floats]:
    p = 0.5 * (1 + np.tanh(z / 2))
    return np.logaddexp(0, z) - y * z, p - y, p * (1 - p)


def taylor(z: Floats, y: Floats) -> tuple[Floats, Floats, Floats]:
    """The logistic loss to second order around 0."""
    return z * z / 8 - (y - 0.5) * z, z / 4 + 0.5 - y, np.full_like(z, 0.25)


def squared(z: Floats, y: Floats) -> tuple[Floats, Floats, Floats]:
    return (z - y) ** 2 / 2, z - y, np.ones_like(z)


def poisson(z: Floats, y: Floats) -> tuple[Floats, Floats, Floats]:
    mean = np.exp(np.minimum(z, 50.0))
    return mean - y * z, mean - y, mean


def minimised(x: Floats, y: Floats, C: float, curve: Curve = logistic, weights: Floats | None = None, *, intercept: bool = True) -> Floats:
    """The w (d,) that minimises C * (weighted sum of the rows' losses) + |w|^2 / 2, by Newton's method with halved steps.

    x (n, d); intercept: whether the last column is one, whose weight is un-penalised.
    """
    penalty = np.ones(x.shape[1])
    penalty[-1:] = 0.0 if intercept else 1.0
    rows = np.ones(len(y)) if weights is None else weights
    w = np.zeros(x.shape[1])

    def loss(w: Floats) -> float:
        return float(C * (rows * curve(x @ w, y)[0]).sum() + (penalty * w**2).sum() / 2)

    for _ in range(100):
        _, first, second = curve(x @ w, y)
        gradient = C * x.T @ (rows * first) + penalty * w
        step = np.linalg.lstsq(C * (x.T * (rows * second)) @ x + np.diag(penalty), gradient, rcond=None)[0]
        size, before = 1.0, loss(w)
        while loss(w - size * step) > before and size > 1e-9:
            size /= 2
        w = w - size * step
        if np.abs(size * step).max(initial=0.0) <= 1e-10 * max(1.0, np.abs(w).max(initial=0.0)):
            break
    return w
