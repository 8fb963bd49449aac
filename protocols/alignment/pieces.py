"""What is done to each row of a list, in this process or at a party's workers: the same bytes, whoever does it.

A worker has its part of a group of chunks.  All that goes to it and comes back is sealed (protocols/workers).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from protocols.ids import Ids
from protocols.ristretto import POINT_BYTES, PointVec
from protocols.workers.calls import Call
from protocols.workers.run import Caller

LEAST_PIECE = 1 << 10  # points: less is not worth a call


class Hands:
    """Does the work on lists: with this process's threads, or with a party's workers."""

    def __init__(self, workers: Caller | None) -> None:
        self._workers = workers

    @property
    def lanes(self) -> int:
        """How many chunks are worked on at a time."""
        return 1 if self._workers is None else self._workers.count

    def blind(self, chunks: Sequence[Sequence[bytes]], domain: bytes, scalar: bytes) -> list[PointVec]:
        """H(id)^scalar of the ids in each chunk."""
        if self._workers is None:
            return [PointVec.hash_to_group(list(ids), domain) * scalar for ids in chunks]
        calls, lists = list[tuple[int, Call]](), [Ids.of(ids) for ids in chunks]
        for number, ids in enumerate(lists):
            for first, last in self._pieces(len(ids), len(chunks)):
                ends = ids.ends(slice(first, last))
                data = ids.data[int(ends[0]) : int(ends[-1])]
                calls.append((number, Call(0, "blind", (data, ends - ends[0], domain, scalar))))
        return [PointVec.of_own(data) for data in self._joined(calls, len(chunks), points=True)]

    def reblind(self, chunks: Sequence[PointVec], scalar: bytes) -> list[PointVec]:
        """The points of each chunk to the power of `scalar`."""
        if self._workers is None:
            return [points * scalar for points in chunks]
        found = self._joined(self._of_points(chunks, "reblind", scalar), len(chunks), points=True)
        return [PointVec.of_own(data) for data in found]

    def tags(self, chunks: Sequence[PointVec], scalar: bytes) -> list[bytes]:
        """The tags of the points of each chunk to the power of `scalar`."""
        if self._workers is None:
            return [(points * scalar).tag_bytes() for points in chunks]
        return self._joined(self._of_points(chunks, "tag", scalar), len(chunks), points=False)

    def _of_points(self, chunks: Sequence[PointVec], operation: str, scalar: bytes) -> list[tuple[int, Call]]:
        calls = list[tuple[int, Call]]()
        for number, points in enumerate(chunks):
            data = points.to_bytes()
            for first, last in self._pieces(len(points), len(chunks)):
                calls.append((number, Call(0, operation, (scalar,), (data[POINT_BYTES * first : POINT_BYTES * last],))))
        return calls

    def _pieces(self, rows: int, chunks: int) -> list[tuple[int, int]]:
        """How a chunk is split, so that every worker has a part of a group of chunks."""
        parts = max(1, min(-(-self.lanes // chunks), rows // LEAST_PIECE))
        edges = [k * rows // parts for k in range(parts + 1)]
        return list(pairwise(edges))

    def _joined(self, calls: Sequence[tuple[int, Call]], chunks: int, *, points: bool) -> list[bytes]:
        """The answers to each chunk's calls, one after the other; the calls go to the workers in turn."""
        assert self._workers is not None
        spread = [call._replace(worker=at % self.lanes) for at, (_, call) in enumerate(calls)]
        found = [bytearray() for _ in range(chunks)]
        for (number, _), answer in zip(calls, self._workers.call(spread), strict=True):
            data: Any = (answer.ciphers if points else answer.values)[0]
            found[number] += data
        return [bytes(one) for one in found]
