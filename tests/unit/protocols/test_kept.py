"""What is kept in blocks is read as if it were held, wherever blocks begin."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from protocols import parts
from protocols._native import PlainVec
from protocols.kept import Keep, KeptRows, KeptVec, in_memory
from protocols.marked import Marked
from protocols.parts import Part
from vfl.storage import shelf
from vfl.storage.shelf import Shelf

WHOLE = np.arange(100, 140, dtype=np.int16)
SLICES = [slice(0, 40), slice(3, 4), slice(6, 15), slice(7, 14), slice(39, 40), slice(5, 5), slice(None), slice(38, 99)]


def blocks(whole: NDArray[np.int16], size: int = 7) -> list[NDArray[np.int16]]:
    return [whole[first : first + size] for first in range(0, len(whole), size)]


def test_rows_of_any_slice(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shelf, "IN_MEMORY", 1)
    for keep in (in_memory, Shelf(tmp_path).keep):
        kept = KeptRows(keep, blocks(WHOLE))
        assert len(kept) == len(WHOLE)
        assert repr(kept) == "<KeptRows of 40 rows>"
        for rows in SLICES:
            assert np.array_equal(kept[rows], WHOLE[rows])
            assert kept[rows].dtype == np.int16
        assert [block.tolist() for block in kept.blocks()] == [block.tolist() for block in blocks(WHOLE)]


@pytest.mark.parametrize("rows", [[], [5], [9, 3, 39, 3], [4, 5, 6], [6, 5, 4], [4, 6], [5, 5, 6]])
def test_rows_in_any_order(rows: list[int]) -> None:
    kept, places = KeptRows(in_memory, blocks(WHOLE)), np.array(rows, np.int64)
    assert np.array_equal(kept.take(places), WHOLE[places])


def test_an_array_is_kept_in_blocks_of_the_protocol(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "ROWS", 16)
    sizes = list[int]()

    def keep(data: bytes) -> Callable[[], bytes]:
        sizes.append(len(data) // 2)
        return in_memory(data)

    kept = KeptRows.of(WHOLE, keep)
    assert sizes == [16, 16, 8]
    assert KeptRows.of(kept, keep) is kept
    assert np.array_equal(kept[:], WHOLE)
    assert len(KeptRows.of(WHOLE[:0], keep)) == 0


def test_integers_of_any_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelf, "IN_MEMORY", 1)
    whole = PlainVec.from_ints([3**k * (-1) ** k for k in range(40)])
    keeps: list[Keep] = [in_memory, Shelf(tmp_path).keep]
    for keep in keeps:
        kept = KeptVec.of_blocks((whole.slice(first, min(first + 7, 40)) for first in range(0, 40, 7)), keep)
        assert kept.whole().to_ints() == whole.to_ints()
        for rows in SLICES:
            first, last, _ = rows.indices(40)
            assert kept.between(first, last).to_ints() == whole.slice(first, last).to_ints()


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_marked_rows_are_those_of_a_list(share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "ROWS", 16)
    marks = np.random.default_rng(5).random(83) < share
    listed, marked = np.flatnonzero(marks), Marked(marks)
    assert len(marked) == len(listed)
    assert marked.all == (share == 1.0)
    for first in range(len(listed) + 1):
        for last in (first, first + 1, first + 20, len(listed)):
            assert np.array_equal(marked[first:last], listed[first:last])
    for row in range(len(marks) + 1):
        assert marked.before(row) == np.searchsorted(listed, row)
    part = Part(1, 4, 20, 40)
    assert np.array_equal(marked.within(part)[:], np.flatnonzero(marks[20:40]))
