"""What all parties know before training starts: scales, bounds, head-room, steps.

Everything is integers.  With X in units of 2^-FEATURE, weights in 2^-WEIGHT, z = X w comes in units of 2^-(FEATURE +
WEIGHT) and the residual d in units of 2^-residual_bits, as the link says.  P = X M 2^k / n in units of
2^-precondition_bits with k = ceil(log2 n), so that the gradient P^T d divided by 2^shift is the step of the weights in
their own units: no party needs n for it.

Bounds.  M = (c X^T X / n + l I)^-1 / blocks, with c the curvature's bound and l the penalty per row, gives ||X M|| <= sqrt(n / (c l)) / 2, because
s / (c s^2 / n + l) is largest at s^2 = n l / c.  So |P^T d| <= 2^k / (2 sqrt(n c l)) ||d||, and ||d|| <= sqrt(n) 2^residual_log2 while |z| < 2^SCORE.
The L2 term M w l 2^k is at most 2^k |w|.  `gradient_bits` is above both together; slots exceed it by SIGMA bits.

Steps.  Blocks times the block-diagonal Hessian bounds the whole, so the preconditioned Hessian has its spectrum in (0,
1].  The number of iterations is known in advance and nobody sees a gradient, which is what Chebyshev's semi-iteration
is made for (Golub, Varga 1961); it follows a short start by Nesterov's method (1983), because the loss is not quadratic
far from its optimum.  docs/adr/0003-steps.md compares both with restarts, and docs/adr/0023-iterations.md says which is used when.
Where a verdict can end training earlier (settling.py), the number is not known: there Brakhage's nu-method is used
(1987; Hanke, Numer. Math. 60, 1991), whose factors are those of Jacobi polynomials and need neither the number of
iterations nor the end of the spectrum.

Mini-batches (`Sgd`).  With m batches per epoch, P = X M 2^b m / n with b = ceil(log2 of a batch's rows), so that a batch's gradient over 2^b is one of the mean loss.  A
batch's rows of X M have at most the norm of all, and ||d|| <= sqrt(rows of a batch) 2^residual_log2: the bound above, with 2^b sqrt(m) in the place of 2^k.
"""  # noqa: E501

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace

from protocols.errors import ConfigError

FEATURE = 16  # fractional bits of features
PRECONDITION = 14  # of the preconditioned features, and more where a large curvature makes them small
WEIGHT = 24  # of weights and momentum
PENALTY = 18  # at most so many more bits in the L2 term's matrix than in the preconditioned features
# |z| and |w| stay below 2^SCORE, far beyond what a regression on standardised columns reaches
SCORE = 8
WIDE = 26  # log2 of the most weights of all parties
SIGMA = 80  # bits by which a slot exceeds its number, and a mask that is not uniform modulo n what it hides
WARM_UP = 10  # one pass in so many goes to the start, which keeps predictors from overshooting
MOST_PASSES = 10_000  # that are ever planned
MOST_STEPS = 1_000_000  # of mini-batches, in all passes together
LEAST_BATCH = 32  # smaller ones cost more for the weights than for the rows, and are too noisy for the steps
LARGEST_BATCH, USUAL_BATCHES = 8192, 8  # where nobody chose: an eighth of the rows, and no more than that
NU = 3.0  # an error in the direction of the eigenvalue s shrinks like (k root s)^-(2 NU) in k iterations
FADE = 3  # the power of the part of the passes that is left, by which the rate of mini-batches falls
TOLERANCE = 1e-4  # by which all passes together shrink the error, in the part of the spectrum that they reach


@dataclass(frozen=True)
class Penalty:
    """alpha |w|^2 / 2, added to the sum of the rows' losses, or with `mean` to their mean; the intercept is left out."""  # noqa: E501

    alpha: float
    mean: bool = False

    def a_row(self, rows: int) -> float:
        """The penalty that is added to the mean of the losses of `rows` rows."""
        return self.alpha if self.mean else self.alpha / rows


@dataclass(frozen=True)
class Sgd:
    """Mini-batches with momentum: a step is a rate times the batch's preconditioned gradient, and `momentum` times the
    step before.  With f of all steps done the rate is learning_rate_init (1 - f)^3; for the first tenth it rises from
    0, which keeps predictors from overshooting.

    batch_size: the most rows of a batch; None: an eighth of the rows' power of two, at most 8192.
    """

    batch_size: int | None = None
    momentum: float = 0.9
    learning_rate_init: float = 1.0

    def batches(self, rows_log2: int) -> int:
        """Batches per epoch: by the power of two that all parties know, so that no other size is disclosed.  Each has a
        quarter of batch_size to all of it."""
        size = self.batch_size or min(max((1 << rows_log2) // USUAL_BATCHES, LEAST_BATCH), LARGEST_BATCH)
        return -(-(1 << rows_log2) // size)

    def steps(self, count: int) -> list[Step]:
        """All steps, whose number decides the rates."""
        rates = (
            self.learning_rate_init * min(1.0, WARM_UP * (k + 1) / count) * (1 - k / count) ** FADE
            for k in range(count)
        )
        return [Step.of(1 + self.momentum, rate, keeps=True) for rate in rates]


@dataclass(frozen=True)
class Plan:
    """`passes` over `2^(rows_log2 - 1) < n <= 2^rows_log2` rows with `penalty` between `blocks` data parties.

    plain_bits: usable bits of the key's plaintexts.  residual_bits: fractional bits of the link's residual, which stays
    below 2^residual_log2.
    curvature: bound of the loss's second derivative.  sgd: None for steps over all rows.  settles: a verdict may end
    training.  Raises ConfigError where one masked gradient does not fit into a plaintext.
    """

    rows_log2: int
    penalty: Penalty
    passes: int
    blocks: int
    plain_bits: int
    residual_bits: int
    residual_log2: int
    curvature: float
    sgd: Sgd | None = None
    settles: bool = False

    def __post_init__(self) -> None:
        if self.slots < 1:
            raise ConfigError(
                "the key is too small for this job's head-room",
                remedy="Use a larger key_bits",
                expected=self.width,
                found=self.plain_bits,
            )

    @property
    def rows(self) -> tuple[int, int]:
        """The minimum and maximum number of rows of an iteration."""
        return 2 ** (self.rows_log2 - 1), 2**self.rows_log2

    @property
    def batches(self) -> int:
        """Steps per epoch."""
        return 1 if self.sgd is None else self.sgd.batches(self.rows_log2)

    @property
    def batch_rows(self) -> tuple[int, int]:
        """The minimum and maximum number of rows of a step."""
        least, most = self.rows
        return least // self.batches, -(-most // self.batches)

    @property
    def batch_log2(self) -> int:
        """ceil(log2) of the most rows that a step can take."""
        return rows_log2(self.batch_rows[1])

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
        spread = (
            math.log2(self.batches * 9 / 8) / 2 if self.batches > 1 else 0.0
        )  # 9 / 8: batches differ by a row, and have eight or more
        data = math.ceil(self.batch_log2 + spread - 1 - math.log2(least) / 2) + self.residual_log2
        penalty = self.batch_log2 + SCORE
        return max(data, penalty) + 1 + self.precondition_bits + self.residual_bits

    @property
    def width(self) -> int:
        """Bits of a slot, modulo which a gradient is shared: SIGMA more than it has, so that its shares add up as
        integers."""
        return self.gradient_bits + SIGMA + 1

    @property
    def share_bits(self) -> int:
        """|share of a weight| < 2^share_bits, and of its change."""
        return self.width - self.shift + 17

    @property
    def slots(self) -> int:
        return self.plain_bits // self.width

    @property
    def shift(self) -> int:
        """gradient >> shift is a step in units of the weights."""
        return self.batch_log2 + self.precondition_bits + self.residual_bits - WEIGHT

    def steps(self) -> list[Step]:
        """All steps of a training."""
        if self.sgd is not None:
            found = self.sgd.steps(self.passes * self.batches)
        else:
            found = nu_method(self.passes) if self.settles else self._semi_iteration()
        return [replace(step, number=k, last=k >= len(found) - self.batches) for k, step in enumerate(found)]

    def _semi_iteration(self) -> list[Step]:
        """Nesterov's method for the first tenth, then Chebyshev's semi-iteration for a spectrum in [low, 1] that the
        other iterations shrink by TOLERANCE."""
        warm = self.passes // WARM_UP
        steps = [*nesterov(warm)]
        low = min((math.acosh(1 / TOLERANCE) / (2 * (self.passes - warm))) ** 2, 0.5)
        rho, omega = (1 - low) / (1 + low), 1.0
        for k in range(self.passes - warm):
            omega = 1.0 if k == 0 else 1 / (1 - rho * rho / 2) if k == 1 else 1 / (1 - rho * rho * omega / 4)
            steps.append(Step.of(omega, omega * 2 / (1 + low), keeps=True))
        return steps


@dataclass(frozen=True)
class Step:
    """Step `number`: point' = momentum point + (1 - momentum) trail - rate gradient; trail' = point (keeps) or point -
    gradient.  In units of 2^-WEIGHT.

    last: it belongs to the last iteration."""

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
    """The first iterations of Nesterov's method."""
    t, steps = 1.0, []
    for _ in range(passes):
        following = (1 + math.sqrt(1 + 4 * t * t)) / 2
        steps.append(Step.of(1 + (t - 1) / following, 1 + (t - 1) / following, keeps=False))
        t = following
    return tuple(steps)


def nu_method(passes: int) -> list[Step]:
    """The first iterations of Brakhage's nu-method for a spectrum in [0, 1]."""
    steps = []
    for k in range(1, passes + 1):
        whole, wide = k + 2 * NU - 1, 2 * k + 4 * NU - 1
        rate = 4 * (2 * k + 2 * NU - 1) * (k + NU - 1) / (whole * wide)
        momentum = 1 + (k - 1) * (2 * k - 3) * (2 * k + 2 * NU - 1) / (whole * wide * (2 * k + 2 * NU - 3))
        steps.append(Step.of(momentum, rate, keeps=True))
    return steps


def planned_passes(flatness_log2: int, blocks: int) -> int:
    """Iterations that a regression is likely to need between `blocks` parties, where the curvature's bound is
    2^flatness_log2 times what it is at the base rate.

    A rule of thumb: Chebyshev's iterations grow with the root of the condition number; nearly separable or collinear
    columns need more.
    """
    return min(math.ceil(30 * blocks * 2 ** (flatness_log2 / 2)), MOST_PASSES)


def rows_log2(rows: int) -> int:
    """ceil(log2(rows)), at least 1."""
    return max(1, (rows - 1).bit_length())
