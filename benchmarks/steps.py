"""The tables of docs/adr/0003-steps.md and, of training that ends by its loss, docs/protocols/glm.md: schedules of
steps, in floating point and in the clear, on the real tables of VFL_TEST_DATA.

VFL_TEST_DATA=FOLDER python -m benchmarks.steps
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from protocols.glm.links import LOGISTIC_LINKS
from protocols.glm.plan import TOLERANCE, WEIGHT, Penalty, nesterov

Vector = NDArray[np.float64]
Schedule = Iterator[tuple[float, float, bool]]  # momentum, rate, keeps: as protocols.glm.plan.Step
CASES = [
    ("exact", "uci", 1, 60, False),
    ("exact", "uci", 2, 120, False),
    ("exact", "uci", 2, 120, True),
    ("exact", "breast", 1, 350, False),
    ("exact", "breast", 2, 350, False),
    ("taylor", "uci", 2, 120, True),
    ("taylor", "breast", 2, 350, False),
    ("exact", "uci", 1, 20, False),
    ("taylor", "uci", 1, 20, False),
]
STOPPED = [
    ("uci", 1, 1e-4, False),
    ("uci", 2, 1e-4, False),
    ("uci", 2, 1e-4, True),
    ("breast", 1, 1e-5, False),
    ("breast", 2, 1e-5, False),
]


def restarts(passes: int) -> Schedule:
    """Nesterov's method, started again after 8 passes and then each 2.2 times later."""
    t, restart = 1.0, 8.0
    for step in range(1, passes + 1):
        following = (1 + math.sqrt(1 + 4 * t * t)) / 2
        factor, t = (t - 1) / following, following
        if step >= restart:
            factor, t, restart = 0.0, 1.0, restart * 2.2
        yield 1 + factor, 1 + factor, False


def chebyshev(passes: int) -> Schedule:
    low = (math.acosh(1 / TOLERANCE) / (2 * passes)) ** 2
    rho, omega = (1 - low) / (1 + low), 1.0
    for k in range(passes):
        omega = 1.0 if k == 0 else 1 / (1 - rho * rho / 2) if k == 1 else 1 / (1 - rho * rho * omega / 4)
        yield omega, omega * 2 / (1 + low), True


def ours(passes: int) -> Schedule:
    for step in LOGISTIC_LINKS["exact"].plan(10, Penalty(1.0), passes, 2, 2007).steps():
        yield step.momentum / 2**WEIGHT, step.rate / 2**WEIGHT, step.keeps


def blocks(table: str, hosts: int, mixed: bool) -> tuple[list[Vector], Vector]:
    """Standardised, clipped blocks (the guest's with a column of ones last) and the label."""
    if "VFL_TEST_DATA" not in os.environ:
        raise SystemExit("VFL_TEST_DATA names no folder of real tables (CONTRIBUTING.md says which)")
    folder = Path(os.environ["VFL_TEST_DATA"])
    if table == "uci":
        frame = pd.read_csv(folder / "uci_credit_card.csv").iloc[:, 1:]
        y, x, own = frame.iloc[:, -1].to_numpy(float), frame.iloc[:, :-1].to_numpy(float), 5
    else:
        guest, host = (pd.read_csv(folder / f"breast_hetero_{side}.csv") for side in ("guest", "host"))
        frame = guest.merge(host, on="id").drop(columns="id")
        y, own = frame.pop("y").to_numpy(float), guest.shape[1] - 2
        x = frame.to_numpy(float)
    x = np.clip((x - x.mean(0)) / x.std(0), -6, 6)
    rest = [x[:, own:][:, i::hosts] for i in range(hosts)] if mixed else np.array_split(x[:, own:], hosts, axis=1)
    return [np.column_stack([x[:, :own], np.ones(len(x))]), *rest], y


def error(link: str, parts: list[Vector], y: Vector, schedule: Schedule) -> float:
    """Largest error of a coefficient over the largest coefficient, C = 1."""
    n, own, x = len(y), parts[0].shape[1] - 1, np.hstack(parts)
    penalty = np.ones(x.shape[1])
    penalty[own] = 0
    if link == "exact":
        fit = LogisticRegression(tol=1e-10, max_iter=20_000).fit(np.delete(x, own, axis=1), y)
        best, start = np.insert(fit.coef_[0], own, fit.intercept_[0]), math.log(y.mean() / (1 - y.mean()))
    else:
        best, start = np.linalg.solve(x.T @ x / 4 + np.diag(penalty), x.T @ (y - 0.5)), 4 * (y.mean() - 0.5)
    inverses = [np.linalg.inv(p.T @ p / (4 * n) + np.eye(p.shape[1]) / n) / len(parts) for p in parts]
    ends = np.cumsum([p.shape[1] for p in parts])[:-1]
    point = np.zeros(x.shape[1])
    point[own] = start
    trail = point
    for momentum, rate, keeps in schedule:
        z = x @ point
        d = (1 / (1 + np.exp(-z)) if link == "exact" else z / 4 + 0.5) - y
        raw = np.split(x.T @ d / n + penalty * point / n, ends)
        g = np.concatenate([m @ r for m, r in zip(inverses, raw, strict=True)])
        point, trail = momentum * point + (1 - momentum) * trail - rate * g, point if keeps else point - g
    weights = trail if not keeps else point
    return float(np.abs(weights - best).max() / np.abs(best).max())


def stopped(parts: list[Vector], y: Vector, tol: float, every: int = 10, most: int = 1000) -> tuple[int, float, float]:
    """With `tol` (protocols/glm/stopping.py), C = 1, link exact: passes, excess of the log-loss, largest error of a
    coefficient over the largest coefficient."""
    n, own, x = len(y), parts[0].shape[1] - 1, np.hstack(parts)
    penalty = np.ones(x.shape[1])
    penalty[own] = 0
    fit = LogisticRegression(tol=1e-10, max_iter=20_000).fit(np.delete(x, own, axis=1), y)
    best = np.insert(fit.coef_[0], own, fit.intercept_[0])
    inverses = [np.linalg.inv(p.T @ p / (4 * n) + np.eye(p.shape[1]) / n) / len(parts) for p in parts]
    ends = np.cumsum([p.shape[1] for p in parts])[:-1]

    def loss(w: Vector) -> float:
        z = x @ w
        return float(np.mean(np.logaddexp(0, z) - y * z))

    def objective(w: Vector) -> float:
        return loss(w) + float((penalty * w) @ w) / (2 * n)

    point = np.zeros(x.shape[1])
    point[own] = math.log(y.mean() / (1 - y.mean()))
    trail, kept, lowest, anew, passes = point, point, math.inf, 0, 0
    for passes in range(1, most + 1):
        factor = nesterov(passes - anew)[-1].momentum / 2**WEIGHT
        raw = np.split(x.T @ (1 / (1 + np.exp(-x @ point)) - y) / n + penalty * point / n, ends)
        g = np.concatenate([m @ r for m, r in zip(inverses, raw, strict=True)])
        point, trail = factor * point + (1 - factor) * trail - factor * g, point - g
        if passes % every:
            continue
        found = objective(point)
        if lowest - found < tol:
            ends_here = passes - anew == every and anew > 0
            trail = point = point if found < lowest else kept
            anew = passes
            if ends_here:
                break
        kept, lowest = point, min(lowest, found)
    return passes, loss(point) - loss(best), float(np.abs(point - best).max() / np.abs(best).max())


def main() -> None:
    print(f"{'link':>7} {'table':>7} hosts passes {'restarts':>9} {'Chebyshev':>9} {'ours':>9}")
    for link, table, hosts, passes, mixed in CASES:
        parts, y = blocks(table, hosts, mixed)
        errors = [error(link, parts, y, schedule(passes)) for schedule in (restarts, chebyshev, ours)]
        print(
            f"{link:>7} {table:>7} {hosts:>5} {passes:>6} "
            + " ".join(f"{e:9.1e}" for e in errors)
            + (" mixed" if mixed else ""),
            flush=True,
        )
    print(f"\n{'table':>7} hosts     tol passes {'excess':>8} {'worst coefficient':>17}")
    for table, hosts, tol, mixed in STOPPED:
        passes, excess, worst = stopped(*blocks(table, hosts, mixed), tol)
        print(
            f"{table:>7} {hosts:>5} {tol:7.0e} {passes:>6} {excess:8.1e} {worst:17.1e}" + (" mixed" if mixed else ""),
            flush=True,
        )


if __name__ == "__main__":
    main()
