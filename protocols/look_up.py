"""Smooth functions of a number that two parties share: a look-up of the cell's cubic, which is then computed on shares.

Source: distributed point functions, Boyle, Gilboa, Ishai (CCS 2016); look-ups by them as in Pika (Wagh, PETS 2022);
products and powers of shares by dealt numbers, Beaver (CRYPTO 1991).  All shares are in Z_2^128.
Adversary: honest but curious; the dealer colludes with neither of the two.

     dealer                               first party                                 second party
 1   for each row: rho, b, and for each curve a_1, a_2, a_3, all uniform
     Deal: seed, DPF key, 2 products of b and 6 of each curve's a
                         ------------->   shares of rho, b, a_m; of the products
     Deal: seed, DPF key --------------------------------------------------------->   shares of rho, b, a_m, and all products
 2                                        k = floor(share / cell), t the rest; t less one cell     k, t
                                          LookupIndex k + rho  -------------------->
                                                           <------------------------  LookupIndex k + rho
                                          x = k + rho, modulo the table: uniform      x
 3                                        c_m = <DPF, tables shifted by x>            c_m, m = 0 to 3, of each curve
                                          MaskedFactors t - b, c_m - a_m  --------->
                                                           <------------------------  MaskedFactors t - b, c_m - a_m
                                          e = t - b, d_m = c_m - a_m: uniform         e, d_m
 4                                        shares of sum c_m t^m, with c_m t^m = d_m t^m + a_m t^m and t = e + b in the dealt products

Which shares.  z = first + second in units of 2^-unit, modulo any power of two from the table's period on, which is 2^(range_log2 + 1 + unit)
(2^48 at range_log2 = 7, unit = 40), or as signed integers of any length: each party reduces its own share, exactly.  How a share is
distributed does not matter.
Out come signed integers of at most 80 bits that add up to curve(z) in units of 2^-fraction, except with probability
|curve(z)| 2^(fraction - 80) per row: 2^-56 for the logistic function.  They are off by the error of the table (curves.py), by at most 2^-REST
times the slope, on average 0, since t is cut to 2^-REST, and by 2 units.
Who learns what: nobody anything.  The second result is a share of how many rows lie where the table is not to be trusted; the caller opens it.
Cost per row: one evaluation of the point function per party, for any number of curves; dealt 177 bytes to the second party, 209 and 96 for each
curve to the first; exchanged 20 each way, and 48 for each curve.
"""  # noqa: E501

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from protocols._native import (
    DpfKeys,
    PlainVec,
    look_up_cells,
    look_up_masked,
    look_up_products,
    look_up_values,
)
from protocols.channel import Channel
from protocols.codec import Int32s, check_lengths
from protocols.curves import DEGREE, REST, TABLE_BITS, Curve
from protocols.errors import RemoteProtocolError
from protocols.message import BLINDED, Message
from protocols.parts import Part
from protocols.randomness import Seed

RING = 128
SEED = 32  # bytes
CUT = REST * DEGREE  # fractional bits beside a curve's own before the result is cut
ORDERS = range(1, DEGREE + 1)
LookUp = Callable[[DpfKeys, NDArray[np.int64], NDArray[np.int64]], list[PlainVec]]


class Deal(
    Message,
    disclosure=BLINDED,
    learns="nothing: one of two shares of a random position and of random products for each row",
    in_blocks=True,
):
    seed: bytes  # (32,)
    keys: DpfKeys  # (n,)
    products: PlainVec  # (n (2 + 6 curves),) the first party's, row after row; the second's come from its seed


class LookupIndex(Message, disclosure=BLINDED, learns="for each row a uniform position", in_blocks=True):
    index: Int32s  # (n,) in [0, 2^TABLE_BITS)


class MaskedFactors(
    Message,
    disclosure=BLINDED,
    learns="for each row four numbers that are uniform modulo 2^128 (seven if it looks up two curves)",
    in_blocks=True,
):
    rest: PlainVec  # (n,)
    factors: PlainVec  # (n 3 curves,), row after row


@dataclass(frozen=True, eq=False)
class Dealt:
    """One party's shares, row after row.  factors: of b and every curve's a_1 to a_3; products: of b^2 and b^3, and of
    every curve's a_1 b, a_2 b, a_2 b^2, a_3 b, a_3 b^2, a_3 b^3."""

    curves: int
    position: NDArray[np.int64]  # (n,)
    keys: DpfKeys
    factors: PlainVec = field(repr=False)
    products: PlainVec = field(repr=False)

    @property
    def first(self) -> bool:
        return self.keys.party == 0


def deal(seed: Seed, rows: int, curves: int = 1) -> tuple[Deal, Deal]:
    """Step 1: both parties' parts of one look-up in `curves` curves.  The seed must deal once."""
    first, second = (seed.child(party) for party in ("first", "second"))
    points = _wrap(_positions(first, rows) + _positions(second, rows)).astype(np.int64)
    mine, theirs = (_factors(one, rows, curves) for one in (first, second))
    products = look_up_products(mine, theirs, _products(second, rows, curves), rows, curves)
    keys = DpfKeys.deal(seed.child("keys").secret, points, TABLE_BITS)
    return Deal(first.secret, keys[0], products), Deal(second.secret, keys[1], PlainVec.zeros(0))


def accept(sender: str, dealt: Deal, rows: int, curves: int, *, first: bool) -> Dealt:
    """The shares in a Deal of `sender`.  Raises RemoteProtocolError unless it is for these rows and curves, and for
    this party."""
    check_lengths(sender, SEED, dealt.seed, what="bytes of a seed")
    check_lengths(sender, rows, dealt.keys)
    check_lengths(sender, rows * _count(curves) if first else 0, dealt.products, what="dealt products")
    if dealt.keys.bits != TABLE_BITS or dealt.keys.party != (0 if first else 1):
        raise RemoteProtocolError(f"{sender} dealt keys of another table", party=sender)
    seed = Seed(sender, dealt.seed)
    products = dealt.products if first else _products(seed, rows, curves)
    return Dealt(curves, _positions(seed, rows), dealt.keys, _factors(seed, rows, curves), products)


def evaluate(
    channel: Channel,
    dealt: Dealt,
    share: PlainVec,
    curves: Sequence[Curve],
    part: Part | None = None,
    look_up: LookUp = DpfKeys.look_up,
    *,
    whole: bool = False,
) -> tuple[list[PlainVec], PlainVec]:
    """Steps 2 to 4: from this party's share of z (n,), its shares of every curve(z), each (n,), and of the counted rows
    (1,): those near the edge, and in units of 2^BEYOND those beyond the first curve's knee.

    The curves share range and unit; `dealt` is for as many of them, and for this look-up alone; part: which block
    of a vector these rows are; look_up: who evaluates the keys (`Session.look_up`); whole: the values are not cut.
    They are in units of 2^-(fraction + CUT) then, modulo 2^128, and a function of the two shares of z alone.

    Raises RemoteProtocolError for an answer of another size or outside the table.
    """
    n, curve = len(share), curves[0]
    if len(curves) != dealt.curves or any((c.range_log2, c.unit) != (curve.range_log2, curve.unit) for c in curves):
        raise ValueError("one look-up takes as many curves as were dealt for, on one range and unit")
    cell, t = _located(share, curve, dealt.first)
    mine = cell + dealt.position
    channel.send(LookupIndex(_wrap(mine)), part)
    theirs = channel.recv(LookupIndex, part).index
    check_lengths(channel.peer, n, theirs)
    if n and (theirs.min() < 0 or theirs.max() >= 2**TABLE_BITS):
        raise RemoteProtocolError(f"{channel.peer} sent a position outside the table", party=channel.peer)
    tables = np.concatenate([*(c.coefficients for c in curves), curve.counted[np.newaxis]])
    *found, counted = look_up(dealt.keys, _wrap(mine + theirs).astype(np.int64), tables)
    rest, factors = look_up_masked(t, found, dealt.factors)
    channel.send(MaskedFactors(rest, factors), part)
    other = channel.recv(MaskedFactors, part)
    check_lengths(channel.peer, n, other.rest)
    check_lengths(channel.peer, len(factors), other.factors)
    opened = rest.add_mod_2_128(other.rest), factors.add_mod_2_128(other.factors)
    constants = found[:: DEGREE + 1]  # c_0 of each curve
    cut = 0 if whole else CUT
    values = look_up_values(dealt.first, *opened, dealt.factors, dealt.products, constants, REST, cut)
    return values, counted.sum()


def _located(share: PlainVec, curve: Curve, first: bool) -> tuple[NDArray[np.int64], PlainVec]:
    """This party's shares of the cell, modulo the table, and of t in units of 2^-REST."""
    drop = curve.unit - REST
    cell, t = look_up_cells(share, curve.cell, TABLE_BITS, drop)
    if first:  # t is measured from the middle of its two cells, and both cuts together lose a unit on average
        t -= (1 << (curve.cell - drop)) - (drop > 0)
    return cell, PlainVec.from_i64(t)


def _positions(seed: Seed, rows: int) -> NDArray[np.int64]:
    """A party's shares of the position, in the table."""
    return (seed.child("position").words(rows) & np.uint64(2**TABLE_BITS - 1)).astype(np.int64)


def _factors(seed: Seed, rows: int, curves: int) -> PlainVec:
    """A party's shares of b and every curve's a_1 to a_3, row after row."""
    return seed.child("factors").ring(rows * (1 + DEGREE * curves))


def _products(seed: Seed, rows: int, curves: int) -> PlainVec:
    """The second party's shares of the products."""
    return seed.child("products").ring(rows * _count(curves))


def _count(curves: int) -> int:
    """Products of a row."""
    return DEGREE - 1 + curves * sum(ORDERS)


def _wrap(index: NDArray[np.int64]) -> NDArray[np.int32]:
    return np.asarray(index & (2**TABLE_BITS - 1), dtype=np.int32)
