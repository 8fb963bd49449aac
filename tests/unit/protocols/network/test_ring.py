"""Products of matrices modulo 2^128 equal those of Python's integers, for every kind of digits."""

from __future__ import annotations

import numpy as np
import pytest

from protocols._native import PlainVec
from protocols.network import ring
from protocols.network.dealt import Product
from protocols.randomness import Seed


def vector(kind: str, length: int) -> PlainVec:
    if kind == "largest":
        return PlainVec.from_ints([(-1) ** k * 2**127 - (k % 2 == 0) for k in range(length)])
    if kind == "small":
        return PlainVec.from_i64(np.arange(length) - 3)
    return Seed("", kind.encode().ljust(32)).ring(length)


@pytest.mark.parametrize("kind", ["random", "largest", "small"])
@pytest.mark.parametrize("turn", [(False, False), (True, False), (False, True)])
def test_products(kind: str, turn: tuple[bool, bool]) -> None:
    shapes = {"a": (4, 3) if turn[0] else (3, 4), "b": (5, 4) if turn[1] else (4, 5)}
    a, b = vector(kind, 12), vector(kind, 20)
    found = Product("a", "b", *turn).of(a, b, shapes).to_ints()
    first, second = (np.array(v.to_ints(), dtype=object).reshape(shapes[n]) for v, n in ((a, "a"), (b, "b")))
    whole = (first.T if turn[0] else first) @ (second.T if turn[1] else second)
    assert all((v - w) % 2**128 == 0 and abs(v) <= 2**127 for v, w in zip(found, whole.ravel(), strict=True))


def test_sums_that_would_not_be_exact_are_refused() -> None:
    wide = np.zeros((ring.DIGITS, 1, ring.MOST + 1))
    with pytest.raises(ValueError, match="too many inner terms"):
        ring.product(wide, wide.transpose(0, 2, 1))


@pytest.mark.parametrize("shape", [(3, 5, 70), (3, 70, 5), (7, 64, 64)])
def test_products_in_blocks(shape: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever length is cut, and however short the last block is."""
    m, k, n = shape
    a, b = vector("random", m * k), vector("largest", k * n)
    whole = ring.product(ring.digits(a, (m, k)), ring.digits(b, (k, n)))
    monkeypatch.setattr(ring, "BLOCK", 300)
    assert ring.product(ring.digits(a, (m, k)), ring.digits(b, (k, n))) == whole
    exact = np.array(a.to_ints(), dtype=object).reshape(m, k) @ np.array(b.to_ints(), dtype=object).reshape(k, n)
    assert all((v - w) % 2**128 == 0 for v, w in zip(whole.to_ints(), exact.ravel(), strict=True))
