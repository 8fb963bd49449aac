"""Parquet files, read by pyarrow column by column."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from protocols.errors import DataError
from vfl.data.arrow import frame_of
from vfl.data.extras import needed


def read_parquet(path: Path, only: Sequence[str] | None) -> pd.DataFrame:
    """The columns `only`, if the file has them all, else every column.  Raises DataError; ConfigError where pyarrow is
    not installed."""
    needed("pyarrow", f"{path}: reading Parquet")
    parquet = needed("pyarrow.parquet", f"{path}: reading Parquet")
    try:
        with parquet.ParquetFile(path) as file:
            names = file.schema_arrow.names
            twice = sorted({name for name in names if names.count(name) > 1})
            if not twice:
                return frame_of(file.schema_arrow, lambda at: file.read([names[at]]).column(names[at]), only)
    except Exception:  # pyarrow raises many types, and quotes contents
        raise DataError(
            f"{path}: is not a readable Parquet file", remedy="Check that it was written completely"
        ) from None
    raise DataError(f"{path}: has more than one column called {', '.join(map(repr, twice))}", remedy="Rename them")
