"""One data party's own columns as integers, and its share of its own weights.  Nothing here touches a channel."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from protocols._native import PlainVec
from protocols.cipher import CipherVec
from protocols.errors import DataError
from protocols.glm.batches import Rows
from protocols.glm.digits import Digits
from protocols.glm.plan import FEATURE, WEIGHT, Plan, Step
from protocols.parts import parts

ROWS_A_WEIGHT = 2  # fewer equations than that would let an owner solve its final weights for its partner's labels


@dataclass(frozen=True)
class Block:
    """X (n, d), P = X M (n, d) and the L2 term's matrix (d, d, to be shifted; (d, 0) without such a term), as integers
    in the plan's units; intercept: X ends in a column of ones; digits: those of X, where they are cut ahead."""

    x: NDArray[np.int64]
    preconditioned: NDArray[np.int64]
    penalty: NDArray[np.int64]
    penalty_shift: int
    intercept: bool
    digits: NDArray[np.int16] | None = None

    @classmethod
    def of(cls, x: NDArray[np.float64], plan: Plan, *, intercept: bool, models: int = 1) -> Block:
        """x (n, d) float64, standardised and clipped.  With `intercept` a last column of ones is added, which the
        penalty leaves out.

        M is the party's own fixed-Hessian preconditioner (curvature X^T X / n + penalty I)^-1 / blocks: blocks times
        the block-diagonal Hessian bounds the whole.
        models: how many are trained on these rows (one-vs-rest); the labels of a row add up to one, so that n (models -
        1) labels are free.
        """
        n, weights = len(x), models * (x.shape[1] + intercept)
        if n * max(1, models - 1) < ROWS_A_WEIGHT * weights:
            raise DataError(
                f"{n} training rows are too few for {weights} weights: they would reveal too much about single rows",
                remedy="Use more rows or fewer columns",
                expected=f"{ROWS_A_WEIGHT} rows per weight",
            )
        scaled = scaled_up(x, intercept)
        fixed = np.ascontiguousarray(scaled, dtype=np.int64)
        x = np.divide(scaled, 2**FEATURE, out=scaled)  # one copy of numbers and one of integers
        decay = plan.penalty.a_row(n)
        inverse = np.linalg.inv(plan.curvature * (x.T @ x) / n + np.eye(x.shape[1]) * decay) / plan.blocks
        penalised = np.ones(x.shape[1])
        penalised[-1:] = 0.0 if intercept else 1.0
        rows, bits = 2.0**plan.batch_log2, plan.precondition_bits
        return cls(
            fixed,
            preconditioned(x, inverse, rows * plan.batches / n, 2.0**bits),
            np.rint(
                inverse * penalised * (decay * rows) * 2.0 ** (bits + plan.residual_bits - WEIGHT - plan.penalty_shift)
            ).astype(np.int64),
            plan.penalty_shift,
            intercept,
        )

    def at(self, x: NDArray[np.float64]) -> Block:
        """The same columns of other rows, for predictors only."""
        none = np.zeros((0, self.width), np.int64)
        return replace(self, x=fixed_point(x, self.intercept), preconditioned=none, digits=None)

    def cut(self, digits: Digits) -> Block:
        """The same with its digits, where predictors take any: an iteration need not cut them again."""
        whole = self.x if digits.count > 1 else self.x[:0]
        if not len(whole) or np.abs(whole).max() >> (FEATURE - digits.features[0]) >= 1 << 14:
            return self
        found = np.empty((len(whole), digits.count * self.width), dtype=np.int16)
        for part in parts(len(whole)):
            found[part.rows] = digits.of_rows(whole[part.rows])
        return replace(self, digits=found)

    def take(self, rows: Rows) -> Block:
        """The block of some rows."""
        digits = None if self.digits is None else self.digits[rows]
        return replace(self, x=self.x[rows], preconditioned=self.preconditioned[rows], digits=digits)

    def __len__(self) -> int:
        return len(self.x)

    @property
    def width(self) -> int:
        return int(self.x.shape[1])

    @property
    def terms(self) -> int:
        """How many encrypted weights its L2 term takes."""
        return int(self.penalty.shape[1])

    @property
    def penalised(self) -> int:
        """How many of its weights the penalty is of: the first."""
        return self.width - self.intercept

    def predictor(self, theirs: CipherVec, mine: PlainVec) -> CipherVec:
        """[[X (b + a)]] (n,) from the arbiter's encrypted share b and this party's own share a, both (d,)."""
        return theirs.matmul(self.x).add_plain(mine.matmul(self.x))

    def slope(self, residual: CipherVec) -> CipherVec:
        """[[P^T d]] (d,) of these rows."""
        return residual.t_matmul(self.preconditioned)

    def gradient(self, slope: CipherVec, theirs: CipherVec, mine: PlainVec) -> CipherVec:
        """[[P^T d + penalty (b + a)]] (d,) from [[P^T d]] of all rows."""
        decay = theirs.matmul(self.penalty).add_plain(mine.matmul(self.penalty))
        if self.penalty_shift:
            decay = decay.mul_plain(PlainVec.from_ints([1 << self.penalty_shift]))
        return slope + decay


@dataclass
class Share:
    """One share of a block's weights (d,): the point where the next gradient is taken, and the method's memory of the
    one before.

    Every operation is linear, so each holder works on its own share; shifting each share separately costs at most one
    unit in the last place per shift.
    """

    point: PlainVec
    trail: PlainVec

    @classmethod
    def start(cls, weights: PlainVec) -> Share:
        return cls(weights, weights)

    def step(self, gradient_share: PlainVec, shift: int, step: Step) -> None:
        """One step; gradient_share in units of 2^-shift of the weights' own."""
        forward = (self.point - self.trail).scale(step.momentum).shift_right(WEIGHT)
        point = self.trail + forward - gradient_share.scale(step.rate).shift_right(WEIGHT + shift)
        self.trail = self.point if step.keeps else self.point - gradient_share.shift_right(shift)
        self.point = point


def fixed_point(x: NDArray[np.float64], intercept: bool) -> NDArray[np.int64]:
    """(n, d or d + 1) in units of 2^-FEATURE, with `intercept` a last column of ones."""
    return np.ascontiguousarray(scaled_up(x, intercept), dtype=np.int64)


def scaled_up(x: NDArray[np.float64], intercept: bool) -> NDArray[np.float64]:
    """The same as floats, row after row."""
    found = np.ones((len(x), x.shape[1] + intercept))
    np.multiply(x, 2**FEATURE, out=found[:, : x.shape[1]])
    found[:, x.shape[1] :] *= 2**FEATURE
    return np.rint(found, out=found)


def preconditioned(
    x: NDArray[np.float64], inverse: NDArray[np.float64], per_row: float, unit: float
) -> NDArray[np.int64]:
    """P in whole units, in the memory of the product: rows are many."""
    found = x @ inverse
    found *= per_row
    found *= unit
    whole = np.rint(found, out=found).view(np.int64)
    for part in parts(len(found)):
        whole[part.rows] = found[part.rows].astype(np.int64)
    return whole
