"""Tables that a command writes: the file's suffix says in which format."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import IO

import pandas as pd

from protocols.errors import ConfigError
from vfl.data.cells import write_csv
from vfl.data.extras import needed

Target = Path | IO[bytes]


def _parquet(frame: pd.DataFrame, target: Target) -> None:
    frame.to_parquet(target, engine="pyarrow", index=False)


def _feather(frame: pd.DataFrame, target: Target) -> None:
    frame.reset_index(drop=True).to_feather(target)


WRITERS: dict[str, Callable[[pd.DataFrame, Target], None]] = {
    ".csv": write_csv,
    ".parquet": _parquet,
    ".feather": _feather,
    ".arrow": _feather,
}


def check_out(out: Path, *others: str) -> None:
    """Raises ConfigError unless a table can be written to a file of this name here; others: suffixes that the command
    knows besides."""
    suffix = out.suffix.lower()
    if suffix not in (*WRITERS, *others):
        known = [*others, *WRITERS]
        raise ConfigError(
            f"{out}: {f'the suffix {suffix} is not known' if suffix else 'has no suffix'}",
            remedy=f"End its name in {', '.join(known[:-1])} or {known[-1]}",
        )
    if suffix not in (".csv", *others):
        needed("pyarrow", f"writing {suffix}")


def write_table(frame: pd.DataFrame, target: Target, suffix: str) -> None:
    """Writes `frame` without its index, in the format of a suffix that `check_out` let pass."""
    WRITERS[suffix.lower()](frame, target)
