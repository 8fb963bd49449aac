"""Ids that lie where a run keeps long things, block after block of rows: one block of them is held at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols.ids import Ids
from protocols.kept import Keep, Kept
from protocols.parts import Part, parts

Positions = NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Every:
    """All rows in their order: as an array of their numbers, of which none is held."""

    count: int

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, rows: slice | Positions) -> NDArray[np.int32]:
        whole = np.arange(*rows.indices(self.count), dtype=np.int32) if isinstance(rows, slice) else rows
        return np.asarray(whole, dtype=np.int32)


Rows = Positions | Every


class KeptIds(Ids):
    """As `Ids`: `at`, `take` and iterating read the blocks that they need, everything else reads all ids."""

    def __init__(self, blocks: Sequence[tuple[Kept, Kept]], starts: NDArray[np.int64], rows: Rows) -> None:
        """blocks: what reads the ends of the ids, and the ids; starts: their first rows; rows: those of all blocks
        that these are, in their order."""
        self._blocks, self._starts, self._rows = blocks, starts, rows

    @classmethod
    def keeping(cls, keep: Keep, ids: Ids, rows: Rows) -> KeptIds:
        """These rows of ids, in this order."""
        return cls.of_blocks(keep, len(rows), lambda part: ids.take(np.asarray(rows[part.rows], np.int64)))

    @classmethod
    def of_blocks(cls, keep: Keep, count: int, block: Callable[[Part], Ids]) -> KeptIds:
        """As many ids; block: those of a block of rows, of which one is held at a time."""
        blocks, every = list[tuple[Kept, Kept]](), parts(count)
        for part in every:
            own = block(part)
            blocks.append((keep(own.ends(slice(None)).tobytes()), keep(own.data)))
        return cls(blocks, np.array([part.first for part in every]), Every(count))

    def __getattr__(self, name: str) -> Any:
        """What an `Ids` holds, of all rows."""
        if name not in ("data", "_offsets"):
            raise AttributeError(name)
        whole = Ids.joined(self.at(np.arange(part.first, part.last)) for part in parts(len(self)))
        return whole.data if name == "data" else whole.ends(slice(None))

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[bytes]:
        for part in parts(len(self)):
            yield from self.at(np.arange(part.first, part.last))

    def at(self, rows: NDArray[np.int64]) -> list[bytes]:
        """As `Ids.at`."""
        places, found = self._rows[rows], [b""] * len(rows)
        blocks = np.searchsorted(self._starts, places, side="right") - 1
        for number in np.unique(blocks).tolist():
            ends, data = self._blocks[number]
            here = np.flatnonzero(blocks == number)
            own = Ids(data(), np.frombuffer(ends(), np.int64)).at(places[here] - self._starts[number])
            for row, value in zip(here.tolist(), own, strict=True):
                found[row] = value
        return found

    def digest(self) -> bytes:
        """As `Ids.digest`."""
        ends, end = hashlib.sha256(len(self).to_bytes(8, "big") + bytes(8)), 0
        for part in parts(len(self)):
            lengths = np.fromiter(map(len, self.at(np.arange(part.first, part.last))), np.int64, len(part))
            ends.update((end + np.cumsum(lengths)).astype("<i8").tobytes())
            end += int(lengths.sum())
        for part in parts(len(self)):
            ends.update(b"".join(self.at(np.arange(part.first, part.last))))
        return ends.digest()

    def take(self, rows: NDArray[np.int64]) -> KeptIds:
        """As `Ids.take`; nothing is read."""
        return KeptIds(self._blocks, self._starts, self._rows[rows])
