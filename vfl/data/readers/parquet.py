"""Parquet and Feather (Arrow) files, read by pyarrow column by column."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import IO, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protocols.errors import DataError, VFLError
from vfl.data.arrow import frame_of
from vfl.data.extras import needed
from vfl.data.form import Form
from vfl.data.places import Part
from vfl.data.readers.kinds import Ask, TableFile, changed, check_distinct, check_same
from vfl.data.stored import MARK, TEXTS, Stored, StoredArrow, of_texts

HELD = 64  # files of a folder that stay open while its columns are read


class ArrowFile(TableFile):
    """A kind that pyarrow reads."""

    called: str  # in messages

    @abstractmethod
    def opened(self, file: IO[bytes]) -> tuple[Any, Callable[[str], Any]]:
        """The Arrow schema of a file, and what reads the column of a name."""

    def read(self, parts: Sequence[Part], ask: Ask) -> pd.DataFrame:
        """As `TableFile.read`; of a wide file, no other column than those that are wanted."""
        with self._columns(parts) as (schema, column):
            frame = frame_of(schema, column, ask.only)
        is_text = (schema.metadata or {}).get(MARK) == TEXTS
        return of_texts(frame, ask.keys, ask.texts, ask.missing) if is_text else frame

    def stored(self, parts: Sequence[Part], rows: NDArray[np.bool_] | None, form: Form) -> Stored:
        """As `TableFile.stored`; values and types are Arrow's own."""
        with self._columns(parts) as (schema, column):

            def checked(at: int) -> Any:
                found = column(at)
                return found if rows is None or len(found) == len(rows) else changed(parts)

            return StoredArrow.of(schema, checked, rows)

    @contextmanager
    def _columns(self, parts: Sequence[Part]) -> Iterator[tuple[Any, Callable[[int], Any]]]:
        """The schema of all files, and what reads the column at a position in it."""
        pyarrow = needed("pyarrow", f"{parts[0].label}: reading {self.called}")
        with ExitStack() as stack:
            held = [self._try(part, self._held, part, stack) for part in parts[:HELD]]

            def one(k: int, use: Callable[[Any, Callable[[str], Any]], Any]) -> Any:
                if k < len(held):
                    return self._try(parts[k], use, *held[k])
                with ExitStack() as short:
                    return self._try(parts[k], lambda: use(*self._held(parts[k], short)))

            schema = merged(parts, [one(k, lambda schema, _: schema) for k in range(len(parts))])

            def column(at: int) -> Any:
                field = schema.field(at)
                read = partial(_column, field)
                chunks = [chunk for k in range(len(parts)) for chunk in one(k, read).chunks]
                return pyarrow.chunked_array(chunks, field.type)

            yield schema, column

    def _held(self, part: Part, stack: ExitStack) -> tuple[Any, Callable[[str], Any]]:
        return self.opened(stack.enter_context(part.open()))

    def _try(self, part: Part, read: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return read(*arguments)
        except VFLError:
            raise
        except Exception:  # pyarrow raises many types, and quotes contents
            raise DataError(
                f"{part.label}: is not a readable {self.called} file", remedy="Check that it was written completely"
            ) from None


def _column(field: Any, _: Any, column: Callable[[str], Any]) -> Any:
    found = column(field.name)
    return found if found.type == field.type else found.cast(field.type)


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

    def opened(self, file: IO[bytes]) -> tuple[Any, Callable[[str], Any]]:
        """As `ArrowFile.opened`."""
        found = needed("pyarrow.parquet", "reading Parquet").ParquetFile(file)
        return found.schema_arrow, lambda name: found.read([name]).column(name)


class FeatherFile(ArrowFile):
    """Feather and Arrow files, in the form for random access and in that of a stream."""

    suffixes = (".feather", ".arrow")
    called = "Feather or Arrow"

    def opened(self, file: IO[bytes]) -> tuple[Any, Callable[[str], Any]]:
        """As `ArrowFile.opened`."""
        ipc = needed("pyarrow.ipc", "reading Arrow")
        is_file = file.read(6) == b"ARROW1"
        file.seek(0)
        if not is_file:
            table = ipc.open_stream(file).read_all()
            return table.schema, table.column
        schema = ipc.open_file(file).schema

        def column(name: str) -> Any:
            options = ipc.IpcReadOptions(included_fields=[schema.get_field_index(name)])
            return ipc.open_file(file, options=options).read_all().column(name)

        return schema, column
