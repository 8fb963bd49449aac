"""One holder's shares of all rows at a level of a round's trees, which it keeps block after block and does not hold:
a row has a number of 48 bits for each node, and above the last level one of 128 bits.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from protocols._native import PlainVec
from protocols.boosting import rings
from protocols.boosting.rings import Shares, Words
from protocols.kept import Keep, Kept
from protocols.marked import Marked
from protocols.parts import Part


class KeptBlock(NamedTuple):
    """Rows `first` to `last`, the last left out: how many places each class has, and what reads the shares of each."""

    first: int
    last: int
    wide: tuple[int, int]  # of which rows there is an x, counted among those that have one
    places: int
    u: list[Kept]
    x: list[Kept]

    def words(self, k: int) -> Words:
        """(places, rows) of class k."""
        return rings.unpacked(self.u[k](), (self.places, self.last - self.first))

    def numbers(self, k: int, first: int, last: int, places: Iterable[int]) -> list[PlainVec]:
        """Of these places of class k the x of these rows, of all blocks' rows that have one."""
        start, stop = max(first, self.wide[0]) - self.wide[0], min(last, self.wide[1]) - self.wide[0]
        whole, size = PlainVec.from_bytes(self.x[k]()), self.wide[1] - self.wide[0]
        return [whole.slice(place * size + start, place * size + stop) for place in places]


class KeptShares:
    """Shares at the places of some classes, one class after the other; keep: where they are put."""

    def __init__(self, keep: Keep, classes: int, blocks: Iterable[Shares]) -> None:
        """blocks: of consecutive rows; those of one are held at a time."""
        self._keep, self.classes, self._blocks = keep, classes, list[KeptBlock]()
        row = wide = 0
        for shares in blocks:
            places, rows = len(shares.u) // classes, shares.u.shape[1]
            own = [slice(k * places, (k + 1) * places) for k in range(classes)]
            count = len(shares.x[0]) if shares.x else 0
            x = [keep(rings.join(shares.x[k]).to_bytes()) for k in own] if count else []
            u = [keep(rings.to_bytes(shares.u[k])) for k in own]
            self._blocks.append(KeptBlock(row, row + rows, (wide, wide + count), places, u, x))
            row, wide = row + rows, wide + count

    def __repr__(self) -> str:
        return f"<KeptShares of {self._blocks[-1].last if self._blocks else 0} rows>"

    def within(self, part: Part, sampled: Marked | None) -> Shares:
        """As `Shares.within`."""
        first, last = (0, 0) if sampled is None else (sampled.before(part.first), sampled.before(part.last))
        every = range(self._blocks[0].places)
        each = [self.x(k, first, last, every) for k in range(self.classes)] if first < last else []
        u = np.concatenate([self.u(k, part) for k in range(self.classes)])
        return Shares(tuple(x for own in each for x in own), u)

    def u(self, k: int, part: Part) -> Words:
        """(places, rows of a block) of class k."""
        own = [one for one in self._blocks if one.first < part.last and one.last > part.first]
        return np.concatenate(
            [one.words(k)[:, max(0, part.first - one.first) : part.last - one.first] for one in own], axis=1
        )

    def x(self, k: int, first: int, last: int, places: Sequence[int]) -> list[PlainVec]:
        """Of these places of class k the x of rows `first` to `last`, counted among those that have one."""
        own = [one for one in self._blocks if one.x and one.wide[0] < last and one.wide[1] > first]
        each = [one.numbers(k, first, last, places) for one in own]
        return each[0] if len(each) == 1 else [rings.join(of_all) for of_all in zip(*each, strict=True)]

    def followed(self, blocks: Iterable[Shares]) -> KeptShares:
        """As `Shares.followed`: others of the same rows, kept in the same way."""
        return KeptShares(self._keep, self.classes, blocks)
