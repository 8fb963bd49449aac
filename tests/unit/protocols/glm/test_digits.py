"""Digits: features come back from them to half of the last unit, both kinds of product have one unit, and what the cuts
of a weight's shares leave is less than a unit, and nothing in the mean."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from protocols._native import PlainVec
from protocols.glm.digits import COARSE, EXACT, Digits
from protocols.glm.plan import FEATURE, WEIGHT
from protocols.randomness import Seed

RNG = np.random.default_rng(0)
X = np.r_[RNG.integers(-(2**19), 2**19, (500, 3)), [[0, 1, -1], [2**22, -(2**22), 2**9]]]


def numbers(label: str, length: int, bits: int) -> PlainVec:
    return Seed("guest", label.encode().ljust(32)).integers(length, bits)


def whole(digits: Digits, x: np.ndarray) -> np.ndarray:
    """Features again, in units of 2^-FEATURE."""
    each = digits.of_rows(x).reshape(len(x), digits.count, -1)
    return np.asarray(sum(each[:, k] << (FEATURE - bits) for k, bits in enumerate(digits.features)))


@pytest.mark.parametrize("digits", [EXACT, COARSE])
def test_features_come_back_from_their_digits(digits: Digits) -> None:
    assert np.abs(whole(digits, X) - X).max() <= 1 << (FEATURE - digits.features[-1]) >> 1
    assert {f + w for f, w in zip(digits.features, digits.weights, strict=True)} == {digits.unit}
    assert digits.unit + digits.below == FEATURE + WEIGHT
    planted = replace(digits, features=(*digits.features[:-1], digits.features[-1] - 3))
    assert np.abs(whole(planted, X) - X).max() > 1 << (FEATURE - digits.features[-1])


def test_later_digits_are_half_a_unit_of_the_one_before_at_most() -> None:
    each = COARSE.of_rows(X).reshape(len(X), COARSE.count, -1)
    for k in range(1, COARSE.count):
        assert np.abs(each[:, k]).max() == 1 << (COARSE.features[k] - COARSE.features[k - 1] - 1)


def test_weights_are_cut_to_less_than_a_unit_and_to_nothing_in_the_mean() -> None:
    weights, first = numbers("w", 4000, 26), numbers("a", 4000, 90)
    for upwards, mean in (((True, False), 0.0), ((False, False), -1.0)):  # the second is planted: both downwards
        parts = [
            COARSE.of_share(share, upwards=up) for share, up in zip((first, weights - first), upwards, strict=True)
        ]
        found = np.array((parts[0] + parts[1]).to_ints()).reshape(COARSE.count, -1)
        for bits, cut in zip(COARSE.weights, found, strict=True):
            off = cut - np.array(weights.to_ints()) / 2.0 ** (WEIGHT - bits)
            assert np.abs(off).max() < 2.0
            assert abs(off.mean() - mean) < 0.05
    assert EXACT.of_share(weights, upwards=True) == weights


def test_a_product_is_that_of_the_digits() -> None:
    """Of features and weights that are not cut, in the unit of both."""
    w = numbers("w", 3, 26)
    exact = [sum(int(a) * b for a, b in zip(row, w.to_ints(), strict=True)) for row in X]
    found = COARSE.of_share(w, upwards=False).matmul(COARSE.of_rows(X)).to_ints()
    off = np.array(found, dtype=float) * 2.0**COARSE.below - np.array(exact, dtype=float)
    largest, feature, weight = float(np.abs(X).sum(axis=1).max()), 2.0 ** (FEATURE - 16), 2.0**COARSE.dropped
    assert np.abs(off).max() < 3 * feature * 2.0**26 + largest * weight * 1.1
    turned = COARSE.of_share(w, upwards=False).take(np.r_[3:9, 0:3]).matmul(COARSE.of_rows(X)).to_ints()
    assert np.abs(np.array(turned) - np.array(found)).max() > 2.0**20  # planted: the weights of the other digit


def test_errors_do_not_depend_on_the_unit_of_predictors() -> None:
    """Of weights in units of 2^-error: a spread over n rows that gives a weight to about a unit."""
    for digits in (EXACT, COARSE):
        for rows in (100, 10_000, 1_000_000):
            spread = 2.0 ** (digits.error_bits(rows) - digits.unit + digits.error) / 12**0.5
            assert 0.5 < spread / rows**0.5 < 2.5
