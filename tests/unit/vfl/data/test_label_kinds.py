"""What a label must hold depends on the model: classes, values or counts; weights and missing features likewise."""

import numpy as np
import pandas as pd
import pytest

from protocols.errors import DataError
from tests.unit.vfl.data.samples import build, good


def labels(values: list[object], objective: str) -> tuple[list[float], object]:
    table = build(good().assign(default=pd.Series(values, dtype=object)), objective=objective)
    assert table.label is not None
    return table.label.tolist(), table.classes


@pytest.mark.parametrize(
    ("objective", "values", "numbers", "classes"),
    [
        ("binary", ["b", "a"] * 3, [1, 0] * 3, ("a", "b")),
        ("multiclass", ["b", "c", "a"] * 2, [1, 2, 0] * 2, ("a", "b", "c")),
        ("multiclass", [True, False] * 3, [1, 0] * 3, (False, True)),
        ("multiclass", [10, 9, 2] * 2, [2, 1, 0] * 2, (2, 9, 10)),
        ("numeric", [1.5, -2, np.float32(0.5)] * 2, [1.5, -2, 0.5] * 2, None),
        ("count", [0, 3.0, np.int8(7)] * 2, [0, 3, 7] * 2, None),
    ],
)
def test_each_kind_of_label(objective, values, numbers, classes):
    assert labels(values, objective) == (numbers, classes)


@pytest.mark.parametrize(
    ("objective", "values", "says"),
    [
        ("binary", [0, 1, 2] * 2, "holds 3 different values"),
        ("multiclass", [1] * 6, "holds one value only"),
        ("multiclass", [0, "a", "b"] * 2, "mixes types"),
        ("numeric", ["yes", "no"] * 3, "label column 'default' is not numeric in rows 1, 2, 3, 4, 5 and 1 more"),
        ("numeric", ["1", 2, 3] * 2, "holds numbers as text in rows 1, 4"),
        ("numeric", [1, np.inf, 3] * 2, "has infinite values in rows 2, 5"),
        ("numeric", [1, None, 3] * 2, "has missing values in rows 2, 5"),
        ("numeric", [1.5] * 6, "holds one value only"),
        ("count", [0, 1, -1] * 2, "holds values that are not counts in rows 3, 6"),
        ("count", [0, 1, 0.5] * 2, "holds values that are not counts in rows 3, 6"),
        ("count", [0] * 6, "holds zeros only"),
        ("count", [10**400, 1, 2, 3, 4, 5], "too large in row 1"),
    ],
)
def test_a_label_of_another_kind(objective, values, says):
    frame = good().assign(default=pd.Series(values, dtype=object))
    with pytest.raises(DataError, match=says) as caught:
        build(frame, objective=objective)
    assert caught.value.remedy
    raw = None if "missing" in says else build(frame, objective=None)  # a missing label is wrong whatever is fitted
    if raw is not None:
        with pytest.raises(DataError, match=says):
            raw.for_model(objective)


def test_too_many_classes():
    with pytest.raises(DataError, match="1000 classes at most"):
        build(good(1002).assign(default=np.arange(1002)), objective="multiclass")


@pytest.mark.parametrize("objective", ["binary", "multiclass", "numeric", "count"])
def test_a_kind_that_is_known_later_gives_the_same_table(objective):
    frame = good().assign(default=[0, 1, 1, 0, 1, 0])
    assert build(frame, objective=None).for_model(objective).digest() == build(frame, objective=objective).digest()


def test_missing_features_are_kept_where_they_are_allowed():
    frame = good().assign(age=[20, None, 22, 23, np.nan, 25])
    table = build(frame, missing=True)
    assert table.features["age"].isna().tolist() == [False, True, False, False, True, False]
    assert table.for_model("binary", missing=True).features["age"].isna().sum() == 2
    for refuse in (lambda: build(frame), lambda: table.for_model("binary")):
        with pytest.raises(DataError, match="feature column 'age' has missing values in rows 2, 5"):
            refuse()


def test_weights_are_no_feature_and_move_with_their_rows():
    table = build(good().assign(w=[1, 2, 3, 4, 5, 6]), weights="w")
    assert table.weight is not None
    assert list(table.features) == ["limit", "age"]
    assert table.take(np.array([4, 0])).weight.tolist() == [5.0, 1.0]
    assert table.digest() != build(good()).digest()
    assert table.digest() != build(good().assign(w=[1, 2, 3, 4, 5, 7]), weights="w").digest()
    assert build(good().assign(w=np.nan), weights="w", need_label=False).weight is None


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ([1, 0, 1] * 2, "rows 2, 5"),
        ([1, -1, 1] * 2, "rows 2, 5"),
        ([1, None, 1] * 2, "rows 2, 5"),
        ([1, np.inf, 1] * 2, "rows 2, 5"),
    ],
)
def test_a_bad_weight(values, says):
    with pytest.raises(DataError, match="weight column 'w' holds values that are not weights in " + says):
        build(good().assign(w=values), weights="w")


def test_weights_that_are_something_else():
    for weights, says in (
        ("nope", "weight column 'nope' is not in the table"),
        ("id", "is a key column"),
        ("default", "both label and weight"),
    ):
        with pytest.raises(DataError, match=says):
            build(good(), weights=weights)
