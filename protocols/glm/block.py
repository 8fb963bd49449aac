"""One data party's own columns as integers, and its share of its own weights.  Nothing here touches a channel."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from protocols._native import PlainVec
from protocols.cipher import CipherVec
from protocols.errors import DataError
from protocols.glm.batches import Rows
from protocols.glm.plan import FEATURE, WEIGHT, Plan, Step
from protocols.kept import Keep, KeptRows, KeptVec, between, in_memory
from protocols.parts import parts

ROWS_A_WEIGHT = 2  # fewer equations than that would let an owner solve its final weights for its partner's labels
Matrix = NDArray[np.int64] | KeptRows[np.int64]
Standardised = NDArray[np.float64] | KeptRows[np.float64]  # (n, d), and clipped


@dataclass(frozen=True)
class Block:
    """X (n, d), P = X M (n, d) and the L2 term's matrix (d, d, to be shifted; (d, 0) without such a term), as integers
    in the plan's units; intercept: X ends in a column of ones.  X and P of many rows are kept, and read in blocks."""

    x: Matrix
    preconditioned: Matrix
    penalty: NDArray[np.int64]
    penalty_shift: int
    intercept: bool

    @classmethod
    def of(cls, x: Standardised, plan: Plan, *, intercept: bool, models: int = 1, keep: Keep = in_memory) -> Block:
        """x: as `Standardised`.  With `intercept` a last column of ones is added, which the penalty leaves out.

        M is the party's own fixed-Hessian preconditioner (curvature X^T X / n + penalty I)^-1 / blocks: blocks times
        the block-diagonal Hessian bounds the whole.  X^T X is a sum over blocks of rows, in their order.
        models: how many are trained on these rows (one-vs-rest); the labels of a row add up to one, so that n (models -
        1) labels are free.  keep: where X and P are put.
        """
        n, width = len(x), x.shape[1] + intercept
        weights = models * width
        if n * max(1, models - 1) < ROWS_A_WEIGHT * weights:
            raise DataError(
                f"{n} training rows are too few for {weights} weights: they would reveal too much about single rows",
                remedy="Use more rows or fewer columns",
                expected=f"{ROWS_A_WEIGHT} rows per weight",
            )
        fixed = KeptRows(keep, (fixed_point(x[part.rows], intercept) for part in parts(n)))
        decay = plan.penalty.a_row(n)
        inverse = np.linalg.inv(plan.curvature * squares(fixed) / n + np.eye(width) * decay) / plan.blocks
        penalised = np.ones(width)
        penalised[-1:] = 0.0 if intercept else 1.0
        rows, bits = 2.0**plan.batch_log2, plan.precondition_bits
        scale = rows * plan.batches / n, 2.0**bits
        block = cls(
            fixed,
            KeptRows(keep, (preconditioned(fixed[part.rows], inverse, *scale) for part in parts(n))),
            np.rint(
                inverse * penalised * (decay * rows) * 2.0 ** (bits + plan.residual_bits - WEIGHT - plan.penalty_shift)
            ).astype(np.int64),
            plan.penalty_shift,
            intercept,
        )
        return block if plan.sgd is None else replace(block, x=block.x[:], preconditioned=block.preconditioned[:])

    def at(self, x: Standardised, keep: Keep) -> Block:
        """The same columns of other rows, for predictors only; keep: where they are put."""
        fixed = KeptRows(keep, (fixed_point(x[part.rows], self.intercept) for part in parts(len(x))))
        return replace(self, x=fixed, preconditioned=np.zeros((0, self.width), np.int64))

    def take(self, rows: Rows) -> Block:
        """The block of some rows, held; of all rows as it is."""
        if isinstance(rows, slice) and rows == slice(None):
            return self
        return replace(self, x=taken(self.x, rows), preconditioned=taken(self.preconditioned, rows))

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
        return theirs.matmul(self.x[:]).add_plain(mine.matmul(self.x[:]))

    def slope(self, residual: CipherVec) -> CipherVec:
        """[[P^T d]] (d,) of these rows."""
        return residual.t_matmul(self.preconditioned[:])

    def predictors(self, weights: PlainVec) -> Iterator[PlainVec]:
        """X w of weights (d,) in the clear, block after block."""
        return (weights.matmul(self.x[part.rows]) for part in parts(len(self)))

    def slope_of(self, residual: PlainVec | KeptVec) -> PlainVec:
        """P^T d (d,) of residuals (n,) in the clear."""
        blocks = (between(residual, part).t_matmul(self.preconditioned[part.rows]) for part in parts(len(self)))
        return reduce(operator.add, blocks)

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
    fixed: NDArray[np.int64], inverse: NDArray[np.float64], per_row: float, unit: float
) -> NDArray[np.int64]:
    """P of a block of rows, in whole units."""
    found: NDArray[np.float64] = (fixed / 2**FEATURE) @ inverse
    found *= per_row
    found *= unit
    return np.rint(found, out=found).astype(np.int64)


def squares(fixed: Matrix) -> NDArray[np.float64]:
    """X^T X (d, d), block after block."""
    return reduce(operator.add, (x.T @ x for x in (fixed[part.rows] / 2**FEATURE for part in parts(len(fixed)))))


def taken(matrix: Matrix, rows: Rows) -> NDArray[np.int64]:
    """Some rows of a matrix, in their order."""
    if isinstance(matrix, KeptRows):
        return matrix[rows] if isinstance(rows, slice) else matrix.take(rows)
    return np.asarray(matrix[rows])
