"""Some of a party's rows, as one truth value for each row, where a list of them would take eight bytes for each."""

from __future__ import annotations

from bisect import bisect_right

import numpy as np
from numpy.typing import NDArray

from protocols import parts
from protocols.parts import Part

Bits = NDArray[np.bool_]
Ints = NDArray[np.int64]


class Marked:
    """The marked rows, in their order.  Printing it shows sizes only."""

    def __init__(self, marks: Bits) -> None:
        self.marks = marks
        blocks = [np.count_nonzero(marks[part.rows]) for part in parts.parts(len(marks))]
        self._before = [0, *np.cumsum(blocks).tolist()]  # how many are marked before each block of rows

    def __len__(self) -> int:
        return int(self._before[-1])

    def __repr__(self) -> str:
        return f"<Marked: {len(self)} of {len(self.marks)} rows>"

    @property
    def all(self) -> bool:
        """Whether every row is."""
        return len(self) == len(self.marks)

    def before(self, row: int) -> int:
        """How many are before this row."""
        block = row // parts.ROWS
        return int(self._before[block]) + int(np.count_nonzero(self.marks[block * parts.ROWS : row]))

    def within(self, part: Part) -> Marked:
        """Those of a block of all rows, counted from its first."""
        return Marked(self.marks[part.rows])

    def __getitem__(self, numbers: slice) -> Ints:
        """The rows of these numbers among the marked ones."""
        first, last, _ = numbers.indices(len(self))
        if self.all or first >= last:
            return np.arange(first, max(first, last))
        start, stop = bisect_right(self._before, first) - 1, bisect_right(self._before, last - 1)
        low = start * parts.ROWS
        here = np.flatnonzero(self.marks[low : stop * parts.ROWS])
        skipped = int(self._before[start])
        return np.asarray(here[first - skipped : last - skipped] + low)
