"""Cells of CSV files as a spreadsheet may open them: a text that would be run as a formula is written with an
apostrophe before it, and read without.

A text is guarded that begins with =, +, -, @, a tab or a carriage return, and is no plain number: "-5" and
"+447700900123" stay as they are, because a spreadsheet takes them for numbers and runs nothing.  A text that begins
with apostrophes and then such a sign gets one more.  So what is written is read back exactly, and numbers are never
touched.
"""

from __future__ import annotations

import contextlib
import csv
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import pandas as pd

BLOCK = 1 << 13  # cells that are held as Python objects at a time
_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_GUARDED = re.compile(r"'+[=+\-@\t\r]")
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)


def guarded(cell: Any) -> Any:
    """The cell as it is written; what is no text is returned as it is."""
    return f"'{cell}" if isinstance(cell, str) and _FORMULA.match(cell) and not _NUMBER.fullmatch(cell) else cell


def unguarded(cell: Any) -> Any:
    """The cell as it was before `guarded`."""
    return cell[1:] if isinstance(cell, str) and _GUARDED.match(cell) else cell


def write_csv(frame: pd.DataFrame, path: Path | IO[bytes], *, header: bool = True) -> None:
    """Writes `frame` without its index; names of columns and cells of text are guarded.  header: whether the names are
    written.

    Python quotes line feeds, and carriage returns only where all texts are quoted: without quotes they end a row.
    """
    write_csv_blocks(lambda: iter([frame]), path, header=header)


def write_csv_blocks(
    blocks: Callable[[], Iterator[pd.DataFrame]], path: Path | IO[bytes], *, header: bool = True
) -> None:
    """As `write_csv`, of rows that come in blocks, twice: how texts are quoted depends on all of them."""
    returns = any(_has_returns(_each_text(frame, guarded)) for frame in blocks())
    quoting: Any = csv.QUOTE_NONNUMERIC if returns else csv.QUOTE_MINIMAL
    with path.open("wb") if isinstance(path, Path) else contextlib.nullcontext(path) as file:
        for number, frame in enumerate(blocks()):
            names = header and number == 0
            _each_text(frame, guarded).to_csv(file, index=False, header=names, lineterminator="\n", quoting=quoting)


def _has_returns(frame: pd.DataFrame) -> bool:
    """Whether a text or a name holds a carriage return."""
    if any("\r" in str(name) for name in frame.columns):
        return True
    texts = [at for at, kind in enumerate(frame.dtypes) if not pd.api.types.is_numeric_dtype(kind)]
    blocks = (frame.iloc[start : start + BLOCK, at] for at in texts for start in range(0, len(frame), BLOCK))
    return any(isinstance(cell, str) and "\r" in cell for block in blocks for cell in block.tolist())


def as_read(frame: pd.DataFrame) -> pd.DataFrame:
    """What `write_csv` was given, of what was read from its file."""
    return _each_text(frame, unguarded)


def _each_text(frame: pd.DataFrame, change: Callable[[Any], Any]) -> pd.DataFrame:
    """`frame` with its texts and names changed; columns in which nothing changes keep their type."""
    out = frame
    for at, kind in enumerate(frame.dtypes):
        if pd.api.types.is_numeric_dtype(kind) or pd.api.types.is_datetime64_any_dtype(kind):
            continue
        before = frame.iloc[:, at].astype(object)
        after = before.map(change)
        if not after.equals(before):
            out = out.copy(deep=False) if out is frame else out
            out.isetitem(at, after.to_numpy())
    names = [change(name) for name in frame.columns]
    return out if names == list(frame.columns) else out.set_axis(names, axis=1)
