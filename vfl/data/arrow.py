"""Arrow columns as a data frame with the same values: from Parquet, Feather, Arrow and Polars alike."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import pandas as pd

from protocols.errors import DataError
from vfl.data.extras import needed
from vfl.data.text_columns import SHARED, Room

TEXTS = ("string", "large_string", "string_view")
NULLABLE = {
    str(kind).lower(): kind
    for kind in (
        *(pd.Int8Dtype(), pd.Int16Dtype(), pd.Int32Dtype(), pd.Int64Dtype()),
        *(pd.UInt8Dtype(), pd.UInt16Dtype(), pd.UInt32Dtype(), pd.UInt64Dtype()),
    )
}  # by Arrow's name of the type


class ArrowStream(Protocol):
    """A table with Arrow's PyCapsule interface: of Polars, pyarrow, DuckDB and others."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...


AnyFrame = pd.DataFrame | ArrowStream


def as_frame(table: object, party: str) -> pd.DataFrame:
    """What a caller of the Python interface passes as a table: a pandas frame as it is, and anything with Arrow's
    PyCapsule interface, such as a Polars frame or an Arrow table.

    Raises DataError for anything else, ConfigError where pyarrow is not installed.
    """
    if isinstance(table, pd.DataFrame):
        return table
    kind = f"{type(table).__module__.partition('.')[0]}.{type(table).__name__}".removeprefix("builtins.")
    remedy = "Pass a pandas.DataFrame, a Polars DataFrame or an Arrow table"
    if hasattr(table, "__arrow_c_stream__"):
        pyarrow = needed("pyarrow", f"{party}: a {kind} as a table")
        try:
            arrow = pyarrow.table(table)
            return frame_of(arrow.schema, lambda at: series_of(arrow.column(at)))
        except Exception:  # a series, or types that pyarrow does not know; pyarrow raises many types, and quotes cells
            raise DataError(
                f"{party}: the {kind} cannot be read as a table by Arrow", remedy=remedy, party=party
            ) from None
    if hasattr(table, "collect"):
        remedy = "Collect it first: pass table.collect()"
    raise DataError(f"{party}: the table is a {kind}", remedy=remedy, party=party)


def frame_of(schema: Any, column: Callable[[int], pd.Series], only: Sequence[str] | None = None) -> pd.DataFrame:
    """The columns of an Arrow schema as a frame; column: gives the one at a position, when it is its turn; only: those
    that are wanted, if it has them all.

    An index that pandas stored becomes columns, in front, where it has a name; without one it is left out.
    """
    named = named_columns(schema)
    if only is not None and {name for name, _ in named} >= set(only):
        named = [(name, at) for name, at in named if name in only]
    series = {k: pd.Series(at) if isinstance(at, range) else column(at) for k, (_, at) in enumerate(named)}
    return pd.DataFrame(series, copy=False).set_axis(pd.Index([name for name, _ in named], dtype=object), axis=1)


def series_of(column: Any) -> pd.Series:
    """An Arrow column in pandas' types.  Whole numbers with missing values stay whole: as floats, those of 16 digits
    and more would be other numbers."""
    if column.null_count and (nullable := NULLABLE.get(str(column.type))) is not None:
        return pd.Series(column.to_pandas(types_mapper=lambda _: nullable))
    try:
        return pd.Series(column.to_pandas())
    except ValueError:  # a dictionary with a value twice, or with a missing one
        return pd.Series(column.cast(column.type.value_type).to_pandas())


def gathered(kind: Any, chunks: Iterable[Any], rows: int) -> pd.Series:
    """As `series_of`, of a column that comes some rows at a time; rows: how many come.  Numbers and texts are not held
    twice, and of few different texts each is held once."""
    if str(kind) == "double":
        room = Room(rows)
        for chunk in chunks:
            room.add(chunk.to_numpy(zero_copy_only=False))
        return pd.Series(room.values, dtype=np.float64, copy=False)
    if str(kind) in TEXTS:
        return _texts(iter(chunks), rows)
    return series_of(needed("pyarrow", "reading Arrow").chunked_array(list(chunks), kind))


def _texts(chunks: Iterator[Any], rows: int) -> pd.Series:
    texts, room = dict[str, str](), Room(rows)
    pyarrow = needed("pyarrow", "reading Arrow")
    for chunk in chunks:
        coded = chunk.dictionary_encode()
        words = [texts.setdefault(word, word) for word in coded.dictionary.to_pylist()]
        if len(texts) > SHARED:
            kind = pyarrow.large_string()
            many = [pyarrow.array(room.values, kind), chunk.cast(kind), *(later.cast(kind) for later in chunks)]
            return pd.Series(pyarrow.chunked_array(many).to_pandas())
        places = coded.indices.fill_null(len(words)).to_numpy(zero_copy_only=False)
        room.add(np.array([*words, None], object)[places])
    return pd.Series(room.values, dtype=object, copy=False)


def named_columns(schema: Any) -> list[tuple[str, int | range]]:
    """The names of a schema in its frame's order, each with its position in the schema, or the numbers of an index of
    which pandas stored no more than its range."""
    stored = schema.pandas_metadata or {}
    names = {column["field_name"]: column["name"] for column in stored.get("columns", [])}
    index: list[tuple[str | None, int | range]] = [
        (level["name"], range(level["start"], level["stop"], level["step"]))
        if isinstance(level, dict)
        else (names.get(level), schema.get_field_index(level))
        for level in stored.get("index_columns", [])
    ]
    taken = {at for _, at in index if isinstance(at, int)}
    levels = [(name, at) for name, at in index if name is not None]
    return [*levels, *((name, at) for at, name in enumerate(schema.names) if at not in taken)]
