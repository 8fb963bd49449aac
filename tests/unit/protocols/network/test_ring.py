"""Products of matrices modulo 2^128 equal those of Python's integers, whatever is turned."""

from __future__ import annotations

import numpy as np
import pytest

from protocols._native import PlainVec
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
@pytest.mark.parametrize(("m", "k", "n"), [(3, 4, 5), (2, 3, 131), (1, 0, 2)])
def test_products(kind: str, turn: tuple[bool, bool], m: int, k: int, n: int) -> None:
    shapes = {"a": (k, m) if turn[0] else (m, k), "b": (n, k) if turn[1] else (k, n)}
    a, b = vector(kind, m * k), vector(kind, k * n)
    found = Product("a", "b", *turn).of(a, b, shapes).to_ints()
    first, second = (np.array(v.to_ints(), dtype=object).reshape(shapes[n]) for v, n in ((a, "a"), (b, "b")))
    whole = np.dot(first.T if turn[0] else first, second.T if turn[1] else second)
    assert len(found) == m * n
    assert all((v - w) % 2**128 == 0 and abs(v) <= 2**127 for v, w in zip(found, whole.ravel(), strict=True))


def test_matrices_of_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        vector("small", 6).matmul_mod_2_128(vector("small", 6), (2, 3, 3), (False, False))
