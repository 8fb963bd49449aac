"""How much memory a large table takes while it is read: at most 150 bytes per row of 12 columns."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.reading import SMALL, make, measured

ROWS, MOST = 1_000_000, 150


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_reading_takes_little_memory(format: str, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    small, large = tmp_path / f"small.{format}", tmp_path / f"large.{format}"
    make(small, SMALL)
    make(large, ROWS)
    assert measured(large, small, "read")["bytes_per_row"] <= MOST
    if format == "csv":  # the planted fault
        assert measured(large, small, "objects")["bytes_per_row"] > 3 * MOST
