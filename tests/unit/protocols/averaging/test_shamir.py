"""Shares give the secret back from the threshold on, and say nothing below it."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from protocols.averaging import shamir
from protocols.randomness import Seed

SECRET = bytes(range(32))
NUMBERS = range(1, 7)


def joined(shares: dict[int, int]) -> bytes | None:
    numbers = list(shares)
    return shamir.join(shares, dict(zip(numbers, shamir.at_zero(numbers), strict=True)))


def dealt(threshold: int, secret: bytes = SECRET, seed: bytes = b"s" * 32) -> dict[int, int]:
    return dict(zip(NUMBERS, shamir.split(secret, threshold, NUMBERS, Seed("m", seed)), strict=True))


def test_any_shares_of_the_threshold_give_the_secret_back() -> None:
    shares = dealt(4)
    for chosen in combinations(NUMBERS, 4):
        assert joined({x: shares[x] for x in chosen}) == SECRET
    assert joined(shares) == SECRET


def test_below_the_threshold_every_secret_fits_the_shares() -> None:
    """For whatever secret, there is a last share with which the three that are known give it."""
    shares = dealt(4)
    known = {x: shares[x] for x in (1, 3, 5)}
    for secret in (bytes(32), b"\xff" * 32, SECRET):
        numbers = [*known, 6]
        factors = dict(zip(numbers, shamir.at_zero(numbers), strict=True))
        rest = int.from_bytes(secret, "big") - sum(factors[x] * share for x, share in known.items())
        last = rest * pow(factors[6], -1, shamir.PRIME) % shamir.PRIME
        assert shamir.join({**known, 6: last}, factors) == secret


def test_fewer_shares_do_not_give_it() -> None:
    shares = dealt(4)
    assert all(joined({x: shares[x] for x in chosen}) != SECRET for chosen in combinations(NUMBERS, 3))


def test_a_wrong_share_gives_another_secret() -> None:
    shares = dealt(4)
    assert joined({**{x: shares[x] for x in (1, 2, 3)}, 4: shares[4] + 1}) != SECRET


def test_shares_are_spread_over_the_whole_field() -> None:
    """Of one secret under many seeds: the first share, as a fraction of the field, is uniform."""
    fractions = [dealt(3, seed=k.to_bytes(32, "big"))[1] / shamir.PRIME for k in range(400)]
    counts, _ = np.histogram(fractions, bins=8, range=(0, 1))
    assert ((counts - 50.0) ** 2 / 50.0).sum() < 24.3  # chi-squared of 7 degrees of freedom: p = .001
