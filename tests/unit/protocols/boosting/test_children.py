"""The shares of a level's children: each in its seat, without copies of all places."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from numpy.typing import NDArray

from protocols._native import PlainVec
from protocols.boosting.product import children
from protocols.boosting.rings import Shares, sub

ROWS, PLACES = 4000, 16


def shares(seed: int) -> Shares:
    rng = np.random.default_rng(seed)
    x = tuple(PlainVec.from_i64(rng.integers(0, 2**60, ROWS)) for _ in range(PLACES))
    return Shares(x, rng.integers(0, 2**48, (PLACES, ROWS), dtype=np.uint64))


def defined(whole: Shares, lefts: Shares, orders: NDArray[np.int64] | None) -> Shares:
    """All left and right children, and then those that sit in each seat."""
    x = [v for a, b in zip(whole.x, lefts.x, strict=True) for v in (b, sub(a, b))]
    u = np.stack([lefts.u, whole.u - lefts.u], axis=1).reshape(2 * PLACES, ROWS)
    seated = np.arange(2 * PLACES) if orders is None else (orders + orders.shape[1] * np.arange(len(orders))[:, None])
    return Shares(tuple(x), u).take(seated.ravel())


@pytest.mark.parametrize("trees", [None, 1, 4])
def test_each_child_is_in_its_seat(trees: int | None) -> None:
    rng = np.random.default_rng(5)
    orders = None if trees is None else np.stack([rng.permutation(2 * PLACES // trees) for _ in range(trees)])
    found, due = (of(shares(1), shares(2), orders) for of in (children, defined))
    np.testing.assert_array_equal(found.u, due.u)
    assert [v.to_bytes() for v in found.x] == [v.to_bytes() for v in due.x]


def test_no_more_is_held_than_what_is_returned() -> None:
    whole, lefts = (Shares((), shares(seed).u) for seed in (1, 2))
    orders = np.random.default_rng(5).permutation(2 * PLACES)[None]

    def copies(of: object) -> float:
        tracemalloc.start()
        assert callable(of)
        found = of(whole, lefts, orders)
        most = tracemalloc.get_traced_memory()[1] / found.u.nbytes
        tracemalloc.stop()
        return most

    assert copies(children) < 1.1
    assert copies(defined) > 2  # the positive control
