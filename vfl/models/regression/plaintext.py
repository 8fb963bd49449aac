"""Regressions in the clear: what the guest's own columns are worth without the hosts'.

The same objectives and links as the protocol's, by Newton's method.  Rows come in blocks, of which one is held; that is
why no library is used here, all of which take a matrix of all rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Blocks = Callable[[], Iterable[Floats]]  # the rows in blocks, each time that it is called
STEPS, HALVINGS = 200, 60
EXACT = 1e-18  # of the objective: what a last step improves it by


@dataclass(frozen=True)
class Curve:
    """A link.  Of predictors z (n,) and labels y (n,): the loss of each row, and its derivative by z; curvature: the
    second one, of z; alone: the best predictor without a column, by the labels' mean."""

    loss: Callable[[Floats, Floats], Floats]
    residual: Callable[[Floats, Floats], Floats]
    curvature: Callable[[Floats], Floats]
    alone: Callable[[float], float]
    ends: tuple[float, ...] = ()  # labels that have no finite optimum, if all rows carry one of them


def probability(z: Floats) -> Floats:
    return np.asarray(0.5 * (1.0 + np.tanh(z / 2)))  # which cannot overflow


def log_odds(mean: float) -> float:
    p = min(max(mean, float(np.finfo(np.float64).eps)), 1 - float(np.finfo(np.float64).eps))
    return float(np.log(p / (1 - p)))


def log_mean(mean: float) -> float:
    return float(np.log(max(mean, float(np.finfo(np.float64).tiny))))


logistic = Curve(
    lambda z, y: np.logaddexp(0, z) - y * z,
    lambda z, y: probability(z) - y,
    lambda z: probability(z) * probability(-z),
    log_odds,
    (0.0, 1.0),
)
taylor = Curve(  # the logistic loss to second order around 0
    lambda z, y: z**2 / 8 - (y - 0.5) * z,
    lambda z, y: z / 4 + 0.5 - y,
    lambda z: np.full(len(z), 0.25),
    lambda mean: 4 * mean - 2,
)
squared = Curve(lambda z, y: (z - y) ** 2 / 2, lambda z, y: z - y, lambda z: np.ones(len(z)), lambda mean: mean)
poisson = Curve(  # counts, or rates with their exposures as the rows' weights
    lambda z, y: np.exp(z) - y * z, lambda z, y: np.exp(z) - y, np.exp, log_mean, (0.0,)
)


class Point(NamedTuple):
    """The objective at some weights, its gradient (d,) and its second derivative (d, d)."""

    value: float
    gradient: Floats
    hessian: Floats


def minimised(
    blocks: Blocks,
    y: Floats,
    C: float,
    curve: Curve = logistic,
    weights: Floats | None = None,
    *,
    intercept: bool = True,
) -> Floats:
    """The w (d,) that minimises C * (weighted sum of the rows' losses) + |w|^2 / 2.

    blocks: of rows x (n, d); intercept: whether the last column is one, whose weight is un-penalised.
    """
    width = next(iter(blocks())).shape[1]
    penalised, w = np.ones(width), np.zeros(width)
    if intercept:
        penalised[-1], w[-1] = 0.0, curve.alone(float(np.average(y, weights=weights)))
        if width == 1 or any((y == end).all() for end in curve.ends):
            return w

    def at(w: Floats) -> Point:
        value, gradient, hessian = 0.5 * float(penalised @ w**2), penalised * w, np.diag(penalised)
        first = 0
        for x in blocks():
            rows = slice(first, first + len(x))
            own, z = np.full(len(x), C) if weights is None else C * weights[rows], x @ w
            value += float(own @ curve.loss(z, y[rows]))
            gradient = gradient + x.T @ (own * curve.residual(z, y[rows]))
            hessian = hessian + (x * (own * curve.curvature(z))[:, np.newaxis]).T @ x
            first = rows.stop
        return Point(value, gradient, hessian)

    return _descended(at, w)


def _descended(at: Callable[[Floats], Point], w: Floats) -> Floats:
    """Newton's method, each step as far as the objective falls."""
    with np.errstate(over="ignore", invalid="ignore"):
        here = at(w)
        for _ in range(STEPS):
            step = np.linalg.solve(here.hessian, here.gradient)
            gain, noise = float(here.gradient @ step), 1e-13 * abs(here.value)
            for halved in range(HALVINGS):
                new = w - step / 2**halved
                there = at(new)
                if there.value <= here.value - 1e-4 * gain / 2**halved + noise:
                    break
            w, here = new, there
            if gain <= EXACT * max(1.0, abs(here.value)):
                break
    return w
