"""The secret orders into which a data party puts the other parties' lists on their way round the ring, chunk by chunk,
and the way back."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from protocols.randomness import Seed
from protocols.ristretto import PointVec

Rows = NDArray[np.int64]


class Orders:
    """This party's orders of one list under one key: another permutation for each chunk, all from one secret seed."""

    def __init__(self, seed: Seed, key: int, owner: str) -> None:
        self._seed, self._label = seed, f"key {key} of {owner}"
        self._lengths: list[int] = []

    @property
    def rows(self) -> int:
        """How many rows the list has so far."""
        return sum(self._lengths)

    def shuffled(self, points: PointVec, number: int) -> PointVec:
        """The points of chunk `number` in this party's order."""
        return points.take(self._order(number, len(points)))

    def add(self, lengths: list[int]) -> None:
        """How long the next chunks of the list are."""
        self._lengths += lengths

    def back(self, places: Rows) -> Rows:
        """Where the rows at `places` of the shuffled list stood before; `places` are below `rows`."""
        starts = np.cumsum([0, *self._lengths])
        chunks = np.searchsorted(starts, places, side="right") - 1
        before = np.empty(len(places), np.int64)
        for number in np.unique(chunks).tolist():
            at = chunks == number
            before[at] = starts[number] + self._order(number, self._lengths[number])[places[at] - starts[number]]
        return before

    def _order(self, number: int, length: int) -> Rows:
        return self._seed.child(f"{self._label}, chunk {number}").permutation(length)
