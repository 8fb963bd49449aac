"""A run of averaging whose sums carry noise: what all parties compute from them.

    sum          unit = "row": a vector of each row            unit = "member": one of each member
    scale        columns and label z in -1..1, z^2; 1          no such sum
    update       its gradient                                  its update, by local training
    afterwards   weights -= rate * (sum / rows + penalty)      weights += sum / members

With unit = "row" columns are standardised by the first sum, and rows are what it counts, with noise.  It is divided by
in every round: who drops out shortens the step.  With unit = "member" columns are standardised by their bounds, as a
mean over few members would be lost in noise: the middle is 0, and the bounds are two standard deviations away.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from protocols.averaging.cohorts import Members
from protocols.averaging.secure_sum import Sum
from protocols.errors import PlaintextOverflow
from vfl.models.averaging import private
from vfl.models.averaging.course import Course, Round, Scaling
from vfl.models.averaging.families import Floats
from vfl.models.averaging.private import Noise

FEW = 2.0  # standard deviations of noise: a variance below these is lost in it
WITHIN = 0.5  # the standard deviation of what is between -1 and 1, where it is not known


@dataclass
class PrivateCourse(Course):
    """A run with noise."""

    noise: Noise | None = None
    counted: float = 1.0  # rows, with noise

    def __post_init__(self) -> None:
        if not self.by_row and self.due == "scale":
            self._standardised(np.zeros(self.columns + 1), np.full(self.columns + 1, WITHIN))
            self.weights = self.family.start(self.family.mean_at_0, self.spec.random_state)
            self._begin()

    @property
    def kept(self) -> Noise:
        """Its noise."""
        assert self.noise is not None
        return self.noise

    @property
    def by_row(self) -> bool:
        """Whether rows are protected, and not members."""
        return self.kept.privacy.unit == "row"

    @property
    def length(self) -> int:
        return 2 * (self.columns + 1) + 1 if self.due == "scale" else self.family.size

    @property
    def longest(self) -> float:
        """What a vector of the sum that is due is clipped to."""
        return math.sqrt(self.length) if self.due == "scale" else self.kept.privacy.clip

    @property
    def unit(self) -> float:
        return private.unit(self.longest, self.length)

    def opened(self, found: Sum) -> bool:
        values = found.words.view("<i8").astype(np.float64) * self.unit
        if self.due == "scale":
            self._standardise(values)
        else:
            self._step(values, found.survivors)
        self._begin()
        return self.due is not None

    def _standardise(self, sums: Floats) -> None:
        self.counted, columns = max(1.0, float(sums[-1])), self.columns + 1
        means = np.clip(sums[:columns] / self.counted, -1, 1)
        variances = sums[columns:-1] / self.counted - means**2
        lost = FEW * self.kept.total * self.unit / self.counted
        self._standardised(means, np.sqrt(np.where(variances > lost, np.minimum(variances, 1.0), WITHIN**2)))
        number = self.spec.label == "numeric"
        label = self.kept.high[-1] + self.kept.low[-1] + means[-1] * (self.kept.high[-1] - self.kept.low[-1])
        self.weights = self.family.start(0.0 if number else float(label / 2), self.spec.random_state)

    def _standardised(self, means: Floats, deviations: Floats) -> None:
        """Takes means and deviations of columns and label, of which -1 and 1 are the bounds."""
        half, middle = (self.kept.high - self.kept.low) / 2, (self.kept.high + self.kept.low) / 2
        means, deviations = middle + half * means, half * deviations
        label = (float(means[-1]), float(deviations[-1])) if self.spec.label == "numeric" else (0.0, 1.0)
        self.scaling = Scaling(means[:-1], deviations[:-1], *label)

    def _step(self, total: Floats, members: Members) -> None:
        with np.errstate(over="ignore", invalid="ignore"):  # what diverges is refused below
            if self.by_row:
                descent = total / self.counted + self.family.penalty(self.weights)
                self.weights = self.weights - self.spec.learning_rate * descent
            else:
                self.weights = self.weights + total / len(members)
        if not np.isfinite(self.weights).all():
            raise PlaintextOverflow(
                "the averaged model has diverged: a weight is no number", remedy="Choose a smaller learning_rate"
            )
        rows = round(self.counted) if self.by_row else None
        self.rounds.append(Round(self.number, len(members), rows, members))
