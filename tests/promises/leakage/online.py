"""What the transcripts of online queries must satisfy, as functions that return their findings (an empty list is
good)."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.stats import chisquare, mannwhitneyu

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
    """Bytes that come twice to one receiver, and positions of bytes that are not equally distributed for all sorts."""
    found, seen = list[str](), defaultdict[str, set[bytes]](set)
    for sort, many in queries.items():
        for heard in (h for one in many for h in one):
            body = heard.data[-16:]
            if body in seen[heard.receiver]:
                found.append(f"{sort}: {heard.receiver} received the same {heard.kind.kind} twice")
            seen[heard.receiver].add(body)
    for step in range(min(len(one) for many in queries.values() for one in many)):
        for sort, many in queries.items():
            bits = np.unpackbits(np.array([list(one[step].data[-24:]) for one in many], np.uint8), axis=1)
            ones = bits.sum(axis=0)
            fixed = (ones == 0) | (ones == len(many))  # headers, and bits that the encoding leaves 0
            p = min((chisquare([n, len(many) - n]).pvalue for n in ones[~fixed]), default=1.0)
            if p < UNLIKELY:
                found.append(f"{sort}: step {step} holds a bit that is no coin toss (p = {p:.0e})")
    return found


def times(queries: Mapping[str, Sequence[Steps]]) -> list[str]:
    """Whether the time between a query's messages tells its sort."""
    sorts, found = list(queries), list[str]()
    gaps = {sort: [sum(b.at - a.at for a, b in pairwise(one)) for one in many] for sort, many in queries.items()}
    for sort in sorts[1:]:
        p = mannwhitneyu(gaps[sorts[0]], gaps[sort]).pvalue
        if p < UNLIKELY:
            found.append(f"{sort}: the time between messages differs (p = {p:.0e})")
    return found
