"""One data party's own columns as integers, and its share of its own weights.  Nothing here touches a channel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols._native import PlainVec
from protocols.checkpoint import Arrays
from protocols.cipher import CipherVec
from protocols.errors import DataError
from protocols.glm.plan import FEATURE, WEIGHT, Plan, Step

ROWS_A_WEIGHT = 2  # fewer equations than that would let an owner solve its final weights for its partner's labels


@dataclass(frozen=True)
class Block:
    """X (n, d), P = X M (n, d) and the L2 term's matrix (d, d, to be shifted), as integers in the plan's units."""

    x: NDArray[np.int64]
    preconditioned: NDArray[np.int64]
    penalty: NDArray[np.int64]
    penalty_shift: int

    @classmethod
    def of(cls, x: NDArray[np.float64], plan: Plan, *, intercept: bool, models: int = 1) -> Block:
        """x (n, d) float64, standardised and clipped.  With `intercept` a last column of ones is added, which the penalty leaves out.

        M is the party's own fixed-Hessian preconditioner (curvature X^T X / n + penalty I)^-1 / blocks: blocks times the block-diagonal Hessian bounds the whole.
        models: how many are trained on these rows (one-vs-rest); their labels add up to one a row, so that n (models - 1) labels are free.
        """
        n, weights = len(x), models * (x.shape[1] + intercept)
        if n * max(1, models - 1) < ROWS_A_WEIGHT * weights:
            raise DataError(
                f"{n} training rows are too few for {weights} weights: they would tell too much of single rows",
                remedy="Use more rows or fewer columns",
                expected=f"{ROWS_A_WEIGHT} rows a weight",
            )
        x = np.column_stack([x, np.ones(n)]) if intercept else x
        fixed = np.rint(x * 2**FEATURE)
        x = fixed / 2**FEATURE
        decay = plan.penalty.a_row(n)
        inverse = np.linalg.inv(plan.curvature * (x.T @ x) / n + np.eye(x.shape[1]) * decay) / plan.blocks
        penalised = np.ones(x.shape[1])
        penalised[-1:] = 0.0 if intercept else 1.0
        rows, bits = 2.0**plan.rows_log2, plan.precondition_bits
        return cls(
            np.ascontiguousarray(fixed, dtype=np.int64),
            np.rint(x @ inverse * (rows / n) * 2.0**bits).astype(np.int64),
            np.rint(inverse * penalised * (decay * rows) * 2.0 ** (bits + plan.residual_bits - WEIGHT - plan.penalty_shift)).astype(
                np.int64
            ),
            plan.penalty_shift,
        )

    @property
    def width(self) -> int:
        return int(self.x.shape[1])

    def predictor(self, theirs: CipherVec, mine: PlainVec) -> CipherVec:
        """[[X (b + a)]] (n,) from the arbiter's encrypted share b and this party's own share a, both (d,)."""
        return theirs.matmul(self.x).add_plain(mine.matmul(self.x))

    def gradient(self, residual: CipherVec, theirs: CipherVec, mine: PlainVec) -> CipherVec:
        """[[P^T d + penalty (b + a)]] (d,)."""
        decay = theirs.matmul(self.penalty).add_plain(mine.matmul(self.penalty))
        if self.penalty_shift:
            decay = decay.mul_plain(PlainVec.from_ints([1 << self.penalty_shift]))
        return residual.t_matmul(self.preconditioned) + decay


@dataclass
class Share:
    """One share of a block's weights (d,): the point where the next gradient is taken, and the method's memory of the one before.

    Every operation is linear, so each holder works on its own share; shifting each share apart costs at most one unit in the last place a shift.
    """

    point: PlainVec
    trail: PlainVec

    @classmethod
    def start(cls, weights: PlainVec) -> Share:
        return cls(weights, weights)

    def step(self, gradient_share: PlainVec, shift: int, step: Step) -> None:
        """One pass; gradient_share in units of 2^-shift of the weights' own."""
        forward = (self.point - self.trail).scale(step.momentum).shift_right(WEIGHT)
        point = self.trail + forward - gradient_share.scale(step.rate).shift_right(WEIGHT + shift)
        self.trail = self.point if step.keeps else self.point - gradient_share.shift_right(shift)
        self.point = point


@dataclass(frozen=True)
class Shares:
    """Shares by the name of the weights' owner: what a pass changes, and what a mark keeps of it."""

    of: dict[str, Share]

    def save(self) -> Arrays:
        parts = {
            f"{party} {name}": part for party, share in self.of.items() for name, part in (("point", share.point), ("trail", share.trail))
        }
        return {name: np.frombuffer(part.to_bytes(), np.uint8) for name, part in parts.items()}

    def load(self, saved: Mapping[str, NDArray[Any]]) -> None:
        for party, share in self.of.items():
            share.point, share.trail = (PlainVec.from_bytes(saved[f"{party} {name}"].tobytes()) for name in ("point", "trail"))


def weights(mine: PlainVec, theirs: PlainVec) -> NDArray[np.float64]:
    """The weights that two shares add up to, as numbers."""
    return np.asarray((mine + theirs).to_i64() / 2.0**WEIGHT)
