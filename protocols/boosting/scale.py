"""How rows' g and h of sealed trees become integers, and what all parties must know of labels and weights for that.

     guest (labels, weights)                     hosts, arbiter
     TargetScale  ---------------------------->  where a job needs it: squared error, counts, weights

Who learns what: as the message says; nothing of jobs that do not need it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from protocols._native import PlainVec
from protocols.boosting.blocks import Slots
from protocols.boosting.objective import POISSON_STEP
from protocols.boosting.params import Params
from protocols.boosting.split import Units
from protocols.channel import broadcast
from protocols.curves import Curve, logistic, logistic_slope, softplus
from protocols.errors import DataError, RemoteProtocolError
from protocols.glm.links import ROW_WEIGHT, capped
from protocols.glm.sealed_link import UNIT
from protocols.message import REVEALED, Message
from protocols.session import Session

Floats = NDArray[np.float64]
MOST_LOG2 = 40  # of labels and weights
FAR = 5  # log2: labels lie within 2^FAR units of the base

_LOGISTIC, _SLOPE, _SOFTPLUS = Curve(logistic, UNIT), Curve(logistic_slope, UNIT), Curve(softplus, UNIT)
_SAME, _SQUARE = Curve(lambda z: z, UNIT), Curve(lambda z: z * z, UNIT)


class TargetScale(
    Message,
    disclosure=REVEALED,
    permit="label-scale-to-parties",
    learns=(
        "two powers of two, 1 where the job does not need them: the order of magnitude of the labels' spread "
        "(squared error) or mean (counts), and a bound on the largest weight of a row"
    ),
):
    label_log2: int
    weight_log2: int


@dataclass(frozen=True)
class Scale:
    """How rows' g and h become integers of `bits` bits, for an objective, labels of this order of magnitude and, where
    `weighted`, rows' weights up to 2^weight_log2."""

    objective: str
    bits: int
    rows: int
    label_log2: int = 0
    weight_log2: int = 0
    weighted: bool = False
    sampled: bool = False  # whether a round leaves rows out

    @property
    def margin_unit(self) -> float:
        """What one unit of a margin's share is worth."""
        return 2.0 ** ((self.label_log2 if self.squared else 0) - UNIT)

    @property
    def squared(self) -> bool:
        return self.objective == "reg:squarederror"

    @property
    def counts(self) -> bool:
        return self.objective == "count:poisson"

    @property
    def curves(self) -> list[Curve]:
        """What is looked up at the margin: the mean, and its slope where that is another function."""
        if self.squared:
            return [_SAME]
        return [capped(self.label_log2)[0]] if self.counts else [_LOGISTIC, _SLOPE]

    @property
    def loss_curve(self) -> Curve:
        """The loss of a row, less label times margin (squared error: of the margin less the label)."""
        if self.squared:
            return _SQUARE
        return capped(self.label_log2)[1] if self.counts else _SOFTPLUS

    @property
    def fraction(self) -> int:
        """Fractional bits of looked-up values, of weighted ones too."""
        return self.curves[0].fraction + (ROW_WEIGHT - self.weight_log2 if self.weighted else 0)

    @property
    def _top(self) -> int:
        """log2 of what 2^(bits - 1) units of g are worth: |g| of a row of binary labels at most; of counts four times the mean, so that no sum over rows spills."""  # noqa: E501
        return self.weight_log2 + (self.label_log2 + 2 if self.counts else 0)

    @property
    def g_shift(self) -> int:
        return max(0, self.fraction + self._top - (self.bits - 1))

    @property
    def h_shift(self) -> int:
        """Of h as looked up: a slope of 1/4 at most, or a mean."""
        return max(0, self.fraction + self._top - (self.bits - 1) - (0 if self.counts else 2))

    @property
    def shifts(self) -> tuple[int, ...]:
        """Of each quantity of a row that is shared: g, and h where nobody knows it."""
        return (self.g_shift,) if self.h_known else (self.g_shift, self.h_shift)

    def labels(self, y: Floats) -> PlainVec:
        """In units of a looked-up mean."""
        y = y / 2.0**self.label_log2 if self.squared else y
        return PlainVec.from_i64(np.rint(y * 2.0 ** self.curves[0].fraction).astype(np.int64))

    @property
    def multiplied(self) -> bool:
        """Whether each row's g and h are multiplied by a number that the guest knows."""
        return self.weighted or self.sampled

    def whole_weights(self, weight: Floats) -> NDArray[np.int64]:
        return np.rint(weight * 2.0 ** (ROW_WEIGHT - self.weight_log2)).astype(np.int64)

    @property
    def h_known(self) -> bool:
        """Whether h is the row's weight, which the guest knows."""
        return self.squared

    @property
    def h_known_log2(self) -> int:
        """log2 of the unit of a known h: 1 without weights."""
        return self.weight_log2 - (self.bits - 1) if self.weighted else 0

    @cached_property
    def units(self) -> Units:
        g = 2.0 ** (self.g_shift - self.fraction)
        if self.h_known:
            return Units(g, 2.0**self.h_known_log2)
        return Units(g, 2.0 ** (self.h_shift - self.fraction) * (math.exp(POISSON_STEP) if self.counts else 1.0))

    @property
    def slots(self) -> Slots:
        """A slot holds the sum of all rows, and 1 part in 64 more."""
        count = (self.rows + self.rows // 64 + 1).bit_length()
        return Slots(self.bits + count, count + (1 if self.h_known and not self.weighted else self.bits - 1))


def scale_of(p: Params, rows: int, weighted: bool) -> Scale:
    """As far as the job decides it."""
    return Scale(p.objective, p.bits(rows), rows, weighted=weighted, sampled=p.subsample < 1)


def needs_scale(p: Params, weighted: bool) -> bool:
    return weighted or p.objective in ("reg:squarederror", "count:poisson")


def announce(session: Session, p: Params, rows: int, y: Floats, weight: Floats | None, base: float) -> Scale:
    """At the guest, from labels and weights of those of all `rows` that trees are trained on.  Raises DataError for
    labels or weights out of bounds."""
    scale = scale_of(p, rows, weight is not None)
    if not needs_scale(p, weight is not None):
        return scale
    label = 0
    if scale.counts:
        label = math.ceil(math.log2(max(float(np.average(y, weights=weight)), math.exp(base))))
    elif scale.squared:
        apart = np.abs(y - base)
        spread = math.sqrt(float(np.average(apart**2, weights=weight))) or 1.0
        label = max(math.ceil(math.log2(spread)) + 1, math.ceil(math.log2(max(float(apart.max()), 1e-300))) - FAR)
    heaviest = 0 if weight is None else math.ceil(math.log2(float(weight.max())))
    if max(abs(label), abs(heaviest)) > MOST_LOG2:
        raise DataError(
            "labels or weights are too large or too small", remedy="Choose another unit for them", party=session.me
        )
    broadcast([*session.hosts, session.arbiter], TargetScale(label, heaviest))
    return replace(scale, label_log2=label, weight_log2=heaviest)


def receive(session: Session, p: Params, rows: int, weighted: bool) -> Scale:
    """The same at hosts and arbiter."""
    scale = scale_of(p, rows, weighted)
    if not needs_scale(p, weighted):
        return scale
    told = session.guest.recv(TargetScale)
    if max(abs(told.label_log2), abs(told.weight_log2)) > MOST_LOG2:
        raise RemoteProtocolError(f"{session.roles.guest} announced an impossible scale", party=session.roles.guest)
    return replace(scale, label_log2=told.label_log2, weight_log2=told.weight_log2)
