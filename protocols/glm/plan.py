"""What all parties know before training starts: scales, bounds, head-room, momentum.

Everything is integers.  With X in units of 2^-FEATURE, weights in 2^-WEIGHT, z = X w comes in units of 2^-(FEATURE + WEIGHT); the taylor residual is
carried as 4 d = z + 2 - 4 y at the same scale; P = X M 2^k / n in units of 2^-PRECONDITION with k = ceil(log2 n), so that the gradient P^T (4 d) divided
by 2^shift is the step of the weights in their own units: no party needs n for it.

Bounds.  M = (X^T X / 4n + I / Cn)^-1 / blocks gives ||X M|| <= n sqrt(C) (s / (s^2 / 4n + 1 / Cn) is largest at s^2 = 4 / C), so |P^T 4d| <= 2^k sqrt(C) ||4d||,
and ||4d|| <= sqrt(n) (Z + 6) while |z| <= Z = 2^SCORE.  The L2 term M w 2^k / (C n) is at most 2^k |w|.  Both together set `gradient_bits`; masks add SIGMA bits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from protocols.errors import ConfigError

FEATURE = 14  # fractional bits of features
PRECONDITION = 14  # of the preconditioned features
WEIGHT = 24  # of weights and momentum
SCORE = 8  # |z| + |w| stays below 2^SCORE, far beyond what a regression reaches; checked after opening by the slots
SIGMA = 80  # bits by which a mask exceeds the value that it hides
FIRST_RESTART, RESTART_GROWTH = 8, 2.2


@dataclass(frozen=True)
class Plan:
    """`passes` over `2^(rows_log2 - 1) < n <= 2^rows_log2` rows with inverse penalty `C`, under a key of `plain_bits` usable bits, between `blocks` data parties.

    Raises ConfigError where one masked gradient does not fit into a plaintext.
    """

    rows_log2: int
    C: float
    passes: int
    blocks: int
    plain_bits: int

    def __post_init__(self) -> None:
        if self.slots < 1:
            raise ConfigError(
                "the key is too small for this job's head-room", remedy="Use a larger key_bits", expected=self.width, found=self.plain_bits
            )

    @property
    def gradient_bits(self) -> int:
        """|gradient| < 2^gradient_bits."""
        return math.ceil(1.5 * self.rows_log2 + max(0.0, math.log2(self.C) / 2)) + SCORE + PRECONDITION + FEATURE + WEIGHT + 2

    @property
    def mask_bits(self) -> int:
        return self.gradient_bits + SIGMA + 1

    @property
    def width(self) -> int:
        """Bits of a slot: a masked gradient, its sign, and room to notice that the bound was broken."""
        return self.mask_bits + 8

    @property
    def slots(self) -> int:
        return self.plain_bits // self.width

    @property
    def shift(self) -> int:
        """gradient >> shift is a step in units of the weights."""
        return 2 + self.rows_log2 + PRECONDITION + FEATURE

    def momentum(self) -> list[int]:
        """Nesterov's factor after each pass, in units of 2^-WEIGHT: 0 where the schedule restarts (pass 8, then each 2.2 times later)."""
        factors, t, restart = [], 1.0, float(FIRST_RESTART)
        for step in range(1, self.passes + 1):
            following = (1 + math.sqrt(1 + 4 * t * t)) / 2
            factor, t = (t - 1) / following, following
            if step >= restart:
                factor, t, restart = 0.0, 1.0, restart * RESTART_GROWTH
            factors.append(round(factor * 2**WEIGHT))
        return factors


def rows_log2(rows: int) -> int:
    """ceil(log2(rows))."""
    return max(1, (rows - 1).bit_length())
