"""Where a run of averaging is: what all parties compute alike from the sums that were opened; pure, no channel.

    sum                         numbers of a member                                      afterwards
    scale (once)                of its columns and label: sums, sums of squares; rows    standardisation, first weights
    joins (with a trigger)      1 if it joins the round, else 0                          no update if fewer than min_members
    update                      rows * update, entry by entry; rows                      weights += sum / rows

Sums of columns may be of any size.  Each is an integer of 128 bits in units of 2^-SCALE, cut into limbs of half a word
each, so that limbs add up without a carry.
"""  # noqa: E501

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from protocols.averaging.cohorts import Terms
from protocols.averaging.masks import Words
from protocols.averaging.secure_sum import Sum
from vfl.models.averaging.families import Family, Floats
from vfl.models.averaging.spec import Averaging

SCALE = 40  # bits behind the point of sums of columns
BITS = 128
Due = Literal["scale", "joins", "update"]


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
    """What all parties know of a round.  joined: how many members joined it, None without a trigger; rows: of those
    whose updates were averaged, 0 where no update was asked for."""

    number: int
    members: int
    joined: int | None
    rows: int


@dataclass
class Course:
    """A run, from its first sum to its last."""

    spec: Averaging
    terms: Terms
    columns: int
    due: Due | None = "scale"  # None: the run is over
    scaling: Scaling | None = None
    weights: Floats = field(default_factory=lambda: np.zeros(0))
    rounds: list[Round] = field(default_factory=list)
    _joined: int | None = None

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
        limbs = BITS // (self.terms.word_bits // 2)
        return {"scale": limbs * (2 * self.columns + 3), "joins": 1, "update": self.family.size + 1}[str(self.due)]

    @property
    def unit(self) -> float:
        """The step between two values of an update."""
        return self.spec.unit(len(self.terms.members))

    def opened(self, found: Sum) -> bool:
        """Takes a sum; returns whether another one follows."""
        if self.due == "scale":
            self._scale(whole(found.words))
        elif self.due == "joins":
            self._joined = int(found.words[0])
            if self._joined < self.terms.min_members:
                self._end(found, 0)
            else:
                self.due = "update"
        else:
            self._move(found)
        return self.due is not None

    def _begin(self) -> None:
        self._joined = None
        over = len(self.rounds) == self.spec.rounds
        self.due = None if over else "update" if self.spec.trigger is None else "joins"

    def _end(self, found: Sum, rows: int) -> None:
        self.rounds.append(Round(self.number, len(found.survivors), self._joined, rows))
        self._begin()

    def _scale(self, sums: list[int]) -> None:
        rows, unit = sums[-1], 1 << SCALE
        first, second = sums[: self.columns + 1], sums[self.columns + 1 : -1]
        means = np.array([one / (rows * unit) for one in first])
        # the variance's numerator as an integer: nothing is cancelled
        variances = [
            (two * rows * unit - one * one) / (rows * unit) ** 2 for one, two in zip(first, second, strict=True)
        ]
        deviations = np.sqrt(np.maximum(variances, 0.0))
        deviations[deviations <= 1e-9 * np.maximum(np.abs(means), 1e-9)] = 1.0
        number = self.spec.label == "numeric"
        label = (float(means[-1]), float(deviations[-1])) if number else (0.0, 1.0)
        self.scaling = Scaling(means[:-1], deviations[:-1], *label)
        self.weights = self.family.start(0.0 if number else float(means[-1]), self.spec.random_state)
        self._begin()

    def _move(self, found: Sum) -> None:
        signed: NDArray[Any] = found.words.view(f"<i{found.words.itemsize}").astype(np.int64)
        rows = int(signed[-1])
        if rows:
            self.weights = self.weights + signed[:-1] / rows * self.unit
        self._end(found, rows)


def limbs(numbers: list[int], word_bits: int) -> Words:
    """Integers of up to 128 bits, signed, as limbs of half a word each."""
    half = word_bits // 2
    pieces = [(number >> shift) & ((1 << half) - 1) for number in numbers for shift in range(0, BITS, half)]
    return np.array(pieces, f"<u{word_bits // 8}")


def whole(words: Words) -> list[int]:
    """Integers back from sums of their limbs."""
    half = 4 * words.itemsize
    count = BITS // half
    sums = []
    for at in range(0, len(words), count):
        total = sum(int(limb) << (half * k) for k, limb in enumerate(words[at : at + count])) % (1 << BITS)
        sums.append(total - (1 << BITS) if total >> (BITS - 1) else total)
    return sums
