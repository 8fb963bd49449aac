"""Rows are carried as they are stored: a CSV file's cells letter by letter, Arrow's values in their types."""

from __future__ import annotations

import csv
import datetime
import decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from protocols.errors import DataError
from vfl.data import read_source
from vfl.data.source import read_stored

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

CELLS = [
    ["id", "zip", "account", "flag", "amount", "garage", "text"],
    ["a", "00037", "110101199003070259", "TRUE", "1.50", "NA", "Ä, b"],
    ["b", "37", "", "FALSE", "1.5", "", 'say "x"'],
    ["c", "00000", "110101199003070266", "true", "1e3", "x", " lead"],
    ["d", "1", "7", "TRUE", "-0", "null", "two\nlines"],
]
ORDER = np.array([3, 0, 2])


def written(path: Path) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(CELLS)
    return path


def read(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


@pytest.mark.parametrize("rows", [None, np.array([True, False, True, True])])
def test_cells_of_a_csv_file(tmp_path: Path, rows: np.ndarray | None) -> None:
    source = written(tmp_path / "t.csv")
    stored = read_stored(source, rows=rows)
    order = ORDER if rows is None else np.array([2, 0, 1])
    stored.take(order).write(tmp_path / "out.csv")
    assert read(tmp_path / "out.csv") == [CELLS[0], *(CELLS[1 + k] for k in ORDER)]
    text = source.read_text().split("\n", 1)[1]
    assert all(line in text for line in (tmp_path / "out.csv").read_text().split("\n")[1:])
    stored.take(order).write(tmp_path / "out.parquet")
    table = pq.read_table(tmp_path / "out.parquet")
    found = {name: ["" if v is None else str(v) for v in values] for name, values in table.to_pydict().items()}
    assert found == {name: [CELLS[1 + k][c] for k in ORDER] for c, name in enumerate(CELLS[0])}
    assert [n for n, t in zip(table.schema.names, table.schema.types, strict=True) if "string" not in str(t)] == [
        "account"
    ]


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["1", "2", "3"], "int64"),
        (["110101199003070259", "1", "-7"], "int64"),
        (["1", "", "3"], "int64"),
        (["110101199003070259", "", "1"], "string"),  # pandas would read floats
        (["1.5", "0.1", "1e-07"], "double"),
        (["1.5", "", "2.0"], "double"),
        (["1.50", "2.5", "3.5"], "string"),
        (["1", "2.5", "3"], "string"),
        (["007", "8", "9"], "string"),
        (["1", "NA", "3"], "string"),
        (["+1", "2", "3"], "string"),
        (["TRUE", "FALSE", "TRUE"], "string"),
        (["99999999999999999999", "1", "2"], "string"),
        (["", "", ""], "string"),
    ],
)
def test_a_parquet_file_of_texts_has_numbers_where_they_are_the_same_texts(
    tmp_path: Path, cells: list[str], kind: str
) -> None:
    (tmp_path / "t.csv").write_text("id,x\n" + "".join(f"c{k},{cell}\n" for k, cell in enumerate(cells)))
    read_stored(tmp_path / "t.csv").write(tmp_path / "out.parquet")
    column = pq.read_table(tmp_path / "out.parquet").column("x")
    assert str(column.type).removeprefix("large_") == kind
    read = pd.read_parquet(tmp_path / "out.parquet")["x"]
    back = ["" if v is None or v != v else str(v) if kind != "int64" else str(int(v)) for v in read.tolist()]
    assert back == cells
    for texts in ([], ["x"]):
        asked = {"keys": ["id"], "texts": texts}
        pd.testing.assert_frame_equal(
            read_source(tmp_path / "out.parquet", **asked),
            read_source(tmp_path / "t.csv", **asked),
            check_dtype=False,
            check_column_type=False,
        )


def test_texts_in_a_parquet_file_have_the_types_that_they_have_in_csv(tmp_path: Path) -> None:
    source = written(tmp_path / "t.csv")
    read_stored(source).write(tmp_path / "out.parquet")
    asked = {"keys": ["id"], "texts": ["amount"], "missing": ["x"]}
    pd.testing.assert_frame_equal(
        read_source(tmp_path / "out.parquet", **asked), read_source(source, **asked), check_column_type=False
    )
    read_stored(tmp_path / "out.parquet").take(ORDER).write(tmp_path / "again.parquet")
    read_stored(source).take(ORDER).write(tmp_path / "once.csv")
    found = read_source(tmp_path / "again.parquet", **asked)
    pd.testing.assert_frame_equal(found, read_source(tmp_path / "once.csv", **asked), check_column_type=False)


def test_formulas_are_carried_exactly_through_both_forms(tmp_path: Path) -> None:
    cells = [["id", "=a"], ["1", "=1+1"], ["2", "'=x"], ["3", "+447700900123"], ["4", "''-y"]]
    with (tmp_path / "t.csv").open("w", newline="") as file:
        csv.writer(file).writerows(cells)
    meant = read_source(tmp_path / "t.csv", keys=["id"])
    for name in ("out.csv", "out.parquet"):
        read_stored(tmp_path / "t.csv").write(tmp_path / name)
        pd.testing.assert_frame_equal(read_source(tmp_path / name, keys=["id"]), meant, check_column_type=False)


def arrow() -> object:
    return pa.table(
        {
            "id": pa.array([1, None, 3, 2**60 + 1], pa.int64()),
            "money": pa.array([decimal.Decimal("1.50"), None, decimal.Decimal("7.00"), None], pa.decimal128(12, 2)),
            "day": pa.array([datetime.date(2026, 1, k) for k in (1, 2, 3, 4)]),
            "when": pa.array([1, 2, None, 4], pa.timestamp("ns", tz="Europe/Berlin")),
            "group": pa.array(["u", "v", None, "u"]).dictionary_encode(),
            "small": pa.array([1, 2, 3, None], pa.uint8()),
            "list": pa.array([[1.0], [], None, [2.0]]),
            "flag": pa.array([True, None, False, True]),
        }
    )


@pytest.mark.parametrize("rows", [None, np.array([True, False, True, True])])
def test_values_of_a_parquet_file_keep_their_types(tmp_path: Path, rows: np.ndarray | None) -> None:
    table = arrow()
    pq.write_table(table, tmp_path / "t.parquet")
    stored = read_stored(tmp_path / "t.parquet", rows=rows)
    assert len(stored) == (4 if rows is None else 3)
    stored.take(ORDER if rows is None else np.array([2, 0, 1])).write(tmp_path / "out.parquet")
    found = pq.read_table(tmp_path / "out.parquet")
    assert found.schema.equals(table.schema)
    assert found.equals(table.take(pa.array(ORDER)))
    keys = read_source(tmp_path / "t.parquet", only=["id"])["id"]
    assert stored.frame(["id"])["id"].tolist() == keys[slice(None) if rows is None else rows].tolist()


@pytest.mark.parametrize("name", ["id", None])
@pytest.mark.parametrize("values", [range(10, 14), ["a", "b", "c", "d"]])
def test_an_index_that_pandas_stored(tmp_path: Path, name: str | None, values: object) -> None:
    """A named one is a column like others, one without a name is left out, and no range of the old rows remains."""
    frame = pd.DataFrame({"x": [1.5, 2.5, 3.5, 4.5]}, index=pd.Index(values, name=name))
    frame.to_parquet(tmp_path / "t.parquet")
    read_stored(tmp_path / "t.parquet").take(ORDER).write(tmp_path / "out.parquet")
    once = read_source(tmp_path / "t.parquet").iloc[ORDER].reset_index(drop=True)
    pd.testing.assert_frame_equal(read_source(tmp_path / "out.parquet"), once)
    assert list(once.columns) == (["id", "x"] if name else ["x"])


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_a_file_that_changed(tmp_path: Path, name: str) -> None:
    frame = pd.DataFrame({"id": ["a", "b"]})
    frame.to_csv(tmp_path / name, index=False) if name.endswith("csv") else frame.to_parquet(tmp_path / name)
    for rows in (1, 3):
        with pytest.raises(DataError, match="changed while it was aligned"):
            read_stored(tmp_path / name, rows=np.ones(rows, np.bool_))
