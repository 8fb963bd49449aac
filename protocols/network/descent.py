"""What a network's training carries from step to step at one party: its shares of weights and of their momenta.

Every operation is linear, so that each holder works on its own share; each cut of a share costs at most one unit of
2^-FINE.  Nothing here touches a channel.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols._native import PlainVec
from protocols.glm.plan import WEIGHT
from protocols.network.plan import FINE, RATE, Plan
from protocols.network.watch import Watch
from protocols.randomness import Seed
from protocols.recovery.checkpoint import Arrays

CUT = FINE - WEIGHT


@dataclass
class Share:
    """One holder's share of some weights (count,) and of their momenta, in units of 2^-FINE."""

    weights: PlainVec = field(repr=False)
    momenta: PlainVec = field(repr=False)

    @classmethod
    def start(cls, weights: PlainVec) -> Share:
        return cls(weights, PlainVec.zeros(len(weights)))

    @property
    def used(self) -> PlainVec:
        """In units of 2^-WEIGHT, as they are multiplied."""
        return self.weights.shift_right(CUT)

    def step(self, plan: Plan, rows: int, gradient: PlainVec, unit: int, penalised: PlainVec | None) -> None:
        """One step by this holder's share of the sum of gradients over a batch's rows, in units of 2^-unit; penalised:
        its share of the weights that the penalty is of, and zeros for others; None: of none."""
        change = gradient.scale(plan.rate(rows)).shift_right(RATE + unit - FINE)
        if penalised is not None:
            change = change + penalised.scale(plan.decay(rows)).shift_right(RATE)
        kept = self.momenta.scale(plan.momentum).shift_right(WEIGHT) - change
        moved = kept.scale(plan.momentum).shift_right(WEIGHT) - change if plan.terms.nesterov else kept
        self.momenta, self.weights = kept, self.weights + moved


@dataclass
class Descent:
    """A party's shares by what they are of: the owner of first-layer weights, or the place of further ones."""

    shares: dict[str, Share]
    watch: Watch | None = None  # where training may end early

    def is_over(self) -> bool:
        """Whether a verdict has ended training."""
        return self.watch is not None and self.watch.over

    def go_back(self, best: int) -> None:
        """Training is over: the weights are those after the best epoch."""
        assert self.watch is not None
        for name, weights in self.watch.end(best).items():
            self.shares[name].weights = weights

    def save(self) -> Arrays:
        return ({} if self.watch is None else self.watch.save()) | {
            f"{what} {name}": np.frombuffer(values.to_bytes(), np.uint8)
            for name, share in self.shares.items()
            for what, values in (("weights", share.weights), ("momenta", share.momenta))
        }

    def load(self, saved: Mapping[str, NDArray[Any]]) -> None:
        for name in self.shares:
            weights, momenta = (
                PlainVec.from_bytes(saved[f"{what} {name}"].tobytes()) for what in ("weights", "momenta")
            )
            self.shares[name] = Share(weights, momenta)
        if self.watch is not None:
            self.watch.load(saved)


def initial(seed: Seed, count: int, bound: float) -> PlainVec:
    """One of two shares of initial weights (count,): the sum has the variance of a number that is uniform up to
    `bound`, and neither holder knows it."""
    return seed.integers(count, 64).scale(round(bound / 2**0.5 * 2**FINE)).shift_right(63)


def without(values: PlainVec, width: int, last: int) -> PlainVec:
    """Rows of this width with zeros in the last places of each."""
    keep = np.tile(np.arange(width) < width - last, len(values) // width)
    padded = PlainVec.join([values, PlainVec.zeros(1)])
    return padded.take(np.where(keep, np.arange(len(values)), len(values)).astype(np.int64))
