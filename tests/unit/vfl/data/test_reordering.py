"""Rows of a Parquet table in another order, written without holding the table: what reading all of it would write."""

from __future__ import annotations

import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from protocols.errors import DataError
from vfl.data import reordering
from vfl.data.reordering import has_ranges, write_in_order
from vfl.data.source import read_stored

ROWS = 300


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reordering, "BATCH", 32)
    monkeypatch.setattr(reordering, "BUCKET", 20)


def table(folder: Path, *, index: bool = False) -> Path:
    """Files of a folder with columns of many types, the second with more columns' worth of nulls."""
    numbers = pd.array([None if i % 7 == 0 else 10**16 + i for i in range(ROWS)], dtype="Int64")
    frame = pd.DataFrame(
        {
            "id": [f"id-{i}" for i in range(ROWS)],
            "whole": numbers,
            "real": np.where(np.arange(ROWS) % 5 == 0, np.nan, np.arange(ROWS) / 7),
            "text": [None if i % 3 == 0 else f"=x{i % 4}\r" for i in range(ROWS)],
            "truth": [None if i % 11 == 0 else i % 2 == 0 for i in range(ROWS)],
            "day": [datetime.date(2026, 1, 1 + i % 28) for i in range(ROWS)],
            "kind": pd.Categorical([f"k{i % 3}" for i in range(ROWS)]),
            "empty": [None] * ROWS,
        }
    )
    if index:
        frame = frame.set_index(pd.RangeIndex(ROWS, name="number"))
    folder.mkdir()
    for number, rows in enumerate(np.array_split(np.arange(ROWS), 3)):
        frame.iloc[rows].to_parquet(folder / f"part-{number}.parquet", row_group_size=70)
    return folder


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
@pytest.mark.parametrize("taken", [0, 1, 7, 150, ROWS])
def test_the_rows_and_types_of_a_table_that_is_held(tmp_path: Path, taken: int, suffix: str) -> None:
    source = str(table(tmp_path / "table"))
    rows = np.random.default_rng(taken).permutation(ROWS)[:taken]
    read_stored(source).take(rows).write(tmp_path / f"due.{suffix}")
    write_in_order(source, rows, ROWS, tmp_path / f"found.{suffix}")
    if suffix == "csv":
        due, found = ((tmp_path / f"{one}.csv").read_text() for one in ("due", "found"))
        assert found.replace('"', "") == due.replace('"', "")  # each file decides which texts it quotes
    else:
        due, found = (pd.read_parquet(tmp_path / f"{one}.parquet") for one in ("due", "found"))
        pd.testing.assert_frame_equal(found, due)
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"due.{suffix}", f"found.{suffix}", "table"]


@pytest.mark.parametrize("total", [ROWS - 1, ROWS + 1])
def test_a_table_with_other_rows_is_refused(tmp_path: Path, total: int) -> None:
    source = str(table(tmp_path / "table"))
    with pytest.raises(DataError, match="changed while it was aligned"):
        write_in_order(source, np.array([5, 3]), total, tmp_path / "found.parquet")


def test_an_index_that_no_file_holds_is_seen(tmp_path: Path) -> None:
    assert not has_ranges(str(table(tmp_path / "table")))
    assert has_ranges(str(table(tmp_path / "indexed", index=True)))
