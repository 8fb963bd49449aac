"""How a vector with a number for each row is cut into blocks; `protocols.row_blocks` sends and receives them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

ROWS = 1 << 16  # rows of a block: a constant of the protocol, since masks are drawn for each block
WIDE = 64  # numbers for each row of a full block; with more of them it has fewer rows
BYTES = 1 << 12  # of a row in one field of a block at most: a ciphertext under the longest key has half of that


class Place(NamedTuple):
    """Where a message stands in its vector: its number, and how many follow."""

    number: int = 0
    more: int = 0


WHOLE = Place()


@dataclass(frozen=True)
class Part:
    """Block `number` of `count`: the rows from `first` on, `last` left out."""

    number: int
    count: int
    first: int
    last: int

    def __len__(self) -> int:
        return self.last - self.first

    @property
    def more(self) -> int:
        """How many blocks follow."""
        return self.count - 1 - self.number

    @property
    def place(self) -> Place:
        return Place(self.number, self.more)

    @property
    def rows(self) -> slice:
        """Where its rows stand in the whole vector."""
        return slice(self.first, self.last)

    def label(self, text: str) -> str:
        """What names this block's draws from a seed: for the first the text alone."""
        return f"{text} block {self.number}" if self.number else text


ONE = Part(0, 1, 0, 1)  # a number alone


def parts(length: int, wide: int = 1) -> list[Part]:
    """The blocks of a vector, one of an empty one; wide: how many numbers a row has."""
    size = max(1, min(ROWS, ROWS * WIDE // max(1, wide)))
    count = max(1, -(-length // size))
    return [Part(k, count, k * size, min((k + 1) * size, length)) for k in range(count)]
