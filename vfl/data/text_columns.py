"""Columns of a file of texts, such as CSV, while its rows come in pieces: numbers where all cells are numbers, truth
values where all are, else the texts as they are written.

A piece that holds numbers only is kept as numbers.  Where a later piece shows that the column is one of texts, the file
is read again for this column.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from vfl.data.cells import unguarded
from vfl.data.doubts.written import NOTES, Cells, noted
from vfl.data.literals import MISSING, TRUTH, numbers, whole

SHARED = 1 << 12  # different texts of a column, up to which each is kept once
PACKED: Any = pd.Series([""]).dtype  # where pyarrow is installed, texts in one buffer
Pieces = Callable[[Sequence[str] | None], Iterable[pd.DataFrame]]


def read_texts(
    pieces: Pieces,
    *,
    keys: Sequence[str] = (),
    texts: Sequence[str] = (),
    missing: Sequence[str] = (),
    rows: int = 0,
    points: bool = True,
) -> pd.DataFrame:
    """The table of a file of texts.

    pieces: reads the named columns of the file (None: all of them) as pieces of texts, without a missing value; keys:
    columns that stay as written, and in which no text means a missing value; texts: columns of texts, whatever
    stands in the cells; missing: texts that mean a missing value, in addition to `MISSING`; rows: about how many come,
    rather more than fewer: room that is not used takes no memory; points: whether a point is the file's own sign before
    decimals.  The frame's attrs have notes of what may mean something else (`doubts.written`).
    """
    absent = frozenset(MISSING) | frozenset(missing)
    columns = _read(pieces(None), keys, texts, absent, rows, points)
    if again := [name for name, column in columns.items() if column.is_mixed]:
        columns |= _read(pieces(again), (), again, absent, rows, points)
    notes = noted({unguarded(name): column.cells for name, column in columns.items() if column.is_numeric})
    frame = pd.DataFrame({name: columns.pop(name).result() for name in list(columns)}, copy=False)
    frame = frame.set_axis([unguarded(name) for name in frame.columns], axis=1)
    if notes:
        frame.attrs[NOTES] = notes
    return frame


def _read(
    pieces: Iterable[pd.DataFrame],
    keys: Sequence[str],
    texts: Sequence[str],
    absent: frozenset[str],
    rows: int,
    points: bool,
) -> dict[str, TextColumn]:
    columns = dict[str, TextColumn]()
    for piece in pieces:
        for name in piece.columns:
            if name not in columns:
                own = frozenset[str]() if (plain := unguarded(name)) in keys else absent
                columns[name] = TextColumn(own, plain in keys or plain in texts, rows, Cells(points))
            columns[name].add(piece[name].tolist())
    return columns


class Room:
    """Values that come in pieces, in one array: pieces that are joined at the end take the memory twice."""

    def __init__(self, rows: int) -> None:
        """rows: about how many come; what is not used of an array takes no memory."""
        self._rows, self._values, self._filled = rows, np.empty(0, object), 0

    def add(self, piece: NDArray[Any]) -> None:
        """Adds the next rows; the array is of a type that holds all."""
        start, self._filled = self._filled, self._filled + len(piece)
        kind = np.result_type(self._values, piece) if start else piece.dtype
        if kind != self._values.dtype or self._filled > len(self._values):
            values = np.empty(self._rows if self._filled <= self._rows else self._filled + start, kind)
            values[:start] = self._values[:start]
            self._values = values
        self._values[start : self._filled] = piece

    @property
    def values(self) -> NDArray[Any]:
        """All rows so far."""
        return self._values[: self._filled]


class TextColumn:
    """One column, piece by piece.

    absent: the texts that mean a missing value; written: whether it holds texts, whatever stands in its cells; rows:
    about how many come; cells: notes what may mean something else than a number.
    """

    def __init__(self, absent: frozenset[str], written: bool, rows: int, cells: Cells) -> None:
        self._absent, self._written, self._rows = absent, written, rows
        self._kinds = set[str]()  # what the pieces hold: "number", "truth", "text"
        self.cells, self._seen = cells, 0
        self._void = 0  # rows without a value, before any other
        self._room = Room(rows)
        self._texts: dict[str, str | None] = dict.fromkeys(absent)  # each once, as it is meant
        self._packed = list[Any]()  # all texts, as soon as there are many different ones

    def add(self, cells: list[str]) -> None:
        """Adds the cells of the next rows."""
        full = self._absent.isdisjoint(cells)
        known = cells if full else [cell for cell in cells if cell not in self._absent]
        start, self._seen = self._seen + 1, self._seen + len(cells)
        if not known and not self._kinds:
            self._void += len(cells)
            return
        kind, values = self._read(known)
        self._kinds.add(kind)
        if self.is_mixed:
            self._room = Room(0)
            return
        if kind == "number" and known:
            every = range(start, start + len(cells))
            self.cells.add(
                known,
                values,
                every if full else [r for r, c in zip(every, cells, strict=True) if c not in self._absent],
            )
        void, self._void = self._void, 0
        if kind == "text":
            self._add_texts([""] * void + cells if void else cells)
            return
        gap = np.ones(void + len(cells), np.bool_)
        gap[void:] = np.fromiter((cell in self._absent for cell in cells), np.bool_, len(cells))
        self._room.add(_spread(values, gap) if gap.any() else values)

    def _read(self, known: list[str]) -> tuple[str, NDArray[Any]]:
        """What the cells with a value are, and as such; without any, what those before were."""
        nothing: NDArray[Any] = np.empty(0, np.bool_ if self._kinds == {"truth"} else np.float64)
        if self._written or not known:
            return "text" if self._written else next(iter(self._kinds)), nothing
        return _read_as(known)

    def _add_texts(self, cells: list[str]) -> None:
        if self._packed:
            self._packed.append(packed([None if cell in self._absent else unguarded(cell) for cell in cells]))
            return
        for cell in cells:
            if cell not in self._texts:
                self._texts[cell] = unguarded(cell)
        values = np.empty(len(cells), object)
        values[:] = [self._texts[cell] for cell in cells]
        self._room.add(values)
        if len(self._texts) > SHARED:
            self._packed, self._room, self._texts = [packed(self._room.values)], Room(0), {}

    @property
    def is_mixed(self) -> bool:
        """Whether some pieces are numbers or truth values, and others not: the column has to be read again as texts."""
        return len(self._kinds) > 1

    @property
    def is_numeric(self) -> bool:
        """Whether it is a column of numbers."""
        return self._kinds == {"number"}

    def result(self) -> pd.Series:
        """The whole column: of whole numbers, numbers, truth values or texts; None is a missing text or truth value."""
        if self._packed:
            return pd.concat([pd.Series(piece) for piece in self._packed], ignore_index=True)
        values = self._room.values if self._kinds else np.full(self._void, np.nan)
        return pd.Series(values, dtype=values.dtype, copy=False)


def packed(texts: Any) -> Any:
    """Texts one after the other in one buffer, by pyarrow: as objects each takes 50 bytes more."""
    return pd.array(texts, dtype=PACKED)


def _read_as(known: list[str]) -> tuple[str, NDArray[Any]]:
    """What all of the cells are, and as such, but for texts."""
    if known[0] in TRUTH:
        truth = np.array([TRUTH.get(c, False) for c in known])
        return "truth" if all(c in TRUTH for c in known) else "text", truth
    if (ints := whole(known)) is not None:
        return "number", ints
    values, good = numbers(known)
    return "number" if good.all() else "text", values


def _spread(values: NDArray[Any], gap: NDArray[np.bool_]) -> NDArray[Any]:
    """`values` where there is no gap."""
    out = np.full(len(gap), None) if values.dtype == np.bool_ else np.full(len(gap), np.nan)
    out[~gap] = values
    return out
