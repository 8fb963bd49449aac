"""Months, thousands and codes in a CSV file that read as numbers: told or refused with column, rows and remedy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from protocols.errors import DataError
from vfl.data import Schema, Settings, Table, read_source, table_from_frame
from vfl.data.doubts.written import NOTES
from vfl.data.form import Form
from vfl.data.readers import delimited

N = 60
RNG = np.random.default_rng(2)
MONTHS = [f"{k % 12 + 1:02d}.{2019 + k % 3}" for k in range(N)]
MIXED = ["950" if k % 4 == 0 else f"{k + 1}.{k * 37 % 1000:03d}" for k in range(N)]
POINTS = [f"{k + 1}.{k * 37 % 1000:03d}" for k in range(N)]


def table(tmp_path: Path, cells: list[str], form: Form = Form(), **more: Any) -> Table:  # noqa: B008
    lines = ["id;x", *(f"i{k};{cell}" for k, cell in enumerate(cells))]
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    frame = read_source(tmp_path / "t.csv", keys=["id"], form=Form(separator=";", decimal=form.decimal))
    asked = {"party": "shop", "keys": ["id"], "normalise": {}, "duplicates": "error", "label": None, "columns": None}
    return table_from_frame(frame, **(asked | {"texts": True, "missing": True} | more))


def refused(tmp_path: Path, cells: list[str], **more: Any) -> str:
    with pytest.raises(DataError) as caught:
        table(tmp_path, cells, **more)
    return str(caught.value)


@pytest.mark.parametrize("step", [7, 1000])
@pytest.mark.parametrize("empty", [False, True])
def test_months_and_thousands_are_refused_with_their_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int, empty: bool
) -> None:
    monkeypatch.setattr(delimited, "STEP", step)
    months, mixed = list(MONTHS), list(MIXED)
    if empty:
        months[1] = mixed[1] = ""
    first = "1, 3, 4" if empty else "1, 2, 3"
    said = refused(tmp_path, months)
    assert f"feature column 'x' holds months, such as 01.2026, in rows {first}, " in said
    assert 'data.types = { x = "number" }' in said
    said = refused(tmp_path, mixed)
    assert f"has a point before three digits in rows {'3, 4, 6' if empty else '2, 3, 4'}, " in said
    assert "1.200 may be 1200" in said
    declared = Settings({"x": "number"})
    assert table(tmp_path, months, settings=declared).features["x"].iloc[0] == 1.2019
    assert table(tmp_path, mixed, settings=declared).doubts == ()


def test_what_is_likely_a_number_is_told_and_read(tmp_path: Path) -> None:
    (said,) = table(tmp_path, POINTS).doubts
    assert said.startswith("column 'x' has a point before three digits in rows 1, 2, 3, 4, 5 and 55 more")
    (said,) = table(tmp_path, [f"{10 + k % 3}.20{k % 20:02d}" for k in range(N)]).doubts
    assert "may be months" in said
    (said,) = table(tmp_path, ["12", "007", "1"]).doubts
    assert "leading zeros in row 2, as codes do" in said
    assert 'data.types = { x = "category" }' in said
    assert "leading zeros in row 1" in table(tmp_path, ["05.01", "12.5"]).doubts[0]
    assert table(tmp_path, ["950", "1.200", "2.300"]).doubts[0].endswith('data.types = { x = "number" }')  # few rows


@pytest.mark.parametrize(
    "cells",
    [
        [f"{k}.5" for k in range(N)],
        [f"0.{k:03d}" for k in range(N)],
        [f"{v:.3f}" for v in RNG.normal(size=N)],
        [str(k) for k in range(N)],
        [f"{1.1 + k / 1000:.4f}" for k in range(N)],
        ["1e5", "0", "-0", "10", "0.5"],
    ],
)
def test_plain_numbers_pass(tmp_path: Path, cells: list[str]) -> None:
    assert table(tmp_path, cells).doubts == ()


def test_later_tables_are_told_and_never_refused(tmp_path: Path) -> None:
    known = {"schema": Schema({"x": "number"})}
    assert len(table(tmp_path, MIXED, **known).doubts) == 1
    assert len(table(tmp_path, MONTHS, **known).doubts) == 1
    assert table(tmp_path, ["007", "1"], **known).doubts == ()  # said at the training


def test_with_a_decimal_comma_a_comma_is_one(tmp_path: Path) -> None:
    cells = [cell.replace(".", ",") for cell in POINTS]
    assert table(tmp_path, cells, Form(decimal=",")).doubts == ()


def test_notes_are_plain_and_others_attrs_do_no_harm(tmp_path: Path) -> None:
    table(tmp_path, POINTS)
    frame = read_source(tmp_path / "t.csv", keys=["id"], form=Form(separator=";"))
    assert frame.attrs == {NOTES: {"x": {"perhaps thousands": [N, 1, 2, 3, 4, 5]}}}
    frame.to_parquet(tmp_path / "t.parquet")
    for attrs in ({NOTES: 7}, {NOTES: {"x": 7}}, {NOTES: {"y": {"zeros": [1, 1]}}}, {"other": 1}):
        own = pd.DataFrame({"id": ["a", "b"], "x": [1.5, 2.5]})
        own.attrs = attrs
        asked = {"party": "shop", "keys": ["id"], "normalise": {}, "duplicates": "error", "label": None}
        assert table_from_frame(own, columns=None, **asked).doubts == ()
