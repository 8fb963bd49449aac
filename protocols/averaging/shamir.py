"""Shamir's shares of 256-bit secrets; pure, no channel.

Source: Shamir, How to share a secret (CACM 1979).  A secret is the value at 0 of a polynomial over the field of PRIME
elements, and the share of the party with number x > 0 its value at x.  `threshold` shares determine the polynomial.
With fewer every secret is equally likely: to each there are equally many polynomials.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from protocols.randomness import Seed

PRIME = 2**256 + 297  # the smallest prime above 2^256
SHARE = 33  # bytes
_WIDE = 8  # 64-bit words from which a coefficient is drawn: 2^-255 from uniform


def split(secret: bytes, threshold: int, numbers: Sequence[int], seed: Seed) -> list[int]:
    """The share of each party of `numbers`, so that `threshold` of them give back the secret (32 bytes)."""
    words = seed.words(_WIDE * (threshold - 1)).tobytes()
    wide = 8 * _WIDE
    rest = [int.from_bytes(words[i : i + wide], "little") % PRIME for i in range(0, len(words), wide)]
    return [_at(x, [int.from_bytes(secret, "big"), *rest]) for x in numbers]


def _at(x: int, coefficients: Sequence[int]) -> int:
    value = 0
    for coefficient in reversed(coefficients):
        value = (value * x + coefficient) % PRIME
    return value


def at_zero(numbers: Sequence[int]) -> list[int]:
    """Lagrange's factors: the secret is the sum of each factor times the share of that number."""
    factors = []
    for x in numbers:
        above = below = 1
        for other in numbers:
            if other != x:
                above, below = above * other % PRIME, below * (other - x) % PRIME
        factors.append(above * pow(below, -1, PRIME) % PRIME)
    return factors


def join(shares: Mapping[int, int], factors: Mapping[int, int]) -> bytes | None:
    """The secret, from the shares by number and Lagrange's factors of the same numbers; None if it has more than 32
    bytes, so that some share is wrong."""
    secret = sum(factors[x] * share for x, share in shares.items()) % PRIME
    return secret.to_bytes(32, "big") if secret < 1 << 256 else None
