"""A table of common rows that a run keeps in its file, and does not hold: ids, columns and label, in blocks of rows.

What somebody asks for is read then, and held by nobody else.  So the memory of a process that takes a column at a time,
or a block of rows at a time, does not grow with the columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protocols.alignment import Alignment, IdsAway
from protocols.ids import Ids
from protocols.kept import Keep, KeptRows
from protocols.parts import Part, parts
from vfl.data.kept_ids import Every, KeptIds, Positions, Rows
from vfl.data.schema import Schema, Settings
from vfl.data.table import Table


@dataclass(frozen=True, eq=False, repr=False)
class KeptColumn:
    """One column; texts: what its numbers stand for, in a column of texts; rows: which of those that are kept these
    are, None for all."""

    name: str
    values: KeptRows[Any]
    texts: NDArray[np.object_] | None = None
    rows: Rows | None = None

    @classmethod
    def keeping(cls, keep: Keep, column: pd.Series, rows: Positions) -> KeptColumn:
        """These rows of a column of a checked table, in this order."""
        values, texts = column.to_numpy(), None
        if column.dtype.kind == "O":
            values, found = pd.factorize(values)  # -1 where there is none
            texts = np.append(np.asarray(found, object), [None])
        return cls(str(column.name), KeptRows(keep, (values[rows[part.rows]] for part in parts(len(rows)))), texts)

    def at(self, rows: Positions) -> pd.Series:
        """Its values in these rows."""
        rows = rows if self.rows is None else self.rows[rows]
        found = np.empty(len(rows), self.values.dtype if self.texts is None else object)
        whole = self.values[:] if (rows[1:] < rows[:-1]).any() else None  # rows in any order
        for part in parts(len(rows)):
            values = self.values.take(rows[part.rows]) if whole is None else whole[rows[part.rows]]
            found[part.rows] = values if self.texts is None else self.texts[values]
        return pd.Series(found, name=self.name, dtype=found.dtype, copy=False)

    def taken(self, rows: Rows) -> KeptColumn:
        """These rows, in this order; nothing is read."""
        return replace(self, rows=rows)


@dataclass(frozen=True, eq=False, repr=False)
class Pieces:
    """What is kept of a table; columns: its features, by name."""

    keep: Keep
    ids: KeptIds
    named: KeptIds | None
    columns: Mapping[str, KeptColumn]
    label: KeptColumn | None
    weight: KeptColumn | None
    date: KeptColumn | None
    fallback: tuple[KeptIds, ...] = ()  # of the rows of a party's own table, those under further keys


class KeptTable(Table):
    """As `Table`, of rows that are not held; its `index` only numbers them."""

    _pieces: Pieces
    _rows: Rows  # of those that are kept, in their order
    away: tuple[IdsAway, ...] | None  # its ids at this party's workers

    def __init__(self, like: Table, pieces: Pieces, rows: Rows, matched: tuple[int, ...]) -> None:
        """like: a table of the same party, which is not held."""
        told = (like.party, like.classes, like.repeated, like.schema, like.settings)
        self._fill(pieces, rows, matched, *told)

    @classmethod
    def read(
        cls,
        pieces: Pieces,
        rows: Rows,
        party: str,
        classes: tuple[Any, ...] | None,
        repeated: int,
        schema: Schema,
        settings: Settings,
    ) -> KeptTable:
        """A party's table, all of whose rows were kept as they were read."""
        found = cls.__new__(cls)
        found._fill(pieces, rows, (), party, classes, repeated, schema, settings)
        return found

    def _fill(
        self,
        pieces: Pieces,
        rows: Rows,
        matched: tuple[int, ...],
        party: str,
        classes: tuple[Any, ...] | None,
        repeated: int,
        schema: Schema,
        settings: Settings,
    ) -> None:
        own: dict[str, Any] = {"_pieces": pieces, "_rows": rows, "matched": matched, "party": party, "classes": classes}
        own |= {"repeated": repeated, "schema": schema, "settings": settings, "again": None, "away": None}
        for name, value in (own | {"doubts": (), "_computed": {}}).items():
            object.__setattr__(self, name, value)

    def with_ids_at(self, away: tuple[IdsAway, ...]) -> None:
        """Its ids are at this party's workers too."""
        object.__setattr__(self, "away", away)

    @property
    def listed(self) -> tuple[Ids | IdsAway, ...]:
        return self.keys if self.away is None else self.away

    @property
    def ids(self) -> KeptIds:
        """Read block by block."""
        return self._named(self._pieces.ids)

    @property
    def fallback(self) -> tuple[KeptIds, ...]:
        """As `ids`."""
        return tuple(map(self._named, self._pieces.fallback))

    @property
    def named(self) -> KeptIds | None:
        """As `ids`."""
        named = self._pieces.named
        return None if named is None else self._named(named)

    def _named(self, ids: KeptIds) -> KeptIds:
        return ids if isinstance(self._rows, Every) else ids.take(cast(NDArray[np.int64], self._rows))

    @property
    def index(self) -> pd.Index:
        """Numbers from 0."""
        return pd.RangeIndex(len(self))

    @property
    def features(self) -> pd.DataFrame:
        """All columns, read now."""
        return self._frame(self._rows[:])

    @property
    def label(self) -> pd.Series | None:
        """Read now."""
        return None if self._pieces.label is None else self._pieces.label.at(self._rows[:])

    @property
    def weight(self) -> pd.Series | None:
        """Read now."""
        return None if self._pieces.weight is None else self._pieces.weight.at(self._rows[:])

    @property
    def date(self) -> NDArray[np.datetime64] | None:
        """Read now."""
        return None if self._pieces.date is None else self._pieces.date.at(self._rows[:]).to_numpy()

    @property
    def shape(self) -> tuple[int, int]:
        return len(self._rows), len(self._pieces.columns)

    @property
    def has_label(self) -> bool:
        return self._pieces.label is not None

    @property
    def columns(self) -> list[str]:
        return [*self._pieces.columns]

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(name for name, column in self._pieces.columns.items() if column.texts is not None)

    def column(self, name: str) -> pd.Series:
        """Read now."""
        return self._pieces.columns[name].at(self._rows[:])

    def blocks(self) -> Iterator[pd.DataFrame]:
        for part in parts(len(self)):
            yield self._frame(self._rows[part.rows])

    def aligned(self, found: Alignment) -> KeptTable:
        """As `Table.aligned`; nothing is read but, with several keys, ids."""
        rows, pieces = self._rows[found.rows], self._pieces
        if not pieces.fallback:
            return KeptTable(self, pieces, rows, found.by_key)
        ids, named = matched_ids(self, found, pieces.keep)
        columns = {name: column.taken(rows) for name, column in pieces.columns.items()}
        label, weight, date = (
            None if one is None else one.taken(rows) for one in (pieces.label, pieces.weight, pieces.date)
        )
        taken = Pieces(pieces.keep, ids, named, columns, label, weight, date)
        return KeptTable(self, taken, Every(len(rows)), found.by_key)

    def take(self, rows: NDArray[np.integer]) -> KeptTable:
        """As `Table.take`; nothing is read."""
        return KeptTable(self, self._pieces, self._rows[rows], self.matched)

    def _frame(self, rows: Positions) -> pd.DataFrame:
        features = {name: column.at(rows) for name, column in self._pieces.columns.items()}
        return pd.DataFrame(features, index=pd.RangeIndex(len(rows)), columns=pd.Index(self.columns, dtype=object))


def matched_ids(table: Table, found: Alignment, keep: Keep) -> tuple[KeptIds, KeptIds]:
    """Of the common rows of a table with several keys: the ids that matched them, and `Table.names`."""

    def of(part: Part) -> list[Ids]:
        rows = found.rows[part.rows]
        return [Ids.of(own.at(rows)) for own in table.keys]

    def matched(part: Part) -> Ids:
        return replace(found, keys=found.keys[part.rows]).pick(of(part))

    def names(part: Part) -> Ids:
        return Ids.of([next(filter(None, row), b"") for row in zip(*of(part), strict=True)])

    return KeptIds.of_blocks(keep, len(found.rows), matched), KeptIds.of_blocks(keep, len(found.rows), names)


def kept_table(table: Table, found: Alignment, keep: Keep) -> KeptTable:
    """As `Table.aligned`, of common rows that are kept; `table` lets its rows go."""
    rows = found.rows
    every, named = Every(len(rows)), None
    if table.fallback:
        ids, named = matched_ids(table, found, keep)
    else:
        ids = KeptIds.keeping(keep, table.ids, rows)

    def column(values: pd.Series | NDArray[Any] | None) -> KeptColumn | None:
        return None if values is None else KeptColumn.keeping(keep, pd.Series(values, copy=False), rows)

    pieces = Pieces(
        keep,
        ids,
        named,
        {name: KeptColumn.keeping(keep, table.column(name), rows) for name in table.columns},
        column(table.label),
        column(table.weight),
        column(table.date),
    )
    table.let_go()
    return KeptTable(table, pieces, every, found.by_key)
