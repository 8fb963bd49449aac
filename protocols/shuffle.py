"""A party's secret order of its rows, in memory that does not grow with them: it is computed again, a segment at a
time, where it is used."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from protocols.randomness import Seed

Rows = NDArray[np.int64]
STEP = 1 << 17  # keys that are drawn at a time
SEGMENT = 1 << 17  # rows of a segment at least
SEGMENTS = 64  # at most, for which all keys are drawn again
BITS = 14  # of a key, by which segments are found


class Shuffle:
    """As `seed.permutation(length)`.  Printing it shows no row."""

    def __init__(self, seed: Seed, length: int) -> None:
        self._seed, self._length = seed, length
        self._segment = max(SEGMENT, -(-length // SEGMENTS))
        self._edges = self._found() if length > self._segment else [(0, 0), (length, 1 << BITS)]
        self._held = (-1, np.zeros(0, np.int64))

    def __len__(self) -> int:
        return self._length

    def __repr__(self) -> str:
        return f"<Shuffle of {self._length} rows>"

    def between(self, start: int, stop: int) -> Rows:
        """The rows at positions start to stop."""
        parts = [np.zeros(0, np.int64)]
        for number, ((first, _), (last, _)) in enumerate(zip(self._edges, self._edges[1:], strict=False)):
            if start < last and first < stop:
                parts.append(self._rows(number)[max(start - first, 0) : stop - first])
        return np.concatenate(parts)

    def take(self, positions: NDArray[np.integer]) -> Rows:
        """The rows at these positions, in their order."""
        found = np.empty(len(positions), np.int64)
        for number, ((first, _), (last, _)) in enumerate(zip(self._edges, self._edges[1:], strict=False)):
            for at in range(0, len(positions), STEP):
                part = positions[at : at + STEP]
                inside = np.flatnonzero((part >= first) & (part < last))
                if len(inside):
                    found[at + inside] = self._rows(number)[part[inside] - first]
        return found

    def _rows(self, number: int) -> Rows:
        """The rows of a segment."""
        if self._held[0] != number:
            (first, low), (last, high) = self._edges[number : number + 2]
            self._held = number, self._computed(first, last, low, high)
        return self._held[1]

    def _computed(self, first: int, last: int, low: int, high: int) -> Rows:
        """Those whose keys begin with low to high, sorted by them."""
        keys, rows, filled = np.empty(last - first, np.uint64), np.empty(last - first, np.int64), 0
        for start in range(0, self._length, STEP):
            own = self._seed.sort_keys(start, min(start + STEP, self._length))
            heads = own >> np.uint64(64 - BITS)
            inside = np.flatnonzero((heads >= low) & (heads < high))
            keys[filled : filled + len(inside)], rows[filled : filled + len(inside)] = own[inside], inside + start
            filled += len(inside)
        return rows[np.argsort(keys, kind="stable")]

    def _found(self) -> list[tuple[int, int]]:
        """Where each segment begins: the position, and the first bits of its keys."""
        counts = np.zeros(1 << BITS, np.int64)
        for start in range(0, self._length, STEP):
            own = self._seed.sort_keys(start, min(start + STEP, self._length))
            counts += np.bincount((own >> np.uint64(64 - BITS)).astype(np.int64), minlength=1 << BITS)
        ends, edges = np.cumsum(counts), [(0, 0)]
        while edges[-1][0] < self._length:
            head = int(np.searchsorted(ends, edges[-1][0] + self._segment, side="left"))
            head = min(head, len(ends) - 1)
            edges.append((int(ends[head]), head + 1))
        return [*edges[:-1], (self._length, 1 << BITS)]
