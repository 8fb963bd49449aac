"""Tables of activations and slopes are as exact as docs/protocols/network.md says, in whichever cell a sum is found."""

from __future__ import annotations

import numpy as np
import pytest

from protocols._native import PlainVec
from protocols.curves import TABLE_BITS, Curve
from protocols.network.activations import FRACTION, KNEE, Activation, hidden, relu, slope_of
from protocols.network.plan import UNIT
from protocols.randomness import Seed

ERRORS: dict[Activation, tuple[float, ...]] = {
    "tanh": (8.1e-5,),
    "logistic": (2.6e-6,),
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
    for curve, bound in zip(curves.tables, ERRORS[activation], strict=True):
        assert bound / 3 < largest_error(curve) <= bound < largest_error(curve, away=2)


@pytest.mark.parametrize("activation", ["tanh", "logistic"])
def test_slopes_from_squares_of_values(activation: Activation) -> None:
    """On shares, within a unit of each holder's cut; and far from them where a share of the square is missing."""
    z = np.linspace(-8, 8, 401)
    a = np.tanh(z) if activation == "tanh" else 1 / (1 + np.exp(-z))
    whole, squares = (PlainVec.from_i64(np.rint(v).astype(np.int64)) for v in (a * 2.0**FRACTION, a * a * 2.0**48))
    masks = [Seed("", bytes([k]) * 32).ring(len(z)) for k in (1, 2)]
    parts = [(masks[0], masks[1]), (whole.sub_mod_2_128(masks[0]), squares.sub_mod_2_128(masks[1]))]

    def error(parts: list[tuple[PlainVec, PlainVec]]) -> float:
        first, second = (slope_of(activation, *part, first=k == 0) for k, part in enumerate(parts))
        found = np.array(first.add_mod_2_128(second).to_ints(), dtype=np.float64) / 2.0**FRACTION
        return float(np.abs(found - (1 - a * a if activation == "tanh" else a - a * a)).max())

    assert error(parts) < 4 * 2.0**-FRACTION
    assert error([parts[0], (parts[1][0], squares)]) > 1


def test_relu_is_relu_outside_its_knee() -> None:
    z = np.linspace(-3, 3, 601)
    rounded, sharp = relu(z), np.maximum(z, 0.0)
    assert np.array_equal(rounded[np.abs(z) >= KNEE], sharp[np.abs(z) >= KNEE])
    assert 0.07 < (rounded - sharp).max() < 0.08
    assert (rounded - sharp).min() >= -1e-12
