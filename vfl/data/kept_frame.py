"""Columns of a source as they came, which a process keeps and does not hold: the key columns of rows that are scored,
which are written with the scores.

Texts and numbers only, and of these what is read again is what was kept, type by type.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import pandas as pd

from protocols.kept import Kept
from protocols.parts import Part, parts

TEXTS = ""  # in the place of the type of numbers
Cell = str | float | None  # NaN is the only number


@dataclass(frozen=True, eq=False, repr=False)
class KeptFrame:
    """n rows; types: by column the type of its numbers, or `TEXTS`; blocks: by column what reads each block."""

    count: int
    types: Mapping[str, str]
    blocks: Mapping[str, Sequence[Kept]]

    def __len__(self) -> int:
        return self.count

    def block(self, part: Part) -> pd.DataFrame:
        """A block of rows, numbered from 0."""
        return pd.DataFrame(
            {name: unpacked(self.blocks[name][part.number](), kind) for name, kind in self.types.items()}
        )


def whole(rows: int) -> Part:
    """All rows as one block."""
    return Part(0, 1, 0, rows)


def block_of(frame: pd.DataFrame | KeptFrame, part: Part) -> pd.DataFrame:
    """A block of rows, numbered from 0."""
    return frame.block(part) if isinstance(frame, KeptFrame) else frame.iloc[part.rows].reset_index(drop=True)


def type_of(column: pd.Series) -> str:
    """As `KeptFrame.types` has it.  Raises TypeError for a column of anything else."""
    if column.dtype == object:
        return TEXTS
    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "biuf":
        return column.dtype.str
    raise TypeError(column.dtype)


def packed(column: pd.Series) -> Iterator[bytes]:
    """Each block of a column.  Raises TypeError as `type_of`, and for what is no text in a column of texts."""
    kind = type_of(column)
    for part in parts(len(column)):
        block = column.iloc[part.rows]
        if kind != TEXTS:
            yield block.to_numpy().tobytes()
            continue
        cells = block.tolist()
        if not all(cell is None or type(cell) is str or (type(cell) is float and cell != cell) for cell in cells):
            raise TypeError(object)
        yield msgspec.msgpack.encode(cells)


def unpacked(data: bytes, kind: str) -> pd.Series:
    """A block as it was."""
    if kind != TEXTS:
        return pd.Series(np.frombuffer(data, kind))
    return pd.Series(msgspec.msgpack.decode(data, type=list[Cell]), dtype=object)
