"""Short vectors of integer lattices: Lenstra, Lenstra, Lovasz (1982), in floating point, with exact integer rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.object_]
Floats = NDArray[np.float64]
LOVASZ = 0.99
FRESH = 500  # swaps after which the factors are computed anew
ROUNDS = 4


def reduced(rows: Integers) -> Integers:
    """An LLL-reduced basis of the lattice that independent rows span; again until rounding errors change nothing."""
    for _ in range(ROUNDS):
        before, rows = rows, _lll(rows.copy())
        if (rows == before).all():
            break
    return rows


def _lll(rows: Integers) -> Integers:
    k, swaps, factors, norms = 1, 0, *_orthogonal(rows)
    while k < len(rows):
        while _shorten(rows, factors, k):
            factors, norms = _orthogonal(rows)
        if norms[k] >= (LOVASZ - factors[k, k - 1] ** 2) * norms[k - 1]:
            k += 1
            continue
        _swap(rows, factors, norms, k)
        k, swaps = max(k - 1, 1), swaps + 1
        if swaps % FRESH == 0:
            factors, norms = _orthogonal(rows)
    return rows


def _orthogonal(rows: Integers) -> tuple[Floats, Floats]:
    """Gram and Schmidt's factors, and the squared norms of what they leave."""
    left, factors = rows.astype(np.float64), np.eye(len(rows))
    norms = np.zeros(len(rows))
    for i in range(len(rows)):
        for _ in range(2 if i else 0):
            along = left[:i] @ left[i] / norms[:i]
            left[i] -= along @ left[:i]
            factors[i, :i] += along
        norms[i] = max(float(left[i] @ left[i]), 1e-300)
    return factors, norms


def _shorten(rows: Integers, factors: Floats, k: int) -> bool:
    """Whether a factor was so large that the others are no longer right."""
    large = False
    for j in range(k - 1, -1, -1):
        q = round(float(factors[k, j]))
        if q:
            rows[k] = rows[k] - q * rows[j]
            factors[k, : j + 1] -= q * factors[j, : j + 1]
            large |= abs(q) > 1 << 20
    return large


def _swap(rows: Integers, factors: Floats, norms: Floats, k: int) -> None:
    old = factors[k, k - 1]
    new = norms[k] + old * old * norms[k - 1]
    factors[k, k - 1] = old * norms[k - 1] / new
    norms[k], norms[k - 1] = norms[k] * norms[k - 1] / new, new
    rows[[k, k - 1]] = rows[[k - 1, k]]
    factors[[k, k - 1], : k - 1] = factors[[k - 1, k], : k - 1]
    below = factors[k + 1 :, k].copy()
    factors[k + 1 :, k] = factors[k + 1 :, k - 1] - old * below
    factors[k + 1 :, k - 1] = below + factors[k, k - 1] * factors[k + 1 :, k]
