"""A query reaches the database letter by letter, and whole numbers come back whole."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import vfl
from vfl.data import read_source

sqlalchemy = pytest.importorskip("sqlalchemy")
ACCOUNT = 110101199003070001  # floats do not tell it from its neighbours


@pytest.fixture
def address(tmp_path: Path) -> str:
    with contextlib.closing(sqlite3.connect(tmp_path / "bank.db")) as connection, connection:
        connection.execute("CREATE TABLE t (id TEXT, at TEXT, tags TEXT, account INTEGER, age INTEGER, x REAL)")
        rows = [(f"C{i}", "2026-01-31 12:30:00", '{"vip":true}', ACCOUNT + i, 20 + i, i / 4) for i in range(6)]
        rows[2] = (*rows[2][:3], None, None, None)
        connection.executemany("INSERT INTO t VALUES (?, ?, ?, ?, ?, ?)", rows)
    return f"sqlite:///{tmp_path}/bank.db"


QUERIES = [
    "SELECT id FROM t WHERE at < '2026-02-01 00:00:00'",
    "SELECT id FROM t WHERE tags = '{\"vip\":true}'",
    "SELECT id FROM t WHERE id NOT LIKE ':test%'",
    "SELECT id FROM t -- see ticket :4711, done :today",
    "SELECT id FROM t /* a block :with :words */",
    "SELECT id FROM t WHERE strftime('%H:%M', at) || ':x' = '12:30:x'",
    "SELECT id AS \"a:b\" FROM t WHERE 'C0::text' <> id",
    "SELECT id FROM t WHERE tags <> '100%s %(a)s \\:b ?'",
]


@pytest.mark.parametrize("query", QUERIES)
def test_a_colon_is_no_parameter(address: str, query: str) -> None:
    assert len(read_source(address, query)) == 6


def test_planted_fault_sqlalchemys_text_takes_words_for_parameters(address: str) -> None:
    failed = 0
    with contextlib.closing(sqlalchemy.create_engine(address).connect()) as connection:
        for query in QUERIES:
            try:
                assert len(connection.execute(sqlalchemy.text(query)).fetchall()) == 6
            except sqlalchemy.exc.SQLAlchemyError:
                failed += 1
    assert failed >= 4


def test_whole_numbers_among_missing_ones_stay_whole(address: str) -> None:
    frame = read_source(address, "SELECT * FROM t ORDER BY id")
    assert frame["account"].dropna().tolist() == [ACCOUNT + i for i in (0, 1, 3, 4, 5)]
    assert frame["account"].isna().tolist() == frame["x"].isna().tolist() == [i == 2 for i in range(6)]
    assert frame["x"].dtype == np.float64
    with contextlib.closing(sqlite3.connect(address.removeprefix("sqlite:///"))) as connection:  # the planted fault
        lost = pd.read_sql_query("SELECT account FROM t ORDER BY id", connection)["account"].dropna()
    assert [int(v) for v in lost] != [ACCOUNT + i for i in (0, 1, 3, 4, 5)]


@pytest.mark.filterwarnings("ignore:.*words for a missing value")  # None as text
def test_a_second_key_with_missing_values_matches_exactly(address: str) -> None:
    own = read_source(address, "SELECT * FROM t ORDER BY id", keys=["account", "id"])
    partner = pd.DataFrame({"account": [str(ACCOUNT + 3), str(ACCOUNT + 9), ""], "id": ["?", "??", "C2"], "y": 1})
    partner["account"] = partner["account"].replace("", None)
    found = vfl.align(own, {"telecom": partner}, on=[["account"], ["id"]])
    assert sorted(found.guest["id"]) == ["C2", "C3"]
    assert list(found.report.by_key.values()) == [1, 1]


@pytest.mark.parametrize(
    ("query", "cells", "kind"),
    [
        ("SELECT 18446744073709551615 * 1.0 AS v", [18446744073709551615.0], "float64"),
        ("SELECT 1 AS v UNION ALL SELECT NULL ORDER BY v DESC", [1, None], "Int64"),
        ("SELECT 1 AS v UNION ALL SELECT 2", [1, 2], "int64"),
        ("SELECT 1 AS v UNION ALL SELECT 2.5", [1.0, 2.5], "float64"),
        ("SELECT NULL AS v", [None], "object"),
        ("SELECT id AS v FROM t WHERE 1 = 0", [], "object"),
    ],
)
def test_types_are_those_of_the_cells(address: str, query: str, cells: list[object], kind: str) -> None:
    column = read_source(address, query)["v"]
    assert str(column.dtype) == kind
    assert [None if pd.isna(v) else v for v in column.tolist()] == cells
