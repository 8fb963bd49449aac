"""Noise on the events of fine bins, before anything of them is merged or sent to a host (argument:
docs/protocols/noise.md).

Whose label is another one, that row changes the events of one bin of every column by 1: a vector of length
sqrt(columns).  Everything that the host learns is computed from the events with noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from protocols.noise import discrete_gaussian
from protocols.randomness import Seed


@dataclass(frozen=True)
class CountNoise:
    """multiplier: the standard deviation, divided by the length of what one label changes."""

    multiplier: Fraction

    def sigma(self, columns: int) -> int:
        """The standard deviation of each count of a host with this number of columns, rounded up."""
        return math.isqrt(math.ceil(self.multiplier**2 * columns) - 1) + 1

    def added(self, events: NDArray[np.int64], rows: NDArray[np.int64], columns: int, seed: Seed) -> NDArray[np.int64]:
        """Events (bins,) with noise, none below 0 or above the bin's rows."""
        return np.asarray(np.clip(events + discrete_gaussian(seed, len(events), self.sigma(columns)), 0, rows))


def of_both(events: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Noisy events (bins,) of one column, moved by one where noise has left no event, or nothing else."""
    total, largest = int(events.sum()), np.arange(len(rows)) == rows.argmax()
    return np.asarray(events + largest * (total == 0) - largest * (total == rows.sum()))
