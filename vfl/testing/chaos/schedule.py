"""What breaks when, drawn from a seed: the same seed breaks the same."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

Direction = tuple[str, str]  # sender, receiver


class Fault(enum.StrEnum):
    """What happens to one message, and to the connection with it."""

    LOSE = "lose"  # it never arrives; the connection stays
    CUT_BEFORE = "cut before"  # the connection breaks, and it is lost
    CUT_AFTER = "cut after"  # it arrives, and the connection breaks
    TWICE = "twice"  # it arrives twice
    SWAP = "swap"  # it arrives behind the next one
    DELAY = "delay"  # it and all behind it arrive when everybody waits
    HALF = "half"  # half of its bytes arrive, and the connection breaks
    TORN = "torn"  # half of its bytes arrive, and the connection stays open
    FLIP = "flip"  # one of its bits is another
    OLD = "old"  # a message of an earlier connection arrives in its place
    MUTE = "mute"  # from it on nothing arrives in this direction; the connection seems to live
    DEAF = "deaf"  # nor in the other direction

    @property
    def harmless(self) -> bool:
        """Whether the attempt itself must continue as if nothing had happened."""
        return self is Fault.DELAY


@dataclass(frozen=True)
class Break:
    """This fault at the `number`th message (from 1) that goes this way in the attempt; `at`: where in its bytes, from 0
    to 1."""

    way: Direction
    number: int
    fault: Fault
    at: float


Schedule = tuple[tuple[Break, ...], ...]  # by attempt; the attempts behind the last are undisturbed


def draw(seed: int, number: int, traffic: Mapping[Direction, int]) -> Schedule:
    """Schedule `number` of `seed`: up to three attempts with up to three faults each.  traffic: how many messages go
    which way in an undisturbed run."""
    rng = np.random.default_rng((seed, number))
    ways = sorted(way for way, count in traffic.items() if count)
    kinds = list(Fault)

    def one() -> Break:
        way = ways[int(rng.integers(len(ways)))]
        return Break(
            way, 1 + int(rng.integers(traffic[way])), kinds[int(rng.integers(len(kinds)))], float(rng.random())
        )

    return tuple(tuple(one() for _ in range(rng.integers(1, 4))) for _ in range(rng.integers(1, 4)))
