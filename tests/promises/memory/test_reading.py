"""How much memory a large table takes: at most 150 bytes per row of 12 columns while it is read, and 200 at the peak
when its ids and columns are checked, which is before the table as it was read can go."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.reading import SMALL, make, measured

ROWS, MOST, CHECKED = 1_000_000, 150, 200


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_reading_takes_little_memory(format: str, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    small, large = tmp_path / f"small.{format}", tmp_path / f"large.{format}"
    make(small, SMALL)
    make(large, ROWS)
    assert measured(large, small, "read")["bytes_per_row"] <= MOST
    assert measured(large, small, "table")["bytes_per_row"] <= CHECKED
    assert measured(large, small, "copied")["bytes_per_row"] > CHECKED + 50  # the planted faults
    if format == "csv":
        assert measured(large, small, "objects")["bytes_per_row"] > 3 * MOST
