"""Lists of tags at a party's workers, each those in a range of first words: sorted, matched and searched for repeats
there.

This process moves them there block by block, and holds what it asks for: a bit, or four bytes, per row.  A worker that
is lost has all lists moved again, from where this process reads them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from protocols.errors import ComputeError
from protocols.tags import Tags
from protocols.workers.calls import Answer, Call, Forgotten
from protocols.workers.cluster import ATTEMPTS, Cluster
from protocols.workers.seal import Value

Rows = NDArray[np.int64]
Blocks = Callable[[], Iterator[tuple[Tags, Rows]]]  # a list, block by block, with where each tag stands in it
PIECE = 1 << 16  # rows that are asked for at a time; a multiple of 8


class Matched(NamedTuple):
    """Tags that two lists have in common: where they stand in the second, in the order of the first; and a bitmap of
    the first."""

    rows: NDArray[np.int32]
    hits: bytes


class Spread:
    """Lists of tags at workers, for as long as this lives."""

    def __init__(self, cluster: Cluster, *lists: Blocks, sort: bool = False) -> None:
        """sort: whether the first list is put in order."""
        self._caller, self._lists, self._sort = cluster.caller, lists, sort
        self._names = [cluster.name(worker) for worker in range(cluster.count)]
        self._edges = np.array([k * 2**64 // cluster.count for k in range(1, cluster.count)], np.uint64)
        self._there, self._ends = False, [0]  # whether the workers have the lists; where their parts of the first end

    def __repr__(self) -> str:
        return f"<Spread over {len(self._names)} workers>"

    @property
    def length(self) -> int:
        """Of the first list."""
        self._asked("tags sort", {})
        return self._ends[-1]

    def exported(self, first: int, last: int) -> bytes:
        """Tags first to last of the first list, which is in order."""
        answers = self._asked("tags export", {w: (a, b) for w, a, b in self._within(first, last)})
        return b"".join(answer.ciphers[0] for answer in answers)

    def places(self, hits: bytes, count: int) -> NDArray[np.int32]:
        """Where the `count` tags in a bitmap of the first list stood before it was sorted."""
        found, filled, length = np.empty(count, np.int32), 0, self.length
        for start in range(0, length, PIECE):
            stop = min(start + PIECE, length)
            bits = np.frombuffer(hits, np.uint8, -(-(stop - start) // 8), start // 8)
            rows = start + np.flatnonzero(np.unpackbits(bits, count=stop - start))
            asked = dict[int, tuple[Value, ...]]()
            for worker, a, b in self._within(start, stop):
                inside = rows - self._ends[worker]
                asked[worker] = (inside[(inside >= a) & (inside < b)],)
            for answer in self._asked("tags places", asked):
                places = answer.values[0]
                found[filled : filled + len(places)] = places
                filled += len(places)
        return found

    def matched(self) -> Matched | None:
        """What the first list, which is in order, and the second have in common; None where one of it is in the
        second twice."""
        counted = [answer.values for answer in self._asked("tags match", self._every())]
        if any(twice for _, twice in counted):
            return None
        counts = [int(count) for count, _ in counted]
        rows, flags, filled = np.empty(sum(counts), np.int32), np.zeros(self.length, np.bool_), 0
        for worker, count in enumerate(counts):
            for first in range(0, count, PIECE):
                (answer,) = self._asked("tags pairs", {worker: (first, min(first + PIECE, count))})
                left, right = answer.values
                flags[left] = True
                rows[filled : filled + len(right)] = right
                filled += len(right)
        return Matched(rows, np.packbits(flags).tobytes())

    def repeats(self) -> Rows:
        """Where tags of the first list stand that stood in it before, ascending."""
        return np.sort(np.concatenate([answer.values[0] for answer in self._asked("tags repeats", self._every())]))

    # -- inside

    def _every(self) -> dict[int, tuple[Value, ...]]:
        return dict.fromkeys(range(len(self._names)), ())

    def _within(self, first: int, last: int) -> list[tuple[int, int, int]]:
        """Workers that have some of the first list's tags first to last: which of its own."""
        assert self.length >= last
        found = enumerate(zip(self._ends, self._ends[1:], strict=False))
        return [(w, max(first - s, 0), min(last, e) - s) for w, (s, e) in found if first < e and s < last]

    def _asked(self, operation: str, values: Mapping[int, tuple[Value, ...]]) -> list[Answer]:
        """The answers of these workers, once all have the lists."""
        for _ in range(ATTEMPTS):
            try:
                if not self._there:
                    self._move()
                return self._caller.call(
                    [Call(worker, operation, (self._names[worker].name, *own)) for worker, own in values.items()]
                )
            except Forgotten:
                self._there = False
        raise ComputeError(
            f"the workers that match tags were lost {ATTEMPTS} times",
            remedy="Read the engine's log: a worker that ends again and again has too little memory",
        )

    def _move(self) -> None:
        """Moves all lists to the workers."""
        self._caller.call([Call(n.worker, "tags begin", (n.name, len(self._lists))) for n in self._names])
        lengths = [[0] * len(self._names) for _ in self._lists]
        for number, blocks in enumerate(self._lists):
            for tags, rows in blocks():
                self._caller.call(self._split(number, lengths[number], tags, rows))
        if self._sort:
            self._caller.call([Call(n.worker, "tags sort", (n.name,)) for n in self._names])
        self._there, self._ends = True, [0, *accumulate(lengths[0])]

    def _split(self, number: int, lengths: list[int], tags: Tags, rows: Rows) -> Sequence[Call]:
        """Calls that bring a block of a list to where it belongs; lengths: of what is there, which grow."""
        at, calls = np.searchsorted(self._edges, tags[:, 0], side="right"), list[Call]()
        for name in self._names:
            own = np.flatnonzero(at == name.worker)
            values = (name.name, number, lengths[name.worker], rows[own])
            calls.append(Call(name.worker, "tags collect", values, (tags[own].tobytes(),)))
            lengths[name.worker] += len(own)
        return calls
