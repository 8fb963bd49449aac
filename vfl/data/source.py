"""Reads a party's table from a file or a database.  A new kind of file is a class and its place in `FILES`, at the end.

No message holds a cell of the table, the text of a query or a database address, which may hold a password.
"""

from __future__ import annotations

import csv
import re
import warnings
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, NoReturn, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protocols.errors import DataError
from vfl.data.cells import as_read, unguarded
from vfl.data.readers.database import read_database
from vfl.data.readers.parquet import read_parquet

STEP = 1 << 20  # rows of a large file that are read at a time
MISSING = ["", "NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "None", "#N/A", "<NA>"]  # not in key columns


def read_source(
    source: str | Path, query: str | None = None, *, keys: Sequence[str] = (), only: Sequence[str] | None = None
) -> pd.DataFrame:
    """The table behind `source`: a .csv file (UTF-8, commas, a header), a .parquet file, or an SQLAlchemy address with
    `query`.

    keys: columns that a CSV file's ids are in; they stay texts
    as written, so that leading zeros survive.  only: the columns that are wanted of a file, if it has them all.
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
    return kind.read(path, keys, only)


def read_rows(source: str | Path, keys: Sequence[str], rows: NDArray[np.bool_]) -> pd.DataFrame:
    """Those rows of a large file that `rows` selects, in the file's order and without holding the others; raises
    DataError if it has other rows by now."""
    path = Path(source)
    return FILES[path.suffix.lower()].rows(path, keys, rows)


def _csv_rows(path: Path, keys: Sequence[str], rows: NDArray[np.bool_]) -> pd.DataFrame:
    kept, seen = list[pd.DataFrame](), 0
    with pd.read_csv(
        path, encoding="utf-8-sig", index_col=False, dtype=str, keep_default_na=False, chunksize=STEP
    ) as steps:
        for step in steps:
            kept.append(step[rows[seen : seen + len(step)]] if seen + len(step) <= len(rows) else _changed(path))
            seen += len(step)
    if seen != len(rows):
        _changed(path)
    frame = as_read(pd.concat(kept, ignore_index=True))
    return frame.assign(**{name: _typed(frame[name]) for name in frame.columns if name not in keys})


def _changed(path: Path) -> NoReturn:
    raise DataError(f"{path}: changed while it was aligned", remedy="Align a copy that nobody writes to")


def _typed(texts: pd.Series) -> pd.Series:
    """Numbers, where all texts are numbers or missing."""
    texts = texts.mask(texts.isin(MISSING))
    try:
        return pd.Series(pd.to_numeric(texts))
    except (ValueError, TypeError):
        return texts


def _csv(path: Path, keys: Sequence[str], only: Sequence[str] | None) -> pd.DataFrame:
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
    twice = sorted({unguarded(name) for name in header if header.count(name) > 1 or spelt[unguarded(name)] != name})
    if twice:
        raise bad(f"has more than one column called {', '.join(repr(t) for t in twice)}", "Rename them")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            columns = [spelt[name] for name in only] if only is not None and set(only) <= set(spelt) else None
            reader: Any = pd.read_csv(
                path,
                encoding="utf-8-sig",
                index_col=False,
                low_memory=False,
                dtype={spelt[key]: str for key in keys if key in spelt},
                usecols=columns,
                keep_default_na=False,
                na_values={spelt[name]: MISSING for name in spelt if name not in keys},
                chunksize=STEP if columns is not None else None,
            )
            if columns is None:
                return as_read(cast(pd.DataFrame, reader))
            with reader:  # in steps: while they are read, texts take several times the memory that they take afterwards
                frames: list[pd.DataFrame] = list(reader)
            return as_read(pd.concat(frames, ignore_index=True))
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
    def read(self, path: Path, keys: Sequence[str], only: Sequence[str] | None) -> pd.DataFrame:
        """As `read_source`; the file can be opened.  Raises DataError, which quotes nothing of its content."""

    def rows(self, path: Path, keys: Sequence[str], rows: NDArray[np.bool_]) -> pd.DataFrame:
        """As `read_rows`; a kind that can be read in steps need not hold the others."""
        frame = self.read(path, keys, None)
        return frame[rows].reset_index(drop=True) if len(frame) == len(rows) else _changed(path)


class CsvFile(TableFile):
    """UTF-8, commas, a header."""

    suffix = ".csv"

    def read(self, path: Path, keys: Sequence[str], only: Sequence[str] | None) -> pd.DataFrame:
        return _csv(path, keys, only)

    def rows(self, path: Path, keys: Sequence[str], rows: NDArray[np.bool_]) -> pd.DataFrame:
        return _csv_rows(path, keys, rows)


class ParquetFile(TableFile):
    """Read by pyarrow."""

    suffix = ".parquet"

    def read(self, path: Path, keys: Sequence[str], only: Sequence[str] | None) -> pd.DataFrame:
        return read_parquet(path, only)


FILES: dict[str, TableFile] = {kind.suffix: kind for kind in (CsvFile(), ParquetFile())}
