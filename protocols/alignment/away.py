"""Ids that a party's workers have read themselves: each has those of a range of rows, and this process none."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols import tags as tagging
from protocols.alignment.spread import PIECE, Spread
from protocols.ristretto import POINT_BYTES, PointVec
from protocols.tags import Tags
from protocols.workers.cluster import Cluster, Held, Step
from protocols.workers.id_lists import BYTES, ENDS
from protocols.workers.seal import Value

Rows = NDArray[np.int64]


@dataclass(frozen=True, repr=False)
class Range:
    """Rows first to last of a table, which worker has their ids, and the operation by which it reads them."""

    worker: int
    first: int
    last: int
    operation: str
    values: tuple[Value, ...]

    def step(self) -> Step:
        return Step(self.worker, self.operation, self.values)


@dataclass(frozen=True, repr=False)
class IdsAway:
    """The ids under one key of a table that lies in ranges at workers.  `digest` is that of `Ids`."""

    ranges: tuple[Range, ...]
    key: int
    own_digest: bytes

    def __len__(self) -> int:
        return self.ranges[-1].last if self.ranges else 0

    def __repr__(self) -> str:
        return f"<IdsAway of {len(self)} rows>"

    def digest(self) -> bytes:
        return self.own_digest


class There:
    """The ids of a table at the workers of one run."""

    def __init__(self, cluster: Cluster, ranges: Sequence[Range], held: Sequence[Held] | None = None) -> None:
        """held: what the workers have, if they have read."""
        self._cluster, self._ranges = cluster, ranges
        self._held = cluster.hold([one.step() for one in ranges])[0] if held is None else held
        self._lasts = np.array([one.last for one in ranges])

    def __repr__(self) -> str:
        return f"<There of {len(self._ranges)} workers>"

    def blind(self, chunks: Sequence[Rows], key: int, domain: bytes, scalar: bytes, filler: bytes) -> list[PointVec]:
        """H(id)^scalar of the rows in each chunk, in their order, each by the worker that has its id."""
        rows = np.concatenate(chunks)
        owner = np.searchsorted(self._lasts, rows, side="right")
        points, steps, places = np.empty((len(rows), POINT_BYTES), np.uint8), list[Step](), list[Rows]()
        for number, (one, held) in enumerate(zip(self._ranges, self._held, strict=True)):
            at = np.flatnonzero(owner == number)
            if len(at):
                values = (held, key, one.first, rows[at] - one.first, domain, scalar, filler)
                steps.append(Step(one.worker, "ids blind", values))
                places.append(at)
        for at, answer in zip(places, self._cluster.ask(steps), strict=True):
            points[at] = np.frombuffer(answer.ciphers[0], np.uint8).reshape(-1, POINT_BYTES)
        ends = accumulate(map(len, chunks), initial=0)
        return [PointVec.of_own(points[a:b].tobytes()) for a, b in pairwise(ends)]

    def digest(self, key: int) -> bytes:
        """As `Ids.digest`: the ids pass through this process, some at a time."""
        digest, base = hashlib.sha256(self._ranges[-1].last.to_bytes(8, "big") + bytes(8)), 0
        for one, held in zip(self._ranges, self._held, strict=True):
            last = 0
            for first, stop in _pieces(one):
                ends = self._part(one, held, key, ENDS, first, stop)
                digest.update(np.ascontiguousarray(ends + base, "<i8").tobytes())
                last = int(ends[-1])
            base += last
        for one, held in zip(self._ranges, self._held, strict=True):
            for first, stop in _pieces(one):
                digest.update(self._part(one, held, key, BYTES, first, stop))
        return digest.digest()

    def _part(self, one: Range, held: Held, key: int, kind: int, first: int, last: int) -> Any:
        (answer,) = self._cluster.ask([Step(one.worker, "ids part", (held, key, kind, first, last))])
        return answer.values[0]

    def repeats(self, key: int, secret: bytes) -> Rows:
        """The rows whose id an earlier row has, ascending; found by keyed hashes of 16 bytes, of which two different
        ids share one with a probability of 2^-128 for each pair."""

        def blocks() -> Iterator[tuple[Tags, Rows]]:
            for one, held in zip(self._ranges, self._held, strict=True):
                for first, last in _pieces(one):
                    (answer,) = self._cluster.ask([Step(one.worker, "ids hashes", (held, key, secret, first, last))])
                    yield tagging.read(answer.ciphers[0]), answer.values[0] + one.first

        return Spread(self._cluster, blocks).repeats()


def _pieces(one: Range) -> list[tuple[int, int]]:
    """The rows of a range, some at a time, by their numbers at the worker."""
    rows = one.last - one.first
    return [(first, min(first + PIECE, rows)) for first in range(0, rows, PIECE)]
