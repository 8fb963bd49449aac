"""Writes rows of a large Parquet table in another order without holding the table.

Each column is read once, in the order of its rows, and each value goes to the file of the place that its row gets.
Then one such file after the other is put in order.  The files lie in the folder of the result, without names that
outlive it.
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
from vfl.data.readers.parquet import ParquetFile, lean
from vfl.data.stored import StoredArrow

BATCH = 1 << 16  # rows of a column that are moved at a time
BUCKET, BUCKETS = 1 << 16, 256  # rows of a file at least, and files at most
VALUE, PLACE = "value", "place"  # the columns of a stream in these files


def write_in_order(source: str, rows: NDArray[np.int64], total: int, path: Path) -> None:
    """Writes these rows of the Parquet files of `source`, in this order, every column, into a .parquet or .csv file;
    total: how many rows the source had.  Raises DataError if it has others by now."""
    size = max(BUCKET, -(-len(rows) // BUCKETS))
    place = np.full(total, -1, np.int32)
    for start in range(0, len(rows), BATCH):
        part = rows[start : start + BATCH]
        place[part] = np.arange(start, start + len(part))
    with ExitStack() as stack:
        parts = stack.enter_context(parts_of(source))
        files: list[IO[bytes]] = [
            stack.enter_context(tempfile.TemporaryFile(dir=path.parent)) for _ in range(max(1, -(-len(rows) // size)))
        ]
        schema = _spread(parts, place, size, files)
        del place
        with lean(needed("pyarrow", "reading Parquet")):
            _gathered(files, schema, path)


def _spread(parts: Sequence[Part], place: NDArray[np.int32], size: int, files: Sequence[IO[bytes]]) -> Any:
    """Each column's wanted values into the files of their places, one column after the other: a reader of Parquet holds
    some megabytes for each column that it reads.  Returns the schema of the rows."""
    pyarrow, ipc = needed("pyarrow", "reading Parquet"), needed("pyarrow.ipc", "reading Parquet")
    with ParquetFile().columns(parts) as (schema, chunks, _):
        own = StoredArrow.of(schema, lambda at: pyarrow.array([], schema.field(at).type), None).table.schema
        for field, (_, at) in zip(own, named_columns(schema), strict=True):
            assert isinstance(at, int)
            seen = 0
            with ExitStack() as stack:
                kind = pyarrow.schema([field.with_name(VALUE), pyarrow.field(PLACE, pyarrow.int32())])
                writers = [stack.enter_context(ipc.new_stream(file, kind)) for file in files]
                for values in _batches(chunks(schema.field(at))):
                    here = place[seen : seen + len(values)] if seen + len(values) <= len(place) else changed(parts)
                    seen += len(values)
                    order = np.argsort(here, kind="stable")[np.count_nonzero(here < 0) :]
                    places = here[order]
                    rows = pyarrow.table([values, here], schema=kind).take(order)
                    edges = np.searchsorted(places, size * np.arange(len(files) + 1))
                    for number in np.flatnonzero(np.diff(edges)).tolist():
                        writers[number].write_table(rows.slice(edges[number], edges[number + 1] - edges[number]))
            if seen != len(place):
                changed(parts)
    return own


def _batches(chunks: Iterator[Any]) -> Iterator[Any]:
    """A column in pieces of at least `BATCH` rows, but for the last."""
    pyarrow, held, rows = needed("pyarrow", "reading Parquet"), list[Any](), 0
    for chunk in chunks:
        held.append(chunk)
        rows += len(chunk)
        if rows >= BATCH:
            yield pyarrow.chunked_array(held)
            held, rows = [], 0
    if held:
        yield pyarrow.chunked_array(held)


def _gathered(files: Sequence[IO[bytes]], schema: Any, path: Path) -> None:
    """The rows of all files, those of each in the order of their places."""
    pyarrow, ipc = needed("pyarrow", "reading Parquet"), needed("pyarrow.ipc", "reading Parquet")
    with _writer(schema, path) as write:
        for number, file in enumerate(files):
            file.seek(0)
            columns = list[Any]()
            for _ in schema:  # one stream after the other
                found = ipc.open_stream(file).read_all()
                columns.append(found.column(VALUE).take(np.argsort(found.column(PLACE).to_numpy())))
            write(pyarrow.table(columns, schema=schema), number)


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
