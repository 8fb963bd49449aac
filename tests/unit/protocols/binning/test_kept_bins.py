"""Bins that are kept column by column are those of the whole table, in any order of rows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from protocols import parts
from protocols.binning.quantile import Binned, Binner, KeptBins
from protocols.kept import KeptRows
from vfl.storage import shelf
from vfl.storage.shelf import Shelf

ROWS, COLUMNS = 50, 4


@pytest.fixture(params=[7, 16, 100])
def bins(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Binned, KeptBins]:
    """A column of numbers, one with gaps, one of few values, and one of categories with gaps."""
    monkeypatch.setattr(parts, "ROWS", request.param)
    monkeypatch.setattr(shelf, "IN_MEMORY", 1)
    rng = np.random.default_rng(4)
    x = rng.normal(size=(ROWS, COLUMNS))
    x[:, 2:] = np.rint(x[:, 2:])
    x[rng.random(ROWS) < 0.2, 1] = x[rng.random(ROWS) < 0.2, 3] = np.nan
    whole = Binner.fit(x, 6, 2, [3])
    binner = Binner.of_columns(iter(x.T), 6, 2, [3])
    assert [cuts.tolist() for cuts in binner.cuts] == [cuts.tolist() for cuts in whole.cuts]
    assert binner.has_missing == whole.has_missing == (False, True, False, True)
    signs = np.array([1, -1, 0, 0])
    held = whole.transform(x).constrained(signs.tolist())
    kept = binner.kept(ROWS, lambda f: x[:, f], Shelf(tmp_path).keep).constrained(signs.tolist())
    assert np.array_equal(kept.candidates(range(COLUMNS)).sign, held.candidates(range(COLUMNS)).sign)
    return held, kept


def some_rows() -> Iterator[np.ndarray]:
    rng = np.random.default_rng(5)
    for size in (0, 1, 9, ROWS):
        yield rng.permutation(ROWS)[:size]
        yield np.sort(rng.permutation(ROWS)[:size]).astype(np.int32)


def test_any_rows(bins: tuple[Binned, KeptBins]) -> None:
    held, kept = bins
    assert (len(kept), kept.columns, repr(kept)) == (ROWS, COLUMNS, f"<KeptBins of {ROWS} rows>")
    for rows in (*some_rows(), slice(3, 30), slice(None)):
        for f in range(COLUMNS):
            assert np.array_equal(kept.column(f, rows), held.bins[rows, f])
            assert np.array_equal(kept.goes_left(rows, f, 2, True), held.goes_left(rows, f, 2, True))
    for rows in some_rows():
        assert np.array_equal(kept.take(rows).bins, held.bins[rows])


def test_another_order(bins: tuple[Binned, KeptBins], tmp_path: Path) -> None:
    keep = Shelf(tmp_path).keep
    order = np.random.default_rng(6).permutation(ROWS)
    for one in bins:
        found = one.ordered(KeptRows.of(order, keep), keep)
        assert np.array_equal(found.take(np.arange(ROWS)).bins, bins[0].bins[order])
        assert np.array_equal(found.monotone, bins[0].monotone)
