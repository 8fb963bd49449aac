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
from dataclasses import dataclass
from functools import reduce
from itertools import islice
from math import comb

import numpy as np
from numpy.typing import NDArray

from protocols._native import DpfKeys, PlainVec
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
    products: PlainVec  # (n (2 + 6 curves),) the first party's; the second's come from its seed


class LookupIndex(Message, disclosure=BLINDED, learns="for each row a uniform position", in_blocks=True):
    index: Int32s  # (n,) in [0, 2^TABLE_BITS)


class MaskedFactors(
    Message,
    disclosure=BLINDED,
    learns="for each row four numbers that are uniform modulo 2^128 (seven if it looks up two curves)",
    in_blocks=True,
):
    rest: PlainVec  # (n,)
    factors: PlainVec  # (n 3 curves,)


@dataclass(frozen=True)
class Dealt:
    """One party's shares.  powers[j]: of b^j, j = 0 to 3.  factors[i][m - 1][j]: of the i-th curve's a_m b^j, j = 0 to
    m."""

    position: NDArray[np.int64]  # (n,)
    keys: DpfKeys
    powers: list[PlainVec]
    factors: list[list[list[PlainVec]]]

    @property
    def first(self) -> bool:
        return self.keys.party == 0


def deal(seed: Seed, rows: int, curves: int = 1) -> tuple[Deal, Deal]:
    """Step 1: both parties' parts of one look-up in `curves` curves.  The seed must deal once."""
    seeds = [seed.child(party) for party in ("first", "second")]
    drawn = [_drawn(s, rows, curves) for s in seeds]
    b, *a = (x + y for x, y in zip(*(d[1] for d in drawn), strict=True))
    powers = _powers(b)
    whole = powers[1:]
    for i, factor in enumerate(a):
        whole += [factor.mul_mod_2_128(power) for power in powers[: i % DEGREE + 1]]
    products = [(w - second).mod_2_128() for w, second in zip(whole, _products(seeds[1], rows, curves), strict=True)]
    keys = DpfKeys.deal(seed.child("keys").secret, _wrap(drawn[0][0] + drawn[1][0]).astype(np.int64), TABLE_BITS)
    return Deal(seeds[0].secret, keys[0], reduce(PlainVec.concat, products)), Deal(
        seeds[1].secret, keys[1], PlainVec.zeros(0)
    )


def accept(sender: str, dealt: Deal, rows: int, curves: int, *, first: bool) -> Dealt:
    """The shares in a Deal of `sender`.  Raises RemoteProtocolError unless it is for these rows and curves, and for
    this party."""
    check_lengths(sender, SEED, dealt.seed, what="bytes of a seed")
    check_lengths(sender, rows, dealt.keys)
    count = DEGREE - 1 + curves * sum(ORDERS)
    check_lengths(sender, rows * count if first else 0, dealt.products, what="dealt products")
    if dealt.keys.bits != TABLE_BITS or dealt.keys.party != (0 if first else 1):
        raise RemoteProtocolError(f"{sender} dealt keys of another table", party=sender)
    seed = Seed(sender, dealt.seed)
    position, (b, *a) = _drawn(seed, rows, curves)
    products = iter(_split(dealt.products, count) if first else _products(seed, rows, curves))
    one = PlainVec.from_i64(np.full(rows, int(first)))
    powers = [one, b, *islice(products, DEGREE - 1)]
    factors = [[[a[DEGREE * i + m - 1], *islice(products, m)] for m in ORDERS] for i in range(curves)]
    return Dealt(position, dealt.keys, powers, factors)


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
    if len(curves) != len(dealt.factors) or any(
        (c.range_log2, c.unit) != (curve.range_log2, curve.unit) for c in curves
    ):
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
    each = [found[i : i + DEGREE + 1] for i in range(0, len(found), DEGREE + 1)]  # c_0 to c_3, by curve
    rest = (t - dealt.powers[1]).mod_2_128()
    masked = [c[m] - a[m - 1][0] for c, a in zip(each, dealt.factors, strict=True) for m in ORDERS]
    factors = reduce(PlainVec.concat, masked).mod_2_128()
    channel.send(MaskedFactors(rest, factors), part)
    other = channel.recv(MaskedFactors, part)
    check_lengths(channel.peer, n, other.rest)
    check_lengths(channel.peer, len(factors), other.factors)
    e = _powers(rest + other.rest)
    steps = [[e[m - j - 1] if j == 0 else e[m - j - 1].scale(comb(m, j)) for j in range(m)] for m in ORDERS]
    d = _split((factors + other.factors).mod_2_128(), len(masked))
    t_powers = [_times_t(dealt.powers, steps[m - 1]) for m in ORDERS]
    values = []
    for i, (c, a) in enumerate(zip(each, dealt.factors, strict=True)):
        total = c[0].shift_left(CUT)
        for m in ORDERS:
            product = d[DEGREE * i + m - 1].mul_mod_2_128(t_powers[m - 1]) + _times_t(a[m - 1], steps[m - 1])
            total = total + product.shift_left(REST * (DEGREE - m))
        values.append(total.mod_2_128() if whole else total.mod_2_128().shift_right(CUT))
    return values, counted.sum()


def _located(share: PlainVec, curve: Curve, first: bool) -> tuple[NDArray[np.int64], PlainVec]:
    """This party's shares of the cell, modulo the table, and of t in units of 2^-REST."""
    cells, drop = share.shift_right(curve.cell), curve.unit - REST
    cell = (cells - cells.shift_right(TABLE_BITS).shift_left(TABLE_BITS)).to_i64()
    t = (share - cells.shift_left(curve.cell)).shift_right(drop)
    if first:  # t is measured from the middle of its two cells, and both cuts together lose a unit on average
        t = t - PlainVec.from_i64(np.full(len(share), (1 << (curve.cell - drop)) - (drop > 0)))
    return cell, t


def _times_t(shares: Sequence[PlainVec], steps: Sequence[PlainVec]) -> PlainVec:
    """Shares of x t^m, t = e + b, from those of x b^j, j = 0 to m, and the binomial's factors of e: C(m, j) e^(m - j),
    j below m."""
    return sum((shares[j].mul_mod_2_128(step) for j, step in enumerate(steps)), start=shares[len(steps)])


def _powers(value: PlainVec) -> list[PlainVec]:
    """value, value^2, value^3, modulo 2^128."""
    powers = [value.mod_2_128()]
    for _ in range(1, DEGREE):
        powers.append(powers[-1].mul_mod_2_128(powers[0]))
    return powers


def _drawn(seed: Seed, rows: int, curves: int) -> tuple[NDArray[np.int64], list[PlainVec]]:
    """What both parties draw: shares of the position, in the table, and of b and every curve's a_1 to a_3."""
    position = _wrap(seed.child("position").integers(rows, TABLE_BITS).to_i64()).astype(np.int64)
    return position, _uniform(seed.child("factors"), rows, 1 + curves * DEGREE)


def _products(seed: Seed, rows: int, curves: int) -> list[PlainVec]:
    """The second party's shares of b^2, b^3, and of every curve's a_1 b, a_2 b, a_2 b^2, a_3 b, a_3 b^2, a_3 b^3."""
    return _uniform(seed.child("products"), rows, DEGREE - 1 + curves * sum(ORDERS))


def _uniform(seed: Seed, rows: int, count: int) -> list[PlainVec]:
    """This number of vectors modulo 2^128, from one draw of wider numbers, which takes half the time."""
    wide = seed.integers(rows, RING * count)
    return [wide.shift_right(RING * i).mod_2_128() for i in range(count)]


def _split(values: PlainVec, parts: int) -> list[PlainVec]:
    """Into vectors of one length."""
    rows = len(values) // parts
    return [values.take(np.arange(i * rows, (i + 1) * rows)) for i in range(parts)]


def _wrap(index: NDArray[np.int64]) -> NDArray[np.int32]:
    return np.asarray(index & (2**TABLE_BITS - 1), dtype=np.int32)
