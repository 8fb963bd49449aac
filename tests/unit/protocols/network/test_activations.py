"""Tables of activations and slopes are as exact as docs/protocols/network.md says, in whichever cell a sum is found."""

from __future__ import annotations

import numpy as np
import pytest

from protocols.curves import TABLE_BITS, Curve
from protocols.network.activations import KNEE, Activation, hidden, relu
from protocols.network.plan import UNIT

ERRORS: dict[Activation, tuple[float, float]] = {
    "tanh": (8.1e-5, 3.2e-4),
    "logistic": (2.6e-6, 5.1e-6),
    "softplus": (2.6e-6, 2.6e-6),
    "relu": (4.3e-5, 7.2e-4),
}


def largest_error(curve: Curve, away: int = 0) -> float:
    """Over all sums that may occur, in both cells; away: cells by which it is missed, a planted fault."""
    half, worst = 2.0 ** (curve.range_log2 - 1), 0.0
    z = np.linspace(-half, half, 2001)
    for cell in (np.floor(z / curve.width), np.floor(z / curve.width) - 1):
        k = cell.astype(np.int64) + away
        t, c = z - (k + 1) * curve.width, curve.coefficients[:, k & (2**TABLE_BITS - 1)] / 2.0**curve.fraction
        worst = max(worst, float(np.abs(c[0] + t * (c[1] + t * (c[2] + t * c[3])) - curve.value(z)).max()))
    return worst


@pytest.mark.parametrize("activation", ERRORS)
def test_tables_are_as_exact_as_documented(activation: Activation) -> None:
    curves = hidden(activation, UNIT)
    for curve, bound in zip(curves.both, ERRORS[activation], strict=True):
        assert bound / 3 < largest_error(curve) <= bound < largest_error(curve, away=2)


def test_relu_is_relu_outside_its_knee() -> None:
    z = np.linspace(-3, 3, 601)
    rounded, sharp = relu(z), np.maximum(z, 0.0)
    assert np.array_equal(rounded[np.abs(z) >= KNEE], sharp[np.abs(z) >= KNEE])
    assert 0.07 < (rounded - sharp).max() < 0.08
    assert (rounded - sharp).min() >= -1e-12
