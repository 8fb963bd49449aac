"""The plan of matrix products that the cost model has is that of the core: products as they are counted."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from protocols import _native
from protocols._native import PlainVec
from vfl.cost import matrices

KEY = _native.PrivateKey.generate(512, bytes(32))


def drawn(largest: list[int], results: int) -> NDArray[np.int64]:
    rng = np.random.default_rng(3)
    most = np.array(largest)
    return rng.integers(-most, most, size=(results, len(most)), endpoint=True)


def counted(matrix: NDArray[np.int64]) -> int:
    bases = KEY.encrypt(PlainVec.from_ints([7] * matrix.shape[1]), bytes(32), 256)
    before = KEY.public_key.products
    bases.matmul(matrix)
    return KEY.public_key.products - before


SHAPES = [([280, 16, 16] * 30, 2_000), ([280, 16, 16] * 20, 60), ([200_000] * 10, 1_000), ([200_000] * 800, 5)]


@pytest.mark.parametrize(("largest", "results"), SHAPES)
def test_products_as_they_are_counted(largest: list[int], results: int) -> None:
    bases = [(most, largest.count(most)) for most in dict.fromkeys(largest)]
    found = matrices.cheapest(bases, results)
    took = counted(drawn(largest, results))
    print(f"{took} of {found}")
    assert found.products == pytest.approx(took, rel=0.15)


def test_planted_fault_digits_that_do_not_share_a_table_cost_more(monkeypatch: pytest.MonkeyPatch) -> None:
    largest, results = SHAPES[0]
    took = counted(drawn(largest, results))
    monkeypatch.setattr(
        matrices, "shared", lambda digits, counts, states: (([(d, 1)], n) for d, n in zip(digits, counts, strict=True))
    )
    alone = matrices.by_tables([(most, largest.count(most)) for most in dict.fromkeys(largest)], results)
    assert alone.products > 1.15 * took


def test_windows_hold_all_digits_and_few_combinations() -> None:
    digits, counts = [280, 16, 3, 1], [4, 9, 7, 11]
    for states in (600, 1_100, 4_097):
        windows = [window for window, times in matrices.shared(digits, counts, states) for _ in range(times)]
        for digit, count in zip(digits, counts, strict=True):
            assert sum(n for window in windows for d, n in window if d == digit) == count
        for window in windows:
            alone = len(window) == 1 and window[0][1] == 1
            assert alone or np.prod([(2 * d + 1) ** n for d, n in window]) <= states


def test_tables_stay_within_their_rows() -> None:
    assert matrices.cheapest([(320, 9_000), (16, 18_000)], 60_000).rows == matrices.ROWS
    assert 0 < matrices.cheapest([(320, 54), (16, 108)], 3_334).rows < matrices.ROWS
    assert matrices.cheapest([(200_000, 10_000)], 20).rows == 0  # buckets
