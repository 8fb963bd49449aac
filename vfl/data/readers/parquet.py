"""Parquet and Feather (Arrow) files, read by pyarrow column by column."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import IO, Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protocols.errors import DataError, VFLError
from vfl.data.arrow import frame_of, gathered
from vfl.data.extras import needed
from vfl.data.form import Form
from vfl.data.places import Part, parts_of, place_of
from vfl.data.readers.kinds import Ask, TableFile, changed, check_distinct, check_same
from vfl.data.stored import MARK, TEXTS, Stored, StoredArrow, of_texts

BATCH = 1 << 14  # rows that are decoded at a time
BUFFER = 1 << 20  # bytes of a column that are read at a time
HELD = 64  # files of a folder that stay open while its columns are read


class Opened(NamedTuple):
    """An open file: its Arrow schema, its rows, and what reads the column of a name, some rows at a time."""

    schema: Any
    rows: int
    chunks: Callable[[str], Iterable[Any]]


class ArrowFile(TableFile):
    """A kind that pyarrow reads."""

    called: str  # in messages

    @abstractmethod
    def opened(self, file: IO[bytes]) -> Opened:
        """The file, opened by pyarrow."""

    def read(self, parts: Sequence[Part], ask: Ask) -> pd.DataFrame:
        """As `TableFile.read`; of a wide file, no other column than those that are wanted."""
        with self.columns(parts) as (schema, chunks, rows):
            fields = list(schema)
            frame = frame_of(schema, lambda at: gathered(fields[at].type, chunks(fields[at]), rows), ask.only)
        is_text = (schema.metadata or {}).get(MARK) == TEXTS
        return of_texts(frame, ask.keys, ask.texts, ask.missing) if is_text else frame

    def stored(self, parts: Sequence[Part], rows: NDArray[np.bool_] | None, form: Form) -> Stored:
        """As `TableFile.stored`; values and types are Arrow's own."""
        pyarrow = needed("pyarrow", f"{parts[0].label}: reading {self.called}")
        with self.columns(parts) as (schema, chunks, _):
            fields = list(schema)

            def checked(at: int) -> Any:
                found = pyarrow.chunked_array(list(chunks(fields[at])), fields[at].type)
                return found if rows is None or len(found) == len(rows) else changed(parts)

            return StoredArrow.of(schema, checked, rows)

    def layout(self, parts: Sequence[Part]) -> tuple[Any, list[list[int]]]:
        """The schema of all files, and the rows of each group of each of them, as the files say themselves."""
        parquet = needed("pyarrow.parquet", f"{parts[0].label}: reading {self.called}")
        groups = list[list[int]]()
        for part in parts:
            with part.open() as file, self._named(part):
                told = parquet.ParquetFile(file).metadata
                groups.append([told.row_group(k).num_rows for k in range(told.num_row_groups)])
        with self.columns(parts) as (schema, _, _):
            return schema, groups

    @contextmanager
    def columns(self, parts: Sequence[Part]) -> Iterator[tuple[Any, Callable[[Any], Iterator[Any]], int]]:
        """The schema of all files, what reads the column of a field in it some rows at a time, and the rows."""
        pyarrow = needed("pyarrow", f"{parts[0].label}: reading {self.called}")
        with lean(pyarrow), ExitStack() as stack:
            held = [stack.enter_context(self._held(part)) for part in parts[:HELD]]

            def file(k: int) -> AbstractContextManager[Opened]:
                return nullcontext(held[k]) if k < len(held) else self._held(parts[k])

            schemas, rows = [], 0
            for k in range(len(parts)):
                with file(k) as one:
                    schemas.append(one.schema)
                    rows += one.rows
            schema = merged(parts, schemas)

            def chunks(field: Any) -> Iterator[Any]:
                for k, part in enumerate(parts):
                    with self._named(part), file(k) as one:
                        for chunk in one.chunks(field.name):
                            yield chunk if chunk.type == field.type else chunk.cast(field.type)

            yield schema, chunks, rows

    @contextmanager
    def _held(self, part: Part) -> Iterator[Opened]:
        with part.open() as file:
            with self._named(part):
                found = self.opened(file)
            yield found

    @contextmanager
    def _named(self, part: Part) -> Iterator[None]:
        """What goes wrong in it is the file's fault."""
        try:
            yield
        except VFLError:
            raise
        except Exception:  # pyarrow raises many types, and quotes contents
            raise DataError(
                f"{part.label}: is not a readable {self.called} file", remedy="Check that it was written completely"
            ) from None


@contextmanager
def lean(pyarrow: Any) -> Iterator[None]:
    """Arrow's own allocators keep what was freed: half of the memory of a read table. The system's gives it back."""
    before = pyarrow.default_memory_pool()
    pyarrow.set_memory_pool(pyarrow.system_memory_pool())
    try:
        yield
    finally:
        pyarrow.set_memory_pool(before)


def merged(parts: Sequence[Part], schemas: Sequence[Any]) -> Any:
    """The schema of all files of a folder.  Raises DataError, which names the first file that does not fit."""
    pyarrow = needed("pyarrow", "reading a folder")
    found = schemas[0]
    for part, schema in zip(parts, schemas, strict=True):
        check_distinct(part, schema.names)
        check_same(part, schema.names, parts[0], found.names)
        for field in schema:
            place = found.get_field_index(field.name)
            kinds = found.field(place).type, field.type
            if kinds[0] == kinds[1] or pyarrow.types.is_null(kinds[1]):
                continue
            if not pyarrow.types.is_null(kinds[0]):
                raise DataError(
                    f"{part.label}: column '{field.name}' is of the type {kinds[1]}, and {kinds[0]} in "
                    f"{parts[0].name} or a file after it",
                    remedy="Write all files of a folder with the same types",
                )
            found = found.set(place, field)
    return found


class ParquetFile(ArrowFile):
    """Apache Parquet."""

    suffixes = (".parquet",)
    called = "Parquet"

    def opened(self, file: IO[bytes]) -> Opened:
        """As `ArrowFile.opened`."""
        found = needed("pyarrow.parquet", "reading Parquet").ParquetFile(file, buffer_size=BUFFER)

        def chunks(name: str) -> Iterator[Any]:
            for batch in found.iter_batches(BATCH, columns=[name], use_threads=False):
                yield batch.column(name)

        return Opened(found.schema_arrow, found.metadata.num_rows, chunks)


class FeatherFile(ArrowFile):
    """Feather and Arrow files, in the form for random access and in that of a stream."""

    suffixes = (".feather", ".arrow")
    called = "Feather or Arrow"

    def opened(self, file: IO[bytes]) -> Opened:
        """As `ArrowFile.opened`."""
        ipc = needed("pyarrow.ipc", "reading Arrow")
        is_file = file.read(6) == b"ARROW1"
        file.seek(0)
        if not is_file:
            table = ipc.open_stream(file).read_all()
            return Opened(table.schema, len(table), lambda name: table.column(name).chunks)
        found = ipc.open_file(file)
        rows = sum(found.get_batch(k).num_rows for k in range(found.num_record_batches))

        def chunks(name: str) -> Iterator[Any]:
            options = ipc.IpcReadOptions(included_fields=[found.schema.get_field_index(name)])
            yield from ipc.open_file(file, options=options).read_all().column(name).chunks

        return Opened(found.schema, rows, chunks)


def is_parquet(source: str) -> bool:
    """Whether a source is one of Parquet files on this machine, by their names.  Raises DataError."""
    if place_of(source) != "here":
        return False
    with parts_of(source) as parts:
        return all(part.path is not None and part.name.lower().endswith(".parquet") for part in parts)


def rows_of(source: str) -> int:
    """How many rows Parquet files say that they have; 0 of other sources."""
    if not is_parquet(source):
        return 0
    with parts_of(source) as parts:
        return sum(map(sum, ParquetFile().layout(parts)[1]))
