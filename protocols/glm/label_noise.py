"""Noise on the labels of a regression, before anything of them leaves the guest (argument: docs/protocols/noise.md).

The gradient of a logistic loss is linear in the labels, so that labels with noise can be trained on.  Whatever hosts
and arbiter learn of a training, whether they keep to the protocol or not, is then computed from labels with noise:
final weights, verdicts, and that a run stopped.

guest: y~ = y + e, e of each row from the discrete Gaussian, cut to a range that all parties know
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from protocols.noise import discrete_gaussian
from protocols.one_noise import reveal_once
from protocols.randomness import Seed
from protocols.session import Session

BITS = 16  # fractional bits of a label with noise
TAIL = 8  # standard deviations, beyond which a label is cut


@dataclass(frozen=True)
class LabelNoise:
    """multiplier: the standard deviation; another label of a row, 0 or 1, changes a number by 1."""

    multiplier: Fraction

    @property
    def sigma(self) -> int:
        """The standard deviation, in units of 2^-BITS."""
        return math.ceil(self.multiplier * (1 << BITS))

    @property
    def bound_log2(self) -> int:
        """A label with noise is at most 2^bound_log2, whichever sign it has."""
        return math.ceil(math.log2(1 + TAIL * self.sigma / 2**BITS))

    def added(self, labels: NDArray[np.float64], seed: Seed) -> NDArray[np.float64]:
        """Labels (models, n) of 0 and 1 with noise."""
        exact = np.rint(labels * 2**BITS).astype(np.int64)
        noise, bound = discrete_gaussian(seed, exact.size, self.sigma), 1 << (BITS + self.bound_log2)
        return np.asarray(np.clip(exact + noise.reshape(exact.shape), -bound, bound) / 2.0**BITS)


def noisy(session: Session, labels: NDArray[np.float64], noise: LabelNoise | None) -> NDArray[np.float64]:
    """What the guest trains on, in one run always the same.  Raises LocalProtocolError."""
    if noise is None:
        return labels
    found = noise.added(labels, session.seed("noise on labels", labels.tobytes()))
    reveal_once(session, "labels of a training", found.tobytes())
    return found
