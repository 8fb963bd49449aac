"""An exact cut: shares of floor(x / 2^drop) from shares of x modulo 2^width, with no error.

Source: an opening under a dealt mask, and the borrow by a distributed point function (Boyle, Gilboa, Ishai, CCS 2016).
Adversary: honest but curious; the dealer colludes with neither of the two.

     dealer: the first host               guest: x_G                                 arbiter: x_A
   for each number: r uniform modulo 2^width, its lower `drop` bits r_0, and the rest r_1
 1   (rounding.py: one message each)      shares of r and r_1, a key of r_0          shares of r and r_1, a key of r_0
 2                                        CutOpening x_G + r_G  -------------->
                                                        <---------------------  CutOpening x_A + r_A
                                          y = x + r, modulo 2^width: uniform         y; y_0 its lower bits, y_1 the rest
 3                                        y_1 - r_1 - [y_0 < r_0]                    the same, modulo 2^(width - drop)

[y_0 < r_0] is the entry y_0 - r_0 of a table of 2^TABLE places, whose upper half is 1: the point function's look-up.
A local cut of both shares (cuts.py) is one unit off by chance; this one never, so that the cut is a function of x.  A
longer cut is several short ones, each of what the one before left.
Who learns what: nothing; y is uniform, and keys hide their points.
Cost of each number: a key of 210 bytes to each of the two, 6 bytes more to the guest; 6 bytes each way between them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

from protocols._native import DpfKeys, PlainVec
from protocols.boosting import rings
from protocols.boosting.rings import Words
from protocols.channel import Channel
from protocols.look_up import LookUp
from protocols.message import BLINDED, Message
from protocols.parts import Part
from protocols.randomness import Seed

MOST = 10  # bits that one cut drops
TABLE = MOST + 1  # log2 of the places of the table
_BORROW = (np.arange(1 << TABLE) >> MOST)[np.newaxis].astype(np.int64)


class CutOpening(
    Message,
    disclosure=BLINDED,
    learns="nothing: for each number one that is uniform, the sender's share plus its share of a mask",
    in_blocks=True,
):
    masked: bytes  # (numbers, cells) of 6 bytes


@dataclass(frozen=True)
class Step:
    """`numbers` numbers of each cell, known modulo 2^width, lose their lower `drop` bits."""

    numbers: int
    drop: int
    width: int


def steps_of(drop: int, width: int) -> list[Step]:
    """Those that take this number of bits off one number of each cell."""
    count = -(-drop // MOST)
    ends = [drop * k // count for k in range(count + 1)]
    return [Step(1, last - first, width - first) for first, last in pairwise(ends)]


def numbers_of(steps: Sequence[Step]) -> int:
    """How many numbers are cut for each cell."""
    return sum(step.numbers for step in steps)


@dataclass(frozen=True, eq=False)
class Cuts:
    """One party's material, by number: keys, and shares of the masks and of their upper bits (numbers, cells)."""

    steps: tuple[Step, ...]
    keys: tuple[DpfKeys, ...]
    masks: Words = field(repr=False)
    upper: Words = field(repr=False)

    @property
    def first(self) -> bool:
        return self.keys[0].party == 0

    def take(self, first: int, last: int) -> Cuts:
        """Those of the cells from `first` on, `last` left out."""
        keys = tuple(one.take(first, last) for one in self.keys)
        return replace(self, keys=keys, masks=self.masks[:, first:last], upper=self.upper[:, first:last])

    def cut(self, k: int, share: Words, channel: Channel, part: Part, look_up: LookUp = DpfKeys.look_up) -> Words:
        """Step k on this party's shares (numbers, cells).  Raises RemoteProtocolError."""
        step, before = self.steps[k], numbers_of(self.steps[:k])
        here = slice(before, before + step.numbers)
        masked = (share + self.masks[here]) & ones(step.width)
        channel.send(CutOpening(rings.to_bytes(masked)), part)  # 2
        theirs = rings.from_bytes(channel.recv(CutOpening, part).masked, masked.shape, channel.peer)
        opened = (masked + theirs) & ones(step.width)
        places = (opened & ones(step.drop)).astype(np.int64)
        found = [look_up(key, at, _BORROW)[0] for key, at in zip(self.keys[here], places, strict=True)]
        mine = -self.upper[here] - np.stack([words_of(borrow) for borrow in found])  # 3
        return mine + (opened >> np.uint64(step.drop)) if self.first else mine


def deal(seeds: tuple[Seed, Seed], keys: Seed, cells: int, steps: Sequence[Step]) -> tuple[list[DpfKeys], Words]:
    """At the dealer, from both parties' seeds and one for keys, each of which must serve once: both parties' keys of
    all numbers, one after the other, and the first one's shares of the masks' upper bits (numbers, cells)."""
    whole, upper = masks(seeds[0], cells, steps) + masks(seeds[1], cells, steps), -uppers(seeds[1], cells, steps)
    points, at = np.empty(whole.shape, dtype=np.int64), 0
    for step in steps:
        for row in range(at, at + step.numbers):
            mask = whole[row] & ones(step.width)
            points[row] = mask & ones(step.drop)
            upper[row] += mask >> np.uint64(step.drop)
        at += step.numbers
    return list(DpfKeys.deal(keys.secret, points.ravel(), TABLE)), upper


def material(seed: Seed, keys: DpfKeys, upper: Words | None, cells: int, steps: Sequence[Step]) -> Cuts:
    """At a holder, from what it was dealt; upper: the first party's, None at the second."""
    each = tuple(keys.take(k * cells, (k + 1) * cells) for k in range(numbers_of(steps)))
    return Cuts(tuple(steps), each, masks(seed, cells, steps), uppers(seed, cells, steps) if upper is None else upper)


def masks(seed: Seed, cells: int, steps: Sequence[Step]) -> Words:
    """A party's shares of the masks (numbers, cells)."""
    return seed.child("masks").words(numbers_of(steps) * cells).reshape(numbers_of(steps), cells)


def uppers(seed: Seed, cells: int, steps: Sequence[Step]) -> Words:
    """The second party's shares of their upper bits (numbers, cells)."""
    return seed.child("uppers").words(numbers_of(steps) * cells).reshape(numbers_of(steps), cells)


def words_of(share: PlainVec) -> Words:
    """A share modulo 2^128, modulo 2^48."""
    return share.residue(rings.BITS).to_i64().view(np.uint64)


def ones(bits: int) -> np.uint64:
    """The number that takes the lower bits of another."""
    return np.uint64((1 << bits) - 1)
