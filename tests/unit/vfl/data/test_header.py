"""The first row of a file without a header is a customer's: no message prints it as names of columns."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from protocols.errors import DataError
from tests.unit.vfl.data.samples import CANARY, build
from vfl.data import read_source
from vfl.data.header import HEADER, like_cells

ROWS = [
    f"{CANARY},41,yes",  # a number
    f"{CANARY},1990-02-28,yes",
    f"{CANARY},+44 20 7946 0958,yes",
    f"{CANARY},anna@example.org,yes",
    f"{CANARY},1.5e3,yes",
]


@pytest.mark.parametrize("row", ROWS)
def test_a_first_row_is_not_printed_as_names(row: str, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f"{row}\nB,7,no\n")
    frame = read_source(path, keys=[CANARY])
    with pytest.raises(DataError, match="id column 'id' is not in the table, which has 3 columns") as caught:
        build(frame, label=None)
    hidden(caught.value, row)


@pytest.mark.parametrize("row", [f"{CANARY},41,{CANARY}", f"{CANARY},41,41"])
def test_repeated_cells_are_not_printed_as_names(row: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(f"{row}\nB,7,no\n")
    with pytest.raises(DataError, match="has 3 columns, of which some have the same name") as caught:
        read_source(tmp_path / "t.csv", keys=["id"])
    hidden(caught.value, row)
    with pytest.raises(DataError, match="some have the same name") as caught:
        build(pd.DataFrame([["B", 7, 1]], columns=row.split(",")), keys=[CANARY], label=None)
    hidden(caught.value, row)


def test_a_folder_of_files_without_headers(tmp_path: Path) -> None:
    for name, row in (("a.csv", "A,7,yes"), ("b.csv", f"{CANARY},41,no")):
        (tmp_path / name).write_text(f"{row}\nB,8,yes\n")
    with pytest.raises(DataError, match=r"has other columns than a\.csv") as caught:
        read_source(tmp_path, keys=["id"])
    hidden(caught.value, f"{CANARY},41,no")


def hidden(error: DataError, row: str) -> None:
    text = f"{error} {error.__cause__} {error.__context__}"
    assert HEADER in text
    assert CANARY not in text
    assert not [cell for cell in row.split(",") if repr(cell) in text]


def test_names_are_printed(tmp_path: Path) -> None:
    names = ["bill_2027", "KUNDENNR", "x1", "rate_%", "2nd_income", "e-mail"]
    assert not like_cells(names)
    with pytest.raises(DataError, match="which has 'bill_2027', 'KUNDENNR', 'x1'"):
        build(pd.DataFrame([[1.0] * 6], columns=names), label=None)
    (tmp_path / "t.csv").write_text("bill,bill\n1,2\n")
    with pytest.raises(DataError, match="more than one column called 'bill'"):
        read_source(tmp_path / "t.csv", keys=["id"])


@pytest.mark.parametrize("title", ["Export of May\n", '"Export, May"\n', "Export\n\nsecond line\n"])
def test_a_title_above_the_header(title: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(f"{title}id,y,a\n001,0,1.5\n")
    with pytest.raises(DataError, match=r"remove the lines above the header|a title stands above the header"):
        read_source(tmp_path / "t.csv", keys=["id"])
    (tmp_path / "t.csv").write_text("id\n001\n")
    assert read_source(tmp_path / "t.csv", keys=["id"]).columns.tolist() == ["id"]


@pytest.mark.parametrize(
    ("name", "meant"), [(" age", "with a blank in the header"), ("age ", "with a blank"), ("Age", ""), ("agee", "")]
)
def test_the_nearest_name_is_asked_for(name: str, meant: str) -> None:
    frame = pd.DataFrame({"id": ["a", "b"], name: [1, 2], "limit": [3, 4]})
    with pytest.raises(DataError, match=f"Did you mean '{name}'.*{meant}"):
        build(frame, label=None, columns=["age"])
    with pytest.raises(DataError) as caught:
        build(frame, label=None, columns=["income"])
    assert "Did you mean" not in str(caught.value)


@pytest.mark.parametrize(
    "days", [["2026-01-31", "2026-02-01"], pd.to_datetime(["2026-01-31", None]), [datetime.date(2026, 1, 31)] * 2]
)
def test_a_column_of_days_is_not_suggested_as_an_id(days: Any) -> None:
    frame = pd.DataFrame({"customer_date": days, "limit": [3, 4]})
    with pytest.raises(DataError, match="id column 'customer_id' is not in the table") as caught:
        build(frame, label=None, keys=["customer_id"])
    assert "Did you mean" not in str(caught.value)
    with pytest.raises(DataError, match="Did you mean 'customer_date'"):  # the same name, written otherwise
        build(frame, label=None, keys=["CustomerDate"])
    with pytest.raises(DataError, match="Did you mean 'customer_date'"):
        build(frame.assign(customer_date=["K1", "K2"]), label=None, keys=["customer_id"])


def test_no_first_row_is_suggested_as_a_name() -> None:
    frame = pd.DataFrame([["a", 1, 2]], columns=[CANARY, "41", "yes"])
    with pytest.raises(DataError) as caught:
        build(frame, label=None, keys=[f"{CANARY}x"])
    assert "Did you mean" not in str(caught.value)
