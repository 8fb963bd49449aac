"""What members clip, and the noise that each of them adds; pure, no channel (argument: docs/protocols/noise.md).

     a member, before it masks its numbers                            units of a number
 1   of each row, or of all it holds: a vector, no longer than LONGEST   clip / LONGEST, up to rounding
 2   the sum of its vectors, which are integers                       no float is added up
 3   + a discrete Gaussian for each entry, of standard deviation
     multiplier * LONGEST / sqrt(honest)

`honest` members of every sum at least keep to the protocol (`Terms.honest`).  The sum of their noise has a standard
deviation of at least multiplier * LONGEST, and one row or member changes the sum by a vector of at most LONGEST.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from protocols.averaging.cohorts import Terms
from protocols.averaging.masks import Words
from protocols.noise import discrete_gaussian
from protocols.randomness import Seed
from vfl.models import accounting
from vfl.models.accounting import Spent
from vfl.models.averaging.families import Floats
from vfl.models.averaging.spec import Averaging
from vfl.models.privacy import Bounds, Privacy
from vfl.schema.section import Complaint

LONGEST = 1 << 20  # a vector, in units
ROOM = 62  # bits of a sum
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Noise:
    """What all parties of a run know of its noise.

    low, high: (columns + 1,) the bounds of features and label.  multiplier: the standard deviation of the noise of
    `honest` members together, divided by LONGEST.
    """

    privacy: Privacy
    low: Floats
    high: Floats
    multiplier: Fraction
    sums: int
    honest: int

    @classmethod
    def of(cls, privacy: Privacy, spec: Averaging, terms: Terms, names: tuple[str, ...]) -> Noise:
        """names: of features and label.  Raises Complaint, ConfigError."""
        known = fits(privacy, spec, len(terms.members), names)
        bounds = np.array([*known, (0.0, 1.0)] if spec.label == "binary" else known)
        sums = spec.rounds + (privacy.unit == "row")  # with rows, the scale too
        multiplier = accounting.multiplier(privacy.epsilon, privacy.delta, sums)
        return cls(privacy, bounds[:, 0], bounds[:, 1], multiplier, sums, terms.honest)

    @property
    def sigma(self) -> int:
        """The standard deviation of one member's noise, in units, rounded up."""
        square = (self.multiplier * LONGEST) ** 2 / self.honest
        return math.isqrt(math.ceil(square) - 1) + 1

    @property
    def total(self) -> float:
        """The standard deviation that a sum's noise has at least, in units."""
        return float(self.multiplier) * LONGEST

    @property
    def spent(self) -> Spent:
        """What the run costs."""
        found = accounting.epsilon([(self.multiplier, self.sums)], self.privacy.delta)
        return Spent(self.privacy.unit, found, self.privacy.delta, float(self.multiplier), self.sums)

    def scaled(self, x: Floats, y: Floats) -> Floats:
        """(n, columns + 1) features and label, -1 at their lower bounds and 1 at their upper ones."""
        every = np.clip(np.column_stack([x, y]), self.low, self.high)
        return np.asarray((every - (self.low + self.high) / 2) / ((self.high - self.low) / 2))

    def added(self, vectors: Integers, seed: Seed) -> Words:
        """3: what a member sends."""
        return (vectors + discrete_gaussian(seed, len(vectors), self.sigma)).view(np.uint64)


def fits(privacy: Privacy, spec: Averaging, members: int, names: tuple[str, ...]) -> tuple[Bounds, ...]:
    """The bounds of features and, unless it is 0 or 1, label.  Raises Complaint where an averaging cannot keep this
    promise, or has a parameter that would do nothing."""
    if spec.update_bits is not None:
        what = "is given, and what rounding cuts off is carried over to the next update, which no clip bounds"
        raise Complaint(what, "Leave it out with privacy", "model.update_bits")
    if privacy.unit in ("label", "id"):
        raise Complaint(
            f'is "{privacy.unit}", which is for bins by the label, or sizes', 'Choose "row" or "member"', "privacy.unit"
        )
    if privacy.unit == "row":
        for name in ("local_epochs", "batch_size", "mu"):
            if getattr(spec, name) != type(spec).model_fields[name].default:
                what = 'is given, and with privacy.unit = "row" a round is one step over all rows'
                raise Complaint(what, 'Leave it out, or choose unit = "member"', f"model.{name}")
        if LONGEST * members * spec.max_rows > 1 << ROOM:
            what = f"is {spec.max_rows}: sums over {members} members would not fit into their words"
            raise Complaint(what, "Set it to what the largest member has", "model.max_rows")
    return privacy.of(names[:-1] if spec.label == "binary" else names)


def unit(longest: float, entries: int) -> float:
    """The value of a unit, where vectors of this many entries are as long as `longest` at most."""
    return longest / _target(entries)


def _target(entries: int) -> float:
    """To how many units the longest vector is scaled: rounding, by half a unit per entry, makes none longer than
    LONGEST."""
    return LONGEST - math.sqrt(entries) / 2 - 1


def clipped(vectors: Floats, longest: float) -> Integers:
    """1: (n, entries) integers; no row is longer than LONGEST.  A vector that is longer than `longest` is shortened,
    one that is no number is 0."""
    with np.errstate(over="ignore", invalid="ignore"):
        lengths = np.sqrt((vectors**2).sum(axis=1))
        scales = _target(vectors.shape[1]) / np.maximum(lengths, longest)
        found = np.rint(np.where(np.isfinite(lengths)[:, None], vectors * scales[:, None], 0.0))
    steps = np.clip(found, -LONGEST, LONGEST).astype(np.int64)
    steps[(steps**2).sum(axis=1) > LONGEST**2] = 0  # whatever floats do, no vector is longer
    return steps


def added_up(blocks: Iterable[Floats], longest: float, entries: int) -> Integers:
    """2: (entries,) of all vectors, clipped."""
    total = np.zeros(entries, np.int64)
    for block in blocks:
        total += clipped(block, longest).sum(axis=0)
    return total
