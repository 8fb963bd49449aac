"""The links of prepared iterations: from shares of the predictors to shares of the residuals d = weight (mean(z) - y).

The linear ones compute with their own share; the sealed ones look up (protocols/look_up.py); weights of rows, which the
guest alone knows, cost a dealt product (dealt_products.py).  What goes in are shares modulo 2^z_bits; what comes out
adds up to d as an integer, except with probability 2^-56 per row, or modulo 2^g_bits where the link is linear.

Who learns what: the arbiter how many rows are near the edge of the table, as of sealed_link.py; nobody anything else.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from protocols import look_up, row_blocks
from protocols._native import PlainVec
from protocols.channel import Channel
from protocols.curves import Curve
from protocols.glm import dealt_products
from protocols.glm.digits import COARSE, EXACT, Digits
from protocols.glm.links import ROW_WEIGHT, Linear, Link, Sealed, Weighted
from protocols.glm.sealed_link import Edge, dealer, open_edge, tell_edge
from protocols.kept import KeptVec, between
from protocols.parts import Part, parts
from protocols.session import Session


class OnShares(ABC):
    """One link: what each party does once per iteration, over the rows of a step."""

    @property
    @abstractmethod
    def digits(self) -> Digits:
        """How exact prepared predictors are."""

    @abstractmethod
    def z_bits(self, g_bits: int) -> int:
        """log2 of the modulus of z, where that of gradients is 2^g_bits."""

    @abstractmethod
    def guest(self, session: Session, z: KeptVec, y: NDArray[np.float64]) -> KeptVec:
        """The guest's share of d (n,) from its share of z (n,)."""

    @abstractmethod
    def deal(self, session: Session, rows: int) -> None:
        """At every host, of which the first deals."""

    @abstractmethod
    def arbiter(self, session: Session, z: KeptVec) -> tuple[KeptVec, Edge]:
        """The arbiter's share of d, and how many rows are where."""


@dataclass(frozen=True)
class LinearOnShares(OnShares):
    link: Linear
    digits = EXACT  # of z the residuals are a part

    def z_bits(self, g_bits: int) -> int:
        return g_bits

    def guest(self, session: Session, z: KeptVec, y: NDArray[np.float64]) -> KeptVec:
        each = (between(z, part) + self.link.offset(y[part.rows]) for part in parts(len(z)))
        return KeptVec.of_blocks(each, session.keep)  # z / 2^slope_log2, in units of 2^-residual_bits

    def deal(self, session: Session, rows: int) -> None:
        """Nothing."""

    def arbiter(self, session: Session, z: KeptVec) -> tuple[KeptVec, Edge]:
        return z, Edge(0, 0)


@dataclass(frozen=True)
class SealedOnShares(OnShares):
    link: Sealed
    digits = COARSE

    def z_bits(self, g_bits: int) -> int:
        return self.link.curve.range_log2 + 1 + self.link.curve.unit

    def guest(self, session: Session, z: KeptVec, y: NDArray[np.float64]) -> KeptVec:
        def residuals(part: Part, values: list[PlainVec]) -> PlainVec:
            labels = np.rint(y[part.rows] * 2.0**self.link.residual_bits).astype(np.int64)
            return values[0] - PlainVec.from_i64(labels)

        blocks = look_up_blocks(session, z, [self.link.curve])
        return KeptVec.of_blocks((residuals(part, values) for part, values in blocks), session.keep)

    def deal(self, session: Session, rows: int) -> None:
        deal_curves(session, rows, 1)

    def arbiter(self, session: Session, z: KeptVec) -> tuple[KeptVec, Edge]:
        edges = list[PlainVec]()
        blocks = serve_blocks(session, z, [self.link.curve], edges)
        value = KeptVec.of_blocks((values[0] for values in blocks), session.keep)
        return value, open_edge(session, edges)


@dataclass(frozen=True, eq=False)
class WeightedOnShares(OnShares):
    """Both holders cut their shares of the products, which costs at most one unit of the residuals."""

    base: OnShares
    link: Weighted  # at the guest with the weights

    @property
    def digits(self) -> Digits:
        return self.base.digits

    def z_bits(self, g_bits: int) -> int:
        return self.base.z_bits(g_bits)

    def guest(self, session: Session, z: KeptVec, y: NDArray[np.float64]) -> KeptVec:
        d = self.base.guest(session, z, y)
        found = dealt_products.guest_blocks(session, len(d), self._factors, partial(between, d))
        return KeptVec.of_blocks((values.shift_right(ROW_WEIGHT) for values in found), session.keep)

    def _factors(self, part: Part) -> PlainVec:
        assert self.link.weights is not None
        whole = np.rint(self.link.weights[part.rows] * 2.0 ** (ROW_WEIGHT - self.link.bound_log2))
        return PlainVec.from_i64(whole.astype(np.int64))

    def deal(self, session: Session, rows: int) -> None:
        self.base.deal(session, rows)
        dealt_products.deal(session, rows)

    def arbiter(self, session: Session, z: KeptVec) -> tuple[KeptVec, Edge]:
        share, edge = self.base.arbiter(session, z)
        found = dealt_products.arbiter_blocks(session, len(share), partial(between, share))
        return KeptVec.of_blocks((values.shift_right(ROW_WEIGHT) for values in found), session.keep), edge


def on_shares(link: Link) -> OnShares:
    """The same link on shares; of some rows where it is of some (`Link.take`)."""
    if isinstance(link, Weighted):
        return WeightedOnShares(on_shares(link.base), link)
    if isinstance(link, Linear):
        return LinearOnShares(link)
    assert isinstance(link, Sealed)
    return SealedOnShares(link)


def kept_by_curve(session: Session, blocks: Iterable[list[PlainVec]], curves: int) -> list[KeptVec]:
    """What a look-up gave block after block, by curve."""
    found = [KeptVec([], []) for _ in range(curves)]
    for values in blocks:
        for own, block in zip(found, values, strict=True):
            own.add(block, session.keep)
    return found


def looked_up(session: Session, z: PlainVec, curves: Sequence[Curve], *, whole: bool = False) -> list[PlainVec]:
    """At the guest: its shares of each curve's values at z (n,); the arbiter learns how many rows are near the edge of
    the table.  whole: as of `look_up.evaluate`."""
    found = [values for _, values in look_up_blocks(session, z, curves, whole=whole)]
    return [PlainVec.join(list(of_curve)) for of_curve in zip(*found, strict=True)]


def look_up_blocks(
    session: Session, z: PlainVec | KeptVec, curves: Sequence[Curve], *, whole: bool = False
) -> Iterator[tuple[Part, list[PlainVec]]]:
    """The same, block after block of rows; after the last one the arbiter gets its part of that count."""
    edges, dealer = list[PlainVec](), session.channels[session.roles.hosts[0]]
    for part in parts(len(z)):
        share = between(z, part)
        values, edge = _look_up(session, session.arbiter, share, part, curves, first=True, whole=whole)
        row_blocks.taken(dealer, part)
        edges.append(edge)
        yield part, values
    tell_edge(session, edges)


def serve_look_up(
    session: Session, z: PlainVec, curves: Sequence[Curve], *, whole: bool = False
) -> tuple[list[PlainVec], Edge]:
    """The same at the arbiter."""
    edges = list[PlainVec]()
    found = list(serve_blocks(session, z, curves, edges, whole=whole))
    return [PlainVec.join(list(of_curve)) for of_curve in zip(*found, strict=True)], open_edge(session, edges)


def serve_blocks(
    session: Session, z: PlainVec | KeptVec, curves: Sequence[Curve], edges: list[PlainVec], *, whole: bool = False
) -> Iterator[list[PlainVec]]:
    """The same, block after block; edges: gets the arbiter's shares of how many rows are where, which it opens then."""
    for part in parts(len(z)):
        share = between(z, part)
        values, edge = _look_up(session, session.guest, share, part, curves, first=False, whole=whole)
        edges.append(edge)
        yield values


def deal_curves(session: Session, rows: int, curves: int) -> None:
    """At every host, of which the first deals."""
    for part in parts(rows) if session.me == session.roles.hosts[0] else ():
        row_blocks.pace([session.guest], part)  # the arbiter is as far
        dealer(session, part, curves)


def _look_up(
    session: Session, other: Channel, share: PlainVec, part: Part, curves: Sequence[Curve], *, first: bool, whole: bool
) -> tuple[list[PlainVec], PlainVec]:
    """With the other of the two, from shares of a block: shares of its values, and of how many of its rows are
    where."""
    source = session.channels[session.roles.hosts[0]]
    dealt = look_up.accept(source.peer, source.recv(look_up.Deal, part), len(part), len(curves), first=first)
    return look_up.evaluate(other, dealt, share, curves, part, session.look_up, whole=whole)
