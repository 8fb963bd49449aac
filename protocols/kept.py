"""Where a party puts what it needs later, and does not hold meanwhile: long vectors, and what lost workers need again.

By default that is memory.  A run of an institution keeps long ones in a sealed file of its folder, which ends with the
process (vfl/storage/shelf.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any, Generic, Protocol, Self, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from protocols import parts
from protocols._native import PlainVec

T = TypeVar("T", bound=np.generic)
T_co = TypeVar("T_co", bound=np.generic, covariant=True)
Kept = Callable[[], bytes]  # reads what was kept; it is gone when nobody holds this any more
Keep = Callable[[bytes], Kept]


class Sliced(Protocol[T_co]):
    """Numbers for each row, of which some consecutive ones are read at a time: an array, or what is kept."""

    def __len__(self) -> int: ...
    def __getitem__(self, rows: slice, /) -> NDArray[T_co]: ...


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

    @classmethod
    def of_blocks(cls, blocks: Iterable[PlainVec], keep: Keep) -> Self:
        """Of which one is held at a time."""
        found = cls([], [])
        for block in blocks:
            found.add(block, keep)
        return found

    def add(self, block: PlainVec, keep: Keep) -> None:
        """One more block."""
        self.sizes.append(len(block))
        self.blocks.append(keep(block.to_bytes()))

    @classmethod
    def joined(cls, vectors: Iterable[KeptVec]) -> Self:
        """One after the other; none is read."""
        every = list(vectors)
        return cls([n for one in every for n in one.sizes], [read for one in every for read in one.blocks])

    def __len__(self) -> int:
        return sum(self.sizes)

    def __repr__(self) -> str:
        return f"<KeptVec of {len(self)} rows>"

    def whole(self) -> PlainVec:
        """All of them, in memory."""
        return self.between(0, len(self))

    def between(self, first: int, last: int) -> PlainVec:
        """Rows `first` to `last`, the last left out."""
        found = list[PlainVec]()
        for (start, stop), read in zip(pairwise([0, *accumulate(self.sizes)]), self.blocks, strict=True):
            if start < last and first < stop:
                block = PlainVec.from_bytes(read())
                whole = first <= start and stop <= last
                found.append(block if whole else block.slice(max(first - start, 0), min(last, stop) - start))
        return found[0] if len(found) == 1 else PlainVec.join(found)


class KeptRows(Generic[T]):
    """Numbers of one type for each row (axis 0), kept in blocks.  Printing it shows sizes only."""

    def __init__(self, keep: Keep, blocks: Iterable[NDArray[T]]) -> None:
        """blocks: of consecutive rows, at least one; one is held at a time."""
        self._starts, self._blocks, self._row = [0], list[Kept](), tuple[int, ...]()
        self._type: np.dtype[Any] = np.dtype(np.uint8)
        for block in blocks:
            self._blocks.append(keep(block.tobytes()))
            self._starts.append(self._starts[-1] + len(block))
            self._type, self._row = block.dtype, block.shape[1:]

    @classmethod
    def holding(cls, blocks: Iterable[Kept], sizes: Iterable[int], number: type[T]) -> KeptRows[T]:
        """What others have kept: of each block its bytes, and how many numbers of this type they are."""
        found = cls(in_memory, ())
        found._blocks, found._starts, found._type = list(blocks), [0, *accumulate(sizes)], np.dtype(number)
        return found

    @classmethod
    def of(cls, values: Sliced[T], keep: Keep) -> KeptRows[T]:
        """What is kept already stays where it is."""
        if isinstance(values, KeptRows):
            return values
        return cls(keep, (np.asarray(values[part.rows]) for part in parts.parts(len(values))))

    def __len__(self) -> int:
        return self._starts[-1]

    @property
    def shape(self) -> tuple[int, ...]:
        """As of an array."""
        return (len(self), *self._row)

    @property
    def dtype(self) -> np.dtype[Any]:
        """As of an array."""
        return self._type

    def __repr__(self) -> str:
        return f"<KeptRows of {len(self)} rows>"

    def __getitem__(self, rows: slice) -> NDArray[T]:
        first, last, _ = rows.indices(len(self))
        found = [np.zeros((0, *self._row), self._type)]
        for (start, stop), read in zip(pairwise(self._starts), self._blocks, strict=True):
            if start < last and first < stop:
                block = np.frombuffer(read(), self._type).reshape(stop - start, *self._row)
                found.append(block[max(first - start, 0) : last - start])
        return cast("NDArray[T]", found[1] if len(found) == 2 else np.concatenate(found))

    def take(self, rows: NDArray[np.integer[Any]]) -> NDArray[T]:
        """Those of these rows, in their order; all between the first and the last of them are read."""
        if not len(rows):
            return self[:0]
        low, high = int(rows.min()), int(rows.max()) + 1
        found = self[low:high]
        return found if high - low == len(rows) and (rows[1:] > rows[:-1]).all() else found[rows - low]

    def blocks(self) -> Iterator[NDArray[T]]:
        """One after the other, as they are kept."""
        for start, stop in pairwise(self._starts):
            yield self[start:stop]


def between(values: PlainVec | KeptVec, part: parts.Part) -> PlainVec:
    """A block of rows of integers."""
    if isinstance(values, KeptVec):
        return values.between(part.first, part.last)
    return values.slice(part.first, part.last)


def kept_vec(values: PlainVec, keep: Keep) -> KeptVec:
    """Integers in blocks of rows."""
    return KeptVec.of_blocks((between(values, part) for part in parts.parts(len(values))), keep)
