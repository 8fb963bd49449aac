"""A table as it is stored, so that its rows can be written again unchanged: the cells of a CSV file as texts, the
values of a Parquet file in Arrow's types.

CSV holds texts alone.  A Parquet file that is made of one holds numbers where these have exactly the texts of the
cells, else the texts (an empty cell as a missing one), and says so: it is then read as the CSV file would be.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import is_numeric_dtype

from vfl.data.arrow import frame_of, named_columns, series_of
from vfl.data.cells import guarded, write_csv
from vfl.data.extras import needed
from vfl.data.literals import numbers, whole
from vfl.data.text_columns import read_texts

MARK, TEXTS = b"vfl.cells", b"texts"  # in a Parquet file's schema


class Stored(ABC):
    """The rows of a table, or some of them."""

    @abstractmethod
    def __len__(self) -> int: ...

    @property
    @abstractmethod
    def width(self) -> int:
        """How many columns it has."""

    @abstractmethod
    def frame(self, only: Sequence[str] | None = None) -> pd.DataFrame:
        """As `read_source` would have it, its cells of texts as they are written; only: the columns that are wanted, if
        it has them all."""

    @abstractmethod
    def take(self, rows: NDArray[np.int64]) -> Stored:
        """These rows (positions from 0), in this order."""

    @abstractmethod
    def write(self, path: Path) -> None:
        """Writes them into a .parquet or .csv file."""


@dataclass(frozen=True, repr=False, eq=False)
class StoredFrame(Stored):
    """Of a database or of a file of texts; is_text: whether its cells are texts as they are written."""

    cells: pd.DataFrame
    is_text: bool = False

    def __len__(self) -> int:
        return len(self.cells)

    @property
    def width(self) -> int:
        return self.cells.shape[1]

    def frame(self, only: Sequence[str] | None = None) -> pd.DataFrame:
        """As `Stored.frame`."""
        return self.cells[list(only)] if only is not None and set(only) <= set(self.cells.columns) else self.cells

    def take(self, rows: NDArray[np.int64]) -> StoredFrame:
        """As `Stored.take`."""
        return StoredFrame(self.cells.iloc[rows].reset_index(drop=True), self.is_text)

    def write(self, path: Path) -> None:
        """As `Stored.write`."""
        if path.suffix == ".csv":
            write_csv(self.cells, path)
        elif not self.is_text:
            self.cells.to_parquet(path, engine="pyarrow", index=False)
        else:
            pyarrow = needed("pyarrow", f"writing {path.name}")
            columns = [pyarrow.array(_exact(self.cells[name].tolist())) for name in self.cells.columns]
            table = pyarrow.table(columns, names=list(self.cells.columns)).replace_schema_metadata({MARK: TEXTS})
            needed("pyarrow.parquet", f"writing {path.name}").write_table(table, path)


@dataclass(frozen=True, repr=False, eq=False)
class StoredArrow(Stored):
    """Of a Parquet or Feather file: an Arrow table."""

    table: Any

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @property
    def width(self) -> int:
        return int(self.table.num_columns)

    @classmethod
    def of(cls, schema: Any, column: Any, rows: NDArray[np.bool_] | None) -> StoredArrow:
        """The columns of a file in the order of its frame; column: gives the one at a position; rows: those that are
        wanted.  What pandas stored of an index is a column like others, or left out where it has no name."""
        pyarrow = needed("pyarrow", "reading Arrow")
        found = named_columns(schema)
        arrays = [pyarrow.array(at) if isinstance(at, range) else column(at) for _, at in found]
        arrays = arrays if rows is None else [array.filter(pyarrow.array(rows)) for array in arrays]
        kept = {key: value for key, value in (schema.metadata or {}).items() if key != b"pandas"}
        fields = [
            pyarrow.field(name, array.type) if isinstance(at, range) else schema.field(at).with_name(name)
            for (name, at), array in zip(found, arrays, strict=True)
        ]
        return cls(pyarrow.Table.from_arrays(arrays, schema=pyarrow.schema(fields, metadata=kept or None)))

    def frame(self, only: Sequence[str] | None = None) -> pd.DataFrame:
        """As `Stored.frame`."""
        return frame_of(self.table.schema, lambda at: series_of(self.table.column(at)), only)

    def take(self, rows: NDArray[np.int64]) -> StoredArrow:
        """As `Stored.take`."""
        return StoredArrow(self.table.take(rows))

    def write(self, path: Path) -> None:
        """As `Stored.write`."""
        if path.suffix == ".csv":
            write_csv(self.frame(), path)
        else:
            needed("pyarrow.parquet", f"writing {path.name}").write_table(self.table, path)


EXACT = 2**53  # larger whole numbers are others once a missing value makes floats of the column


def _exact(cells: Sequence[str]) -> pd.Series:
    """Numbers, if every cell that is not empty is the text of its number; else the texts."""
    known = [cell for cell in cells if cell]
    gaps = len(known) < len(cells)
    if known and (ints := whole(known)) is not None and list(map(str, ints.tolist())) == known:
        if not gaps:
            return pd.Series(ints)
        if max(map(abs, ints.tolist())) <= EXACT:
            return pd.Series([int(cell) if cell else None for cell in cells], dtype="Int64")
    values, good = numbers(known)
    if known and good.all() and list(map(repr, values.tolist())) == known:
        return pd.Series([float(cell) if cell else None for cell in cells], dtype="float64")
    return pd.Series([cell or None for cell in cells], dtype="str")


def of_texts(frame: pd.DataFrame, keys: Sequence[str], texts: Sequence[str], missing: Sequence[str]) -> pd.DataFrame:
    """What `StoredFrame.write` put into a Parquet file, as it would be read from the CSV file."""
    wanted = {name for name in frame.columns if name in (*keys, *texts) or not is_numeric_dtype(frame[name].dtype)}
    cells = pd.DataFrame({guarded(name): _cells(frame[name]) for name in frame.columns if name in wanted})
    found = read_texts(
        lambda columns: [cells if columns is None else cells[list(columns)]], keys=keys, texts=texts, missing=missing
    )
    return frame.assign(**{name: found[name] for name in found.columns})


def _cells(column: pd.Series) -> list[str]:
    """The texts of a column as they stood in the CSV file, as a reader of such files takes them."""
    return [guarded("" if gap else str(cell)) for cell, gap in zip(column.tolist(), column.isna(), strict=True)]
