"""Where a party puts what it needs later, and does not hold meanwhile: long vectors, and what lost workers need again.

By default that is memory.  A run of an institution keeps long ones in a sealed file of its folder, which ends with the
process (vfl/storage/shelf.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from protocols._native import PlainVec

Kept = Callable[[], bytes]  # reads what was kept; it is gone when nobody holds this any more
Keep = Callable[[bytes], Kept]


def in_memory(data: bytes) -> Kept:
    """Keeps bytes where they are."""
    return lambda: data


@dataclass(frozen=True, eq=False, repr=False)
class KeptVec:
    """Integers for each row, kept in blocks.  Printing it shows sizes only."""

    sizes: list[int]
    blocks: list[Kept]

    @classmethod
    def of(cls, vector: PlainVec, keep: Keep = in_memory) -> Self:
        """In one block."""
        return cls([len(vector)], [keep(vector.to_bytes())])

    def __len__(self) -> int:
        return sum(self.sizes)

    def __repr__(self) -> str:
        return f"<KeptVec of {len(self)} rows>"

    def whole(self) -> PlainVec:
        """All of them, in memory."""
        return PlainVec.join([PlainVec.from_bytes(read()) for read in self.blocks])
