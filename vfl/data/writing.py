"""Tables that a command writes: the file's suffix says in which format."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import pandas as pd

from protocols.errors import ConfigError
from vfl.data.cells import write_csv, write_csv_blocks
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


def write_blocks(blocks: Callable[[], Iterator[pd.DataFrame]], target: Path, suffix: str) -> None:
    """As `write_table`, of rows that come in blocks, of which one is held; texts may be missing in all rows of a
    block."""
    if suffix.lower() == ".csv":
        write_csv_blocks(blocks, target)
        return
    arrow, schema = needed("pyarrow", f"writing {suffix}"), _schema(next(blocks()))
    with _writer(target, schema, suffix.lower()) as writer:
        for frame in blocks():
            writer.write_table(arrow.Table.from_pandas(frame, schema=schema, preserve_index=False))


def _schema(frame: pd.DataFrame) -> Any:
    """Of what `frame` begins: its columns of objects hold texts."""
    arrow = needed("pyarrow", "writing")
    found = arrow.Schema.from_pandas(frame, preserve_index=False)
    for at, kind in enumerate(frame.dtypes):
        if kind.kind == "O":
            found = found.set(at, arrow.field(found.names[at], arrow.string()))
    return found


def _writer(target: Path, schema: Any, suffix: str) -> Any:
    if suffix == ".parquet":
        return needed("pyarrow.parquet", "writing").ParquetWriter(target, schema)
    ipc = needed("pyarrow.ipc", "writing")
    return ipc.new_file(str(target), schema, options=ipc.IpcWriteOptions(compression="lz4"))


def write_table(frame: pd.DataFrame, target: Target, suffix: str) -> None:
    """Writes `frame` without its index, in the format of a suffix that `check_out` let pass."""
    WRITERS[suffix.lower()](frame, target)
