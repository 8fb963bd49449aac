"""No cell that the engine writes into a CSV file runs as a formula in a spreadsheet; what it writes, it reads back
exactly."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import vfl
from protocols.errors import DataError
from vfl.cli import monitor
from vfl.data import cells, read_source, stored
from vfl.data.cells import guarded, unguarded, write_csv
from vfl.data.source import read_stored
from vfl.data.stored import StoredFrame
from vfl.report import page
from vfl.run.align import write_rows

HOSTILE = ["=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(1)", "\t=1", "\r=1", "=1", "-", "+", "--5", "-5e", "'=1", "''-x"]
PLAIN = ["-5", "+447700900123", "-0.5", "+1e5", "a", "", "'", "'a", "''", "a=b", "5", "-.5"]


def runs(text: str) -> bool:
    """Whether a spreadsheet would run the cell: the attacker's own test."""
    try:
        float(text)
    except ValueError:
        return text[:1] in "=+-@\t\r" and bool(text)
    return False


def formulas(text: str) -> list[str]:
    return [cell for line in csv.reader(io.StringIO(text, newline="")) for cell in line if runs(cell)]


@pytest.mark.parametrize("cell", HOSTILE)
def test_a_formula_gets_an_apostrophe_and_comes_back(cell: str) -> None:
    assert guarded(cell) == f"'{cell}"
    assert not runs(guarded(cell))
    assert unguarded(guarded(cell)) == cell


@pytest.mark.parametrize("cell", [*PLAIN, -5, 3.5, np.int64(-3), None, float("nan"), True])
def test_numbers_and_other_texts_stay_as_they_are(cell: Any) -> None:
    assert guarded(cell) is cell
    assert unguarded(cell) is cell


@given(st.text())
def test_any_text_survives_and_none_runs(cell: str) -> None:
    assert unguarded(guarded(cell)) == cell
    assert not runs(guarded(cell))


def table() -> pd.DataFrame:
    texts = [c for c in (*HOSTILE, *PLAIN) if c and "\r" not in c]
    return pd.DataFrame(
        {
            "id": texts,
            "=1+1": texts,
            "change": -np.arange(len(texts)) / 4,
            "kind": pd.Categorical((["=a", "b"] * len(texts))[: len(texts)]),
        }
    )


def test_a_table_is_read_back_exactly(tmp_path: Path) -> None:
    write_csv(table(), tmp_path / "t.csv")
    assert not formulas((tmp_path / "t.csv").read_text())
    for frame in (
        read_source(tmp_path / "t.csv", keys=["id"]),
        read_source(tmp_path / "t.csv", keys=["id"], only=["change", "kind", "=1+1", "id"])[table().columns],
    ):
        assert frame.columns.tolist() == table().columns.tolist()
        assert frame["change"].dtype == np.float64
        assert all(frame[c].tolist() == table()[c].tolist() for c in table())
    written = read_stored(
        tmp_path / "t.csv", rows=np.ones(len(table()), np.bool_)
    ).frame()  # every cell is the file's own text
    assert all(written[c].tolist() == table()[c].astype(str).tolist() for c in table())


def test_two_columns_that_differ_in_the_apostrophe_alone_are_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("id,=a,'=a\n1,2,3\n")
    with pytest.raises(DataError, match="more than one column called '=a'"):
        read_source(tmp_path / "t.csv", keys=["id"])


def every_file(tmp_path: Path) -> str:
    """What the writers write of a party's own columns and cells."""
    out = SimpleNamespace(rows=np.arange(len(table())))
    ready = SimpleNamespace(kept=out.rows, stored=StoredFrame(table()), format="csv")
    write_rows(ready, out, tmp_path)  # type: ignore[arg-type]
    line = dict.fromkeys(monitor.NUMBERS, -1.5) | {"column": "=HYPERLINK(1)"}
    monitor.write_monitor({"columns": [line], "score": None}, tmp_path / "m.csv")
    report = page.as_csv(
        {"columns": [{"column": "@x", "mean": -2.0}], "model": {"coefficients": [{"column": "=1+1", "coef": -0.5}]}}
    )
    return (tmp_path / "aligned.csv").read_text() + (tmp_path / "m.csv").read_text() + report


def test_no_file_holds_a_formula(tmp_path: Path) -> None:
    text = every_file(tmp_path)
    assert "'=HYPERLINK(1)" in text
    assert ",-0.5" in text
    assert not formulas(text)


def test_planted_fault_a_writer_without_the_guard_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (cells, page):
        monkeypatch.setattr(module, "guarded", lambda cell: cell)
    assert {"=HYPERLINK(1)", "@x", "=1+1"} <= set(formulas(every_file(tmp_path)))


def test_nothing_else_writes_csv() -> None:
    """But what makes sources: the demonstration's and the benchmarks' tables."""
    root = Path(vfl.__file__).parent
    writers = {
        str(p.relative_to(root))
        for p in root.rglob("*.py")
        if re.search(r"\.to_csv\(|csv\.(Dict)?[wW]riter\(", p.read_text(encoding="utf-8"))
    }
    assert writers - {"demo/run.py", "testing/chaos/federation.py", "bench/netns.py"} == {
        "data/cells.py",
        "report/page.py",
    }
    assert stored.write_csv is write_csv


RETURNS = ["a\rb", "\r", "a\r", "a\r\nb", "a\nb", '"\r"', "=\r"]


@pytest.mark.parametrize("cell", RETURNS)
@pytest.mark.parametrize("as_object", [True, False])
def test_a_carriage_return_ends_no_row(cell: str, as_object: bool, tmp_path: Path) -> None:
    """Python leaves it without quotes, and readers of CSV take it for the end of a line."""
    frame = pd.DataFrame({"id": ["1", "2"], "text": pd.Series([cell, "x"], dtype=object if as_object else "str")})
    write_csv(frame.assign(number=[1.5, 2.5]), tmp_path / "t.csv")
    back = read_source(tmp_path / "t.csv", keys=["id", "text"])
    assert back["text"].tolist() == [cell, "x"]
    assert back["number"].tolist() == [1.5, 2.5]


def test_a_carriage_return_in_a_name(tmp_path: Path) -> None:
    write_csv(pd.DataFrame({"id": ["1"], "a\rb": [2]}), tmp_path / "t.csv")
    assert list(read_source(tmp_path / "t.csv").columns) == ["id", "a\rb"]


def test_files_without_one_have_no_quotes(tmp_path: Path) -> None:
    write_csv(pd.DataFrame({"id": ["1"], "text": ["a b"]}), tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text() == "id,text\n1,a b\n"
