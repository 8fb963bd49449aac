"""Columns that tell the label, or hold the ids, are told; columns that predict well are not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from vfl.data import Settings
from vfl.data.doubts.outcome import is_the_id, tells_label

RNG = np.random.default_rng(1)
N = 400
Y = (RNG.random(N) < 0.2).astype(np.float64)
Z = RNG.normal(size=N)
CLASSES = RNG.integers(0, 3, N).astype(np.float64)


def told(values: object, label: np.ndarray = Y, classes: int = 2) -> str:
    return tells_label(pd.Series(values, name="x"), label, classes, Settings())


@pytest.mark.parametrize(
    "values",
    [
        Y,
        1 - Y,
        Y * 7 + 3,
        Y + 0.01 * Z,
        np.where(Y == 1, "bad", "good"),
        np.where(Y == 1, 5.0, np.nan),
        Y * 10 + RNG.integers(0, 5, N),
    ],
    ids=["equal", "inverted", "recoded", "nearly", "text", "known of events only", "several codes"],
)
def test_a_column_that_tells_the_label(values: object) -> None:
    assert "the label of nearly every row" in told(values)
    assert 'data.exclude = ["x"]' in told(values)


@pytest.mark.parametrize(
    "values",
    [
        Z,
        Y + 0.5 * Z,
        np.zeros(N),
        RNG.choice(["a", "b"], N),
        [f"t{i}" for i in range(N)],
        np.where(RNG.random(N) < 0.5, Z, np.nan),
    ],
    ids=["noise", "a good column", "constant", "texts", "all different texts", "gaps"],
)
def test_a_column_that_does_not(values: object) -> None:
    assert told(values) == ""


def test_labels_of_several_classes_and_of_numbers() -> None:
    assert "it tells the label" in told(CLASSES + 1, CLASSES, 3)
    assert "it tells the label" in told(np.array(["u", "v", "w"])[CLASSES.astype(int)], CLASSES, 3)
    assert told(Z, CLASSES, 3) == ""
    assert "it tells the label" in told(np.exp(Z), Z, 0)  # in the same order
    assert told(Z + 0.1 * RNG.normal(size=N), Z, 0) == ""
    assert told(np.full(N, 2.0), Z, 0) == ""


def test_few_rows_tell_nothing() -> None:
    assert told(Y[:40], Y[:40]) == ""
    rare = np.zeros(N)
    rare[:3] = 1
    assert told(rare, rare) == ""


def test_a_column_with_the_ids() -> None:
    ids = pd.Index([f"C{i}" for i in range(N)], name="customer")
    assert "it holds the ids of column 'customer'" in is_the_id(pd.Series(ids, name="x", dtype=object), ids, Settings())
    numbers = pd.Index(RNG.permutation(N) + 10**8, name="customer")
    assert "it holds the ids" in is_the_id(pd.Series(numbers.to_numpy(float), name="x"), numbers, Settings())
    assert "it holds the ids" in is_the_id(
        pd.Series(numbers.to_numpy(float), name="x"), numbers.astype(str), Settings()
    )
    assert is_the_id(pd.Series(numbers.to_numpy(float) + 1, name="x"), numbers, Settings()) == ""
    assert is_the_id(pd.Series(Z, name="x"), ids, Settings()) == ""
    assert is_the_id(pd.Series([None] * N, name="x", dtype=object), ids, Settings()) == ""
