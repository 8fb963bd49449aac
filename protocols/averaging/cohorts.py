"""Which members take part in a sum, and which sums may be opened one after the other; pure, no channel.

**Cohort.** The members are sorted by a hash of the common seed, the number of sums that were opened and their name; the
first of them are the cohort.  So who takes part is fixed before the sum, and nobody chooses it.  A turn that failed is
tried again with the same cohort.

**Threshold.** More than two thirds of the cohort, and at least 3, must take part to the end.  Two lists of survivors of
one turn, each signed by as many, then have more than a third of the cohort in common: one of these would have signed
both, unless more than a third deviate from the protocol.

**Several sums.** Two sums whose members differ by one reveal that member's update, if updates change little from one
turn to the next; three sums can do the same where no two of them can.  The rule is therefore about all linear
combinations of sums: each involves no member, or at least `min_members` members.  It contains that a sum has at least
`min_members` members, and that two sums differ by as many, or not at all.  Either it is about all sums of the run, in
which there are then at most MOST_SUMS different sets of survivors, or about the last `window` sums only: in a long run
more than these can be combined, and single updates be solved for (tests/promises/attacks/test_averaging_long_runs.py).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from protocols.errors import ConfigError
from protocols.values import check_types

DRAWS = 64  # of a cohort, until its sum may be opened
MOST_SUMS = 4  # of different members: then members have at most 15 histories, and all combinations can be examined
Members = frozenset[str]


@dataclass(frozen=True)
class Terms:
    """What all parties agreed on before the first turn.

    members: in the job's order.  min_members: the fewest that a sum, or a combination of sums, involves; 2 where there
    are two members, each of which reads the other's numbers from the sum.  fraction: of
    the members, that take part in a turn.  whole_run: whether all sums of the run are combined, or the last `window`
    ones.  word_bits: of the numbers that are added, 32 or 64.
    """

    members: tuple[str, ...]
    min_members: int = 3
    fraction: float = 1.0
    window: int = MOST_SUMS
    word_bits: int = 64
    whole_run: bool = False

    def __post_init__(self) -> None:
        check_types("averaging", self)
        possible = {
            "min_members": (
                self.min_members >= 3 or self.min_members == len(self.members) == 2,
                "at least 3: of two members each could read the other's update",
            ),
            "fraction": (0 < self.fraction <= 1, "above 0, at most 1"),
            "window": (1 <= self.window <= MOST_SUMS, f"from 1 to {MOST_SUMS}"),
            "word_bits": (self.word_bits in (32, 64), "32 or 64"),
        }
        for name, (good, remedy) in possible.items():
            if not good:
                raise ConfigError(f"averaging: {name} = {getattr(self, name)!r} is not possible", remedy=remedy)
        if len(set(self.members)) != len(self.members) or len(self.members) < self.min_members:
            raise ConfigError(
                f"averaging: {len(self.members)} members are too few, or one is listed twice",
                remedy=f"List at least min_members = {self.min_members} members, each once",
            )

    @property
    def cohort_size(self) -> int:
        """How many members take part in a turn."""
        return max(self.min_members, math.ceil(self.fraction * len(self.members) - 1e-9))

    @property
    def threshold(self) -> int:
        """How many of them must take part to the end."""
        return max(self.min_members, 2 * self.cohort_size // 3 + 1)

    @property
    def honest(self) -> int:
        """How many members of a sum add noise at least that nobody who deviates knows: all of its threshold but
        `min_members` - 2, and but one, since each member knows its own."""
        return self.threshold - max(1, self.min_members - 2)

    def cohort(self, seed: bytes, opened: int, before: Sequence[Members]) -> Members:
        """The members that take part in the sum after `opened` others: the first draw that may be opened after those
        before, if all survive."""
        draws = (self.order(seed, opened, f"cohort {k}")[: self.cohort_size] for k in range(DRAWS))
        if self.cohort_size == len(self.members):
            return frozenset(self.members)
        drawn = [frozenset(next(draws))]
        while not self.may_open(drawn[-1], before) and len(drawn) < DRAWS:
            drawn.append(frozenset(next(draws)))
        return drawn[-1]

    def order(self, seed: bytes, number: int, use: str) -> list[str]:
        """All members, in an order that follows from the common seed."""
        return sorted(self.members, key=lambda name: hashlib.sha256(seed + f"{use}|{number}|{name}".encode()).digest())

    def number(self, name: str) -> int:
        """A member's number, from 1: where its shares are evaluated."""
        return self.members.index(name) + 1

    def bitmap(self, names: Members) -> bytes:
        """Which members these are, one bit each in the job's order."""
        return np.packbits([name in names for name in self.members]).tobytes()

    def named(self, bitmap: bytes) -> Members | None:
        """The same back; None if these bytes are no bitmap of the members."""
        bits = np.unpackbits(np.frombuffer(bitmap, np.uint8))
        if len(bitmap) != (len(self.members) + 7) // 8 or bits[len(self.members) :].any():
            return None
        return frozenset(name for name, bit in zip(self.members, bits, strict=False) if bit)

    def may_open(self, survivors: Members, before: Sequence[Members], others: Sequence[Members] = ()) -> bool:
        """Whether the sum of these members may be opened after those sums of this run, and others of other runs.

        The first sum of a run is of numbers that do not change from run to run.  So it is compared with each of the
        others, also where later sums are compared with the last ones only."""
        every = (*others, *before)
        combined = every if self.whole_run else every[-(self.window - 1) :][: self.window - 1]
        sums = tuple(dict.fromkeys((survivors, *combined)))
        few = len(survivors) < self.threshold or len(sums) > MOST_SUMS
        if few or fewest(sums) < self.min_members:
            return False
        return bool(before) or all(len(survivors ^ each) >= self.min_members for each in others if each != survivors)

    def survivors(
        self, answered: Members, before: Sequence[Members], order: Sequence[str], others: Sequence[Members] = ()
    ) -> Members | None:
        """The members whose sum is opened, as many as possible of those that answered; None if there are no such.

        Where a member fewer than in an earlier sum is not allowed, more members are left out, in the order given.  Who
        is in none of the recent sums comes first, so that nobody is left out for good.  Over a whole run the same
        members are left out again, since there can be few different sums.
        """
        every = (*others, *before)
        full = len(every) >= self.window - 1 and not self.whole_run
        waiting = answered - frozenset().union(*every) if full else frozenset()
        choices = list(self._choices(answered, every, order))
        preferred = sorted(choices, key=lambda each: not waiting <= each)
        return next((each for each in preferred if self.may_open(each, before, others)), None)

    def _choices(self, answered: Members, before: Sequence[Members], order: Sequence[str]) -> Iterator[Members]:
        """Sets of one size after the other, the largest first; of one size, those of an earlier sum last, and over a
        whole run first."""
        line = [name for name in order if name in answered]
        for size in range(len(line), self.threshold - 1, -1):
            fewer = len(line) - size
            chosen = [answered - {line[(first + k) % len(line)] for k in range(fewer)} for first in range(len(line))]
            again = [each for each in before if each <= answered and len(each) == size]
            fresh = [each for each in chosen if each not in again]
            yield from (*again, *fresh) if self.whole_run else (*fresh, *again)


@lru_cache(maxsize=64)
def fewest(sums: tuple[Members, ...]) -> int:
    """The fewest members that any linear combination of the sums involves, if it involves any."""
    names = sorted(frozenset().union(*sums))
    inside = np.array([[name in each for name in names] for each in sums])
    return fewest_involved(inside, np.ones(len(names), np.int64))


def fewest_involved(inside: NDArray[np.bool_], counts: NDArray[np.int64]) -> int:
    """The same of members, or rows, in groups of these counts (groups,); inside (sums, groups): which sums a group is
    in.

    Members with the same history (which of the sums they are in) have the same coefficient in every combination.  A
    combination with the fewest members is 0 at as many histories as determine it but for a factor; all of these are
    tried.
    """
    rows: list[list[int]] = []
    for each in inside:
        row = each.astype(np.int64).tolist()
        if np.linalg.matrix_rank(np.array([*rows, row])) > len(rows):
            rows.append(row)
    if not rows:
        return 0
    histories, of = np.unique(np.array(rows), axis=1, return_inverse=True)
    members = np.bincount(of.reshape(-1), weights=counts, minlength=histories.shape[1]).astype(np.int64)
    least = int(members.sum())
    for zeros in combinations(range(histories.shape[1]), len(rows) - 1):
        combination = _orthogonal(histories[:, zeros])
        if combination.any():
            least = min(least, int(members[combination @ histories != 0].sum()))
    return least


def _orthogonal(columns: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """(n,) integers orthogonal to the columns (n, n - 1), 0 if these are dependent: their minors, which are below 6
    for entries 0 and 1."""
    minors = [(-1) ** k * np.linalg.det(np.delete(columns, k, axis=0).astype(np.float64)) for k in range(len(columns))]
    return np.rint(minors).astype(np.int64)
