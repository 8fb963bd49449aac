"""Drawn noise has the law of the discrete Gaussian, and this test finds what has nearly this law."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy.stats import chi2_contingency, chisquare, norm

from protocols import noise
from protocols.noise import MOST_SIGMA, discrete_gaussian
from protocols.randomness import Seed

DRAWN, FITS, FOUND = 200_000, 1e-4, 1e-6  # p-values
SIGMAS = [1, 2, 5, 64, 1 << 20, MOST_SIGMA]


def seed(number: int) -> Seed:
    return Seed("a", number.to_bytes(32, "big"))


def cells(sigma: int) -> tuple[Any, Any]:
    """Borders of cells, each the first integer that lies right of it, and the exact probability of each cell."""
    if sigma < 64:
        at = np.arange(-12 * sigma, 12 * sigma + 1)
        weights = np.exp(-(at.astype(float) ** 2) / (2 * sigma**2))
        borders = np.arange(-3 * sigma, 3 * sigma + 2)
        below = np.array([weights[at < border].sum() for border in borders]) / weights.sum()
    else:  # sums over integers are integrals here, up to exp(-2 pi^2 sigma^2)
        borders = (np.linspace(-3, 3, 61) * sigma).astype(np.int64)
        below = norm.cdf((borders - 0.5) / sigma)
    return borders, np.diff(np.concatenate([[0.0], below, [1.0]]))


def fit(drawn: Any, sigma: int) -> float:
    """The p-value of the chi-square test against the exact law."""
    borders, expected = cells(sigma)
    counts = np.bincount(np.searchsorted(borders, drawn, side="right"), minlength=len(expected))
    assert (expected * len(drawn) > 10).all()
    return float(chisquare(counts, expected * len(drawn)).pvalue)


@pytest.mark.parametrize("sigma", SIGMAS)
def test_draws_have_the_exact_law(sigma: int) -> None:
    assert fit(discrete_gaussian(seed(1), DRAWN, sigma), sigma) > FITS


@pytest.mark.parametrize("sigma", SIGMAS)
def test_half_the_noise_is_found(sigma: int) -> None:
    rounded = np.rint(np.random.default_rng(0).normal(0, sigma / math.sqrt(2), DRAWN)).astype(np.int64)
    assert fit(rounded, sigma) < FOUND


@pytest.mark.parametrize("sigma", [1, 2])
def test_a_rounded_gaussian_is_found(sigma: int) -> None:
    """It has the right scale, and nearly the right law; from 5 on the two are the same for any purpose."""
    rounded = np.rint(np.random.default_rng(0).normal(0, sigma, DRAWN)).astype(np.int64)
    assert fit(rounded, sigma) < FOUND


@pytest.mark.parametrize(
    ("step", "broken"),
    [
        ("_kept", lambda draws, small, whole, sigma: np.ones(len(small), np.bool_)),
        ("_successes", lambda draws, count: draws.below(2, count)),
    ],
)
def test_a_step_that_is_left_out_is_found(monkeypatch: pytest.MonkeyPatch, step: str, broken: Any) -> None:
    monkeypatch.setattr(noise, step, broken)
    assert fit(discrete_gaussian(seed(1), DRAWN, 5), 5) < FOUND


def neighbours(drawn: Any) -> float:
    """The p-value of the test that numbers next to each other are independent."""
    pairs = np.clip(drawn, -2, 2).reshape(-1, 2) + 2
    table = np.bincount(5 * pairs[:, 0] + pairs[:, 1], minlength=25).reshape(5, 5)
    return float(chi2_contingency(table).pvalue)


def test_draws_are_independent() -> None:
    drawn = discrete_gaussian(seed(1), DRAWN, 1)
    assert neighbours(drawn) > FITS
    assert neighbours(np.repeat(drawn[: DRAWN // 2], 2)) < FOUND
    both = np.column_stack([drawn, discrete_gaussian(seed(2), DRAWN, 1)])
    assert neighbours(both.ravel()) > FITS


def test_words_that_are_used_twice_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = noise._Draws._words

    def twice(draws: noise._Draws, count: int) -> Any:
        """Each word serves two draws."""
        return np.repeat(honest(draws, count // 2 + 1), 2)[:count]

    monkeypatch.setattr(noise._Draws, "_words", twice)
    assert neighbours(discrete_gaussian(seed(1), DRAWN, 1)) < FOUND


def test_no_word_is_used_twice() -> None:
    draws = noise._Draws(seed(1))
    words = np.concatenate([draws._words(count) for count in (1, 4000, 200, 0, 9000, 5)])
    assert len(set(words.tolist())) == len(words)


def test_a_seed_gives_the_same_draws() -> None:
    assert (discrete_gaussian(seed(1), 50, 9) == discrete_gaussian(seed(1), 50, 9)).all()
    assert (discrete_gaussian(seed(1), 50, 9) != discrete_gaussian(seed(2), 50, 9)).any()
    assert len(discrete_gaussian(seed(1), 0, 9)) == 0


@pytest.mark.parametrize("sigma", [0, -1, MOST_SIGMA + 1, 1.5])
def test_other_scales_are_refused(sigma: Any) -> None:
    with pytest.raises(ValueError, match="whole number"):
        discrete_gaussian(seed(1), 1, sigma)


def thirds(drawn: Any) -> float:
    """The p-value of the test that numbers below 3 * 2^61 are uniform."""
    return float(chisquare(np.bincount(drawn >> 61, minlength=3)).pvalue)


def test_uniform_integers_are_uniform() -> None:
    """A quarter of all words is unfair to numbers below 3 * 2^61: as remainders they would favour small ones."""
    bound = 3 << 61
    assert thirds(noise._Draws(seed(1)).below(bound, 40_000)) > FITS
    assert thirds((seed(1).words(40_000) % np.uint64(bound)).astype(np.int64)) < FOUND
