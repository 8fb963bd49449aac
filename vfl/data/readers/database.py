"""A table that a database answers a query with, through SQLAlchemy: all of it, or in ranges of a column.

No message holds a cell, the text of the query or the address, which may hold a password.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protocols.errors import DataError
from vfl.data.extras import needed

STEP = 1 << 16  # rows that are fetched at a time
Edge = int | str  # a value of the column that splits a table


def read_database(address: str, query: str | None) -> pd.DataFrame:
    """The rows that the query selects; it reaches the driver letter by letter.  Raises DataError; ConfigError where
    SQLAlchemy is not installed."""
    if query is None:
        _known(address)
        raise DataError("a database address needs a query", remedy='Add query = "SELECT ..." to [data]')
    with _connected(address) as connection:
        return _fetched(connection.execution_options(no_parameters=True).exec_driver_sql(query))


@dataclass(frozen=True, repr=False)
class Windows:
    """A query's rows in the order of a column, and where this says the same of several, in that of more columns.

    The query becomes a part of others (SELECT ... FROM (query) ...), so it is one SELECT, and nothing
    is written: what changes data cannot stand there.
    """

    address: str
    query: str
    column: str
    then: tuple[str, ...]

    def edges(self, parts: int) -> tuple[int, list[Edge]]:
        """How many rows there are, and the values at which parts of about the same length begin, without the first
        and without repeats.  Raises DataError where the column has missing values, or others than whole numbers and
        texts."""
        sqlalchemy, by, rows = self._parts()
        with _connected(self.address, reading=True) as connection:
            ask = sqlalchemy.select(sqlalchemy.func.count(), sqlalchemy.func.count(by)).select_from(rows)
            count, known = connection.execute(ask).one()
            found = list[Any]()
            for place in sorted({k * count // parts for k in range(1, parts)} - {0, count}):
                found += connection.execute(sqlalchemy.select(by).order_by(by).limit(1).offset(place)).scalars()
        if known < count or not all(type(value) in (int, str) for value in found):
            raise DataError(
                "the column that data.split_by names has missing values, or others than whole numbers and texts",
                remedy="Name a column of the query with a whole number or a text in every row, such as its key",
            )
        return int(count), list(dict.fromkeys(found))

    def between(
        self, low: Edge | None, high: Edge | None, columns: Sequence[str] | None = None
    ) -> Iterator[pd.DataFrame]:
        """The rows from `low` on and below `high`, some at a time; columns: those that are wanted, all by default."""
        sqlalchemy, by, rows = self._parts()
        wanted = [rows.c[name] for name in columns] if columns is not None else [sqlalchemy.text("*")]
        ask = sqlalchemy.select(*wanted).select_from(rows).order_by(by, *(rows.c[name] for name in self.then))
        ask = ask if low is None else ask.where(by >= low)
        ask = ask if high is None else ask.where(by < high)
        with _connected(self.address, reading=True) as connection:
            result = connection.execution_options(stream_results=True).execute(ask)
            names = list(result.keys())
            for block in result.partitions(STEP):
                yield pd.DataFrame({name: _cells(block, k) for k, name in enumerate(names)}, dtype=object)

    def taken(self, wanted: NDArray[np.bool_]) -> pd.DataFrame:
        """Every column of the rows that are wanted; the others are not held.  Raises DataError where there are not as
        many rows."""
        kept, seen = list[pd.DataFrame](), 0
        for block in self.between(None, None):
            kept.append(
                block[wanted[seen : seen + len(block)]] if seen + len(block) <= len(wanted) else self._changed()
            )
            seen += len(block)
        if seen != len(wanted) or not kept:
            self._changed()
        whole = pd.concat(kept, ignore_index=True)
        return _frame(list(whole.columns), [[whole.iloc[:, k].to_numpy()] for k in range(whole.shape[1])])

    def _changed(self) -> NoReturn:
        raise DataError(
            "the query has other rows than when the alignment began",
            remedy="Align a table, or a view of one day, that nobody writes to",
        )

    def _parts(self) -> tuple[Any, Any, Any]:
        """SQLAlchemy, the column, and the query's rows."""
        sqlalchemy = needed("sqlalchemy", "reading a database")
        names = dict.fromkeys((self.column, *self.then))
        text = sqlalchemy.text(self.query.strip().rstrip(";").replace(":", "\\:") + "\n")  # a comment may end it
        rows = text.columns(*(sqlalchemy.column(name) for name in names)).subquery("vfl_rows")
        return sqlalchemy, rows.c[self.column], rows


READING = {"sqlite": "PRAGMA query_only = ON", "mysql": "SET SESSION TRANSACTION READ ONLY"}  # of PostgreSQL an option


@contextmanager
def _connected(address: str, *, reading: bool = False) -> Iterator[Any]:
    """A connection; what goes wrong with it becomes a DataError.  reading: one that cannot write, where the database
    has such."""
    sqlalchemy = _known(address)
    try:
        engine = sqlalchemy.create_engine(address)
    except ImportError as error:
        raise DataError(
            f"the database's driver {error.name or ''} is not installed",
            remedy="Install it in this environment with pip",
        ) from None
    except Exception as error:  # SQLAlchemy and drivers quote the address
        raise DataError(
            f"the database address is not valid ({type(error).__name__})",
            remedy="Check source in [data]; the scheme names a driver",
        ) from None
    failed: str | None = None
    try:
        with engine.connect() as connection:
            if reading and engine.dialect.name in READING:
                connection.exec_driver_sql(READING[engine.dialect.name])
            yield connection.execution_options(postgresql_readonly=True) if reading else connection
    except (DataError, GeneratorExit):
        raise
    except Exception as error:  # SQLAlchemy and drivers quote the query and cells
        failed = type(error).__name__
    finally:
        engine.dispose()
    if failed is not None:
        raise DataError(
            f"the database did not answer the query ({failed})",
            remedy="Try source and query of [data] with the database's own tools",
        ) from None  # a context manager's exit runs while the driver's error is handled


def _known(address: str) -> Any:
    """SQLAlchemy, if it has a dialect of this scheme, or what is installed for it.  Raises DataError."""
    sqlalchemy = needed("sqlalchemy", "reading a database")
    try:
        sqlalchemy.engine.make_url(address).get_dialect()
    except sqlalchemy.exc.NoSuchModuleError:
        raise DataError(
            "the scheme of the source is neither one of files that fsspec knows nor one of a database that SQLAlchemy "
            "knows",
            remedy="Check source in [data], and install the database's driver, or fsspec's library for the store",
        ) from None
    except Exception:  # the address is wrong in another way, or the driver is missing
        return sqlalchemy
    return sqlalchemy


def _cells(block: Sequence[Any], column: int) -> NDArray[np.object_]:
    cells = np.empty(len(block), object)
    cells[:] = [row[column] for row in block]
    return cells


def _fetched(result: Any) -> pd.DataFrame:
    names = list(result.keys())
    columns: list[list[NDArray[np.object_]]] = [[np.empty(0, object)] for _ in names]
    for block in result.partitions(STEP):
        for k, parts in enumerate(columns):
            parts.append(_cells(block, k))
    return _frame(names, columns)


def _frame(names: Sequence[str], columns: Sequence[Sequence[NDArray[np.object_]]]) -> pd.DataFrame:
    frame = pd.DataFrame({k: exact(np.concatenate(parts)) for k, parts in enumerate(columns)}, copy=False)
    return frame.set_axis(pd.Index(names, dtype=object), axis=1)


def exact(cells: NDArray[np.object_]) -> pd.Series:
    """The cells in the type that pandas finds for them, but for whole numbers among missing ones: these stay whole,
    where pandas makes them floats."""
    found = pd.Series(cells, dtype=object).infer_objects()
    if found.dtype.kind != "f" or any(isinstance(v, float | np.floating) for v in cells):
        return found
    for kind in (pd.Int64Dtype(), pd.UInt64Dtype()):
        try:
            return pd.Series(cells, dtype=kind)
        except (OverflowError, TypeError, ValueError):
            continue
    return pd.Series(cells, dtype=object)
