"""The type of a column is decided once, or refused with row numbers; what was decided is applied to later tables."""

from __future__ import annotations

import datetime
import decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest

from protocols.errors import DataError
from vfl.data import Schema, Settings, Table, table_from_frame

N = 100
PLAIN = [f"{k}.5" for k in range(N)]


def read(x: Any, **more: Any) -> Table:
    frame = x if isinstance(x, pd.DataFrame) else pd.DataFrame({"id": [f"i{k}" for k in range(len(x))], "x": x})
    given: dict[str, Any] = {"party": "shop", "keys": ["id"], "normalise": {}, "duplicates": "error"}
    return table_from_frame(frame, label=None, columns=None, **({"texts": True, "missing": True} | given | more))


def refusal(x: Any, **more: Any) -> str:
    with pytest.raises(DataError) as caught:
        read(x, **more)
    assert caught.value.party == "shop"
    assert "'x'" in str(caught.value)
    return str(caught.value)


def with_cells(*cells: str, rows: int = N) -> list[str]:
    """A column of numbers, the last cells of which are others."""
    return [*PLAIN[: rows - len(cells)], *cells]


def kind(x: Any, **more: Any) -> str:
    return read(x, **more).schema.types["x"]


# --- what is found


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ([1, 2, 3], "number"),
        ([True, False, True], "number"),
        ([decimal.Decimal("1.5"), None, 2], "number"),
        (pd.array([1, None, 3], dtype="Int64"), "number"),
        ([None, None, None], "number"),
        (["a", "b", None], "text"),
        (["01", "02", "07"], "text"),
        (["1", "2", "7"], "code"),
        (["TRUE", "FALSE", "UNKNOWN"], "text"),
        (pd.Categorical([1, 2, 3]), "code"),
        (pd.Categorical(["01", "1", "2"]), "text"),
        ([3, "x", 2.0], "text"),
    ],
)
def test_types_that_are_found(values: Any, wanted: str) -> None:
    assert kind(values) == wanted


@pytest.mark.parametrize("cell", ["-", "?", "na", "#DIV/0!", "1_200", "n.a.", "01"])
def test_numbers_but_for_a_few_cells_are_refused(cell: str) -> None:
    said = refusal(with_cells(cell))
    assert f"holds numbers, except in row {N}" in said
    assert "missing" in said
    assert 'types = { x = "category" }' in said


def test_the_rule_of_few_has_two_sides() -> None:
    few, more = [f"k{i}" for i in range(5)], [f"k{i}" for i in range(6)]
    assert "rows 96, 97, 98, 99, 100" in refusal(with_cells(*few))
    assert kind(with_cells(*more)) == "text"  # 6 of 100 rows, of 6 kinds
    numbers = [f"{k}.5" for k in range(31)]
    assert "in rows 32, 33, 34, 35, 36 and 26 more" in refusal([*numbers, *["-", "?", "x"] * 10, "-"])  # 3 texts
    assert kind([*numbers[:30], *["-"] * 30]) == "text"  # 30 different numbers
    assert kind([*numbers, *["-"] * 32]) == "text"  # more than half of the cells
    assert kind([*numbers, *["-", "?", "x", "y"] * 5]) == "text"  # 4 texts


def test_codes_among_codes_are_categories() -> None:
    assert kind(["1", "2", "A1", "2", "1", "A1"] * 10) == "text"
    assert "holds numbers, except in row 41" in refusal(["1", "2"] * 20 + ["A1"])
    assert kind(["01", "02"] * 20 + ["A1"]) == "text"  # leading zeros: no numbers


@pytest.mark.parametrize(
    "cells",
    [
        ["1,200", "2,300"],
        ["5%", "12 %"],
        ["€3", "EUR 4.50"],
        ["1 200", "3 400 000"],
        ["(120)", "(1,300)"],
    ],
)
def test_numbers_as_people_write_them_are_refused(cells: list[str]) -> None:
    wanted = "thousands separator, a decimal comma, a percent sign or a currency"
    assert wanted in refusal(cells * 20)
    assert wanted in refusal(with_cells(*cells))
    assert kind(cells * 20, settings=Settings({"x": "category"})) == "text"


@pytest.mark.parametrize("cells", [["12,5", "3,25"], ["1,500", "0,25"], ["1,5", "-2,5"], ["1,234567"]])
def test_decimal_commas_are_refused_with_the_key_that_says_so(cells: list[str]) -> None:
    for found in (refusal(cells * 20), refusal(with_cells(*cells))):
        assert "holds numbers with a decimal comma in row" in found
        assert 'data.decimal = ","' in found
    assert kind(cells * 20, settings=Settings({"x": "category"})) == "text"


@pytest.mark.parametrize(
    "values",
    [
        pd.date_range("2026-01-01", periods=20),
        [datetime.date(2026, 1, 1 + k) for k in range(20)],
        [f"2026-01-{k:02d}" for k in range(1, 21)],
        [f"{k:02d}.01.2026" for k in range(1, 20)] + ["-"],
        ["2026-01-01T08:00"] * 20,
    ],
)
def test_dates_are_refused(values: Any) -> None:
    said = refusal(values)
    assert "holds dates in rows 1, 2" in said
    assert 'data.exclude = ["x"]' in said
    assert "2026" not in said


def test_fractions_as_texts_are_refused_and_codes_are_not() -> None:
    assert "holds numbers as text in rows 1, 2" in refusal(PLAIN)
    assert kind([str(k) for k in range(N)]) == "code"
    assert read(PLAIN, settings=Settings({"x": "number"})).features["x"].tolist() == [float(v) for v in PLAIN]


# --- what is declared


def test_a_declaration_wins() -> None:
    assert kind(with_cells("-"), settings=Settings({"x": "category"})) == "text"
    assert kind([1, 2, 3], settings=Settings({"x": "category"})) == "code"
    assert kind(["01", "2"], settings=Settings({"x": "category"})) == "text"
    assert "is not numeric in row 100" in refusal(with_cells("-"), settings=Settings({"x": "number"}))


def test_a_text_can_be_declared_missing() -> None:
    for settings in (Settings(missing=("-",)), Settings({"x": "number"}, missing=("-",))):
        table = read(with_cells("-"), settings=settings) if settings.types else None
        if table is not None:
            assert np.isnan(table.features["x"].iloc[-1])
    gaps = read(["a", "-", "NA", ""], settings=Settings(missing=("-",)))
    assert gaps.features["x"].tolist() == ["a", None, None, None]
    assert "-" in gaps.schema.missing


def test_a_number_can_be_declared_missing_too() -> None:
    """-999 is one thing in every kind of file."""
    settings = Settings(missing=("-999",))
    for values in ([1.5, -999.0], [1, -999], pd.array([1, -999], dtype="Int64"), ["a", "-999"]):
        assert read(values, settings=settings).features["x"].isna().tolist() == [False, True]
    assert read([1, -999]).features["x"].tolist() == [1.0, -999.0]


def test_remedies_are_in_the_voice_of_their_place() -> None:
    assert 'data.types = { x = "category" }' in refusal(with_cells("-"))
    python = refusal(with_cells("-"), settings=Settings(in_python=True))
    assert 'vfl.TableOptions(types={"x": "category"})' in python
    assert 'vfl.TableOptions(missing=["-"])' in python


# --- what is applied to later tables


def test_numbers_stay_numbers() -> None:
    schema = read([1.0, 2.0]).schema
    assert read(["1.5", "2"], schema=schema).features["x"].tolist() == [1.5, 2.0]
    assert read(["TRUE", "NA"], schema=schema).features["x"].fillna(-1).tolist() == [1.0, -1.0]
    assert "is not numeric in row 2" in refusal(["1.5", "A1"], schema=schema)
    assert "is not numeric in row 2" in refusal(["1.5", "1,5"], schema=schema)
    assert "is not numeric in row 1" in refusal([datetime.date(2026, 1, 1), 2], schema=schema)


def test_texts_stay_as_written() -> None:
    schema = read(["01", "TRUE", "007", "A1"]).schema
    assert read(["01", "TRUE", "007"], schema=schema).features["x"].tolist() == ["01", "TRUE", "007"]
    for numbers in ([1, 7], [1.0, None], [True, False], pd.array([1, None], dtype="Int64")):
        assert "holds numbers in row" in refusal(numbers, schema=schema)
    assert read([None, None], schema=schema).features["x"].tolist() == [None, None]


def test_codes_are_one_whatever_the_file_says() -> None:
    schema = read(pd.Categorical([1, 2, 3])).schema
    for later in ([1, 2], ["1", "2"], ["01", "2.0"], [1.0, 2.0], pd.array([1, 2], dtype="Int64"), ["1e0", "2"]):
        assert read(later, schema=schema).features["x"].tolist() == ["1", "2"]
    assert read(["1.0", "A1"], schema=schema).features["x"].tolist() == ["1", "A1"]


def test_a_later_training_is_read_as_the_earlier_one() -> None:
    """With its label, other missing values, and a column that the model does not have."""
    schema = read(["01", "A1"], settings=Settings(missing=("-",))).schema
    frame = pd.DataFrame(
        {"id": ["a", "b", "c", "d"], "y": [0, 1, 0, 1], "x": ["01", "02", "-", "?"], "z": [1, 2, 3, 4]}
    )
    asked: dict[str, Any] = {"party": "shop", "keys": ["id"], "normalise": {}, "duplicates": "error", "texts": True}
    table = table_from_frame(
        frame, label="y", columns=None, schema=schema, settings=Settings(missing=("?",)), missing=True, **asked
    )
    assert table.features["x"].tolist() == ["01", "02", None, None]
    assert table.schema.types == {"x": "text", "z": "number"}
    assert {"-", "?"} <= set(table.schema.missing)
    assert table.label is not None
    with pytest.raises(DataError, match="'x' is declared as number, and was not when the model was trained"):
        read(["1", "2"], schema=schema, settings=Settings({"x": "number"}))
    assert read(["01"], schema=schema, settings=Settings({"x": "category", "y": "number"})).texts == ("x",)


def test_a_part_of_an_earlier_release_says_what_its_columns_are() -> None:
    known = {"branch": ("1", "2"), "zip": ("01", "2"), "gone": ()}
    schema = Schema.of_earlier(["age", "branch", "zip", "gone"], known)
    assert schema.types == {"age": "number", "branch": "code", "zip": "text", "gone": "code"}
    assert schema.missing == ()
    frame = pd.DataFrame({"id": ["a"], "age": [1], "branch": ["01"], "zip": ["01"], "gone": ["NA"]})
    assert read(frame, schema=schema).features.iloc[0].tolist() == [1.0, "1", "01", "NA"]


# --- names


@pytest.mark.parametrize("name", ["", "  ", "Unnamed: 0", "Unnamed: 0_level_1", "__index_level_0__"])
def test_a_column_without_a_name_is_refused(name: str) -> None:
    frame = pd.DataFrame({"id": ["a", "b"], name: [0, 1], "x": [1.0, 2.0]})
    with pytest.raises(DataError, match="no name in the header: column 2 of the table") as caught:
        read(frame)
    assert "index=False" in caught.value.remedy
    assert f'data.exclude = ["{name}"]' in caught.value.remedy
    assert list(read(frame, settings=Settings(exclude=(name,))).features) == ["x"]


def test_excluded_columns_must_be_there_and_be_features() -> None:
    frame = pd.DataFrame({"id": ["a", "b"], "x": [0, 1], "z": [1.0, 2.0]})
    assert list(read(frame, settings=Settings(exclude=("z",))).features) == ["x"]
    with pytest.raises(DataError, match="excluded column 'y' is not in the table"):
        read(frame, settings=Settings(exclude=("y",)))
    with pytest.raises(DataError, match="exclude names 'id', a key column"):
        read(frame, settings=Settings(exclude=("id",)))


def test_a_party_has_its_own_names_of_keys() -> None:
    frame = pd.DataFrame({"KUNDENNR": ["A-1", "B-2"], "x": [0, 1]})
    settings = Settings(id_columns={"id": "KUNDENNR"})
    table = read(frame, settings=settings, normalise={"id": "digits"})
    assert table.ids == read(frame.rename(columns={"KUNDENNR": "id"}), normalise={"id": "digits"}).ids
    assert table.index.name == "KUNDENNR"
    assert list(table.features) == ["x"]
    with pytest.raises(DataError, match="id column 'KUNDENNR' is not in the table"):
        read(frame.rename(columns={"KUNDENNR": "id"}), settings=settings)
    with pytest.raises(DataError, match="id column 'KUNDENNR' is empty in row 2"):
        read(frame.assign(KUNDENNR=["A", ""]), settings=settings)
