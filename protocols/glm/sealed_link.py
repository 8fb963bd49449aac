"""Any smooth function of an encrypted predictor, with nothing revealed: a look-up on additive shares
(protocols/look_up.py) between two ciphertexts.

Adversary: honest but curious; the dealer colludes with neither guest nor arbiter (with the arbiter it could open
everything anyway).

     dealer: the job's first host         guest                                       arbiter (sk)
 1   Deal ----------------------------->  what one look-up needs
     Deal ------------------------------------------------------------------------->  the same
 2                                        r uniform, 80 bits longer than z
                                          [[z + r]], packed
                                          MaskedPredictors  ----------------------->  opens s = z + r: blind
                                          its share of z: -r                          its share of z: s
 3                                        u_G  <-------  look-up on shares  ------->  u_A:  u_G + u_A = curve(z)
                                                           <------------------------  ResidualShare [[u_A]], fresh
                                          EdgeShare  ------------------------------>  how many rows are near the table's edge; stops if any
 4                                        [[d]] = [[u_A]] + u_G - y

Error and failure: of the look-up; 4.5e-5 for the logistic function.  The tables cover twice the range in which rows may
lie; a row in the outer half is counted and the run stops.  Steps 2 and 3 alone give shares of any other curve: a sum of
the rows' losses is opened so (stopping.py).
Who learns what: the arbiter the number of rows and how many of them are near the edge; nobody anything else.
Cost per row: a decryption and a re-randomisation shared by many rows, one encryption by the holder of the key, and a
look-up.
"""  # noqa: E501

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from protocols import look_up
from protocols._native import PlainVec
from protocols.cipher import CipherVec, DecryptionKey, EncryptionKey
from protocols.codec import check_lengths
from protocols.curves import BEYOND, Curve
from protocols.errors import DataError, RemoteProtocolError
from protocols.glm.plan import FEATURE, GUARD, SCORE, SIGMA, WEIGHT
from protocols.message import BLINDED, REVEALED, SEALED, Message
from protocols.session import Session

UNIT = FEATURE + WEIGHT  # fractional bits of z
PREDICTOR = SCORE + UNIT  # |z| < 2^PREDICTOR, in units of z
MASK = PREDICTOR + SIGMA + 1
WIDTH = MASK + GUARD


class MaskedPredictors(
    Message,
    disclosure=BLINDED,
    learns="how many rows there are, and for each a number that is uniform (statistically, 80 bits)",
):
    packed: CipherVec  # (ceil(n / slots),)


class Edge(NamedTuple):
    """How many rows' predictors are near the edge of the table, and how many are beyond the curve's knee."""

    near: int
    beyond: int


class ResidualShare(Message, disclosure=SEALED, learns="nothing: the arbiter's share of the mean, encrypted"):
    share: CipherVec  # (n,)


class EdgeShare(
    Message,
    disclosure=REVEALED,
    permit="edge-count-to-arbiter",
    learns="how many rows' predictors are near the edge of the link's table, and for counts how many rows' "
    "means are far above the labels' mean",
):
    share: PlainVec  # (1,)


def dealer(session: Session, rows: int) -> None:
    """Step 1, at every host: the first one deals for `rows` rows, the others do nothing."""
    if session.me != session.roles.hosts[0]:
        return
    first, second = look_up.deal(session.seed("link deal"), rows)
    session.guest.send(first)
    session.arbiter.send(second)


def guest(session: Session, z: CipherVec, curve: Curve, offset: NDArray[np.int64]) -> CipherVec:
    """[[curve(z) - offset]] (n,) in units of 2^-curve.fraction, from z (n,) that carries the hosts' fresh factors; the
    result carries the arbiter's."""
    share, edge = evaluate(session, z, curve)  # 2, 3
    residual = session.arbiter.recv(ResidualShare).share
    check_lengths(session.roles.arbiter, len(z), residual)
    session.arbiter.send(EdgeShare(edge))
    return residual.add_plain(share - PlainVec.from_i64(offset))  # 4


def arbiter(session: Session, key: DecryptionKey, curve: Curve, rows: tuple[int, int]) -> Edge:
    """The arbiter's side of one look-up, of the fewest to the most rows.

    Raises PlaintextOverflow if a predictor is far beyond the table.
    """
    share, edge = serve(session, key, curve, rows)  # 2, 3
    session.guest.send(ResidualShare(key.encrypt(share, session.seed("residual share", share.to_bytes()))))
    return open_edge(session, edge)


def evaluate(session: Session, z: CipherVec, curve: Curve) -> tuple[PlainVec, PlainVec]:
    """Steps 2 and 3 at the guest: its shares of curve(z) (n,) and of the number of rows near the edge (1,)."""
    n, dealer_name = len(z), session.roles.hosts[0]
    dealt = look_up.accept(dealer_name, session.channels[dealer_name].recv(look_up.Deal), n, 1, first=True)
    mask = session.seed("link mask", z.digest()).integers(n, MASK)
    packed = z.add_plain(mask).pack_for_holder(WIDTH, slots(z.key), session.seed("masked predictors", z.digest()))
    session.arbiter.send(MaskedPredictors(packed))
    (value,), edge = look_up.evaluate(session.arbiter, dealt, -mask, [curve])
    return value, edge


def serve(session: Session, key: DecryptionKey, curve: Curve, rows: tuple[int, int]) -> tuple[PlainVec, PlainVec]:
    """The same at the arbiter."""
    guest_name, dealer_name = session.roles.guest, session.roles.hosts[0]
    packed = session.guest.recv(MaskedPredictors).packed
    deal = session.channels[dealer_name].recv(look_up.Deal)
    n = len(deal.keys)
    if not rows[0] <= n <= rows[1]:
        raise RemoteProtocolError(
            f"{dealer_name} dealt for another number of rows than was announced", party=dealer_name
        )
    dealt = look_up.accept(dealer_name, deal, n, 1, first=False)
    check_lengths(guest_name, -(-n // slots(key.public)), packed, what="packed predictors")
    opened = key.open_packed(packed, WIDTH, slots(key.public), n, max_bits=MASK)
    (value,), edge = look_up.evaluate(session.guest, dealt, opened, [curve])
    return value, edge


def open_edge(session: Session, edge: PlainVec) -> Edge:
    """At the arbiter: opens how many rows are where."""
    theirs = session.guest.recv(EdgeShare).share
    check_lengths(session.roles.guest, 1, theirs)
    (count,) = (edge + theirs).mod_2_128().to_ints()
    beyond, near = divmod(count, 2**BEYOND)
    return Edge(int(near), int(beyond))


def refuse_near(session: Session, edge: Edge) -> None:
    """At the arbiter: raises DataError if a predictor is near the edge of the table."""
    if edge.near:
        raise DataError(
            "predictors left the range in which the link's table is exact",
            remedy="The data may be separable: raise the penalty (lower C), or clip the columns more",
            party=session.roles.guest,
        )


def receive_edge(session: Session, edge: PlainVec) -> int:
    """The same where no row may be near the edge of the table: raises DataError if one is, and returns how many are
    beyond the curve's knee."""
    found = open_edge(session, edge)
    refuse_near(session, found)
    return found.beyond


def refuse_beyond(session: Session, beyond: int) -> None:
    """At the arbiter, when a model's last iteration is over: raises DataError if some rows were beyond the curve's
    knee."""
    if beyond:
        raise DataError(
            "some rows' fitted means are so far above the labels' mean that the link is not exact there",
            remedy="Raise alpha, clip the columns more, or remove extreme rows",
            party=session.roles.guest,
        )


def slots(key: EncryptionKey) -> int:
    return key.plain_bits // WIDTH
