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
from vfl.data.literals import MISSING, TRUTH, numbers, whole

Pieces = Callable[[Sequence[str] | None], Iterable[pd.DataFrame]]


def read_texts(
    pieces: Pieces,
    *,
    keys: Sequence[str] = (),
    texts: Sequence[str] = (),
    missing: Sequence[str] = (),
) -> pd.DataFrame:
    """The table of a file of texts.

    pieces: reads the named columns of the file (None: all of them) as pieces of texts, without a missing value; keys:
    columns that stay as written, and in which no text means a missing value; texts: columns of texts, whatever
    stands in the cells; missing: texts that mean a missing value, in addition to `MISSING`.
    """
    absent = frozenset(MISSING) | frozenset(missing)
    columns = _read(pieces(None), keys, texts, absent)
    if again := [name for name, column in columns.items() if column.is_mixed]:
        columns |= _read(pieces(again), (), again, absent)
    frame = pd.DataFrame({name: column.result() for name, column in columns.items()})
    return frame.set_axis([unguarded(name) for name in frame.columns], axis=1)


def _read(
    pieces: Iterable[pd.DataFrame], keys: Sequence[str], texts: Sequence[str], absent: frozenset[str]
) -> dict[str, TextColumn]:
    columns = dict[str, TextColumn]()
    for piece in pieces:
        for name in piece.columns:
            if name not in columns:
                plain = unguarded(name)
                columns[name] = TextColumn(frozenset() if plain in keys else absent, plain in keys or plain in texts)
            columns[name].add(piece[name].tolist())
    return columns


class TextColumn:
    """One column, piece by piece.

    absent: the texts that mean a missing value; written: whether it holds texts, whatever stands in its cells.
    """

    def __init__(self, absent: frozenset[str], written: bool) -> None:
        self._absent, self._written = absent, written
        self._pieces = list[NDArray[Any]]()
        self._kinds = set[str]()  # what the pieces hold: "number", "truth", "text"
        self._texts = dict[str, str | None](dict.fromkeys(absent))  # each once, as it is meant

    def add(self, cells: list[str]) -> None:
        """Adds the cells of the next rows."""
        gap = np.fromiter((cell in self._absent for cell in cells), np.bool_, len(cells))
        known = [cell for cell in cells if cell not in self._absent] if gap.any() else cells
        if not known:
            self._pieces.append(np.full(len(cells), None))
            return
        kind, values = ("text", None) if self._written else _read_as(known)
        self._kinds.add(kind)
        if values is None:
            self._pieces.append(self._texts_of(cells))
        else:
            self._pieces.append(_spread(values, gap) if gap.any() else values)

    def _texts_of(self, cells: list[str]) -> NDArray[np.object_]:
        for cell in cells:
            if cell not in self._texts:
                self._texts[cell] = unguarded(cell)
        out = np.empty(len(cells), object)
        out[:] = [self._texts[cell] for cell in cells]
        return out

    @property
    def is_mixed(self) -> bool:
        """Whether some pieces are numbers or truth values, and others not: the column has to be read again as texts."""
        return len(self._kinds) > 1

    def result(self) -> pd.Series:
        """The whole column: of whole numbers, numbers, truth values or texts; None is a missing text or truth value."""
        if self._kinds <= {"number"}:
            return pd.Series(np.concatenate([p if p.dtype.kind != "O" else p.astype(np.float64) for p in self._pieces]))
        return pd.Series(np.concatenate(self._pieces))


def _read_as(known: list[str]) -> tuple[str, NDArray[Any] | None]:
    """What all of the cells are, and as such."""
    if known[0] in TRUTH:
        return ("truth", np.array([TRUTH[c] for c in known])) if all(c in TRUTH for c in known) else ("text", None)
    if (ints := whole(known)) is not None:
        return "number", ints
    values, good = numbers(known)
    return ("number", values) if good.all() else ("text", None)


def _spread(values: NDArray[Any], gap: NDArray[np.bool_]) -> NDArray[Any]:
    """`values` where there is no gap."""
    out = np.full(len(gap), None) if values.dtype == np.bool_ else np.full(len(gap), np.nan)
    out[~gap] = values
    return out
