"""Early stopping of a sealed training, if the job asks for it: after each round the arbiter learns the mean loss of the
rows held out for this purpose, and tells the others whether it has improved.

     guest: m_G, y                        arbiter: m_A                        first host
 1        <-------------------------------- Deal ---------------------------->
     shares of F(m) and m by a look-up (look_up.py); F: the loss of a row, less label times margin
 2   shares of y m (factors.py)
 3   sum over rows and noise
     HeldOutLoss  --------------------->  the mean loss, rounded at random to 2^-GRID
 4        <-----------------------------  MoreRounds, to all data parties
 at the end
          <-----------------------------  RoundsKept, to all data parties: up to the best round

Of squared error the guest takes its label off its own share of the margin, and F is the square.  Who learns what: the
arbiter the mean loss after each round;
all parties whether it still improves, and how many rounds the model keeps.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from protocols._native import PlainVec
from protocols.boosting import factors, rings
from protocols.boosting.gradients import Scale, deal, look_up_margins
from protocols.boosting.keys import PairKeys
from protocols.boosting.rings import Words
from protocols.channel import broadcast
from protocols.curves import Curve
from protocols.errors import DataError
from protocols.glm.sealed_link import UNIT, receive_edge, tell_edge
from protocols.message import REVEALED, Message
from protocols.parts import parts
from protocols.row_blocks import pace, taken
from protocols.session import Session

Floats = NDArray[np.float64]
GRID = 20  # fractional bits of the mean loss that is opened
LABEL = 8  # fractional bits of labels of counts
LEAST_ROWS = 30


class HeldOutLoss(
    Message,
    disclosure=REVEALED,
    permit="loss-to-arbiter",
    learns="the mean loss of the rows held out for early stopping, rounded to about a millionth",
):
    share: PlainVec  # (1,)


class MoreRounds(
    Message,
    disclosure=REVEALED,
    permit="loss-to-arbiter",
    learns="whether the loss on the held-out rows still improves",
):
    more: bool


class RoundsKept(
    Message,
    disclosure=REVEALED,
    permit="loss-to-arbiter",
    learns="after which round the loss on the held-out rows was lowest",
):
    rounds: int


def check_rows(rows: int, party: str) -> None:
    """Raises DataError where too few rows would decide when training ends."""
    if rows < LEAST_ROWS:
        raise DataError(
            f"{rows} rows are too few to decide when training ends: their loss would reveal too much about single rows",
            remedy="Raise validation, use more rows, or set early_stopping_rounds = 0",
            party=party,
            expected=f"at least {LEAST_ROWS}",
        )


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


def guest(session: Session, keys: PairKeys, scale: Scale, label: str, margin: Words, y: Floats) -> None:
    """margin, y (rows,): the guest's shares of the margins, and the labels (of several classes one class after the
    other)."""
    if scale.squared:
        margin = margin - np.rint(y / scale.margin_unit).astype(np.int64).view(np.uint64)
    total, edges = PlainVec.zeros(1), list[PlainVec]()
    for part in parts(len(y)):
        looked, edge = look_up_margins(session, margin[part.rows], curves(scale), part, first=True)  # 1
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
    bits = noise_bits(scale, len(y))
    noise = session.seed("loss noise", total.to_bytes()).integers(1, bits) if bits > 0 else PlainVec.zeros(1)
    session.arbiter.send(HeldOutLoss((total + noise).mod_2_128()))  # 3


def arbiter(session: Session, keys: PairKeys, scale: Scale, label: str, margin: Words) -> float:
    """The mean loss, on a grid."""
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
    theirs = session.guest.recv(HeldOutLoss).share  # 3
    rings.check(session.roles.guest, theirs, 1)
    (opened,) = rings.add(total, theirs).to_ints()
    whole = round(opened / len(margin) * 2.0 ** (GRID - LABEL - scale.loss_curve.fraction))
    return float(whole / 2**GRID)


def noise_bits(scale: Scale, rows: int) -> int:
    """Bits of a sum that lie below the grid of its mean."""
    return scale.loss_curve.fraction + LABEL - GRID + rows.bit_length()


def tell(session: Session, message: MoreRounds | RoundsKept) -> None:
    """At the arbiter."""
    broadcast([session.channels[p] for p in session.roles.data_parties], message)  # 4
