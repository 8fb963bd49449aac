"""What many scores of one row by a network tell its guest, in a simulation in the clear: why `policy.scores_per_row`
is 1 by default, and what a larger one gives away."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import least_squares

Floats = NDArray[np.float64]
UNITS, OWN, THEIRS, ROWS, KNOWN = 4, 2, 3, 200, 20  # KNOWN: rows whose host columns the guest knows from elsewhere


def fitted(f: Callable[[Floats], Floats], start: Floats, most: int) -> tuple[Floats, float]:
    found = least_squares(f, start, max_nfev=most)
    return found.x, float(found.cost)


@dataclass
class Network:
    """One hidden layer of `tanh`; the host's error of a row is the same in each of its scores."""

    rng: np.random.Generator
    own: Floats = field(init=False)
    parts: Floats = field(init=False)  # (rows, units) of the sums, from the host's columns

    def __post_init__(self) -> None:
        rng = self.rng
        self.own, theirs = 0.8 * rng.normal(size=(UNITS, OWN)), 0.8 * rng.normal(size=(UNITS, THEIRS))
        intercepts, self.last = 0.5 * rng.normal(size=UNITS), rng.normal(size=UNITS)
        self.columns = rng.normal(size=(ROWS, THEIRS))
        self.parts = self.columns @ theirs.T + intercepts
        self.errors = rng.uniform(-1, 1, ROWS) * 2.0**-11

    def scores(self, row: int, values: Floats) -> Floats:
        return np.asarray(np.tanh(self.parts[row] + values @ self.own.T) @ self.last + 0.2 + self.errors[row])


def solved(network: Network) -> tuple[Floats, Floats, float, float]:
    """From 300 scores of one row: the guest's weights, the last layer's, its intercept, and what is not explained."""
    values = network.rng.uniform(-3, 3, size=(300, OWN))
    told, best = network.scores(0, values), (np.zeros(0), np.inf)

    def missed(p: Floats) -> Floats:
        weights = p[: UNITS * OWN].reshape(UNITS, OWN)
        last, sums = p[UNITS * OWN : -1].reshape(2, UNITS)
        return np.asarray(np.tanh(sums + values @ weights.T) @ last + p[-1] - told)

    for _ in range(40):
        start = np.concatenate([network.rng.normal(size=UNITS * (OWN + 2)) * 0.8, [told.mean()]])
        best = min(best, fitted(missed, start, 500), key=lambda found: found[1])
        if best[1] < 1e-18:
            break
    p = best[0]
    return p[: UNITS * OWN].reshape(UNITS, OWN), p[UNITS * OWN : UNITS * (OWN + 1)], p[-1], best[1]


def correlations(network: Network, known: tuple[Floats, Floats, float], scores: int) -> list[float]:
    """With each of the host's columns, of what the guest makes of so many scores of each other row."""
    weights, last, offset = known
    parts = []
    for row in range(1, ROWS):
        values = network.rng.uniform(-3, 3, size=(scores, OWN))
        told, best = network.scores(row, values), (np.zeros(0), np.inf)
        for k in range(6):
            start = np.concatenate([network.rng.normal(size=UNITS) * (0.5 + 0.2 * k), [offset]])
            found = fitted(
                lambda p, v=values, t=told: np.tanh(p[:UNITS] + v @ weights.T) @ last + p[UNITS] - t,  # type: ignore[misc]
                start,
                60,
            )
            best = min(best, found, key=lambda one: one[1])
            if best[1] < 1e-22 and scores > UNITS:
                break
        parts.append(best[0][:UNITS])
    lines, columns = np.column_stack([np.array(parts), np.ones(ROWS - 1)]), network.columns[1:]
    read = lines[KNOWN:] @ np.linalg.lstsq(lines[:KNOWN], columns[:KNOWN], rcond=None)[0]
    return [float(np.corrcoef(read[:, c], columns[KNOWN:, c])[0, 1]) for c in range(THEIRS)]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_one_score_of_each_row_tells_next_to_nothing_and_a_dozen_tell_columns() -> None:
    network = Network(np.random.default_rng(1))
    weights, last, offset, missed = solved(network)
    assert missed < 1e-18  # of the row with 300 scores everything is explained
    found = {k: correlations(network, (weights, last, offset), k) for k in (1, 6, 12)}
    print({k: [round(one, 2) for one in line] for k, line in found.items()})
    assert max(map(abs, found[1])) < 0.3  # what `scores_per_row` allows by default
    assert max(found[12]) > 0.9  # the control: a policy that allows a dozen
