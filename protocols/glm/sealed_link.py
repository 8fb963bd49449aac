"""Any smooth function of an encrypted predictor, with nothing revealed: a table look-up on additive shares, corrected to first order.

Source: distributed point functions, Boyle, Gilboa, Ishai (CCS 2016); look-ups by them as in Pika (Wagh, PETS 2022); products of shares by dealt triples,
Beaver (CRYPTO 1991).  All shares are in Z_2^128.
Adversary: honest but curious; the dealer colludes with neither guest nor arbiter (with the arbiter it could open everything anyway).

     dealer: the job's first host         guest                                       arbiter (sk)
 1   a row: rho uniform; a, b uniform, c = a b
     Deal: shares of rho, a DPF key, shares of a, b, c
                          ------------>
                          ---------------------------------------------------------> Deal
 2                                        r uniform, 80 bits longer than z
                                          [[z + r]], packed
                                          MaskedPredictors  ----------------------->  opens s = z + r: blind
                                          k_G = floor(-r / cell), t_G = the rest      k_A = floor(s / cell), t_A = the rest
                                          LookupIndex k_G + rho_G  ---------------->
                                                           <------------------------  LookupIndex k_A + rho_A
                                          x = k + rho: uniform                        x
 3                                        (f_G, f'_G) = <DPF_G, tables shifted by x>  (f_A, f'_A) = <DPF_A, tables shifted by x>
                                          MaskedFactors f'_G - a_G, t_G - b_G  ---->
                                                           <------------------------  MaskedFactors f'_A - a_A, t_A - b_A
                                          d' = f' - a, e = t - b: uniform             d', e
                                          u_G = f_G + (d' e + d' b_G + e a_G + c_G)   u_A = f_A + (d' b_A + e a_A + c_A)
                                                           <------------------------  ResidualShare [[u_A]], fresh
                                          EdgeShare  ------------------------------>  how many rows are near the table's edge; stops if any
 4                                        [[d]] = [[u_A]] + u_G - y

z = k cell + t exactly, with k = k_G + k_A and t = t_G + t_A in [0, 2 cells), so that f((k + 1) cell) + f'((k + 1) cell) (t - cell) is f(z) up to max|f''| cell^2 / 2:
5e-5 for the logistic function.  Both factors of the product are shared, hence the dealt triple.  Shares add up as signed 128-bit integers except with probability
2^-60 a row.  The tables cover twice the range in which rows may lie; a row in the outer half is counted and the run stops.
Steps 2 and 3 alone give shares of any other curve: a sum of the rows' losses is opened so (stopping.py).
Who learns what: the arbiter the number of rows and how many of them are near the edge; nobody anything else.
Cost a row: a decryption and a re-randomisation shared by many rows, one encryption by the holder of the key, one evaluation of the tables a party;
about 300 bytes dealt to each, 36 exchanged each way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protocols._native import DpfKeys, PlainVec
from protocols.channel import Channel
from protocols.cipher import CipherVec, DecryptionKey, EncryptionKey
from protocols.codec import Int32s, check_lengths
from protocols.errors import DataError, RemoteProtocolError
from protocols.glm.plan import FEATURE, GUARD, SCORE, SIGMA, WEIGHT
from protocols.message import BLINDED, REVEALED, SEALED, Message
from protocols.session import Session

TABLE_BITS = 13
VALUE = 24  # fractional bits of the tables' entries
UNIT = FEATURE + WEIGHT  # fractional bits of z
PREDICTOR = SCORE + UNIT  # |z| < 2^PREDICTOR, in units of z
MASK = PREDICTOR + SIGMA + 1
WIDTH = MASK + GUARD
RING = 128
BEYOND = 32  # rows beyond the knee are counted in units of 2^32, beside those near the edge


@dataclass(frozen=True)
class Curve:
    """A function and its derivative.  The tables cover [-2^range_log2, 2^range_log2); rows may lie in the inner half, and at the end up to the knee."""

    value: Callable[[NDArray[np.float64]], NDArray[np.float64]]
    slope: Callable[[NDArray[np.float64]], NDArray[np.float64]]
    range_log2: int = 7
    knee: float | None = None

    @property
    def cell(self) -> int:
        """log2 of a cell, in units of z."""
        return self.range_log2 + 1 + UNIT - TABLE_BITS


class Deal(Message, disclosure=BLINDED, learns="nothing: one of two shares of a random position and of a random product a row"):
    rho: Int32s  # (n,) in [0, 2^TABLE_BITS)
    keys: DpfKeys  # (n,)
    a: PlainVec  # (n,)
    b: PlainVec  # (n,)
    c: PlainVec  # (n,)


class MaskedPredictors(
    Message, disclosure=BLINDED, learns="how many rows there are, and for each a number that is uniform (statistically, 80 bits)"
):
    packed: CipherVec  # (ceil(n / slots),)


class LookupIndex(Message, disclosure=BLINDED, learns="for each row a uniform position"):
    index: Int32s  # (n,) in [0, 2^TABLE_BITS)


class MaskedFactors(Message, disclosure=BLINDED, learns="for each row two numbers that are uniform modulo 2^128"):
    slope: PlainVec  # (n,)
    rest: PlainVec  # (n,)


class ResidualShare(Message, disclosure=SEALED, learns="nothing: the arbiter's share of the mean, encrypted"):
    share: CipherVec  # (n,)


class EdgeShare(
    Message,
    disclosure=REVEALED,
    permit="edge-count-to-arbiter",
    learns="how many rows' predictors are near the edge of the link's table, and for counts how many rows' means are far above the labels' mean",
):
    share: PlainVec  # (1,)


def dealer(session: Session, rows: int) -> None:
    """Step 1, at every host: the first one deals for `rows` rows, the others do nothing."""
    if session.me != session.roles.hosts[0]:
        return
    rho, rho_share = (wrap(session.seed(label).integers(rows, TABLE_BITS).to_i64()) for label in ("link position", "link position share"))
    keys = DpfKeys.deal(session.seed("link keys").secret, rho.astype(np.int64), TABLE_BITS)
    a, b, a_share, b_share, c_share = (session.seed(f"link factor {i}").integers(rows, RING) for i in range(5))
    rest = ((a - a_share).mod_2_128(), (b - b_share).mod_2_128(), (a.mul_mod_2_128(b) - c_share).mod_2_128())
    session.guest.send(Deal(wrap(rho.astype(np.int64) - rho_share), keys[0], *rest))
    session.arbiter.send(Deal(rho_share, keys[1], a_share, b_share, c_share))


def guest(session: Session, z: CipherVec, curve: Curve, offset: NDArray[np.int64]) -> CipherVec:
    """[[curve(z) - offset]] (n,) in units of 2^-VALUE, from z (n,) that carries the hosts' fresh factors; the result carries the arbiter's."""
    share, edge = look_up(session, z, curve)  # 2, 3
    residual = session.arbiter.recv(ResidualShare).share
    check_lengths(session.roles.arbiter, len(z), residual)
    session.arbiter.send(EdgeShare(edge))
    return residual.add_plain(share - PlainVec.from_i64(offset))  # 4


def arbiter(session: Session, key: DecryptionKey, curve: Curve, rows: tuple[int, int]) -> int:
    """The arbiter's side of one look-up, of the fewest to the most rows; returns how many of them are beyond the curve's knee.

    Raises DataError if a predictor is near the edge of the table; PlaintextOverflow if far beyond it.
    """
    share, edge = serve_look_up(session, key, curve, rows)  # 2, 3
    session.guest.send(ResidualShare(key.encrypt(share, session.seed("residual share", share.to_bytes()))))
    return receive_edge(session, edge)


def look_up(session: Session, z: CipherVec, curve: Curve) -> tuple[PlainVec, PlainVec]:
    """Steps 2 and 3 at the guest: its shares of curve(z) (n,) and of the number of rows near the edge (1,)."""
    n = len(z)
    deal = receive_deal(session, n, party=0)
    mask = session.seed("link mask", z.digest()).integers(n, MASK)
    packed = z.add_plain(mask).pack_for_holder(WIDTH, slots(z.key), session.seed("masked predictors", z.digest()))
    session.arbiter.send(MaskedPredictors(packed))
    return evaluate(session.arbiter, deal, -mask, curve, first=True)


def serve_look_up(session: Session, key: DecryptionKey, curve: Curve, rows: tuple[int, int]) -> tuple[PlainVec, PlainVec]:
    """The same at the arbiter."""
    guest_name = session.roles.guest
    packed = session.guest.recv(MaskedPredictors).packed
    dealer_name = session.roles.hosts[0]
    deal = session.channels[dealer_name].recv(Deal)
    n = len(deal.rho)
    if not rows[0] <= n <= rows[1]:
        raise RemoteProtocolError(f"{dealer_name} dealt for another number of rows than was announced", party=dealer_name)
    check_deal(dealer_name, deal, n, party=1)
    check_lengths(guest_name, -(-n // slots(key.public)), packed, what="packed predictors")
    opened = key.open_packed(packed, WIDTH, slots(key.public), n, max_bits=MASK)
    return evaluate(session.guest, deal, opened, curve, first=False)


def receive_edge(session: Session, edge: PlainVec) -> int:
    """At the arbiter: opens how many rows are near the edge, and raises DataError if any is; returns how many are beyond the curve's knee."""
    theirs = session.guest.recv(EdgeShare).share
    check_lengths(session.roles.guest, 1, theirs)
    (count,) = (edge + theirs).mod_2_128().to_ints()
    beyond, near = divmod(count, 2**BEYOND)
    if near:
        raise DataError(
            "predictors left the range in which the link's table is exact",
            remedy="The data may be separable: raise the penalty (lower C), or clip the columns more",
            party=session.roles.guest,
        )
    return int(beyond)


def refuse_beyond(session: Session, beyond: int) -> None:
    """At the arbiter, when a model's last pass is over: raises DataError if some rows were beyond the curve's knee."""
    if beyond:
        raise DataError(
            "some rows' fitted means are so far above the labels' mean that the link is not exact there",
            remedy="Raise alpha, clip the columns more, or look for extreme rows",
            party=session.roles.guest,
        )


def evaluate(channel: Channel, deal: Deal, predictor: PlainVec, curve: Curve, *, first: bool) -> tuple[PlainVec, PlainVec]:
    """From this party's additive share of z (n,): its shares of curve(z) (n,), in units of 2^-VALUE, and of the number of rows near the edge (1,)."""
    n = len(predictor)
    cells = predictor.shift_right(curve.cell)
    mine = (cells - cells.shift_right(TABLE_BITS).shift_left(TABLE_BITS)).to_i64() + deal.rho
    rest = predictor - cells.shift_left(curve.cell)
    if first:
        rest = rest - PlainVec.from_i64(np.full(n, 1 << curve.cell))  # t is measured from the middle of its two cells
    channel.send(LookupIndex(wrap(mine)))
    theirs = channel.recv(LookupIndex).index
    check_index(channel.peer, theirs, n)
    value, slope, edge = deal.keys.look_up(wrap(mine + theirs).astype(np.int64), tables(curve))
    d, e = (slope - deal.a).mod_2_128(), (rest - deal.b).mod_2_128()
    channel.send(MaskedFactors(d, e))
    other = channel.recv(MaskedFactors)
    check_lengths(channel.peer, n, other.slope, other.rest)
    d, e = (d + other.slope).mod_2_128(), (e + other.rest).mod_2_128()
    product = d.mul_mod_2_128(deal.b) + e.mul_mod_2_128(deal.a) + deal.c
    if first:
        product = product + d.mul_mod_2_128(e)
    return value + product.mod_2_128().shift_right(UNIT), edge.sum()


def tables(curve: Curve) -> NDArray[np.int64]:
    """(3, 2^TABLE_BITS): value and slope in units of 2^-VALUE at (k + 1) cells, k counted as a signed number; 1 in the outer half, 2^BEYOND beyond the knee."""
    k = np.arange(2**TABLE_BITS)
    z = (np.where(k < 2 ** (TABLE_BITS - 1), k, k - 2**TABLE_BITS) + 1.0) * 2.0 ** (curve.range_log2 + 1 - TABLE_BITS)
    near = np.abs(z) >= 2.0 ** (curve.range_log2 - 1)
    beyond = np.zeros(len(z)) if curve.knee is None else (z > curve.knee) * 2.0**BEYOND
    rows = (curve.value(z) * 2.0**VALUE, curve.slope(z) * 2.0**VALUE, near + beyond)
    return np.stack([np.rint(row).astype(np.int64) for row in rows])


def slots(key: EncryptionKey) -> int:
    return key.plain_bits // WIDTH


def wrap(index: NDArray[np.int64]) -> NDArray[np.int32]:
    return np.asarray(index & (2**TABLE_BITS - 1), dtype=np.int32)


def receive_deal(session: Session, rows: int, party: int) -> Deal:
    deal = session.channels[session.roles.hosts[0]].recv(Deal)
    check_deal(session.roles.hosts[0], deal, rows, party)
    return deal


def check_deal(sender: str, deal: Deal, rows: int, party: int) -> None:
    check_lengths(sender, rows, deal.keys, deal.a, deal.b, deal.c)
    check_index(sender, deal.rho, rows)
    if deal.keys.bits != TABLE_BITS or deal.keys.party != party:
        raise RemoteProtocolError(f"{sender} dealt keys of another table", party=sender)


def check_index(sender: str, index: NDArray[np.int32], rows: int) -> None:
    check_lengths(sender, rows, index)
    if len(index) and (index.min() < 0 or index.max() >= 2**TABLE_BITS):
        raise RemoteProtocolError(f"{sender} sent a position outside the table", party=sender)
