"""What all parties know before training starts: scales, bounds, head-room, steps.

Everything is integers.  With X in units of 2^-FEATURE, weights in 2^-WEIGHT, z = X w comes in units of 2^-(FEATURE + WEIGHT) and the residual d in units
of 2^-residual_bits, as the link says.  P = X M 2^k / n in units of 2^-precondition_bits with k = ceil(log2 n), so that the gradient P^T d divided by 2^shift
is the step of the weights in their own units: no party needs n for it.

Bounds.  M = (c X^T X / n + l I)^-1 / blocks, with c the curvature's bound and l the penalty a row, gives ||X M|| <= sqrt(n / (c l)) / 2, because
s / (c s^2 / n + l) is largest at s^2 = n l / c.  So |P^T d| <= 2^k / (2 sqrt(n c l)) ||d||, and ||d|| <= sqrt(n) 2^residual_log2 while |z| < 2^SCORE.
The L2 term M w l 2^k is at most 2^k |w|.  `gradient_bits` is above both together; masks exceed it by SIGMA bits.

Steps.  Blocks times the block-diagonal Hessian bounds the whole, so the preconditioned Hessian has its spectrum in (0, 1].  The number of passes is known in
advance and nobody sees a gradient, which is what Chebyshev's semi-iteration is made for (Golub, Varga 1961); it follows a short start by Nesterov's method
(1983), because the loss is not quadratic far from its optimum.  docs/adr/0003-steps.md compares both with restarts.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace

from protocols.errors import ConfigError

FEATURE = 16  # fractional bits of features
PRECONDITION = 14  # of the preconditioned features, and more where a large curvature makes them small
WEIGHT = 24  # of weights and momentum
PENALTY = 18  # at most so many more bits in the L2 term's matrix than in the preconditioned features
SCORE = 8  # |z| and |w| stay below 2^SCORE, far beyond what a regression on standardised columns reaches; checked after opening
SIGMA = 80  # bits by which a mask exceeds the value that it hides
GUARD = 8  # bits of a slot beyond the masked value, so that a broken bound shows
WARM_UP = 10  # one pass in so many goes to the start, which keeps predictors from overshooting
MOST_PASSES = 10_000  # that are ever planned
TOLERANCE = 1e-4  # by which all passes together shrink the error, in the part of the spectrum that they reach


@dataclass(frozen=True)
class Penalty:
    """alpha |w|^2 / 2 beside the sum of the rows' losses, or with `mean` beside their mean; the intercept is left out."""

    alpha: float
    mean: bool = False

    def a_row(self, rows: int) -> float:
        """The penalty beside the mean of the losses of so many rows."""
        return self.alpha if self.mean else self.alpha / rows


@dataclass(frozen=True)
class Plan:
    """`passes` over `2^(rows_log2 - 1) < n <= 2^rows_log2` rows with `penalty` between `blocks` data parties.

    plain_bits: usable bits of the key's plaintexts.  residual_bits: fractional bits of the link's residual, which stays below 2^residual_log2.
    curvature: bound of the loss's second derivative.  Raises ConfigError where one masked gradient does not fit into a plaintext.
    """

    rows_log2: int
    penalty: Penalty
    passes: int
    blocks: int
    plain_bits: int
    residual_bits: int
    residual_log2: int
    curvature: float

    def __post_init__(self) -> None:
        if self.slots < 1:
            raise ConfigError(
                "the key is too small for this job's head-room", remedy="Use a larger key_bits", expected=self.width, found=self.plain_bits
            )

    @property
    def rows(self) -> tuple[int, int]:
        """The fewest and the most rows that a pass can be over."""
        return 2 ** (self.rows_log2 - 1), 2**self.rows_log2

    @property
    def precondition_bits(self) -> int:
        """Fractional bits of the preconditioned features."""
        return PRECONDITION + max(0, math.ceil(math.log2(self.curvature)))

    @property
    def penalty_shift(self) -> int:
        """By how many bits the L2 term's matrix is coarser than the gradient, so that its entries stay small."""
        return max(0, self.residual_bits - WEIGHT - PENALTY)

    @property
    def gradient_bits(self) -> int:
        """|gradient| < 2^gradient_bits."""
        least = self.curvature * self.penalty.a_row(2**self.rows_log2)
        data = math.ceil(self.rows_log2 - 1 - math.log2(least) / 2) + self.residual_log2
        penalty = self.rows_log2 + SCORE
        return max(data, penalty) + 1 + self.precondition_bits + self.residual_bits

    @property
    def mask_bits(self) -> int:
        return self.gradient_bits + SIGMA + 1

    @property
    def width(self) -> int:
        """Bits of a slot: a masked gradient, its sign, and room to notice that the bound was broken."""
        return self.mask_bits + GUARD

    @property
    def slots(self) -> int:
        return self.plain_bits // self.width

    @property
    def shift(self) -> int:
        """gradient >> shift is a step in units of the weights."""
        return self.rows_log2 + self.precondition_bits + self.residual_bits - WEIGHT

    def steps(self) -> list[Step]:
        """Nesterov's method for the first tenth, then Chebyshev's semi-iteration for a spectrum in [low, 1] that the other passes shrink by TOLERANCE."""
        warm = self.passes // WARM_UP
        steps = [*nesterov(warm)]
        low = min((math.acosh(1 / TOLERANCE) / (2 * (self.passes - warm))) ** 2, 0.5)
        rho, omega = (1 - low) / (1 + low), 1.0
        for k in range(self.passes - warm):
            omega = 1.0 if k == 0 else 1 / (1 - rho * rho / 2) if k == 1 else 1 / (1 - rho * rho * omega / 4)
            steps.append(Step.of(omega, omega * 2 / (1 + low), keeps=True))
        return [replace(step, number=k, last=k + 1 == len(steps)) for k, step in enumerate(steps)]


@dataclass(frozen=True)
class Step:
    """Pass `number`: point' = momentum point + (1 - momentum) trail - rate gradient; trail' = point (keeps) or point - gradient.  In units of 2^-WEIGHT."""

    momentum: int
    rate: int
    keeps: bool
    number: int = 0
    last: bool = False

    @classmethod
    def of(cls, momentum: float, rate: float, *, keeps: bool) -> Step:
        return cls(round(momentum * 2**WEIGHT), round(rate * 2**WEIGHT), keeps)


@functools.cache
def nesterov(passes: int) -> tuple[Step, ...]:
    """The first passes of Nesterov's method."""
    t, steps = 1.0, []
    for _ in range(passes):
        following = (1 + math.sqrt(1 + 4 * t * t)) / 2
        steps.append(Step.of(1 + (t - 1) / following, 1 + (t - 1) / following, keeps=False))
        t = following
    return tuple(steps)


def planned_passes(flatness_log2: int, blocks: int) -> int:
    """Passes that a regression is likely to need between `blocks` parties, where the curvature's bound is 2^flatness_log2 times what it is at the base rate.

    A rule of thumb: Chebyshev's passes grow with the root of the condition number; nearly separable or collinear columns need more.
    """
    return min(math.ceil(30 * blocks * 2 ** (flatness_log2 / 2)), MOST_PASSES)


def rows_log2(rows: int) -> int:
    """ceil(log2(rows)), at least 1."""
    return max(1, (rows - 1).bit_length())
