"""Where a run of averaging is: what all parties compute alike from the sums that were opened; pure, no channel.

    sum                         numbers of a member                                      afterwards
    scale (once)                of its columns and label: sums, sums of squares; rows    standardisation, first weights
    update                      rows * update, entry by entry; rows                      weights += sum / rows
    counts (at the end)         by measure: 1 if it has one, else 0                      which measures are summed up
    measures (then)             by such measure: 1, of both models; else 0               means over members

A measure that fewer than `min_members` members have (AUC, where rows held out have two classes) is not summed up: the
others' zeros would hide nobody's.

Sums of columns may be of any size.  Each is an integer in units of 2^-SCALE, cut into limbs of LIMB bits, which words
hold without overflow; the highest limb has the sign.  The limbs' own sums would show carries, and with them more than
the sum: how many members have a negative one, for instance.  So a member adds to each limb but the highest a random
number times 2^LIMB, and subtracts it from the next limb.  The integer that the limbs stand for stays the same, and what
is above LIMB bits in an opened limb is independent of the members' numbers, up to a statistical distance of
members / 2^noise_bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from protocols.averaging.cohorts import Members, Terms
from protocols.averaging.masks import Words
from protocols.averaging.secure_sum import Sum
from protocols.randomness import Seed
from vfl.models.averaging.families import Family, Floats
from vfl.models.averaging.spec import Averaging

SCALE = 40  # bits behind the point of sums of columns
BITS = 128
LIMB = {32: 4, 64: 16}  # bits of a limb, by those of a word
Due = Literal["scale", "update", "counts", "measures"]


@dataclass(frozen=True)
class Scaling:
    """By what columns and label are standardised: means and standard deviations of all rows (1 where a column is
    constant)."""

    mean: Floats
    deviation: Floats
    label_mean: float
    label_deviation: float

    def columns(self, x: Floats) -> Floats:
        """(n, columns) standardised."""
        return (x - self.mean) / self.deviation

    def label(self, y: Floats) -> Floats:
        """(n,) standardised, where the label is a number."""
        return (y - self.label_mean) / self.label_deviation


@dataclass(frozen=True)
class Round:
    """What all parties know of a round: how many members took part, their rows (of which nobody knows with privacy of
    members), and who they are."""

    number: int
    members: int
    rows: int | None
    names: Members = frozenset()


@dataclass(frozen=True)
class Measured:
    """What all parties learn of a measure: how many members have it, and its means over these members, of the averaged
    model and of each member's own one."""

    members: int
    averaged: float
    alone: float


@dataclass(frozen=True)
class Both:
    """A measure at one member: of the averaged model, and of the member's own one."""

    averaged: float
    alone: float


@dataclass
class Course:
    """A run, from its first sum to its last; measures: what is summed up after the last round, where enough
    members have it."""

    spec: Averaging
    terms: Terms
    columns: int
    measures: tuple[str, ...] = ()
    due: Due | None = "scale"  # None: the run is over
    scaling: Scaling | None = None
    weights: Floats = field(default_factory=lambda: np.zeros(0))
    rounds: list[Round] = field(default_factory=list)
    measured: dict[str, Measured] = field(default_factory=dict)
    told: tuple[str, ...] | None = None  # the measures that are summed up, once it is known which
    better: int | None = None  # members whose first measure is better with the averaged model than with their own one

    @property
    def family(self) -> Family:
        """The model."""
        return Family.of(self.spec, self.columns)

    @property
    def number(self) -> int:
        """The round that is under way, from 1."""
        return len(self.rounds) + 1

    @property
    def length(self) -> int:
        """Of the vector that is due."""
        if self.due == "update":
            return self.family.size + 1
        numbers = {"counts": len(self.measures), "measures": 3 * len(self.summed) + 1}.get(self.due or "")
        return BITS // LIMB[self.terms.word_bits] * (2 * self.columns + 3 if numbers is None else numbers)

    @property
    def summed(self) -> tuple[str, ...]:
        """The measures that are summed up; all, as long as it is not known how many members have them."""
        return self.measures if self.told is None else self.told

    @property
    def unit(self) -> float:
        """The step between two values of an update."""
        return self.spec.unit(len(self.terms.members))

    def opened(self, found: Sum) -> bool:
        """Takes a sum; returns whether another one follows."""
        if self.due == "scale":
            self._scale(whole(found.words))
        elif self.due == "counts":
            counts = zip(self.measures, whole(found.words), strict=True)
            self.told = tuple(name for name, members in counts if members >= self.terms.min_members)
            self.due = "measures" if self.told else None
        elif self.due == "measures":
            self._measured(whole(found.words))
        else:
            self._move(found)
        return self.due is not None

    def _begin(self) -> None:
        over: Due | None = "counts" if self.measures else None
        self.due = over if len(self.rounds) == self.spec.rounds else "update"

    def _scale(self, sums: list[int]) -> None:
        rows, unit = sums[-1], 1 << SCALE
        first, second = sums[: self.columns + 1], sums[self.columns + 1 : -1]
        means = np.array([one / (rows * unit) for one in first])
        # the variance's numerator as an integer: nothing is cancelled
        variances = [
            (two * rows * unit - one * one) / (rows * unit) ** 2 for one, two in zip(first, second, strict=True)
        ]
        self.scaling, self.weights = scaled(self.spec, self.family, means, np.array(variances))
        self._begin()

    def _move(self, found: Sum) -> None:
        signed: NDArray[Any] = found.words.view(f"<i{found.words.itemsize}").astype(np.int64)
        rows = int(signed[-1])
        if rows:
            self.weights = self.weights + signed[:-1] / rows * self.unit
        self.rounds.append(Round(self.number, len(found.survivors), rows, found.survivors))
        self._begin()

    def numbers_of(self, own: Mapping[str, Both], *, better: bool) -> list[int]:
        """A member's numbers for the sum of counts or measures; own: by measure, without those that it has not."""
        if self.due == "counts":
            return [int(name in own) for name in self.measures]
        found = [int(better and self.measures[0] in self.summed)]
        for name in self.summed:
            both = own.get(name)
            found += (
                [0, 0, 0] if both is None else [1, *(round(each * 2**SCALE) for each in (both.averaged, both.alone))]
            )
        return found

    def _measured(self, sums: list[int]) -> None:
        self.better, unit = sums[0] if self.measures[0] in self.summed else None, 1 << SCALE
        for k, name in enumerate(self.summed):
            members, averaged, alone = sums[3 * k + 1 : 3 * k + 4]
            if members:
                self.measured[name] = Measured(members, averaged / unit / members, alone / unit / members)
        self.due = None


def scaled(spec: Averaging, family: Family, means: Floats, variances: Floats) -> tuple[Scaling, Floats]:
    """The scaling and the first weights, by means and variances of columns and label (columns + 1,)."""
    deviations = np.sqrt(np.maximum(variances, 0.0))
    deviations[deviations <= 1e-9 * np.maximum(np.abs(means), 1e-9)] = 1.0
    number = spec.label == "numeric"
    label = (float(means[-1]), float(deviations[-1])) if number else (0.0, 1.0)
    weights = family.start(0.0 if number else float(means[-1]), spec.random_state)
    return Scaling(means[:-1], deviations[:-1], *label), weights


def noise_bits(word_bits: int, members: int) -> int:
    """Of the random numbers that hide carries: as many as the words of the sum have room for."""
    return word_bits - LIMB[word_bits] - members.bit_length() - 2


def limbs(numbers: list[int], word_bits: int, members: int, seed: Seed) -> Words:
    """Integers, signed, of less than 2^127 in all, as limbs; seed: of the random numbers that hide their carries."""
    limb, shifts = LIMB[word_bits], range(0, BITS, LIMB[word_bits])
    pieces = [[(number >> shift) & ((1 << limb) - 1) for shift in shifts] for number in numbers]
    found = np.array(pieces, np.int64).reshape(len(numbers), len(shifts))
    found[:, -1] = [number >> shifts[-1] for number in numbers]
    drawn = seed.words(len(numbers) * (len(shifts) - 1)) >> np.uint64(64 - noise_bits(word_bits, members))
    hiding = drawn.astype(np.int64).reshape(len(numbers), -1)
    found[:, :-1] += hiding << limb
    found[:, 1:] -= hiding
    return found.ravel().view(np.uint64).astype(f"<u{word_bits // 8}")


def whole(words: Words) -> list[int]:
    """Integers back from sums of their limbs."""
    limb = LIMB[8 * words.itemsize]
    signed = words.view(f"<i{words.itemsize}").reshape(-1, BITS // limb)
    return [sum(int(piece) << (limb * k) for k, piece in enumerate(row)) for row in signed]
