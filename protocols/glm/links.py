"""From encrypted linear predictors to encrypted residuals, without opening either.

A link is a function of z that the guest turns into d = weight (mean(z) - y).  The linear ones need no interaction; the
sealed ones are a look-up on additive shares (`protocols.glm.sealed_link`).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from functools import cache
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from protocols._native import PlainVec
from protocols.cipher import CipherVec, DecryptionKey
from protocols.curves import Curve, exp, logistic, softplus
from protocols.errors import ConfigError
from protocols.glm import sealed_link
from protocols.glm.batches import Rows
from protocols.glm.plan import FEATURE, SCORE, WEIGHT, Penalty, Plan, Sgd
from protocols.glm.sealed_link import UNIT, Edge
from protocols.parts import Part
from protocols.session import Session

LEAST_RATE = 2.0**-6  # that a training on labels with noise starts from
ROW_WEIGHT = 20  # bits of a row's weight below the announced power of two


class Link(ABC):
    """residual_bits: fractional bits of d.  residual_log2: |d| < 2^residual_log2.  curvature: bound of the loss's second derivative by z.

    fresh: whether `difference` carries a factor that no host has.  by_mean: whether the link depends on the order of
    magnitude of the labels' mean.
    """  # noqa: E501

    residual_bits: int
    residual_log2: int
    curvature: float
    fresh: ClassVar[bool]
    by_mean: ClassVar[bool] = False

    def plan(
        self,
        rows_log2: int,
        penalty: Penalty,
        passes: int,
        blocks: int,
        plain_bits: int,
        sgd: Sgd | None = None,
        *,
        settles: bool = False,
    ) -> Plan:
        """The plan of a training with this link."""
        return Plan(
            rows_log2,
            penalty,
            passes,
            blocks,
            plain_bits,
            self.residual_bits,
            self.residual_log2,
            self.curvature,
            sgd,
            settles,
        )

    def take(self, rows: Rows) -> Link:
        """The link for some rows."""
        return self

    @abstractmethod
    def start(self, y: NDArray[np.float64], weights: NDArray[np.float64] | None) -> float:
        """The intercept that is best without any column, which the guest starts from."""

    @abstractmethod
    def typical(self, y: NDArray[np.float64], weights: NDArray[np.float64] | None) -> float:
        """The second derivative at that start, against which `curvature` is the bound: their ratio decides how many
        iterations are needed."""

    @abstractmethod
    def difference(
        self, session: Session, z: CipherVec, y: NDArray[np.float64], part: Part
    ) -> tuple[CipherVec, list[PlainVec]]:
        """At the guest: [[mean(z) - y]] of a block of rows from its [[z]], and of a look-up its share of how many rows
        are near the edge of the table."""

    def residual(
        self, session: Session, z: CipherVec, y: NDArray[np.float64], part: Part
    ) -> tuple[CipherVec, list[PlainVec]]:
        """At the guest: [[d]] of a block of rows, fresh to every host, and as `difference`."""
        d, edge = self.difference(session, z, y, part)
        return d if self.fresh else d.rerandomise(session.seed("residual", d.digest())), edge

    def deal(self, session: Session, part: Part) -> None:  # noqa: B027  most links deal nothing
        """At every host, once per step and block of rows: what the link needs dealt."""

    def serve(self, session: Session, rows: tuple[int, int], key: DecryptionKey) -> Edge:
        """At the arbiter, once per step over the minimum to the maximum number of rows: its part of the look-up;
        returns how many rows are near the edge of the table, and how many rows' means are beyond where the link is
        exact."""
        return Edge(0, 0)

    def scaled(self, mean_log2: int) -> Link:
        """The link for labels whose mean is at most 2^mean_log2."""
        return self

    def noisy(self, noise_log2: int) -> Link:
        """The link for labels of 0 and 1 with noise, which are at most 2^noise_log2.  Raises ConfigError where it is
        for other labels."""
        raise ConfigError(
            "noise on labels is for a logistic regression: other labels have no bound",
            remedy="Train a logistic regression, or leave out the noise",
        )


def within(mean: float) -> float:
    """The mean of labels with noise, from which a training starts, as if of 0 and 1."""
    return min(max(mean, LEAST_RATE), 1 - LEAST_RATE)


@dataclass(frozen=True)
class Linear(Link):
    """d = z / 2^slope_log2 + middle - y, re-randomised by the guest: nobody learns anything.

    slope 1, middle 0: least squares.  slope 1/4, middle 1/2: the second-order expansion of the logistic loss around 0.
    noise_log2: labels with noise are at most 2^noise_log2 (label_noise.py).
    """

    slope_log2: int = 0
    middle: float = 0.0
    noise_log2: int | None = None
    fresh = False

    @property
    def residual_bits(self) -> int:  # type: ignore[override]
        return FEATURE + WEIGHT + self.slope_log2

    @property
    def residual_log2(self) -> int:  # type: ignore[override]
        return max(SCORE - self.slope_log2 + 1, 0 if self.noise_log2 is None else self.noise_log2 + 2)

    @property
    def curvature(self) -> float:  # type: ignore[override]
        return float(0.5**self.slope_log2)

    def start(self, y: NDArray[np.float64], weights: NDArray[np.float64] | None) -> float:
        mean = float(np.average(y, weights=weights))
        return ((mean if self.noise_log2 is None else within(mean)) - self.middle) * 2.0**self.slope_log2

    def noisy(self, noise_log2: int) -> Link:
        return replace(self, noise_log2=noise_log2) if self.middle else super().noisy(noise_log2)

    def typical(self, y: NDArray[np.float64], weights: NDArray[np.float64] | None) -> float:
        return self.curvature

    def difference(
        self, session: Session, z: CipherVec, y: NDArray[np.float64], part: Part
    ) -> tuple[CipherVec, list[PlainVec]]:
        return z.add_plain(self.offset(y)), []

    def offset(self, y: NDArray[np.float64]) -> PlainVec:
        """(n,) middle - y, in units of the residuals: d = z / 2^slope_log2 + offset."""
        return PlainVec.from_i64(np.rint((self.middle - y) * 2.0**self.residual_bits).astype(np.int64))


class Sealed(Link):
    """d = curve(z) - y by the sealed link: nobody learns anything but, the arbiter, how many rows are near the edge of
    the table."""

    fresh = True  # by the arbiter's own encryption

    @property
    @abstractmethod
    def curve(self) -> Curve:
        """The mean."""

    @property
    @abstractmethod
    def loss_curve(self) -> Curve:
        """Its antiderivative, on the same range."""

    @property
    def residual_bits(self) -> int:  # type: ignore[override]
        return self.curve.fraction

    def difference(
        self, session: Session, z: CipherVec, y: NDArray[np.float64], part: Part
    ) -> tuple[CipherVec, list[PlainVec]]:
        labels = np.rint(y * 2.0**self.residual_bits).astype(np.int64)
        d, edge = sealed_link.guest(session, z, self.curve, labels, part)
        return d, [edge]

    def deal(self, session: Session, part: Part) -> None:
        sealed_link.dealer(session, part)

    def serve(self, session: Session, rows: tuple[int, int], key: DecryptionKey) -> Edge:
        return sealed_link.arbiter(session, key, self.curve, rows)


# One of each, so that their tables are computed once.
LOGISTIC, SOFTPLUS = Curve(logistic, UNIT), Curve(softplus, UNIT)


@dataclass(frozen=True)
class ExactLogistic(Sealed):
    """mean(z) = 1 / (1 + exp(-z)), for labels 0 and 1; with noise of at most 2^noise_log2 (label_noise.py)."""

    noise_log2: int | None = None
    curvature = 0.25
    curve, loss_curve = LOGISTIC, SOFTPLUS

    @property
    def residual_log2(self) -> int:  # type: ignore[override]
        return 1 if self.noise_log2 is None else self.noise_log2 + 1

    def noisy(self, noise_log2: int) -> ExactLogistic:
        return replace(self, noise_log2=noise_log2)

    def start(self, y: NDArray[np.float64], weights: NDArray[np.float64] | None) -> float:
        rate = float(np.average(y, weights=weights))
        rate = rate if self.noise_log2 is None else within(rate)
        return math.log(rate / (1 - rate))

    def typical(self, y: NDArray[np.float64], weights: NDArray[np.float64] | None) -> float:
        rate = float(np.average(y, weights=weights))
        return rate * (1 - rate)


@cache
def capped(mean_log2: int) -> tuple[Curve, Curve]:
    """The mean of counts and its antiderivative, where the labels' mean is at most 2^mean_log2: as exact relative to
    that mean as to 1."""
    empty = Curve(exp, UNIT, ExactPoisson.RANGE, fraction=24 - max(0, mean_log2))
    knee = math.floor((mean_log2 + ExactPoisson.STEEP) * math.log(2) / empty.width) * empty.width
    top = float(exp(np.array(knee)))

    def mean(z: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(exp(np.minimum(z, knee)) + top * np.maximum(z - knee, 0.0))

    def loss(z: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(mean(z) + top * np.maximum(z - knee, 0.0) ** 2 / 2)

    return replace(empty, value=mean, knee=knee), replace(empty, value=loss, knee=knee)


@dataclass(frozen=True)
class ExactPoisson(Sealed):
    """mean(z) = exp(z), for counts; above the knee it continues as its tangent, which keeps the loss convex and bounds
    its curvature.

    The bound is 2^STEEP times the power of two that the labels' mean does not exceed, and the knee the last border of
    two cells at which the mean is at most that.  With no row's mean above the knee's the optimum is that of the
    exponential itself; with one at the last iteration the run stops.
    """

    mean_log2: int = 0
    by_mean = True
    STEEP: ClassVar[int] = 5  # log2
    RANGE: ClassVar[int] = 6  # log2 of the table's half-range: rows' means lie between exp(-32) and exp(32)

    @property
    def curvature(self) -> float:  # type: ignore[override]
        return 2.0 ** (self.mean_log2 + self.STEEP)

    @property
    def residual_log2(self) -> int:  # type: ignore[override]
        return max(
            self.mean_log2 + self.STEEP + self.RANGE + 1, 10
        )  # the tangent's end, and small counts under any mean

    @property
    def curve(self) -> Curve:
        return capped(self.mean_log2)[0]

    @property
    def loss_curve(self) -> Curve:
        return capped(self.mean_log2)[1]

    def start(self, y: NDArray[np.float64], weights: NDArray[np.float64] | None) -> float:
        return math.log(self.typical(y, weights))

    def typical(self, y: NDArray[np.float64], weights: NDArray[np.float64] | None) -> float:
        return float(np.average(y, weights=weights))

    def scaled(self, mean_log2: int) -> ExactPoisson:
        return ExactPoisson(mean_log2)


@dataclass(frozen=True, eq=False)
class Weighted(Link):
    """`base` with the rows weighted: the guest multiplies its residuals by integers and re-randomises them.

    bound_log2: every weight is at most 2^bound_log2, which all parties know; weights (n,) are the guest's alone,
    rounded to 2^(bound_log2 - ROW_WEIGHT).  prepared: iterations are, which cut weighted residuals by ROW_WEIGHT bits
    (links_on_shares.py); ciphertexts cannot be cut.
    """

    base: Link
    bound_log2: int
    weights: NDArray[np.float64] | None = None
    prepared: bool = False
    fresh = False

    @property
    def residual_bits(self) -> int:  # type: ignore[override]
        return self.base.residual_bits + (0 if self.prepared else ROW_WEIGHT) - self.bound_log2

    @property
    def residual_log2(self) -> int:  # type: ignore[override]
        return self.base.residual_log2 + self.bound_log2

    @property
    def curvature(self) -> float:  # type: ignore[override]
        return self.base.curvature * 2.0**self.bound_log2

    def start(self, y: NDArray[np.float64], weights: NDArray[np.float64] | None) -> float:
        return self.base.start(y, weights)

    def typical(self, y: NDArray[np.float64], weights: NDArray[np.float64] | None) -> float:
        return self.base.typical(y, weights) * (1.0 if weights is None else float(weights.mean()))

    def difference(
        self, session: Session, z: CipherVec, y: NDArray[np.float64], part: Part
    ) -> tuple[CipherVec, list[PlainVec]]:
        assert self.weights is not None
        whole = np.rint(self.weights * 2.0 ** (ROW_WEIGHT - self.bound_log2)).astype(np.int64)
        d, edge = self.base.difference(session, z, y, part)
        return d.mul_plain(PlainVec.from_i64(whole)), edge

    def take(self, rows: Rows) -> Weighted:
        return self if self.weights is None else replace(self, weights=self.weights[rows])

    def deal(self, session: Session, part: Part) -> None:
        self.base.deal(session, part)

    def serve(self, session: Session, rows: tuple[int, int], key: DecryptionKey) -> Edge:
        return self.base.serve(session, rows, key)


LOGISTIC_LINKS: dict[str, Link] = {"exact": ExactLogistic(), "taylor": Linear(slope_log2=2, middle=0.5)}
IDENTITY = Linear()
POISSON = ExactPoisson()
