"""Early stopping of a sealed training, if the job asks for it: after each round the arbiter and the guest learn whether
the mean loss of the rows held out for this purpose is lower than the lowest so far; nobody learns the loss.

     guest: m_G, y                        arbiter: m_A                        first host
 1        <-------------------------------- Deal ---------------------------->
     shares of F(m) and m by a look-up (look_up.py); F: the loss of a row, less label times margin
 2   shares of y m (factors.py)
 3   sum over rows: S_G                   S_A
          <-----------------------------  HeldOutShare [[S_A]]
     [[L]] = [[S_A]] + S_G, kept where it is the lowest so far, [[L_0]]; N random multiples of S_A (signs.py)
     HeldOutSign [[r V + t N + s]]  --->  of V = L_0 - L - 1 unit; not of the first loss: opens it, whose sign is V's
          <-----------------------------  LowerLoss: what it was
 4        <-----------------------------  MoreRounds, to all data parties
 at the end
          <-----------------------------  RoundsKept, to all data parties: up to the best round

Of squared error the guest takes its label off its own share of the margin, and F is the square.  Both numbers of 3 are
centred modulo 2^128, and add up as integers but with a probability of |L| 2^-128.
Who learns what: arbiter and guest whether the loss of each round is lower than all before it, the arbiter besides
hardly anything of the difference's size (signs.py); hosts whether it still improves, and how many rounds the model
keeps.
Signs of one round are opened OPENINGS times at most, over all resumes: guest and arbiter each count them.
"""

from __future__ import annotations

import numpy as np

from protocols._native import PlainVec
from protocols.boosting import factors
from protocols.boosting.gradients import deal, look_up_margins
from protocols.boosting.keys import PairKeys
from protocols.boosting.scale import Scale
from protocols.channel import broadcast
from protocols.cipher import CipherVec, DecryptionKey
from protocols.codec import check_lengths
from protocols.curves import Curve
from protocols.glm.sealed_link import UNIT, receive_edge, tell_edge
from protocols.glm.signs import blinded, multiple_bits, multiples, spend
from protocols.kept import Sliced
from protocols.message import REVEALED, SEALED, Message
from protocols.parts import parts
from protocols.row_blocks import pace, taken
from protocols.session import Session

MEAN = 40  # |mean loss| < 2^MEAN
SHARE = 128  # bits of both parts of the sum
LABEL = 8  # fractional bits of labels of counts
MORE_ROWS = "Raise validation, use more rows, or set early_stopping_rounds = 0"


class HeldOutShare(
    Message,
    disclosure=SEALED,
    learns="nothing: the arbiter's part of the sum of the losses of the rows held out for early stopping, encrypted",
):
    share: CipherVec  # (1,)


class HeldOutSign(
    Message,
    disclosure=REVEALED,
    permit="loss-verdict-to-parties",
    learns=(
        "whether the loss of the rows held out for early stopping is lower than the lowest so far; by how much is "
        "hidden by a factor of random length"
    ),
):
    value: CipherVec  # (1,)


class LowerLoss(
    Message,
    disclosure=REVEALED,
    permit="loss-verdict-to-parties",
    learns="whether the loss of the rows held out for early stopping is lower than the lowest so far",
):
    lower: bool


class MoreRounds(
    Message,
    disclosure=REVEALED,
    permit="loss-verdict-to-parties",
    learns="whether the loss on the held-out rows still improves",
):
    more: bool


class RoundsKept(
    Message,
    disclosure=REVEALED,
    permit="loss-verdict-to-parties",
    learns="after which round the loss on the held-out rows was lowest",
):
    rounds: int


def curves(scale: Scale) -> list[Curve]:
    """F, and the margin itself where labels multiply it."""
    loss = scale.loss_curve
    return [loss] if scale.squared else [loss, Curve(lambda z: z, UNIT, loss.range_log2, fraction=loss.fraction)]


def host(session: Session, keys: PairKeys, scale: Scale, label: str, rows: int) -> None:
    """A host's side over this number of rows (times classes)."""
    if session.me != session.roles.hosts[0]:
        return
    for part in parts(rows):
        if scale.squared:  # else the guest's shares of factors say how far it is
            pace([session.guest], part)
        deal(session, part, len(curves(scale)))  # 1
        if not scale.squared:
            factors.host(session, keys, part.label(f"{label} labels"), part, 1)  # 2


def guest(
    session: Session,
    keys: PairKeys,
    scale: Scale,
    label: str,
    margin: Sliced[np.uint64],
    y: Sliced[np.float64],
    lowest: CipherVec | None,
) -> CipherVec:
    """margin, y (rows,): the guest's shares of the margins, and the labels (of several classes one class after the
    other); lowest: what this returned before, the lowest loss so far and its multiples (2,), encrypted.  label: names
    this round of this model."""
    total, edges = PlainVec.zeros(1), list[PlainVec]()
    for part in parts(len(y)):
        own = margin[part.rows]
        if scale.squared:
            own = own - np.rint(y[part.rows] / scale.margin_unit).astype(np.int64).view(np.uint64)
        looked, edge = look_up_margins(session, own, curves(scale), part, first=True)  # 1
        edges.append(edge)
        if not part.more:
            tell_edge(session, edges)
        total = total + looked[0].sum().shift_left(LABEL)
        if scale.squared:
            taken(session.channels[session.roles.hosts[0]], part)
        else:
            whole = np.rint(y[part.rows] * 2.0**LABEL).astype(np.int64)
            (product,) = factors.guest(session, keys, part.label(f"{label} labels"), whole, looked[1:], part)  # 2
            total = total - product.sum()
    theirs = session.arbiter.recv(HeldOutShare).share  # 3
    check_lengths(session.roles.arbiter, 1, theirs)
    bits = value_bits(scale, len(y))
    multiple = multiple_bits(theirs.key, bits, SHARE)
    loss = theirs.add_plain(total.residue(SHARE)).concat(multiples(session, [theirs], multiple, "held-out loss"))
    if lowest is not None:
        by, first = lowest - loss, np.arange(1)
        value = by.take(first).add_plain(PlainVec.from_ints([-1]))
        sign = blinded(session, value, by.take(first + 1), bits, multiple, "held-out loss")
        spend(session, name_of(keys, session.roles.arbiter, label))
        seed = session.seed("held-out sign", sign.digest())
        session.arbiter.send(HeldOutSign(sign.rerandomise(seed)))
    return loss if session.arbiter.recv(LowerLoss).lower or lowest is None else lowest


def arbiter(
    session: Session,
    key: DecryptionKey,
    keys: PairKeys,
    scale: Scale,
    label: str,
    margin: Sliced[np.uint64],
    *,
    first: bool,
) -> bool:
    """Whether the loss is lower than the lowest so far; first: there is none so far."""
    total, edges = PlainVec.zeros(1), list[PlainVec]()
    for part in parts(len(margin)):
        looked, edge = look_up_margins(session, margin[part.rows], curves(scale), part, first=False)  # 1
        edges.append(edge)
        if not part.more:
            receive_edge(session, edges)
        total = total + looked[0].sum().shift_left(LABEL)
        if not scale.squared:
            (product,) = factors.arbiter(session, keys, part.label(f"{label} labels"), looked[1:], part)  # 2
            total = total - product.sum()
    share = total.residue(SHARE)
    session.guest.send(HeldOutShare(key.encrypt(share, session.seed("held-out share", share.to_bytes()))))  # 3
    lower = True
    if not first:
        value = session.guest.recv(HeldOutSign).value
        check_lengths(session.roles.guest, 1, value)
        spend(session, name_of(keys, session.roles.guest, label))
        lower = key.open(value, key.public.plain_bits).to_ints()[0] >= 0
    session.guest.send(LowerLoss(lower))
    return lower


def name_of(keys: PairKeys, other: str, label: str) -> bytes:
    """At guest and arbiter, of this round's signs in this training alone, of several in a search."""
    return keys.with_(other, f"{label} signs").secret


def value_bits(scale: Scale, rows: int) -> int:
    """|difference of two sums| < 2^value_bits."""
    return scale.loss_curve.fraction + LABEL + rows.bit_length() + MEAN + 1


def tell(session: Session, message: MoreRounds | RoundsKept) -> None:
    """At the arbiter."""
    broadcast([session.channels[p] for p in session.roles.data_parties], message)  # 4
