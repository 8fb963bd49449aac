"""A table of common rows that are kept: what it says is what the rows themselves say, whatever is asked for, and
however few rows a block has."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from protocols import parts
from protocols.alignment import Alignment
from protocols.kept import in_memory
from tests.unit.vfl.data.samples import build, good
from vfl.data import Table, split_rows
from vfl.data.kept_ids import Every, KeptIds
from vfl.data.kept_table import KeptColumn, KeptTable, Pieces, kept_table
from vfl.storage import shelf
from vfl.storage.shelf import Shelf

ROWS = np.array([4, 0, 3, 1, 5, 7])


@pytest.fixture(params=[2, 4, 1 << 16])
def each(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> tuple[Table, KeptTable]:
    """Common rows that are held, and the same in a file."""
    monkeypatch.setattr(parts, "ROWS", request.param)
    monkeypatch.setattr(shelf, "IN_MEMORY", 1)
    frame = good(9).assign(town=["bath", None, "york", "bath", None, "ely", "york", "york", "bath"])
    table = build(frame, texts=True, missing=True, weights="age", date=None)
    found = Alignment(ROWS, np.zeros(len(ROWS), np.uint8), {"bank": 9}, (6,))
    return table.take(ROWS), kept_table(table, found, Shelf(tmp_path).keep)


def test_all_of_a_kept_table_is_what_the_rows_say(each: tuple[Table, KeptTable]) -> None:
    held, kept = each
    for rows in (np.arange(6), np.array([0, 2, 3]), np.array([3, 1, 5, 0])):
        one, other = held.take(rows), kept.take(rows)
        assert (list(one.ids), list(one.names)) == (list(other.ids), list(other.names))
        assert one.ids.digest() == other.ids.digest()
        assert (one.columns, one.texts, one.shape) == (other.columns, other.texts, other.shape)
        pd.testing.assert_frame_equal(one.features, other.features)
        for name in one.columns:
            pd.testing.assert_series_equal(one.column(name), other.column(name))
        assert one.label is not None
        assert one.weight is not None
        pd.testing.assert_series_equal(one.label, other.label)
        pd.testing.assert_series_equal(one.weight, other.weight)
        assert split_rows(one.ids, 0.5, 1).tolist() == split_rows(other.ids, 0.5, 1).tolist()
        frames = list(other.blocks())
        assert max(map(len, frames)) <= parts.ROWS
        pd.testing.assert_frame_equal(pd.concat(frames, ignore_index=True), one.features)
        for a, b in zip(frames, one.blocks(), strict=True):
            pd.testing.assert_frame_equal(a, b)
    assert repr(kept) == repr(held)


def test_ids_of_several_keys_are_those_that_matched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "ROWS", 2)
    frame = good(6).assign(phone=[f"{k}" for k in range(6)])
    table = build(frame, keys=[["id"], ["phone"]])
    found = Alignment(np.array([4, 0, 3]), np.array([1, 0, 0], np.uint8), {"bank": 6}, (2, 1))
    held, kept = table.aligned(found), kept_table(table, found, in_memory)
    assert (list(held.ids), list(held.names)) == (list(kept.ids), list(kept.names))
    assert kept.matched == (2, 1)


def test_a_table_that_was_kept_as_it_was_read_has_all_its_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its common rows, as they are and kept once more, are those of a table that is held."""
    monkeypatch.setattr(parts, "ROWS", 2)
    frame = good(7).assign(phone=[f"{k}" if k % 3 else None for k in range(7)])
    table = build(frame, keys=[["id"], ["phone"]])
    every = Every(7)
    ids, *more = (KeptIds.keeping(in_memory, own, every) for own in table.keys)
    columns = {name: KeptColumn.keeping(in_memory, table.column(name), every[:]) for name in table.columns}
    label = KeptColumn.keeping(in_memory, table.label, every[:])
    pieces = Pieces(in_memory, ids, None, columns, label, None, None, tuple(more))
    kept = KeptTable.read(pieces, every, table.party, table.classes, 0, table.schema, table.settings)
    assert [list(own) for own in kept.keys] == [list(own) for own in table.keys]
    assert list(kept.names) == list(table.names)
    found = Alignment(np.array([4, 0, 3, 5]), np.array([1, 0, 0, 1], np.uint8), {"bank": 7}, (2, 2))
    held = table.aligned(found)
    for common in (kept.aligned(found), kept_table(kept, found, in_memory)):
        for rows in (np.arange(4), np.array([3, 1])):
            one, other = held.take(rows), common.take(rows)
            assert (list(one.ids), list(one.names)) == (list(other.ids), list(other.names))
            pd.testing.assert_frame_equal(one.features, other.features)
            pd.testing.assert_series_equal(one.label, other.label)
        assert (common.matched, common.fallback) == ((2, 2), ())


def held(table: KeptTable) -> int:
    """Bytes of arrays and frames."""
    found = [value for value in vars(table).values() if isinstance(value, np.ndarray | pd.Series | pd.DataFrame)]
    assert all(isinstance(value, np.ndarray) for value in found)
    return sum(value.nbytes for value in found)


def test_nothing_of_a_kept_table_is_held_and_of_some_rows_where_they_are(each: tuple[Table, KeptTable]) -> None:
    _, kept = each
    assert held(kept) == 0
    assert held(kept.take(np.arange(len(kept)))) == 4 * len(kept)
