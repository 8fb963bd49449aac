"""What the transcripts of online queries must satisfy, as functions that return their findings (an empty list is
good)."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2, mannwhitneyu

from protocols.channel import Tap
from protocols.message import Message

UNLIKELY = 1e-7
Steps = list["Heard"]  # of one query, in order


@dataclass(frozen=True)
class Heard:
    """A message that the guest sent: to whom, what, and when."""

    receiver: str
    kind: type[Message]
    data: bytes
    at: float


class Guest(Tap):
    """Keeps what a guest sends."""

    def __init__(self) -> None:
        self.heard: Steps = []

    def sent(self, peer: str, kind: type[Message], data: bytes) -> None:
        self.heard.append(Heard(peer, kind, data, time.perf_counter()))

    def taken(self) -> Steps:
        """What was sent since the last call."""
        found, self.heard = self.heard, []
        return found


def depends(queries: Mapping[str, Sequence[Steps]]) -> list[str]:
    """How queries about one sort of ids differ from those about another, in order, size, contents and times."""
    return [*order(queries), *contents(queries), *times(queries)]


def order(queries: Mapping[str, Sequence[Steps]]) -> list[str]:
    """Whether any query has other steps, or other lengths, than the first."""
    first, *_ = next(iter(queries.values()))
    due = [(h.receiver, h.kind.kind, len(h.data)) for h in first]
    return [
        f"{sort}: other messages than of the first query"
        for sort, many in queries.items()
        if any([(h.receiver, h.kind.kind, len(h.data)) for h in one] != due for one in many)
    ]


def contents(queries: Mapping[str, Sequence[Steps]]) -> list[str]:
    """Bytes that come twice to one receiver, and bits that are not equally distributed for all sorts."""
    found, seen = list[str](), defaultdict[str, set[bytes]](set)
    for sort, many in queries.items():
        for heard in (h for one in many for h in one):
            body = heard.data[-16:]
            if body in seen[heard.receiver]:
                found.append(f"{sort}: {heard.receiver} received the same {heard.kind.kind} twice")
            seen[heard.receiver].add(body)
    for step in range(min(len(one) for many in queries.values() for one in many)):
        counts = np.array([len(many) for many in queries.values()])[:, np.newaxis]
        ones = np.array([_bits(many, step).sum(axis=0) for many in queries.values()])
        whole = ones.sum(axis=0) / counts.sum()
        free = (whole > 0) & (whole < 1)  # no header, and no bit that the encoding leaves 0
        apart = (counts * (ones / counts - whole) ** 2)[:, free].sum(axis=0) / (whole * (1 - whole))[free]
        p = float(chi2.sf(apart, len(queries) - 1).min(initial=1.0))
        if p < UNLIKELY:
            found.append(f"step {step} holds a bit that depends on the sort (p = {p:.0e})")
    return found


def _bits(many: Sequence[Steps], step: int) -> NDArray[np.uint8]:
    """(queries, bits) the end of the messages of one step."""
    return np.unpackbits(np.array([list(one[step].data[-24:]) for one in many], np.uint8), axis=1)


def times(queries: Mapping[str, Sequence[Steps]]) -> list[str]:
    """Whether the time between a query's messages tells its sort."""
    sorts, found = list(queries), list[str]()
    gaps = {sort: [sum(b.at - a.at for a, b in pairwise(one)) for one in many] for sort, many in queries.items()}
    for sort in sorts[1:]:
        p = mannwhitneyu(gaps[sorts[0]], gaps[sort]).pvalue
        if p < UNLIKELY:
            found.append(f"{sort}: the time between messages differs (p = {p:.0e})")
    return found
