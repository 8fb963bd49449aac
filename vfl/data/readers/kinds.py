"""What every kind of file that holds a table has in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, NoReturn

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protocols.errors import DataError
from vfl.data.form import Form
from vfl.data.header import HEADER, like_cells, twice
from vfl.data.places import Part
from vfl.data.stored import Stored, StoredFrame


@dataclass(frozen=True)
class Ask:
    """What is wanted of a table.

    keys: the columns that ids are in.  Where a file holds texts alone, as CSV does, these stay as written, so that
    leading zeros survive.  only: the columns that are wanted of a file, if it has them all.  texts: columns of texts,
    whatever stands in the cells of a file of texts.  missing: texts that mean a missing value there, in addition to
    `literals.MISSING`.  form: how a file of texts is written.
    """

    keys: Sequence[str] = ()
    only: Sequence[str] | None = None
    texts: Sequence[str] = ()
    missing: Sequence[str] = ()
    form: Form = field(default_factory=Form)


class TableFile(ABC):
    """A kind of file that holds a table."""

    suffixes: ClassVar[tuple[str, ...]]  # small letters, with the dot
    is_text: ClassVar[bool] = False  # then it may be packed, and `Form` says how it is written

    @abstractmethod
    def read(self, parts: Sequence[Part], ask: Ask) -> pd.DataFrame:
        """The rows of all files of a table, one after the other.  Raises DataError, which quotes nothing of their
        content."""

    def stored(self, parts: Sequence[Part], rows: NDArray[np.bool_] | None, form: Form) -> Stored:
        """As `source.read_stored`; a kind that can be read in steps need not hold the other rows."""
        frame = self.read(parts, Ask(form=form))
        if rows is not None and len(frame) != len(rows):
            changed(parts)
        return StoredFrame(frame if rows is None else frame[rows].reset_index(drop=True))


def changed(parts: Sequence[Part]) -> NoReturn:
    """Raises DataError: a file has other rows than it had."""
    raise DataError(f"{parts[0].label}: changed while it was aligned", remedy="Align a copy that nobody writes to")


def check_distinct(part: Part, names: Sequence[str]) -> None:
    """Raises DataError where two columns have one name."""
    if several := sorted({name for name in names if names.count(name) > 1}):
        raise DataError(f"{part.label}: {twice(names, several)}", remedy="Rename them")


def check_same(part: Part, names: Collection[str], first: Part, expected: Collection[str]) -> None:
    """Raises DataError unless a file has the columns of the first one of its folder."""
    missing, new = sorted(set(expected) - set(names)), sorted(set(names) - set(expected))
    if missing or new:
        what = f"no column '{missing[0]}', which" if missing else f"a column '{new[0]}', which is not in"
        where = f"{first.name} has" if missing else first.name
        if like_cells([*names, *expected]):
            what, where = "other columns than", f"{first.name} ({HEADER})"
        raise DataError(
            f"{part.label}: has {what} {where}: the files of a folder are one table, with the same columns",
            remedy="Write them with the same columns, or keep the others in another folder",
        )
