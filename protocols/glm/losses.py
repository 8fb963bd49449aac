"""The sum of the rows' losses at shared weights, as two numbers of guest and arbiter that add up to it: from their shares
of the predictors z, in the clear.

Adversary: honest but curious; the dealer (the job's first host) colludes with neither of the two.

 sealed links: loss(z, y) = F(z) - y z, F the antiderivative of the mean
        guest: z_G, labels y, weights c                           arbiter: z_A
 1      shares of F(z), and of z as a whole number  <-- look_up.py, dealt -->  the same
        EdgeShare  ------------------------------------------>    stops if a row is near the table's edge
 2      shares of c F(z) - c y z  <-- dealt_products.py: the guest's factors times both -->
 3      their sum                                                 their sum

 linear links: loss = d^2 / (2 slope), d = slope z + middle - y, up to a constant
 2      shares of c d^2 = c d_G^2 + 2 c d_G d_A + c d_A^2  <-- dealt_products.py: factors 2 c d_G and c, times d_A and d_A^2 -->
 3      their sum                                                 their sum

Who learns what: the arbiter how many rows are near the edge of the table; nobody anything else.
Cost per row: a look-up of two curves, and with weights two products, else one; no ciphertext.
Error of the mean loss: logistic at most 8e-5, 1e-6 on average; counts the same, times the row's mean; linear none
beyond the weights' 20 bits.
"""  # noqa: E501

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from protocols._native import PlainVec
from protocols.curves import Curve, Floats
from protocols.glm import dealt_products
from protocols.glm.dealt_products import RING, times
from protocols.glm.links import Linear, Link, Sealed, Weighted
from protocols.glm.links_on_shares import deal_curves, looked_up, serve_look_up
from protocols.glm.sealed_link import Edge, refuse_near
from protocols.session import Session

FACTOR = 20  # bits of a row's weight, next to the heaviest row's
WHOLE = 24  # fractional bits of z as a whole number, and of F with labels' means up to 1
UNIT = 60  # fractional bits of the sum


class Loss(ABC):
    """One link's: what each party does once per evaluation."""

    @abstractmethod
    def guest(
        self, session: Session, z: PlainVec, y: NDArray[np.float64], weights: NDArray[np.float64] | None
    ) -> PlainVec:
        """The guest's number (1,), in units of 2^-UNIT, from its share of z (n,); weights (n,) in (0, 1]."""

    @abstractmethod
    def deal(self, session: Session, rows: int, *, weighted: bool) -> None:
        """At every host, of which the first deals."""

    @abstractmethod
    def arbiter(self, session: Session, z: PlainVec, *, weighted: bool) -> tuple[PlainVec, int]:
        """The arbiter's number, and how many rows are beyond the curve's knee.  Raises DataError where a row is near
        the edge of the table."""


@dataclass(frozen=True)
class SealedLoss(Loss):
    """curve: of the antiderivative F; refuse: at the arbiter, raises where a row is near the edge of its table."""

    curve: Curve
    refuse: Callable[[Session, Edge], None] = refuse_near

    @property
    def curves(self) -> list[Curve]:
        """F, and z itself."""
        return [self.curve, replace(self.curve, value=itself, knee=None, fraction=WHOLE)]

    def guest(
        self, session: Session, z: PlainVec, y: NDArray[np.float64], weights: NDArray[np.float64] | None
    ) -> PlainVec:
        losses, whole = looked_up(session, z, self.curves)
        scale = 2.0**FACTOR * (np.ones(len(y)) if weights is None else weights)
        each, labelled = (PlainVec.from_i64(np.rint(v).astype(np.int64)) for v in (scale, -scale * y))
        if weights is None:
            total = self._in_units(losses.sum().shift_left(FACTOR))
            return total_of(total + dealt_products.guest(session, labelled, whole).sum(), FACTOR + WHOLE)
        factors, shares = self._in_units(each).concat(labelled), losses.concat(whole)
        return total_of(dealt_products.guest(session, factors, shares).sum(), FACTOR + WHOLE)

    def deal(self, session: Session, rows: int, *, weighted: bool) -> None:
        deal_curves(session, rows, len(self.curves))
        dealt_products.deal(session, 2 * rows if weighted else rows)

    def arbiter(self, session: Session, z: PlainVec, *, weighted: bool) -> tuple[PlainVec, int]:
        (losses, whole), edge = serve_look_up(session, z, self.curves)
        self.refuse(session, edge)
        if weighted:
            total = dealt_products.arbiter(session, losses.concat(whole)).sum()
        else:
            total = self._in_units(losses.sum().shift_left(FACTOR)) + dealt_products.arbiter(session, whole).sum()
        return total_of(total, FACTOR + WHOLE), edge.beyond

    def _in_units(self, values: PlainVec) -> PlainVec:
        """Multiples of F in the units of those of z."""
        return values.shift_left(WHOLE - self.curve.fraction)


@dataclass(frozen=True)
class LinearLoss(Loss):
    link: Linear

    @property
    def bits(self) -> int:
        """Fractional bits of d^2 / (2 slope)."""
        return 2 * self.link.residual_bits + 1 - self.link.slope_log2

    def guest(
        self, session: Session, z: PlainVec, y: NDArray[np.float64], weights: NDArray[np.float64] | None
    ) -> PlainVec:
        d, none = z + self.link.offset(y), PlainVec.zeros(len(z))
        if weights is None:
            return total_of(times(d, d).sum() + dealt_products.guest(session, d.scale(2), none).sum(), self.bits)
        each = PlainVec.from_i64(np.rint(weights * 2.0**FACTOR).astype(np.int64))
        own = times(each, d)
        crossed = dealt_products.guest(session, own.scale(2).concat(each), none.concat(none)).sum()
        return total_of(times(own, d).sum() + crossed, self.bits + FACTOR)

    def deal(self, session: Session, rows: int, *, weighted: bool) -> None:
        dealt_products.deal(session, 2 * rows if weighted else rows)

    def arbiter(self, session: Session, z: PlainVec, *, weighted: bool) -> tuple[PlainVec, int]:
        if weighted:  # its share of d is that of z
            return total_of(dealt_products.arbiter(session, z.concat(times(z, z))).sum(), self.bits + FACTOR), 0
        return total_of(times(z, z).sum() + dealt_products.arbiter(session, z).sum(), self.bits), 0


def of(link: Link) -> Loss:
    """The loss of this link."""
    bare = link.base if isinstance(link, Weighted) else link
    if isinstance(bare, Linear):
        return LinearLoss(bare)
    assert isinstance(bare, Sealed)
    return SealedLoss(bare.loss_curve)


def total_of(share: PlainVec, bits: int) -> PlainVec:
    """A holder's number, from its share modulo 2^RING of a sum in units of 2^-bits: both together are off by two units
    at most."""
    return share.residue(RING).shift_right(bits - UNIT) if bits > UNIT else share.residue(RING).shift_left(UNIT - bits)


def itself(z: Floats) -> Floats:
    return z
