"""A table that a database answers a query with, through SQLAlchemy.

No message holds a cell, the text of the query or the address, which may hold a password.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protocols.errors import DataError
from vfl.data.extras import needed

STEP = 1 << 16  # rows that are fetched at a time


def read_database(address: str, query: str | None) -> pd.DataFrame:
    """The rows that the query selects; it reaches the driver letter by letter.  Raises DataError; ConfigError where
    SQLAlchemy is not installed."""
    sqlalchemy = needed("sqlalchemy", "reading a database")
    if not _is_known(sqlalchemy, address):
        raise DataError(
            "the scheme of the source is neither one of files that fsspec knows nor one of a database that SQLAlchemy "
            "knows",
            remedy="Check source in [data], and install the database's driver, or fsspec's library for the store",
        )
    if query is None:
        raise DataError("a database address needs a query", remedy='Add query = "SELECT ..." to [data]')
    failed: str | None = None
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
    try:
        with engine.connect() as connection:
            return _fetched(connection.execution_options(no_parameters=True).exec_driver_sql(query))
    except Exception as error:  # SQLAlchemy and drivers quote the query and cells
        failed = type(error).__name__
    finally:
        engine.dispose()
    raise DataError(
        f"the database did not answer the query ({failed})",
        remedy="Try source and query of [data] with the database's own tools",
    )


def _is_known(sqlalchemy: Any, address: str) -> bool:
    """Whether SQLAlchemy, or what is installed for it, has a dialect of this scheme."""
    try:
        sqlalchemy.engine.make_url(address).get_dialect()
    except sqlalchemy.exc.NoSuchModuleError:
        return False
    except Exception:  # the address is wrong in another way, or the driver is missing
        return True
    return True


def _fetched(result: Any) -> pd.DataFrame:
    names = list(result.keys())
    columns: list[list[NDArray[np.object_]]] = [[np.empty(0, object)] for _ in names]
    for block in result.partitions(STEP):
        for k, parts in enumerate(columns):
            cells = np.empty(len(block), object)
            cells[:] = [row[k] for row in block]
            parts.append(cells)
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
