"""Writes rows of a large Parquet table in another order without holding the table.

Its rows are read once, in their own order, and each goes to the file of the place that it gets; then one such file
after the other is put in order.  The files lie in the folder of the result, without names that outlive it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from vfl.data.arrow import named_columns
from vfl.data.cells import write_csv
from vfl.data.extras import needed
from vfl.data.places import Part, parts_of
from vfl.data.readers.kinds import changed
from vfl.data.readers.parquet import BUFFER, ParquetFile, lean
from vfl.data.stored import StoredArrow

BATCH = 1 << 14  # rows that are read at a time
BUCKET, BUCKETS = 1 << 16, 256  # rows of a file at least, and files at most
PLACE = "vfl.place"  # a column in these files


def write_in_order(source: str, rows: NDArray[np.int64], total: int, path: Path) -> None:
    """Writes these rows of the Parquet files of `source`, in this order, every column, into a .parquet or .csv file;
    total: how many rows the source had.  Raises DataError if it has others by now."""
    size = max(BUCKET, -(-len(rows) // BUCKETS))
    place = np.full(total, -1, np.int32)
    for start in range(0, len(rows), BATCH):
        part = rows[start : start + BATCH]
        place[part] = np.arange(start, start + len(part))
    with lean(needed("pyarrow", "reading Parquet")), ExitStack() as stack:
        parts = stack.enter_context(parts_of(source))
        files: list[IO[bytes]] = [
            stack.enter_context(tempfile.TemporaryFile(dir=path.parent)) for _ in range(max(1, -(-len(rows) // size)))
        ]
        schema = _spread(parts, place, size, files)
        del place
        _gathered(files, schema, path)


def _spread(parts: Sequence[Part], place: NDArray[np.int32], size: int, files: Sequence[IO[bytes]]) -> Any:
    """Each wanted row into the file of its place; returns the schema of the rows."""
    pyarrow, ipc, seen = needed("pyarrow", "reading Parquet"), needed("pyarrow.ipc", "reading Parquet"), 0
    schema, _ = ParquetFile().layout(parts)
    own = _wanted(StoredArrow.of(schema, lambda at: pyarrow.array([], schema.field(at).type), None).table, [])
    with ExitStack() as stack:
        writers = [stack.enter_context(ipc.new_stream(file, own.schema)) for file in files]
        for batch in _batches(parts, schema):
            at = place[seen : seen + len(batch)] if seen + len(batch) <= len(place) else changed(parts)
            seen += len(batch)
            here = np.flatnonzero(at >= 0)
            rows = StoredArrow.of(schema, _column(batch), None).take(here).table
            buckets = at[here] // size
            for number in np.unique(buckets).tolist():
                inside = np.flatnonzero(buckets == number)
                writers[number].write_table(_wanted(rows.take(inside), at[here][inside]))
    if seen != len(place):
        changed(parts)
    return own.schema.remove(len(own.schema) - 1)


def _column(table: Any) -> Callable[[int], Any]:
    return lambda at: table.column(at)


def _wanted(rows: Any, places: Any) -> Any:
    """Rows with their places as the last column."""
    pyarrow = needed("pyarrow", "reading Parquet")
    return rows.append_column(PLACE, pyarrow.array(places, pyarrow.int32()))


def _batches(parts: Sequence[Part], schema: Any) -> Iterator[Any]:
    parquet, pyarrow = needed("pyarrow.parquet", "reading Parquet"), needed("pyarrow", "reading Parquet")
    for part in parts:
        with part.open() as file:
            for batch in parquet.ParquetFile(file, buffer_size=BUFFER).iter_batches(BATCH, use_threads=False):
                yield pyarrow.Table.from_batches([batch]).select(schema.names).cast(schema)


def _gathered(files: Sequence[IO[bytes]], schema: Any, path: Path) -> None:
    """The rows of all files, those of each in the order of their places."""
    ipc = needed("pyarrow.ipc", "reading Parquet")
    with _writer(schema, path) as write:
        for number, file in enumerate(files):
            file.seek(0)
            found = ipc.open_stream(file).read_all()
            order = np.argsort(found.column(PLACE).to_numpy())
            write(found.drop_columns([PLACE]).take(order), number)


@contextmanager
def _writer(schema: Any, path: Path) -> Iterator[Callable[[Any, int], None]]:
    """What writes tables of a schema into a file, one after the other."""
    if path.suffix == ".csv":
        with path.open("wb") as file:
            yield lambda table, number: write_csv(StoredArrow(table).frame(), file, header=number == 0)
        return
    with needed("pyarrow.parquet", f"writing {path.name}").ParquetWriter(path, schema) as writer:
        yield lambda table, number: writer.write_table(table)


def has_ranges(source: str) -> bool:
    """Whether a column of Parquet files is a range of numbers that no file holds."""
    with parts_of(source) as parts:
        schema, _ = ParquetFile().layout(parts)
        return any(isinstance(at, range) for _, at in named_columns(schema))
