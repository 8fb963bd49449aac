"""The choice of mini-batches' rates in docs/protocols/glm.md, in floating point and in the clear, on the real tables of
VFL_TEST_DATA.

VFL_TEST_DATA=FOLDER python -m benchmarks.sgd
"""

from __future__ import annotations

import math

import numpy as np
from sklearn.linear_model import LogisticRegression

from benchmarks.steps import Vector, blocks
from protocols.glm import Sgd
from protocols.glm.plan import WEIGHT

CASES = [("uci", 1, 100, 8), ("uci", 1, 100, 32), ("uci", 2, 100, 8), ("breast", 1, 300, 8), ("breast", 2, 300, 8)]


def falling(steps: int, power: int, first: float = 1.0) -> Vector:
    """Rates first (1 - t / T)^power, which rise from 0 in the first tenth."""
    k = np.arange(steps)
    return first * np.minimum(1.0, 10 * (k + 1) / steps) * (1 - k / steps) ** power


def ours(steps: int) -> Vector:
    return np.array([s.rate for s in Sgd().steps(steps)]) / 2**WEIGHT


def trained(parts: list[Vector], y: Vector, batches: int, rates: Vector, last: float) -> tuple[float, float]:
    """exact, C = 1, momentum 0.9: largest error of a coefficient over the largest coefficient, excess of the mean
    log-loss; last: the part of all steps that is averaged."""
    n, own, x = len(y), parts[0].shape[1] - 1, np.hstack(parts)
    penalty = np.ones(x.shape[1])
    penalty[own] = 0
    fit = LogisticRegression(tol=1e-10, max_iter=20_000).fit(np.delete(x, own, axis=1), y)
    best = np.insert(fit.coef_[0], own, fit.intercept_[0])
    preconditioner, at = np.zeros((x.shape[1], x.shape[1])), 0
    for p in parts:
        here = slice(at, at := at + p.shape[1])
        preconditioner[here, here] = np.linalg.inv(p.T @ p / (4 * n) + np.eye(p.shape[1]) / n) / len(parts)
    point, step, rng, total = np.zeros(x.shape[1]), np.zeros(x.shape[1]), np.random.default_rng(0), np.zeros(x.shape[1])
    point[own] = math.log(y.mean() / (1 - y.mean()))
    averaged = max(1, round(last * len(rates)))
    for k, rate in enumerate(rates):
        if k % batches == 0:
            order = np.array_split(rng.permutation(n), batches)
        rows = order[k % batches]
        d = 1 / (1 + np.exp(-x[rows] @ point)) - y[rows]
        step = 0.9 * step - rate * (preconditioner @ (x[rows].T @ d * batches / n + penalty * point / n))
        point = point + step
        if k >= len(rates) - averaged:
            total += point
    w = total / averaged

    def loss(w: Vector) -> float:
        return float(np.mean(np.logaddexp(0, x @ w) - y * (x @ w)))

    return float(np.abs(w - best).max() / np.abs(best).max()), loss(w) - loss(best)


def main() -> None:
    print("coefficients / log-loss; T steps; averages of the last half of the steps where said")
    print(
        f"{'table':>7} hosts passes batches {'constant 0.1, averaged':>22} {'linear':>16} {'square':>16} "
        f"{'ours (cube)':>16} {'ours, averaged':>16}"
    )
    for table, hosts, passes, batches in CASES:
        parts, y = blocks(table, hosts, mixed=False)
        steps = passes * batches
        tried = [
            (np.full(steps, 0.1), 0.5),
            (falling(steps, 1), 0),
            (falling(steps, 2), 0),
            (ours(steps), 0),
            (ours(steps), 0.5),
        ]
        found = [trained(parts, y, batches, rates, last) for rates, last in tried]
        cells = " ".join(f"{e:>7.0e}/{worse:+.0e}".rjust(22 if k == 0 else 16) for k, (e, worse) in enumerate(found))
        print(f"{table:>7} {hosts:>5} {passes:>6} {batches:>7} {cells}", flush=True)


if __name__ == "__main__":
    main()
