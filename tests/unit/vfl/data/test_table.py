"""A table that is wrong is refused in words that name columns and row numbers, and never a value."""

import decimal
import traceback

import numpy as np
import pandas as pd
import pytest

from protocols.errors import DataError
from tests.unit.vfl.data.samples import CANARY, build, good


def refusal(frame: pd.DataFrame, **options) -> str:
    with pytest.raises(DataError) as caught:
        build(frame, **options)
    assert caught.value.party == "bank"
    assert caught.value.exit_code == 3
    assert caught.value.remedy
    whole = "".join(traceback.format_exception(caught.value)) + repr(caught.value.args)
    assert CANARY not in whole
    return str(caught.value)


def changed(column: str, values: dict[int, object], rows: int = 6) -> pd.DataFrame:
    frame = good(rows)
    frame[column] = frame[column].astype(object)
    for row, value in values.items():
        frame.loc[row, column] = value
    return frame


def test_a_good_table():
    table = build(good())
    assert table.ids[0] == b"\x00\x00\x00\x07canary0"
    assert list(table.index[:2]) == [f"{CANARY}0", f"{CANARY}1"]
    assert table.index.name == "id"
    assert list(table.features) == ["limit", "age"]
    assert set(table.features.dtypes) == {np.dtype(np.float64)}
    assert table.label is not None
    assert table.label.tolist() == [0.0, 1.0] * 3
    assert table.classes == (0, 1)
    assert len(table) == 6


def test_printing_a_table_shows_sizes_only():
    assert repr(build(good())) == "<Table of bank: 6 rows, 2 features, with label>"
    assert repr(build(good(), label=None)) == "<Table of bank: 6 rows, 3 features>"


def test_columns_are_taken_in_the_order_asked_for():
    assert list(build(good(), columns=["age", "limit"]).features) == ["age", "limit"]
    assert list(build(good(), columns=["age"]).features) == ["age"]
    assert build(good(), columns=[]).features.shape == (6, 0)


def test_columns_that_are_not_asked_for_may_hold_anything():
    build(changed("limit", {0: "x"}), columns=["age"])


def test_the_key_may_be_the_index():
    assert build(good().set_index("id")).ids == build(good()).ids


def test_the_frame_is_left_as_it_was():
    frame = good()
    build(frame)
    pd.testing.assert_frame_equal(frame, good())


# --- columns


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"keys": ["customer"]}, "id column 'customer' is not in the table, which has 'id', 'limit', 'age', 'default'"),
        ({"label": "y"}, "label column 'y' is not in the table, which has 'id'"),
        ({"columns": ["age", "income"]}, "feature column 'income' is not in the table"),
        ({"columns": ["id"]}, "the feature 'id' is a key column"),
        ({"columns": ["default"]}, "the feature 'default' is the label"),
        ({"columns": ["age", "age"]}, "'age' twice"),
        ({"label": "id"}, "the label 'id' is a key column"),
    ],
)
def test_wrong_columns_are_named(options, says):
    assert says in refusal(good(), **options)


def test_column_names_that_repeat_or_are_no_texts():
    assert "more than one column called 'age'" in refusal(good().rename(columns={"limit": "age"}))
    assert "column names must be texts" in refusal(good().rename(columns={"limit": 3}))


def test_a_host_needs_a_feature_and_a_guest_does_not():
    only_ids = good()[["id"]]
    assert "no feature column" in refusal(only_ids, label=None)
    assert build(only_ids, label=None, need_features=False).features.shape == (6, 0)
    assert build(good()[["id", "default"]]).features.shape == (6, 0)


def test_an_empty_table():
    assert "the table has no rows" in refusal(good(0))


def test_many_columns_are_not_all_listed():
    wide = good().join(pd.DataFrame(np.zeros((6, 50)), columns=[f"c{i}" for i in range(50)]))
    assert "and 34 more" in refusal(wide, keys=["nope"])


# --- label


@pytest.mark.parametrize(
    ("values", "classes"),
    [
        (["yes", "no"], ("no", "yes")),
        ([True, False], (False, True)),
        ([2.0, -1.0], (-1.0, 2.0)),
        ([np.int8(1), np.int8(2)], (1, 2)),
        ([decimal.Decimal(1), decimal.Decimal(0)], (0.0, 1.0)),
    ],
)
def test_the_larger_of_two_labels_is_the_event(values, classes):
    table = build(good().assign(default=pd.Series(values * 3, dtype=object)))
    assert table.classes == classes
    assert table.label.tolist() == [float(v == classes[1]) for v in values * 3]


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ([1, None, 0, 1, 0, None], "label column 'default' has missing values in rows 2, 6"),
        ([1] * 6, "holds one value only"),
        ([CANARY] * 6, "holds one value only"),
        ([0, 1, 2, 0, 1, 2], "holds 3 different values"),
        ([0, CANARY] * 3, "mixes types"),
        ([(0,), (1,)] * 3, "neither text nor numbers"),
    ],
)
def test_a_bad_label(values, says):
    assert says in refusal(good().assign(default=pd.Series(values, dtype=object)))


def test_scoring_needs_no_label_and_does_not_take_it_for_a_feature():
    table = build(good().assign(default=np.nan), need_label=False)
    assert (table.label, table.classes, list(table.features)) == (None, None, ["limit", "age"])
    assert list(build(good().drop(columns="default"), need_label=False).features) == ["limit", "age"]


# --- features


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({1: np.nan}, "feature column 'limit' has missing values in row 2"),
        ({1: None, 4: np.nan}, "has missing values in rows 2, 5"),
        ({0: np.inf, 5: -np.inf}, "has infinite values in rows 1, 6"),
        ({2: CANARY}, "is not numeric in row 3"),
        ({2: "7"}, "holds numbers as text in row 3"),
        ({2: "7", 3: CANARY}, "is not numeric in row 4"),
        ({2: pd.Timestamp(0)}, "is not numeric in row 3"),
        ({2: 1j}, "is not numeric in row 3"),
        ({2: [CANARY]}, "is not numeric in row 3"),
        ({2: b"CANARY"}, "is not numeric in row 3"),
    ],
)
def test_a_bad_feature_is_named_with_its_rows(values, says):
    frame = good().astype({"limit": object})
    for row, value in values.items():
        frame.at[row, "limit"] = value
    assert says in refusal(frame)


@pytest.mark.parametrize(
    "column",
    [
        pd.Series([CANARY] * 6, dtype="str"),
        pd.Series([CANARY, "b"] * 3, dtype="category"),
        pd.Series(pd.date_range("2026-01-01", periods=6)),
        pd.Series([1j] * 6),
    ],
)
def test_a_whole_column_that_is_not_numeric(column):
    said = refusal(good().assign(limit=column))
    assert "feature column 'limit' is not numeric in rows 1, 2, 3, 4, 5 and 1 more" in said
    assert "data.exclude" in said


@pytest.mark.parametrize(
    "column",
    [
        pd.Series([True, False] * 3),
        pd.Series([True, False] * 3, dtype="boolean"),
        pd.Series([1, 0] * 3, dtype="Int64"),
        pd.Series([1, 0] * 3, dtype="uint8"),
        pd.Series([decimal.Decimal(1), 0, True, 0.0, np.float32(1), np.int8(0)], dtype=object),
    ],
)
def test_numbers_and_booleans_of_every_make(column):
    values = build(good().assign(limit=column)).features["limit"]
    assert values.dtype == np.float64
    assert values.tolist() == [1.0, 0.0] * 3


def test_nullable_integers_that_miss():
    assert "row 2" in refusal(good().assign(limit=pd.Series([1, None, 3, 4, 5, 6], dtype="Int64")))


def test_a_number_too_large_for_a_float_is_infinite():
    assert "holds a number that is too large in row 1" in refusal(
        good().assign(limit=pd.Series([10**400, 1, 2, 3, 4, 5], dtype=object))
    )


# --- duplicates


def test_duplicates_are_counted_and_located_after_normalising():
    frame = good().assign(id=["A", "a ", "b", "B", "c", "ａ"])
    said = refusal(frame)
    assert "3 rows carry an id that an earlier row has" in said
    assert "rows 2, 4, 6" in said
    assert 'duplicates = "first"' in said


def test_the_first_of_duplicates_is_kept():
    frame = good().assign(id=["A", "a ", "b", "B", "c", "ａ"], default=[0, 1, 1, 0, 1, 0])
    table = build(frame, duplicates="first")
    assert table.index.tolist() == ["A", "b", "c"]
    assert table.features["age"].tolist() == [20, 22, 24]


def test_rows_that_were_dropped_are_not_checked_and_numbers_stay_the_tables():
    frame = good().assign(id=["a", "a", "b", "c", "d", "e"], default=[0, 5, 1, 0, 1, 1])
    frame.loc[1, "limit"] = np.nan
    assert build(frame, duplicates="first").classes == (0, 1)
    frame.loc[4, "limit"] = np.nan
    assert "in row 5" in refusal(frame, duplicates="first")


def test_a_table_is_not_changed_by_its_frame():
    frame = good().assign(town=pd.Series(["a", "b"] * 3, dtype=object))
    table = build(frame, texts=True)
    before = table.digest()
    frame.loc[0, "limit"] = 1e9
    frame.iloc[1, frame.columns.get_loc("town")] = "c"
    frame["limit"] += 1
    assert table.digest() == before
    assert table.features["town"].tolist() == ["a", "b"] * 3


@pytest.mark.parametrize(
    ("cells", "remedy"),
    [
        ({3: "-"}, "if their text means a missing value, name it, such as"),
        (dict.fromkeys(range(6), "5 %"), "Store plain numbers, such as 1234.5"),
        ({2: "1,200.5"}, "Store plain numbers"),
        ({k: f"2026-01-0{k + 1}" for k in range(6)}, "such as the days since an event"),
        ({2: "01.02.2026"}, "such as the days since an event"),
        (dict.fromkeys(range(6), "12,5"), "data.decimal"),
        (dict.fromkeys(range(6), "red"), "Encode it as numbers"),
    ],
    ids=["a dash", "percent", "thousands", "dates", "a date", "decimal commas", "texts"],
)
def test_the_remedy_fits_what_stands_in_a_column_of_numbers(cells, remedy):
    said = refusal(changed("limit", cells))
    assert "is not numeric in row" in said
    assert remedy in said
