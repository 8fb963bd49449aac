"""How many score vectors a host's columns allow: half as many as columns, and fewer where they correlate."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from vfl.run.budget import spread_of
from vfl.run.budget.spread import few_valued

RNG = np.random.default_rng(3)
NORMAL = RNG.normal(size=(5000, 7))


@pytest.mark.parametrize(
    ("x", "most", "first"),
    [
        (NORMAL, 3, 1 / 7),
        (NORMAL[:, :1] + 0.1 * NORMAL, 1, 0.99),  # seven times the same
        (np.column_stack([NORMAL, NORMAL]), 3, 1 / 7),  # each column twice
        (np.column_stack([NORMAL, np.ones(5000)]), 3, 1 / 7),  # a constant is no column
        (np.ones((9, 4)), 1, 0.0),
    ],
)
def test_most_vectors_that_explain_at_most_half(x: np.ndarray, most: int, first: float) -> None:
    found = spread_of(pd.DataFrame(x))
    assert found.most == most
    assert found.first == pytest.approx(first, abs=0.03)


def test_no_combination_of_so_many_vectors_explains_more_than_half() -> None:
    """The bound itself, for the directions of most variance, which are the best ones."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(300, 8)) @ rng.normal(size=(8, 8))
        x = (x - x.mean(axis=0)) / x.std(axis=0)
        vectors, found = np.linalg.svd(x, full_matrices=False)[0], spread_of(pd.DataFrame(x))
        explained = [
            float((np.linalg.norm(vectors[:, :m].T @ x, axis=0) ** 2).mean() / len(x))
            for m in (1, found.most, found.most + 1)
        ]
        assert explained[0] == pytest.approx(found.first)
        assert (explained[1] <= 0.5 < explained[2]) or (found.most == 1 and explained[0] > 0.5)


def test_missing_values_and_categories() -> None:
    x = pd.DataFrame(NORMAL[:, :4]).mask(RNG.random((5000, 4)) < 0.2)
    assert spread_of(x) == spread_of(x.assign(gone=np.nan))
    assert spread_of(x).most == 1
    towns = {name: [f"{name} {k}" for k in RNG.permutation(5000)] for name in "abc"}
    assert spread_of(x.assign(**towns)).most == 3  # seven that do not correlate
    assert spread_of(pd.DataFrame({"a": list("abc"), "b": list("cde")})).most == 1


def test_columns_of_few_values_allow_no_more_vectors() -> None:
    """With more vectors than columns of many values they are read exactly
    (tests/promises/attacks/test_columns_of_few_values.py)."""
    bits = pd.DataFrame(RNG.random((5000, 9)) < 0.5).astype(float).add_prefix("b")
    months = pd.DataFrame({"m": pd.Categorical(RNG.integers(0, 12, 5000).astype(str))})
    numbers = pd.DataFrame(NORMAL).add_prefix("x")
    assert few_valued(numbers) == []
    assert few_valued(bits) == list(bits)
    assert few_valued(numbers.join(bits).join(months)) == [*bits, "m"][:9]  # 6,144 combinations with the months too
    assert few_valued(numbers[["x0"]].join(months).mask(RNG.random((5000, 2)) < 0.1)) == ["m"]
    assert spread_of(bits).most == 1
    for count, most in ((0, 1), (1, 1), (3, 1), (7, 3)):
        assert spread_of(bits.join(numbers.iloc[:, :count])).most == most
        assert spread_of(numbers.iloc[:, :count].join(months)).most == most
