"""Columns of categories: read where they are wanted, refused where they are not."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest

from protocols.errors import DataError
from vfl.data import Settings, Table, table_from_frame

FRAME = pd.DataFrame(
    {
        "id": ["a", "b", "c", "d"],
        "town": ["York", None, "Ely", "York"],
        "code": [3, "x", 2.0, True],
        "grade": [1, 2, 2, 3],
        "size": [0.5, np.nan, 1, 2],
    }
)


def read(frame: pd.DataFrame = FRAME, **settings: Any) -> Table:
    settings = {"texts": True, "missing": True} | settings
    return table_from_frame(
        frame, party="shop", keys=["id"], normalise={}, duplicates="error", label=None, columns=None, **settings
    )


def test_columns_with_a_text_hold_texts() -> None:
    table = read()
    assert table.texts == ("town", "code")
    assert table.features["town"].tolist() == ["York", None, "Ely", "York"]
    assert table.features["code"].tolist() == ["3", "x", "2", "True"]  # whole numbers are written without a point
    assert table.features["grade"].dtype == np.float64
    assert table.take(np.array([2])).texts == ("town", "code")


def test_declared_columns_hold_categories_whatever_is_in_them() -> None:
    numbers, declared = FRAME.drop(columns=["town", "code"]), Settings({"grade": "category"})
    assert read(numbers, settings=declared).features["grade"].tolist() == ["1", "2", "2", "3"]
    gaps = read(
        numbers.assign(grade=[1, None, 2, 3]), settings=declared
    )  # a gap makes the column one of floats: the same categories
    assert gaps.features["grade"].tolist() == ["1", None, "2", "3"]
    assert read(numbers).texts == ()


def test_texts_are_refused_where_they_are_not_wanted() -> None:
    with pytest.raises(DataError, match="'town' is not numeric in rows 1, 3, 4"):
        read(texts=False)
    with pytest.raises(DataError, match="'town' is not numeric"):
        read().for_model("binary", missing=True)
    assert read().for_model("binary", missing=True, texts=True).texts == ("town", "code")
    for value, says in (
        (datetime.date(2020, 1, 1), "holds dates in row 2"),
        (float("inf"), "neither text nor a number in row 2"),
        (["x"], "is not numeric in rows 1, 2, 3, 4"),
    ):
        with pytest.raises(DataError, match=says) as caught:
            read(FRAME.assign(code=pd.Series(["x", value, "y", "z"], dtype=object)))
        assert "2020" not in str(caught.value)


def test_the_digest_is_of_the_texts_too() -> None:
    changed = FRAME.assign(town=["York", None, "Ely", "Ely"])
    gap = FRAME.assign(town=["York", None, None, "York"])
    assert len({read(f).digest() for f in (FRAME, changed, gap)}) == 3
    assert read(FRAME.assign(town=["York", "", "Ely", "York"])).digest() == read().digest()  # as a CSV file has it
    assert read().digest() == read(FRAME.copy()).digest()
