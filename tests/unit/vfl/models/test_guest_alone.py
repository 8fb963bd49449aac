"""The model of the guest's own columns, fitted in the clear: the minimiser of the protocol's objective, whatever the
labels, weights and columns."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from vfl.models.regression import plaintext
from vfl.models.regression.plaintext import minimised

Floats = NDArray[np.float64]
Slope = Callable[[Floats, Floats], Floats]
# The derivative of a row's loss by its predictor z, by hand.
SLOPES: dict[str, Slope] = {
    "logistic": lambda z, y: 1 / (1 + np.exp(-z)) - y,
    "taylor": lambda z, y: z / 4 + 0.5 - y,
    "squared": lambda z, y: z - y,
    "poisson": lambda z, y: np.exp(z) - y,
}


def gradient(name: str, x: Floats, y: Floats, rows: Floats, C: float, w: Floats, *, intercept: bool) -> float:
    """The largest derivative of `C * sum(rows * loss) + |w|^2 / 2` by an element of w, over what its terms add up to: 0 at the minimiser."""  # noqa: E501
    slopes = C * x * (rows * SLOPES[name](x @ w, y))[:, None]
    penalty = w.copy()
    penalty[-1:] *= not intercept
    return float((np.abs(slopes.sum(axis=0) + penalty) / (np.abs(slopes).sum(axis=0) + np.abs(penalty) + 1e-12)).max())


def case(name: str, seed: int, steepness: float = 1.0) -> tuple[Floats, Floats, Floats]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(300, 4))
    x[:, 3] = x[:, 2]  # a column twice
    z = steepness * x @ [1.0, -0.5, 0.3, 0.0]
    labels = {"squared": z + rng.normal(size=300), "poisson": rng.poisson(np.exp(np.clip(z, -4, 4)))}
    return x, np.asarray(labels.get(name, z + rng.logistic(size=300) > 1), np.float64), rng.random(300) * 3


@pytest.mark.parametrize("name", SLOPES)
@pytest.mark.parametrize("C", [0.01, 1.0, 1000.0])
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
def test_it_is_the_minimiser_of_the_objective(name: str, C: float, intercept: bool, weighted: bool) -> None:
    x, y, rows = case(name, 5)
    x = np.column_stack([x, np.ones(300)]) if intercept else x
    curve = getattr(plaintext, name)
    w = minimised(lambda: [x], y, C, curve, rows if weighted else None, intercept=intercept)
    rows = rows if weighted else np.ones(300)
    assert gradient(name, x, y, rows, C, w, intercept=intercept) < 1e-7
    assert (
        gradient(name, x, y, rows, C, w * 1.0001, intercept=intercept) > 1e-6
    )  # a planted fault in the fourth place is seen


def test_labels_that_a_line_separates_nearly() -> None:
    x, y, rows = case("logistic", 5, 30.0)
    x = np.column_stack([x, np.ones(300)])
    w = minimised(lambda: [x], y, 100.0, weights=rows)
    assert gradient("logistic", x, y, rows, 100.0, w, intercept=True) < 1e-6


def test_without_a_column_it_is_the_base_rate() -> None:
    y, one = np.array([0.0, 0.0, 0.0, 1.0]), np.ones((4, 1))
    for curve, expected in (
        (plaintext.logistic, np.log(1 / 3)),
        (plaintext.poisson, np.log(1 / 4)),
        (plaintext.squared, 1 / 4),
        (plaintext.taylor, -1.0),
    ):
        assert minimised(lambda: [one], y, 1.0, curve) == pytest.approx([expected])
    assert minimised(lambda: [one], y, 1.0, weights=np.array([1.0, 1.0, 1.0, 3.0])) == pytest.approx([0.0], abs=1e-12)


def test_a_single_class_and_no_event() -> None:
    x, _, rows = case("logistic", 7)
    x += 0.5
    for name, label in (("logistic", 1.0), ("logistic", 0.0), ("poisson", 0.0)):
        y, curve = np.full(300, label), getattr(plaintext, name)
        w = minimised(lambda: [x], y, 1.0, curve, rows, intercept=False)
        assert gradient(name, x, y, rows, 1.0, w, intercept=False) < 1e-7
        *slopes, level = minimised(lambda: [np.column_stack([x, np.ones(300)])], y, 1.0, curve)
        assert not np.any(slopes)
        assert (level > 30) if label else (level < -30)
