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

import operator
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial, reduce

import numpy as np

from protocols._native import PlainVec
from protocols.curves import Curve, Floats
from protocols.glm import dealt_products
from protocols.glm.dealt_products import RING, times
from protocols.glm.links import Linear, Link, Sealed, Weighted
from protocols.glm.links_on_shares import deal_curves, kept_by_curve, look_up_blocks, serve_blocks
from protocols.glm.sealed_link import Edge, open_edge, refuse_near
from protocols.kept import KeptVec, between
from protocols.parts import Part, parts
from protocols.session import Session

FACTOR = 20  # bits of a row's weight, next to the heaviest row's
WHOLE = 24  # fractional bits of z as a whole number, and of F with labels' means up to 1
UNIT = 60  # fractional bits of the sum


Shares = PlainVec | KeptVec


class Loss(ABC):
    """One link's: what each party does once per evaluation, a block of rows at a time."""

    @abstractmethod
    def guest(self, session: Session, z: Shares, y: Floats, weights: Floats | None) -> PlainVec:
        """The guest's number (1,), in units of 2^-UNIT, from its share of z (n,); weights (n,) in (0, 1]."""

    @abstractmethod
    def deal(self, session: Session, rows: int, *, weighted: bool) -> None:
        """At every host, of which the first deals."""

    @abstractmethod
    def arbiter(self, session: Session, z: Shares, *, weighted: bool) -> tuple[PlainVec, int]:
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

    def guest(self, session: Session, z: Shares, y: Floats, weights: Floats | None) -> PlainVec:
        blocks = (values for _, values in look_up_blocks(session, z, self.curves))
        losses, whole = kept_by_curve(session, blocks, len(self.curves))

        def labelled(rows: slice) -> PlainVec:
            return integers(-(2.0**FACTOR) * y[rows] if weights is None else -(2.0**FACTOR) * weights[rows] * y[rows])

        if weights is None:
            own = self._in_units(sum_of(losses).shift_left(FACTOR))
            return total_of(own + crossed(session, whole, [labelled]), FACTOR + WHOLE)

        def each(rows: slice) -> PlainVec:
            return self._in_units(integers(2.0**FACTOR * weights[rows]))

        return total_of(crossed(session, KeptVec.joined([losses, whole]), [each, labelled]), FACTOR + WHOLE)

    def deal(self, session: Session, rows: int, *, weighted: bool) -> None:
        deal_curves(session, rows, len(self.curves))
        dealt_products.deal(session, 2 * rows if weighted else rows)

    def arbiter(self, session: Session, z: Shares, *, weighted: bool) -> tuple[PlainVec, int]:
        edges = list[PlainVec]()
        losses, whole = kept_by_curve(session, serve_blocks(session, z, self.curves, edges), len(self.curves))
        edge = open_edge(session, edges)
        self.refuse(session, edge)
        if weighted:
            total = answered(session, KeptVec.joined([losses, whole]))
        else:
            total = self._in_units(sum_of(losses).shift_left(FACTOR)) + answered(session, whole)
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

    def guest(self, session: Session, z: Shares, y: Floats, weights: Floats | None) -> PlainVec:
        every = parts(len(z))

        def d(rows: slice) -> PlainVec:
            return between(z, Part(0, 1, rows.start, rows.stop)) + self.link.offset(y[rows])

        def each(rows: slice) -> PlainVec:
            return integers(2.0**FACTOR * (np.ones(rows.stop - rows.start) if weights is None else weights[rows]))

        if weights is None:
            own = added(times(d(part.rows), d(part.rows)).sum() for part in every)
            return total_of(own + crossed(session, None, [lambda rows: d(rows).scale(2)], len(z)), self.bits)
        own = added(times(times(each(part.rows), d(part.rows)), d(part.rows)).sum() for part in every)
        factors = [lambda rows: times(each(rows), d(rows)).scale(2), each]
        return total_of(own + crossed(session, None, factors, len(z)), self.bits + FACTOR)

    def deal(self, session: Session, rows: int, *, weighted: bool) -> None:
        dealt_products.deal(session, 2 * rows if weighted else rows)

    def arbiter(self, session: Session, z: Shares, *, weighted: bool) -> tuple[PlainVec, int]:
        def squares() -> Iterator[PlainVec]:
            for values in (between(z, part) for part in parts(len(z))):  # its share of d is that of z
                yield times(values, values)

        if weighted:
            own, more = (KeptVec.of_blocks(b, session.keep) for b in (blocks_of(z), squares()))
            return total_of(answered(session, KeptVec.joined([own, more])), self.bits + FACTOR), 0
        return total_of(added(one.sum() for one in squares()) + answered(session, z), self.bits), 0


def blocks_of(values: Shares) -> Iterator[PlainVec]:
    return (between(values, part) for part in parts(len(values)))


def integers(values: Floats) -> PlainVec:
    return PlainVec.from_i64(np.rint(values).astype(np.int64))


def added(numbers: Iterable[PlainVec]) -> PlainVec:
    return reduce(operator.add, numbers)


def sum_of(values: Shares) -> PlainVec:
    """(1,)."""
    return added(block.sum() for block in blocks_of(values))


def crossed(
    session: Session,
    share: KeptVec | None,
    factors: Sequence[Callable[[slice], PlainVec]],
    rows: int | None = None,
) -> PlainVec:
    """At the guest, its number (1,) of the sum of factors times v; share: its share of v, None where that is zero.
    factors: those of some rows, each of one part of v; rows: of a part, where no share says it."""
    length = len(share) // len(factors) if share is not None else rows
    assert length is not None

    def of_block(part: Part) -> PlainVec:
        found = list[PlainVec]()
        for k, one in enumerate(factors):
            first, last = max(part.first - k * length, 0), min(part.last - k * length, length)
            found += [one(slice(first, last))] if first < last else []
        return PlainVec.join(found)

    def own(part: Part) -> PlainVec:
        return PlainVec.zeros(len(part)) if share is None else between(share, part)

    return added(v.sum() for v in dealt_products.guest_blocks(session, len(factors) * length, of_block, own))


def answered(session: Session, share: Shares) -> PlainVec:
    """The same at the arbiter, from its share of v."""
    return added(v.sum() for v in dealt_products.arbiter_blocks(session, len(share), partial(between, share)))


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
