"""CSV, Parquet and databases are read as they are; what cannot be read is said without a cell of it."""

import contextlib
import re
import sqlite3
import sys
import tomllib
import traceback
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from protocols.errors import ConfigError, DataError
from tests.places import ROOT
from vfl.data import Schema, Settings, read_source, table_from_frame
from vfl.data.extras import EXTRAS
from vfl.data.form import Form
from vfl.data.readers import delimited
from vfl.run import own_table as runner


@pytest.fixture
def csv(tmp_path: Path):
    def write(text: str | bytes, name: str = "customers.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def refusal(*arguments, **options) -> str:
    with pytest.raises(DataError) as caught:
        read_source(*arguments, **options)
    assert "CANARY" not in "".join(traceback.format_exception(caught.value))
    assert caught.value.remedy
    return str(caught.value)


def test_leading_zeros_survive(csv):
    frame = read_source(csv("id,zip,age\n007,01234,30\n08,99999,41\n"), keys=["id", "zip"])
    assert frame["id"].tolist() == ["007", "08"]
    assert frame["zip"].tolist() == ["01234", "99999"]
    assert frame["age"].tolist() == [30, 41]


def test_ids_are_taken_as_written(csv):
    frame = read_source(csv("id,a\nNA,1\nnull,NA\n1e5,3\n"), keys=["id"])
    assert frame["id"].tolist() == ["NA", "null", "1e5"]
    assert frame["a"].isna().tolist() == [False, True, False]


def test_an_empty_id_is_null_and_is_refused(csv):
    frame = read_source(csv("id,a\nx,1\n,2\n"), keys=["id"])
    with pytest.raises(DataError, match="is empty in row 2"):
        table_from_frame(frame, party="bank", keys=["id"], normalise={}, duplicates="error", label=None, columns=None)


def test_a_key_that_is_not_there_is_left_to_the_table(csv):
    assert list(read_source(csv("id,a\nx,1\n"), keys=["other"])) == ["id", "a"]


def test_byte_order_mark_line_endings_and_quotes(csv):
    frame = read_source(csv(b'\xef\xbb\xbfid,"a, b"\r\n"x ""y""",1\r\n'), keys=["id"])
    assert list(frame) == ["id", "a, b"]
    assert frame["id"].tolist() == ['x "y"']


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("id;a\nCANARY;1\n", "separates columns by semicolons, not by commas"),
        ("id\ta\nCANARY\t1\n", "separates columns by tabs, not by commas"),
        ("id,a,a\nCANARY,1,2\n", "more than one column called 'a'"),
        ("id,a\nx,1\nCANARY,2,3\n", "row 2 (line 3) has more cells than the header"),
        ("id,a\nCANARY,1,2\nCANARY,1,2\n", "has more cells than the header"),
        ('id,a\n"CANARY,1\n', "a quote that does not end"),
        (b"id,a\nCANARY\xff,1\n", "is not UTF-8 text"),
        (b"id\xff,a\nCANARY,1\n", "is not UTF-8 text"),
    ],
)
def test_a_bad_csv_file(csv, text, says):
    assert says in refusal(csv(text), keys=["id"])


def test_files_that_cannot_be_read(tmp_path, csv):
    assert "cannot be read (No such file" in refusal(tmp_path / "no.csv")
    (tmp_path / "folder.csv").mkdir()
    assert "the folder holds no file" in refusal(tmp_path / "folder.csv")
    assert "neither .csv nor .tsv nor .parquet" in refusal(csv("x", "customers.xlsx"))
    assert "neither .csv nor .tsv nor .parquet" in refusal(csv("x", "customers"))
    assert "a file takes no query" in refusal(csv("id\n1\n"), "SELECT CANARY")


def test_parquet(tmp_path, csv):
    pytest.importorskip("pyarrow")
    frame = pd.DataFrame({"id": ["007", "08"], "a": [1, 2]})
    frame.to_parquet(tmp_path / "plain.parquet")
    frame.set_index("id").to_parquet(tmp_path / "indexed.PARQUET")
    for name in ("plain.parquet", "indexed.PARQUET"):
        found = read_source(str(tmp_path / name), keys=["id"])
        assert found["id"].tolist() == ["007", "08"]
        assert found["a"].tolist() == [1, 2]
    assert "not a readable Parquet file" in refusal(csv("CANARY", "x.parquet"))


def test_of_a_wide_parquet_file_only_the_wanted_columns_are_read(tmp_path, monkeypatch):
    pytest.importorskip("pyarrow")
    from pyarrow import parquet

    pd.DataFrame({"id": ["007", "08"], **{f"x{i}": [i, i] for i in range(50)}}).to_parquet(tmp_path / "wide.parquet")
    asked, read = [], parquet.ParquetFile.iter_batches
    monkeypatch.setattr(
        parquet.ParquetFile,
        "iter_batches",
        lambda self, size, columns=None, **more: asked.append(columns) or read(self, size, columns=columns, **more),
    )
    assert list(read_source(tmp_path / "wide.parquet", keys=["id"], only=["id", "x7"])) == ["id", "x7"]
    assert asked == [["id"], ["x7"]]


@pytest.mark.parametrize("library", [name for name, extra in EXTRAS.items() if extra == "data"])
def test_a_missing_extra_is_named_with_the_command_that_installs_it(csv, monkeypatch, library):
    asked = {"pyarrow": (csv("x", "x.parquet"),), "sqlalchemy": ("sqlite:///CANARY.db", "SELECT CANARY")}
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(
        ConfigError, match=f"needs {library}, which comes with the extra 'data'. .*pip install 'vfl.data.'"
    ) as caught:
        read_source(*asked[library])
    assert "CANARY" not in "".join(traceback.format_exception(caught.value))


def test_extras_are_those_of_the_distribution():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {
        re.split(r"[<>=\[]", library)[0].replace("-", "_"): extra
        for extra, libraries in project["optional-dependencies"].items()
        for library in libraries
        if extra not in ("dev", "docs", "oracles")  # of developers
    }
    assert declared.pop("cyclonedx_python_lib") == "evidence"  # of two modules that are imported
    assert declared | {"cyclonedx": "evidence", "packageurl": "evidence"} == EXTRAS


@pytest.fixture
def database(tmp_path: Path) -> str:
    pytest.importorskip("sqlalchemy")
    with contextlib.closing(sqlite3.connect(tmp_path / "bank.db")) as connection, connection:
        connection.execute("CREATE TABLE customers (id TEXT, age INTEGER, income NUMERIC)")
        connection.executemany("INSERT INTO customers VALUES (?, ?, ?)", [("007", 30, 1.5), ("08", 41, 2.5)])
    return f"sqlite:///{tmp_path}/bank.db"


def test_a_database(database):
    frame = read_source(database, "SELECT id, age, income FROM customers ORDER BY id", keys=["id"])
    assert frame["id"].tolist() == ["007", "08"]
    assert frame["age"].tolist() == [30, 41]
    assert frame["income"].tolist() == [1.5, 2.5]


def test_percent_and_colon_free_queries_are_passed_on_as_they_are(database):
    assert len(read_source(database, "SELECT * FROM customers WHERE id LIKE '0%7'")) == 1


def test_a_query_that_gives_a_column_twice_is_refused(database):
    frame = read_source(database, "SELECT id, age, age FROM customers")
    with pytest.raises(DataError, match="more than one column called 'age'"):
        table_from_frame(frame, party="bank", keys=["id"], normalise={}, duplicates="error", label=None, columns=None)


def test_databases_that_do_not_answer_show_neither_query_nor_address(database, tmp_path):
    assert "did not answer the query (OperationalError)" in refusal(database, "SELECT CANARY FROM customers")
    assert "did not answer the query" in refusal(database, "DELETE FROM customers")
    assert "the scheme of the source is neither" in refusal("CANARY://user:CANARY@db/x", "SELECT 1")
    assert "address is not valid" in refusal("sqlite://CANARY:CANARY@:x/y", "SELECT 1")
    assert "did not answer" in refusal(f"sqlite:///{tmp_path}/no/CANARY.db", "SELECT 1")
    assert "needs a query" in refusal("sqlite:///CANARY.db")


def test_a_driver_that_is_not_installed(monkeypatch):
    pytest.importorskip("sqlalchemy")
    monkeypatch.setitem(sys.modules, "psycopg2", None)
    assert "psycopg2 is not installed" in refusal("postgresql+psycopg2://u:CANARY@db/x", "SELECT 1")


def test_some_columns_are_read_in_steps(tmp_path, monkeypatch):
    (tmp_path / "t.csv").write_text("id,x,y\n" + "".join(f"00{i},{i},text\n" for i in range(10)))
    monkeypatch.setattr(delimited, "STEP", 3)
    frame = read_source(tmp_path / "t.csv", keys=["id"], only=["id"])
    assert frame["id"].tolist() == [f"00{i}" for i in range(10)]
    assert list(frame.columns) == ["id"]
    assert frame.index.tolist() == list(range(10))
    assert list(read_source(tmp_path / "t.csv", keys=["id"], only=["z"]).columns) == ["id", "x", "y"]


@pytest.mark.parametrize(
    ("columns", "scored_by", "wanted"),
    [(("x3",), None, ["id", "x3", "bad"]), (("x3",), ("x1", "x2"), ["id", "x1", "x2"]), (None, None, None)],
)
def test_a_run_asks_a_wide_file_for_its_own_columns_only(monkeypatch, columns, scored_by, wanted):
    frame = pd.DataFrame({"id": ["a", "b"], "bad": [0, 1], **{f"x{i}": [1.0, 2.0] for i in range(5)}})
    asked: list[object] = []
    monkeypatch.setattr(runner, "read_source", lambda *_, only, **__: asked.append(only) or frame)
    align = SimpleNamespace(columns=("id",), keys=(("id",),), normalise={}, duplicates="error")
    job = SimpleNamespace(
        align=align,
        model=SimpleNamespace(label="binary", check_table=lambda *_: None),
        takes_texts=False,
        takes_missing=False,
        split=SimpleNamespace(out_of_time=None),
    )
    party = SimpleNamespace(name="bank", role="guest")
    data = SimpleNamespace(
        source="t.csv",
        query=None,
        label="bad",
        weight=None,
        date=None,
        id_columns={},
        settings=Settings,
        form=Form(),
        columns=columns,
    )
    part = SimpleNamespace(inputs=scored_by, schema=Schema(dict.fromkeys(scored_by, "number"))) if scored_by else None
    runner.read_table(job, party, data, scored_by=part)
    assert asked == [wanted]
