"""How a vector with a number for each row is cut: into blocks, which `protocols.row_blocks` sends and receives, and
into shares for a party's own workers (`protocols.workers`).

A block is of the protocol: masks are drawn for it, and its size is the same for all parties and machines.  A share is
of one party's machines, and nothing depends on it: no draw, no hash and no result.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, overload

ROWS = 1 << 16  # rows of a block: a constant of the protocol, since masks are drawn for each block
LEAF = 1 << 12  # rows that are hashed together, and the fewest that a worker takes: a constant of the protocol too
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


class Parts(Sequence[Part]):
    """The blocks of a vector, each made when it is needed: a length that a partner only claims takes no memory."""

    def __init__(self, length: int, size: int) -> None:
        self._length, self._size = length, size
        self._numbers = range(max(1, -(-length // size)))

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, at: int) -> Part: ...
    @overload
    def __getitem__(self, at: slice) -> list[Part]: ...
    def __getitem__(self, at: int | slice) -> Part | list[Part]:
        if isinstance(at, slice):
            return [self[k] for k in self._numbers[at]]
        first = self._numbers[at] * self._size
        return Part(self._numbers[at], len(self), first, min(first + self._size, self._length))


def parts(length: int, wide: int = 1) -> Parts:
    """The blocks of a vector, one of an empty one; wide: how many numbers a row has."""
    return Parts(length, max(1, min(ROWS, ROWS * WIDE // max(1, wide))))


Portions = list[tuple[int, int, int]]  # worker, the first row of its share, and the one behind its last


def portions(length: int, workers: int) -> Portions:
    """How a vector of this length lies at workers: whole leaves in their order, as evenly as can be."""
    leaves = -(-length // LEAF)
    ends = [min(length, k * leaves // workers * LEAF) for k in range(workers + 1)]
    return [(k, first, last) for k, (first, last) in enumerate(itertools.pairwise(ends)) if first < last]
