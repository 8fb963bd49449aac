"""Any smooth function of an encrypted predictor, with nothing revealed: a look-up on additive shares
(protocols/look_up.py) between two ciphertexts.

Adversary: honest but curious; the dealer colludes with neither guest nor arbiter (with the arbiter it could open
everything anyway).

     dealer: the job's first host         guest                                       arbiter (sk)
 1   Deal ----------------------------->  what one look-up needs
     Deal ------------------------------------------------------------------------->  the same
 2                                        [[Z]], predictors packed in slots 80 bits longer than z; R uniform modulo n
                                          MaskedPredictors [[Z + R]] -------------->  opens Z + R: uniform, whatever it encrypted
                                          its share of z: less the cut of R           its share of z: the cut of what it opened (cuts.py)
 3                                        u_G  <-------  look-up on shares  ------->  u_A:  u_G + u_A = curve(z)
                                                           <------------------------  ResidualShare [[u_A]], fresh
                                          EdgeShare  ------------------------------>  how many rows are near the table's edge; stops if any
 4                                        [[d]] = [[u_A]] + u_G - y

Error and failure: of the look-up; 4.5e-5 for the logistic function; shares of z are wrong with a probability of 2^-80
per row.  The tables cover twice the range in which rows may lie; a row in the outer half is counted and the run stops.  Step 2 alone gives shares of the predictors, from which a
loss is computed (losses.py).  All steps take block after block of rows (row_blocks.py), but for one
EdgeShare after the last.
Who learns what: the arbiter the number of rows and how many of them are near the edge; nobody anything else.
Cost per row: a decryption and a re-randomisation shared by many rows, one encryption by the holder of the key, and a
look-up.
"""  # noqa: E501

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from functools import reduce
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from protocols import look_up
from protocols._native import PlainVec
from protocols.cipher import CipherVec, DecryptionKey, EncryptionKey
from protocols.codec import check_lengths
from protocols.curves import BEYOND, Curve
from protocols.cuts import cut_packed
from protocols.errors import DataError, RemoteProtocolError
from protocols.glm.plan import FEATURE, SCORE, SIGMA, WEIGHT
from protocols.message import BLINDED, REVEALED, SEALED, Message
from protocols.parts import Part
from protocols.row_blocks import arriving
from protocols.session import Session

UNIT = FEATURE + WEIGHT  # fractional bits of z
PREDICTOR = SCORE + UNIT  # |z| < 2^PREDICTOR, in units of z
WIDTH = PREDICTOR + SIGMA + 1  # bits of a slot


class MaskedPredictors(
    Message,
    disclosure=BLINDED,
    learns="how many rows there are, and for each pack of them a number that is uniform modulo n",
    in_blocks=True,
):
    packed: CipherVec  # (ceil(n / slots),)


class Edge(NamedTuple):
    """How many rows' predictors are near the edge of the table, and how many are beyond the curve's knee."""

    near: int
    beyond: int


class ResidualShare(
    Message, disclosure=SEALED, learns="nothing: the arbiter's share of the mean, encrypted", in_blocks=True
):
    share: CipherVec  # (n,)


class EdgeShare(
    Message,
    disclosure=REVEALED,
    permit="edge-count-to-arbiter",
    learns=(
        "how many rows have a predictor near the edge of the link's table, and for counts how many rows have a mean "
        "far above the labels' mean"
    ),
):
    share: PlainVec  # (1,)


def dealer(session: Session, part: Part, curves: int = 1) -> None:
    """Step 1, at every host: the first one deals for this block of rows, the others do nothing."""
    if session.me != session.roles.hosts[0]:
        return
    first, second = look_up.deal(session.seed("link deal"), len(part), curves)
    session.guest.send(first, part)
    session.arbiter.send(second, part)


def guest(
    session: Session, z: CipherVec, curve: Curve, offset: NDArray[np.int64], part: Part
) -> tuple[CipherVec, PlainVec]:
    """[[curve(z) - offset]] of this block in units of 2^-curve.fraction, from z that carries the hosts' fresh factors;
    the result carries the arbiter's.  And the guest's share of how many of its rows are near the edge (1,)."""
    share, edge = evaluate(session, z, curve, part)  # 2, 3
    residual = session.arbiter.recv(ResidualShare, part).share
    check_lengths(session.roles.arbiter, len(z), residual)
    return residual.add_plain(share - PlainVec.from_i64(offset)), edge  # 4


def arbiter(session: Session, key: DecryptionKey, curve: Curve, rows: tuple[int, int]) -> Edge:
    """The arbiter's side of one look-up, of the fewest to the most rows."""
    edges = list[PlainVec]()
    for part, share, edge in serve(session, key, curve, rows):  # 2, 3
        encrypted = key.encrypt(share, session.seed("residual share", share.to_bytes()))
        session.guest.send(ResidualShare(encrypted), part)
        edges.append(edge)
    return open_edge(session, edges)


def evaluate(session: Session, z: CipherVec, curve: Curve, part: Part) -> tuple[PlainVec, PlainVec]:
    """Steps 2 and 3 at the guest, of this block: its shares of curve(z) and of the number of rows near the edge
    (1,)."""
    n, dealer_name = len(z), session.roles.hosts[0]
    dealt = look_up.accept(dealer_name, session.channels[dealer_name].recv(look_up.Deal, part), n, 1, first=True)
    (value,), edge = look_up.evaluate(session.arbiter, dealt, masked(session, z, part), [curve], part, session.look_up)
    return value, edge


def masked(session: Session, z: CipherVec, part: Part) -> PlainVec:
    """Step 2 at the guest: its share of z (n,), modulo 2^WIDTH."""
    packed = z.pack(WIDTH, slots(z.key))
    packed = packed.rerandomise(session.seed("masked predictors", packed.digest()))
    mask = z.key.uniform(session.seed("link mask", packed.digest()), len(packed))
    session.arbiter.send(MaskedPredictors(packed.add_plain(mask)), part)
    return -cut_packed(mask, WIDTH, slots(z.key), len(z))


def opened(session: Session, key: DecryptionKey, packed: CipherVec, rows: int) -> PlainVec:
    """The same at the arbiter, of this number of rows."""
    check_lengths(session.roles.guest, -(-rows // slots(key.public)), packed, what="packed predictors")
    return cut_packed(key.open_whole(packed), WIDTH, slots(key.public), rows)


def serve(
    session: Session, key: DecryptionKey, curve: Curve, rows: tuple[int, int]
) -> Iterator[tuple[Part, PlainVec, PlainVec]]:
    """The same at the arbiter, block after block."""
    dealer_name = session.roles.hosts[0]
    for part, deal in arriving(session.channels[dealer_name], look_up.Deal, lambda dealt: len(dealt.keys), rows[1]):
        packed = session.guest.recv(MaskedPredictors, part).packed
        if not part.more and part.last < rows[0]:
            raise RemoteProtocolError(f"{dealer_name} dealt for fewer rows than were announced", party=dealer_name)
        dealt = look_up.accept(dealer_name, deal, len(part), 1, first=False)
        share = opened(session, key, packed, len(part))
        (value,), edge = look_up.evaluate(session.guest, dealt, share, [curve], part, session.look_up)
        yield part, value, edge


def tell_edge(session: Session, edges: Sequence[PlainVec]) -> None:
    """At the guest, after the last block: its share of how many rows of all blocks are where, modulo 2^128, so that the
    message has one length; nothing of no look-up."""
    if edges:
        session.arbiter.send(EdgeShare(reduce(operator.add, edges).mod_2_128()))


def open_edge(session: Session, edges: Sequence[PlainVec]) -> Edge:
    """At the arbiter: opens how many rows of all blocks are where.  Raises RemoteProtocolError for what is no number of
    rows."""
    theirs = session.guest.recv(EdgeShare).share
    check_lengths(session.roles.guest, 1, theirs)
    (count,) = (reduce(operator.add, edges) + theirs).mod_2_128().to_ints()
    beyond, near = divmod(count, 2**BEYOND)
    if not 0 <= beyond < 2**BEYOND:
        guest, dealer_name = session.roles.guest, session.roles.hosts[0]
        raise RemoteProtocolError(f"what {guest} and {dealer_name} sent for the link's table does not fit", party=guest)
    return Edge(int(near), int(beyond))


def refuse_near(session: Session, edge: Edge) -> None:
    """At the arbiter: raises DataError if a predictor is near the edge of the table."""
    if edge.near:
        raise DataError(
            "predictors left the range in which the link's table is exact",
            remedy="The data may be separable: raise the penalty (lower C), or clip the columns more",
            party=session.roles.guest,
        )


def receive_edge(session: Session, edges: Sequence[PlainVec]) -> int:
    """The same where no row may be near the edge of the table: raises DataError if one is, and returns how many are
    beyond the curve's knee."""
    found = open_edge(session, edges)
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
