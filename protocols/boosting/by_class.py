"""Numbers of some rows for each class, one class after the other, read a block at a time where they are kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from protocols.kept import Sliced
from protocols.marked import Marked

T = TypeVar("T", bound=np.generic)


class Stretch(NamedTuple):
    """Rows `first` to `last` of class k, counted among those that a vector is over; at: where they stand in the
    block."""

    k: int
    first: int
    last: int
    at: int


def stretches_of(first: int, last: int, rows: int) -> list[Stretch]:
    """What elements `first` to `last` of a vector of all classes' rows are; rows: of a class."""
    found = list[Stretch]()
    for k in range(first // rows, -(-last // rows)):
        start, stop = max(first, k * rows), min(last, (k + 1) * rows)
        found.append(Stretch(k, start - k * rows, stop - k * rows, start - first))
    return found


class ByClass(Generic[T]):
    """Those of the marked rows, out of what each class has of all rows."""

    def __init__(self, rows: Marked, classes: Sequence[Sliced[T]]) -> None:
        self._rows, self._classes = rows, classes

    def __len__(self) -> int:
        return len(self._rows) * len(self._classes)

    def __getitem__(self, numbers: slice) -> NDArray[T]:
        first, last, _ = numbers.indices(len(self))
        if first >= last:
            return self._classes[0][:0]
        each = [self._of(one) for one in stretches_of(first, last, len(self._rows))]
        return each[0] if len(each) == 1 else np.concatenate(each)

    def _of(self, stretch: Stretch) -> NDArray[T]:
        values = self._classes[stretch.k]
        if self._rows.all:
            return values[stretch.first : stretch.last]
        rows = self._rows[stretch.first : stretch.last]
        low = int(rows[0])
        return np.asarray(values[low : int(rows[-1]) + 1][rows - low])


class Changed(Generic[T]):
    """What a function makes of numbers for each row, whenever some of them are read."""

    def __init__(self, values: Sliced[Any], function: Callable[[NDArray[Any]], NDArray[T]]) -> None:
        self._values, self._function = values, function

    def __len__(self) -> int:
        return len(self._values)

    def __getitem__(self, rows: slice) -> NDArray[T]:
        return self._function(self._values[rows])
