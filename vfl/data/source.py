"""Reads a party's table from a file or a database.  A new kind of file is a class and its place in `FILES`, at the end.

No message holds a cell of the table, the text of a query or a database address, which may hold a password.
"""

from __future__ import annotations

import csv
import re
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NoReturn, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protocols.errors import DataError
from vfl.data.cells import as_read, unguarded
from vfl.data.readers.database import read_database
from vfl.data.readers.parquet import read_parquet
from vfl.data.text_columns import read_texts

STEP = 1 << 16  # rows that are read at a time: texts take several times the memory of what they become


@dataclass(frozen=True)
class Ask:
    """What is wanted of a table.

    keys: the columns that ids are in.  Where a file holds texts alone, as CSV does, these stay as written, so that
    leading zeros survive.  only: the columns that are wanted of a file, if it has them all.  texts: columns of texts,
    whatever stands in the cells of a file of texts.  missing: texts that mean a missing value there, in addition to
    `literals.MISSING`.
    """

    keys: Sequence[str] = ()
    only: Sequence[str] | None = None
    texts: Sequence[str] = ()
    missing: Sequence[str] = ()


def read_source(
    source: str | Path,
    query: str | None = None,
    *,
    keys: Sequence[str] = (),
    only: Sequence[str] | None = None,
    texts: Sequence[str] = (),
    missing: Sequence[str] = (),
) -> pd.DataFrame:
    """The table behind `source`: a .csv file (UTF-8, commas, a header), a .parquet file, or an SQLAlchemy address with
    `query`.

    A column of a CSV file is one of numbers if all its cells are numbers or missing, else the texts as they are
    written; keys, only, texts, missing: see `Ask`.
    Raises DataError: the file or database cannot be read, unknown suffix, a database's driver is not installed;
    ConfigError: a library of an extra is not.
    """
    address = str(source)
    if "://" in address:
        return read_database(address, query)
    path = Path(source)
    if query is not None:
        raise DataError(f"{path}: a file takes no query", remedy="Remove query, or give a database address as source")
    kind = FILES.get(path.suffix.lower())
    if kind is None:
        known = " nor ".join(FILES)
        raise DataError(
            f"{path}: is neither {known}", remedy="Convert the table, or give a database address with a query"
        )
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror})", remedy="Check the path and that this account may read it"
        ) from None
    return kind.read(path, Ask(keys, only, texts, missing))


def read_rows(source: str | Path, rows: NDArray[np.bool_]) -> pd.DataFrame:
    """Those rows of a large file that `rows` selects, in the file's order and without holding the others; cells of a
    file of texts are as they are written.  Raises DataError if it has other rows by now."""
    path = Path(source)
    return FILES[path.suffix.lower()].rows(path, rows)


def _csv_rows(path: Path, rows: NDArray[np.bool_]) -> pd.DataFrame:
    """Cells as they are written."""
    kept, seen = list[pd.DataFrame](), 0
    for piece in _pieces(path, None):
        kept.append(piece[rows[seen : seen + len(piece)]] if seen + len(piece) <= len(rows) else _changed(path))
        seen += len(piece)
    if seen != len(rows):
        _changed(path)
    return as_read(pd.concat(kept, ignore_index=True))


def _changed(path: Path) -> NoReturn:
    raise DataError(f"{path}: changed while it was aligned", remedy="Align a copy that nobody writes to")


def _pieces(path: Path, columns: Sequence[str] | None) -> Iterator[pd.DataFrame]:
    """The rows of a CSV file, some at a time: cells as they are written, none of them a missing value."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        reader: Any = pd.read_csv(
            path,
            encoding="utf-8-sig",
            index_col=False,
            dtype=str,
            keep_default_na=False,
            na_filter=False,
            usecols=None if columns is None else list(columns),
            chunksize=STEP,
        )
        with reader:
            yield from cast("Iterator[pd.DataFrame]", reader)


def _csv(path: Path, ask: Ask) -> pd.DataFrame:
    def bad(what: str, remedy: str) -> DataError:
        return DataError(f"{path}: {what}", remedy=remedy)

    utf8 = bad("is not UTF-8 text", "Save the file as UTF-8")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header = next(csv.reader(file), [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise (
            utf8 if isinstance(error, UnicodeDecodeError) else bad("has no readable header", "Check the file")
        ) from None
    if not header:
        raise bad("is empty", "Check the source")
    if len(header) == 1 and (";" in header[0] or "\t" in header[0]):
        raise bad("does not separate its columns by commas", "Save it with commas")
    spelt = {unguarded(name): name for name in header}
    named = [name for name in header if name.strip()]
    twice = sorted({unguarded(name) for name in named if named.count(name) > 1 or spelt[unguarded(name)] != name})
    if twice:
        raise bad(f"has more than one column called {', '.join(repr(t) for t in twice)}", "Rename them")
    only = [spelt[name] for name in ask.only] if ask.only is not None and set(ask.only) <= set(spelt) else None
    try:
        return read_texts(
            lambda columns: _pieces(path, only if columns is None else columns),
            keys=ask.keys,
            texts=ask.texts,
            missing=ask.missing,
        )
    except UnicodeDecodeError:
        raise utf8 from None
    except (pd.errors.ParserError, pd.errors.ParserWarning) as error:
        line = re.search(r"line (\d+)", str(error))
        where = f"line {line[1]}" if line else "a line"
        raise bad(f"{where} has more cells than the header, or a quote that does not end", "Repair the file") from None
    except (OSError, ValueError):
        raise bad("is not a readable CSV file", "Repair the file") from None


class TableFile(ABC):
    """A kind of file that holds a table."""

    suffix: ClassVar[str]  # small letters, with the dot

    @abstractmethod
    def read(self, path: Path, ask: Ask) -> pd.DataFrame:
        """As `read_source`; the file can be opened.  Raises DataError, which quotes nothing of its content."""

    def rows(self, path: Path, rows: NDArray[np.bool_]) -> pd.DataFrame:
        """As `read_rows`; a kind that can be read in steps need not hold the others."""
        frame = self.read(path, Ask())
        return frame[rows].reset_index(drop=True) if len(frame) == len(rows) else _changed(path)


class CsvFile(TableFile):
    """UTF-8, commas, a header."""

    suffix = ".csv"

    def read(self, path: Path, ask: Ask) -> pd.DataFrame:
        return _csv(path, ask)

    def rows(self, path: Path, rows: NDArray[np.bool_]) -> pd.DataFrame:
        return _csv_rows(path, rows)


class ParquetFile(TableFile):
    """Read by pyarrow."""

    suffix = ".parquet"

    def read(self, path: Path, ask: Ask) -> pd.DataFrame:
        return read_parquet(path, ask.only)


FILES: dict[str, TableFile] = {kind.suffix: kind for kind in (CsvFile(), ParquetFile())}
