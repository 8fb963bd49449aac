"""Canonical ids of one key in one buffer: 8 bytes per row in addition to the ids themselves, where a list of `bytes`
takes 40 more."""

from __future__ import annotations

import hashlib
import hmac
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import overload

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]
STEP = 1 << 13  # ids that are held as Python objects at a time


class Ids(Sequence[bytes]):
    """n ids; an empty one stands for a row that has no value under this key.  Printing it shows sizes only."""

    def __init__(self, data: bytes, offsets: Rows) -> None:
        """Id i is data[offsets[i] : offsets[i + 1]]; offsets has n + 1 elements."""
        self.data, self._offsets = data, offsets

    @classmethod
    def of(cls, values: Sequence[bytes]) -> Ids:
        """The ids in a list."""
        return values if isinstance(values, Ids) else cls.joined([values])

    @classmethod
    def joined(cls, parts: Iterable[Sequence[bytes]]) -> Ids:
        """All ids of `parts`, one part after the other; only one part is held as a list at a time."""
        data, lengths = io.BytesIO(), [np.zeros(1, np.int32)]  # a part has less than 2^31 bytes
        for part in parts:
            data.write(b"".join(part))
            lengths.append(np.fromiter(map(len, part), np.int32, len(part)))
        offsets = np.concatenate(lengths, dtype=np.int64)
        return cls(data.getvalue(), np.cumsum(offsets, out=offsets))  # which shares the buffer

    def __len__(self) -> int:
        return len(self._offsets) - 1

    @overload
    def __getitem__(self, row: int) -> bytes: ...
    @overload
    def __getitem__(self, row: slice) -> Ids: ...
    def __getitem__(self, row: int | slice) -> bytes | Ids:
        if isinstance(row, slice):
            return self.take(np.arange(*row.indices(len(self))))
        start, end = self._offsets[range(len(self))[row] + np.arange(2)].tolist()
        return self.data[start:end]

    def __iter__(self) -> Iterator[bytes]:
        for start in range(0, len(self), STEP):
            yield from self.at(np.arange(start, min(start + STEP, len(self))))

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Ids):
            return self.data == other.data and np.array_equal(self._offsets, other._offsets)
        return isinstance(other, Sequence) and self == Ids.of(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<Ids of {len(self)} rows>"

    @property
    def present(self) -> NDArray[np.bool_]:
        """(n,) which rows have an id."""
        return np.diff(self._offsets) > 0

    @property
    def lengths(self) -> Rows:
        """(n,) bytes of each id."""
        return np.diff(self._offsets)

    def ends(self, block: slice) -> Rows:
        """Where the ids of a block of rows begin and end: one number more than rows."""
        start, stop, _ = block.indices(len(self))
        return self._offsets[start : stop + 1]

    def bytes_of(self, block: slice) -> NDArray[np.uint8]:
        """The bytes of the ids in a block of rows, one after the other."""
        start, stop, _ = block.indices(len(self))
        first, last = int(self._offsets[start]), int(self._offsets[stop])
        return np.frombuffer(self.data, np.uint8, last - first, first) if last > first else np.zeros(0, np.uint8)

    def at(self, rows: Rows) -> list[bytes]:
        """The ids of `rows`, in that order."""
        data = self.data
        return [data[s:e] for s, e in zip(self._offsets[rows].tolist(), self._offsets[rows + 1].tolist(), strict=True)]

    def take(self, rows: Rows) -> Ids:
        """As `at`, kept in one buffer again."""
        return Ids.joined(self.at(rows[start : start + STEP]) for start in range(0, len(rows), STEP))

    def digest(self) -> bytes:
        """32 bytes: SHA-256 over the number of rows, where each id ends, and the ids."""
        ends = np.ascontiguousarray(self._offsets, "<i8").tobytes()
        return hashlib.sha256(len(self).to_bytes(8, "big") + ends + self.data).digest()

    def repeats(self) -> NDArray[np.bool_]:
        """(n,) True where an earlier row carries the same id; rows without an id repeat nothing."""
        hashes = np.fromiter(map(hash, self), np.int64, len(self))
        hashes.sort()  # in place: mostly no two are equal
        if not (hashes[1:] == hashes[:-1]).any():
            return np.zeros(len(self), np.bool_)
        hashes = np.fromiter(map(hash, self), np.int64, len(self))
        order = np.argsort(hashes, kind="stable")
        ranked = hashes[order]
        starts = np.flatnonzero(np.concatenate([np.ones(min(1, len(self)), bool), ranked[1:] != ranked[:-1]]))
        counts = np.diff(np.append(starts, len(self)))
        found = np.zeros(len(self), np.bool_)
        for start, count in zip(starts[counts > 1].tolist(), counts[counts > 1].tolist(), strict=True):
            seen = set[bytes]()  # equal hashes are not yet equal ids
            rows = order[start : start + count]
            for row, value in zip(rows.tolist(), self.at(rows), strict=True):
                found[row] = bool(value) and value in seen
                seen.add(value)
        return found


def filler(secret: bytes, key: int, row: int) -> bytes:
    """What stands for a row without an id: nobody else can have it, and nobody can tell it from an id."""
    return bytes(4) + hmac.digest(secret, key.to_bytes(4, "big") + row.to_bytes(8, "big"), "sha256")
