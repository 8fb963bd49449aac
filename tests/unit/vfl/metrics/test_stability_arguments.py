"""What is no count, index or column is refused with a typed error that says what is wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from protocols.errors import DataError
from vfl import metrics
from vfl.metrics import Bins


@pytest.mark.parametrize("wrong", [[1, 2, 3], None, "abc", {"a": 1}, pd.DataFrame({"a": [1]}), np.arange(3)])
def test_bins_take_a_column(wrong: Any) -> None:
    for call in (Bins.fit, Bins.fit(pd.Series([1.0, 2.0])).count):
        with pytest.raises(DataError, match=r"a column is a pandas Series.* Pass pd\.Series") as caught:
            call(wrong)
        assert "abc" not in str(caught.value)
    assert Bins.fit(pd.Series([1, 2, 3])).values == (1.0, 2.0, 3.0)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("ab", "is not a list of counts"),
        (None, "is not a list of counts"),
        (3, "is not a list of counts"),
        (["x", "y"], "is not a list of counts"),
        ([[1, 2]], "is not a list of counts"),
        ([1, -2], "holds a negative count"),
        ([1, float("nan")], "holds a count that is missing or infinite"),
        ([1, float("inf")], "holds a count that is missing or infinite"),
    ],
)
def test_an_index_is_of_counts(wrong: Any, words: str) -> None:
    for call in (metrics.psi, metrics.by_chance, metrics.mark):
        with pytest.raises(DataError, match=f"expected {words}"):
            call(wrong, [1, 2])
        with pytest.raises(DataError, match=f"actual {words}"):
            call([1, 2], wrong)
        with pytest.raises(DataError, match="not two lists of one length"):
            call([1, 2], [1, 2, 3])
    assert metrics.psi([1, 2], [1, 2]) == 0
