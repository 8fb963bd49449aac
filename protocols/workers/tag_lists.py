"""Operations on lists of tags, of which a worker has those in a range of first words
(protocols/alignment/spread.py)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols import tags
from protocols.tags import Tags
from protocols.workers.calls import Answer, Forgotten, State

Rows = NDArray[np.int64]


class Lists:
    """What a worker has of some lists: tags, and where each stands in its list.  Printing it shows sizes only."""

    def __init__(self, count: int) -> None:
        self._parts = [list[tuple[Tags, Rows]]() for _ in range(count)]
        self._common: tuple[Rows, Rows] | None = None

    def __repr__(self) -> str:
        return f"<Lists of {[self.length(k) for k in range(len(self._parts))]} tags>"

    def length(self, number: int) -> int:
        return sum(len(rows) for _, rows in self._parts[number])

    def add(self, number: int, found: Tags, rows: Rows) -> None:
        self._parts[number].append((found, rows))

    def whole(self, number: int) -> tuple[Tags, Rows]:
        """A list, in one piece from now on."""
        parts = self._parts[number]
        if len(parts) != 1:
            both = [(np.zeros((0, 2), np.uint64), np.zeros(0, np.int64)), *parts]
            self._parts[number] = parts = [(np.concatenate([t for t, _ in both]), np.concatenate([r for _, r in both]))]
        return parts[0]

    def sort(self, number: int) -> None:
        """Puts a list in order."""
        found, places = self.whole(number)
        rows = tags.order(found)
        self._parts[number] = [(found[rows], places[rows])]

    def common(self) -> tuple[Rows, Rows]:
        """Where the tags that the first list, which is in order, and the second have in common stand in both."""
        if self._common is None:
            (left, places), (right, others) = self.whole(0), self.whole(1)
            at_left, at_right = tags.match(left, right)
            self._common = places[at_left], others[at_right]
        return self._common


def begin(state: State, values: list[Any], ciphers: Sequence[bytes]) -> Answer:
    """Empty lists under a name."""
    name, count = values
    state.put(name, Lists(count))
    return Answer()


def collect(state: State, values: list[Any], ciphers: Sequence[bytes]) -> Answer:
    """Adds tags, and where each stands, to a list that has `before` of them; a worker that was replaced has fewer."""
    name, number, before, rows = values
    lists: Lists = state.get(name)
    if lists.length(number) != before:
        raise Forgotten(state.worker)
    lists.add(number, tags.read(ciphers[0]), rows)
    return Answer()


def sort(state: State, values: list[Any], ciphers: Sequence[bytes]) -> Answer:
    """Puts the first list in order."""
    state.get(values[0]).sort(0)
    return Answer()


def exported(state: State, values: list[Any], ciphers: Sequence[bytes]) -> Answer:
    """Tags first to last of the first list."""
    name, first, last = values
    return Answer((), (state.get(name).whole(0)[0][first:last].tobytes(),))


def places(state: State, values: list[Any], ciphers: Sequence[bytes]) -> Answer:
    """Where these tags of the first list stood before they were sorted."""
    name, rows = values
    return Answer((state.get(name).whole(0)[1][rows],))


def match(state: State, values: list[Any], ciphers: Sequence[bytes]) -> Answer:
    """How many tags two lists have in common, and whether one is in the second twice."""
    left, _ = state.get(values[0]).common()
    return Answer((len(left), int((left[1:] == left[:-1]).any())))


def pairs(state: State, values: list[Any], ciphers: Sequence[bytes]) -> Answer:
    """Where common tags first to last stand in either list."""
    name, first, last = values
    left, right = state.get(name).common()
    return Answer((left[first:last], right[first:last]))


def repeats(state: State, values: list[Any], ciphers: Sequence[bytes]) -> Answer:
    """Where tags of the first list stand that stood in it before."""
    found, rows = state.get(values[0]).whole(0)
    ranked = np.lexsort((rows, found[:, 1], found[:, 0]))
    again = (found[ranked[1:]] == found[ranked[:-1]]).all(axis=1)
    return Answer((np.sort(rows[ranked[1:][again]]),))


TAG_OPERATIONS = {
    "tags begin": begin,
    "tags collect": collect,
    "tags sort": sort,
    "tags export": exported,
    "tags places": places,
    "tags match": match,
    "tags pairs": pairs,
    "tags repeats": repeats,
}
