"""From encrypted linear predictors to encrypted residuals, without opening either.

A link is a function of z that the guest turns into d = mean(z) - y.  The linear ones need no interaction; the exact one is a look-up on additive shares
(`protocols.glm.sealed_link`).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protocols._native import PlainVec
from protocols.cipher import CipherVec, DecryptionKey
from protocols.glm import sealed_link
from protocols.glm.plan import FEATURE, SCORE, WEIGHT, Plan
from protocols.session import Session


class Link(ABC):
    """residual_bits: fractional bits of d.  residual_log2: |d| < 2^residual_log2.  curvature: bound of the loss's second derivative by z."""

    residual_bits: int
    residual_log2: int
    curvature: float

    def plan(self, rows_log2: int, C: float, passes: int, blocks: int, plain_bits: int) -> Plan:
        """The plan of a training with this link."""
        return Plan(rows_log2, C, passes, blocks, plain_bits, self.residual_bits, self.residual_log2)

    @abstractmethod
    def start(self, y: NDArray[np.float64]) -> float:
        """The intercept that is best without any column, which the guest starts from."""

    @abstractmethod
    def residual(self, session: Session, z: CipherVec, y: NDArray[np.float64]) -> CipherVec:
        """At the guest: [[d]] (n,) from [[z]] (n,), fresh to every host."""

    def deal(self, session: Session, rows: int) -> None:  # noqa: B027  most links deal nothing
        """At every host, once a pass: what the link needs dealt."""

    def serve(self, session: Session, rows_log2: int, key: DecryptionKey) -> None:  # noqa: B027
        """At the arbiter, once a pass: its part of the look-up."""


@dataclass(frozen=True)
class Linear(Link):
    """d = z / 2^slope_log2 + middle - y, re-randomised by the guest: nobody learns anything.

    slope 1, middle 0: least squares.  slope 1/4, middle 1/2: the second-order expansion of the logistic loss around 0.
    """

    slope_log2: int = 0
    middle: float = 0.0

    @property
    def residual_bits(self) -> int:  # type: ignore[override]
        return FEATURE + WEIGHT + self.slope_log2

    @property
    def residual_log2(self) -> int:  # type: ignore[override]
        return SCORE - self.slope_log2 + 1

    @property
    def curvature(self) -> float:  # type: ignore[override]
        return float(0.5**self.slope_log2)

    def start(self, y: NDArray[np.float64]) -> float:
        return float(y.mean() - self.middle) * 2.0**self.slope_log2

    def residual(self, session: Session, z: CipherVec, y: NDArray[np.float64]) -> CipherVec:
        d = z.add_plain(PlainVec.from_i64(np.rint((self.middle - y) * 2.0**self.residual_bits).astype(np.int64)))
        return d.rerandomise(session.seed("residual", d.digest()))


@dataclass(frozen=True)
class ExactLogistic(Link):
    """d = 1 / (1 + exp(-z)) - y by the sealed link: nobody learns anything but, the arbiter, how many rows are near the edge of the table."""

    residual_bits = sealed_link.VALUE
    residual_log2 = 1
    curvature = 0.25

    def start(self, y: NDArray[np.float64]) -> float:
        rate = float(y.mean())
        return math.log(rate / (1 - rate))

    def residual(self, session: Session, z: CipherVec, y: NDArray[np.float64]) -> CipherVec:
        return sealed_link.guest(session, z, LOGISTIC, np.rint(y * 2.0**self.residual_bits).astype(np.int64))

    def deal(self, session: Session, rows: int) -> None:
        sealed_link.dealer(session, rows)

    def serve(self, session: Session, rows_log2: int, key: DecryptionKey) -> None:
        sealed_link.arbiter(session, key, LOGISTIC, rows_log2)


def logistic(z: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1.0 / (1.0 + np.exp(-z)))


LOGISTIC = sealed_link.Curve(logistic, lambda z: logistic(z) * logistic(-z))


LOGISTIC_LINKS: dict[str, Link] = {"exact": ExactLogistic(), "taylor": Linear(slope_log2=2, middle=0.5)}
IDENTITY = Linear()
