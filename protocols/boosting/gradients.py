"""Shares of every row's rounded g and h, from shares of its margin: nobody sees a margin, a gradient, or how it was
rounded.

     guest                                       arbiter                                  first host
 1        <---------------------------------------- Deal ------------------------------>  (look_up.py)
     (mean, slope)_G  <---- look-up on shares ---->  (mean, slope)_A
     EdgeShare -------------------------------->  how many rows are near the table's edge; stops if any
     v_G = mean_G - y                            v_A = mean_A
 2   where rows are weighted or sampled: shares of w v, by a product (factors.py); the guest knows w
 3        <------------------------  Reshared v_A - rho          rho: key of arbiter and first host
     cuts v_G + v_A - rho - tau, adds 1 + e                      tau, e: key of guest and first host
                                                                                          cuts rho + tau, less e
                                                  <-----------------------------------    CutShare

A cut drops the low t bits of a share: floor(share / 2^t).  Two shares of v cut so add up to v / 2^t rounded down or one
less; with the one added, to v / 2^t rounded down or up, up with probability frac(v / 2^t): stochastic rounding,
unbiased, that the low bits of tau decide.  Nobody but guest and host together knows them.  They must not be known to
the arbiter: a cut of its own share would put a sum of numbers that it knows by row into every sum that it opens.
Who learns what: the arbiter how many rows are near the edge of the table; nobody anything else (scale.py: of labels).
Source: the cut of shares is the local truncation of Mohassel and Zhang, SecureML (S&P 2017), here as the rounding;
stochastic rounding of gradients is Shi et al. (NeurIPS 2022).
All steps take block after block of rows (row_blocks.py), but for one EdgeShare after the last.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protocols import look_up
from protocols._native import PlainVec
from protocols.boosting import factors, rings
from protocols.boosting.blocks import Slots
from protocols.boosting.keys import PairKeys
from protocols.boosting.rings import Words
from protocols.boosting.scale import Scale
from protocols.channel import Channel
from protocols.curves import Curve
from protocols.glm.links import ROW_WEIGHT
from protocols.glm.sealed_link import receive_edge, tell_edge
from protocols.kept import Keep, KeptVec, Sliced
from protocols.message import BLINDED, Message
from protocols.parts import Part, parts
from protocols.row_blocks import pace, taken
from protocols.session import Session

Bits = NDArray[np.bool_]


class Reshared(
    Message,
    disclosure=BLINDED,
    learns="nothing: for each row uniform numbers, shares minus a pad",
    in_blocks=True,
):
    g: PlainVec
    h: PlainVec  # none where h is known


class CutShare(
    Message, disclosure=BLINDED, learns="nothing: for each row uniform numbers, fresh shares", in_blocks=True
):
    g: PlainVec
    h: PlainVec


@dataclass(frozen=True)
class Pair:
    """One holder's shares of all rows' g and h (n,), modulo 2^128; h is None at the arbiter where the guest knows
    it."""

    g: KeptVec
    h: KeptVec | None

    @classmethod
    def of(cls, blocks: Iterable[Sequence[PlainVec]], keep: Keep) -> Pair:
        """blocks: of each g, and h where there is one."""
        g, h = KeptVec([], []), KeptVec([], [])
        for block in blocks:
            for kept, vector in zip((g, h), block, strict=False):
                kept.add(vector, keep)
        return cls(g, h if len(h) else None)

    def x(self, slots: Slots, first: int, last: int) -> PlainVec:
        """g and h of each of these rows as one number."""
        g = self.g.between(first, last)
        return g if self.h is None else rings.add(g, self.h.between(first, last).shift_left(slots.g_bits))


def host(session: Session, keys: PairKeys, scale: Scale, label: str, rows: int) -> None:
    """A host's side of one round over this number of rows (times classes): the first deals and cuts, the others do
    nothing."""
    if session.me != session.roles.hosts[0]:
        return
    drawn = (session.roles.arbiter, "rho"), (session.roles.guest, "tau"), (session.roles.guest, "fresh")
    for part in parts(rows):
        here = part.label(label)
        if not scale.multiplied:  # else the guest's shares of factors say how far it is
            pace([session.guest], part)
        deal(session, part, len(scale.curves))  # 1
        if scale.multiplied:
            factors.host(session, keys, f"{here} weights", part, len(scale.shifts))  # 2
        rho, tau, fresh = (pads(keys, party, f"{here} {name}", scale, len(part)) for party, name in drawn)
        cut = [
            rings.sub(rings.add(r, t).shift_right(shift), e)
            for r, t, e, shift in zip(rho, tau, fresh, scale.shifts, strict=True)
        ]
        session.arbiter.send(CutShare(*padded(cut)), part)  # 3


def guest(
    session: Session,
    keys: PairKeys,
    scale: Scale,
    label: str,
    margin: Sliced[np.uint64],
    y: Sliced[np.float64],
    weight: Sliced[np.float64] | None,
    inside: Sliced[np.bool_] | None,
) -> Pair:
    """The guest's side: its shares of margins, labels and weights (n,); inside (n,): the rows of this round, None for
    all."""
    return Pair.of(guest_blocks(session, keys, scale, label, margin, y, weight, inside), session.keep)


def guest_blocks(
    session: Session,
    keys: PairKeys,
    scale: Scale,
    label: str,
    margin: Sliced[np.uint64],
    y: Sliced[np.float64],
    weight: Sliced[np.float64] | None,
    inside: Sliced[np.bool_] | None,
) -> Iterator[Sequence[PlainVec]]:
    """g and h of each block of rows."""
    edges, helper = list[PlainVec](), session.roles.hosts[0]
    for part in parts(len(y)):
        here, rows = part.label(label), part.rows
        weighed = None if weight is None else weight[rows]
        within = np.ones(len(part), dtype=np.bool_) if inside is None else inside[rows]
        looked, edge = look_up_margins(session, margin[rows], scale.curves, part, first=True)  # 1
        edges.append(edge)
        if not part.more:
            tell_edge(session, edges)
        values = of_looked_up(looked, scale, scale.labels(y[rows]))
        if scale.multiplied:
            factor = within.astype(np.int64) if weighed is None else scale.whole_weights(weighed) * within
            values = factors.guest(session, keys, f"{here} weights", factor, values, part)  # 2
        other = shares_of(session.arbiter, session.arbiter.recv(Reshared, part), part, scale)  # 3
        tau, fresh = (pads(keys, helper, f"{here} {name}", scale, len(part)) for name in ("tau", "fresh"))
        one = PlainVec.from_i64(np.ones(len(part), dtype=np.int64))
        found = [
            rings.add(rings.sub(rings.add(v, o), t).shift_right(shift) + one, e)
            for v, o, t, e, shift in zip(values, other, tau, fresh, scale.shifts, strict=True)
        ]
        if not scale.multiplied:
            taken(session.channels[helper], part)
        yield [*found, known_h(session, scale, weighed, within)] if scale.h_known else found


def arbiter(session: Session, keys: PairKeys, scale: Scale, label: str, margin: Sliced[np.uint64]) -> tuple[Pair, int]:
    """The arbiter's side; also how many rows are beyond where the mean of counts is exact.  Raises DataError where a
    row is near the edge of the table."""
    beyond = list[int]()
    pair = Pair.of(arbiter_blocks(session, keys, scale, label, margin, beyond), session.keep)
    return pair, sum(beyond)


def arbiter_blocks(
    session: Session, keys: PairKeys, scale: Scale, label: str, margin: Sliced[np.uint64], beyond: list[int]
) -> Iterator[Sequence[PlainVec]]:
    """g and h of each block of rows; appends to `beyond` how many rows are."""
    edges, dealer = list[PlainVec](), session.channels[session.roles.hosts[0]]
    for part in parts(len(margin)):
        here = part.label(label)
        looked, edge = look_up_margins(session, margin[part.rows], scale.curves, part, first=False)  # 1
        edges.append(edge)
        if not part.more:
            beyond.append(receive_edge(session, edges))
        values = of_looked_up(looked, scale, None)
        if scale.multiplied:
            values = factors.arbiter(session, keys, f"{here} weights", values, part)  # 2
        rho = pads(keys, dealer.peer, f"{here} rho", scale, len(part))
        session.guest.send(Reshared(*padded([rings.sub(v, r) for v, r in zip(values, rho, strict=True)])), part)  # 3
        yield shares_of(dealer, dealer.recv(CutShare, part), part, scale)


def look_up_margins(
    session: Session, margin: Words, curves: list[Curve], part: Part, *, first: bool
) -> tuple[list[PlainVec], PlainVec]:
    """Shares of every curve at the margins of a block, and of the number of its rows near the edge; first: at the
    guest."""
    dealer = session.roles.hosts[0]
    dealt = session.channels[dealer].recv(look_up.Deal, part)
    accepted = look_up.accept(dealer, dealt, len(margin), len(curves), first=first)
    other = session.arbiter if first else session.guest
    return look_up.evaluate(other, accepted, rings.plain(margin), curves, part, session.look_up)


def deal(session: Session, part: Part, curves: int) -> None:
    """At the first host: what one look-up of a block needs."""
    first, second = look_up.deal(session.seed("link deal"), len(part), curves)
    session.guest.send(first, part)
    session.arbiter.send(second, part)


def of_looked_up(looked: list[PlainVec], scale: Scale, labels: PlainVec | None) -> list[PlainVec]:
    """A holder's shares of mean - y and, where the guest does not know h, of h: the slope, or for counts the mean."""
    mean = looked[0]
    g = (mean if labels is None else mean - labels).mod_2_128()
    return [g] if scale.h_known else [g, looked[-1].mod_2_128()]


def known_h(session: Session, scale: Scale, weight: NDArray[np.float64] | None, inside: Bits) -> PlainVec:
    """At the guest: squared error's h, 1 or the row's weight, rounded at random; 0 outside the round."""
    here = inside.astype(np.int64)
    if weight is None:
        return PlainVec.from_i64(here)
    exact = scale.whole_weights(weight)
    shift = ROW_WEIGHT - (scale.bits - 1)
    noise = session.seed("weight rounding", exact.tobytes()).words(len(exact)) >> np.uint64(64 - shift)
    return PlainVec.from_i64(((exact + noise.astype(np.int64)) >> shift) * here)


def pads(keys: PairKeys, party: str, label: str, scale: Scale, rows: int) -> list[PlainVec]:
    """For each shared quantity of a row a uniform number modulo 2^128."""
    return [keys.with_(party, f"{label} {k}").ring(rows) for k in range(len(scale.shifts))]


def padded(shares: list[PlainVec]) -> list[PlainVec]:
    """Two vectors, the second empty where there is one quantity."""
    return [*shares, PlainVec.zeros(0)][:2]


def shares_of(channel: Channel, message: Reshared | CutShare, part: Part, scale: Scale) -> list[PlainVec]:
    shares, rows = [message.g, message.h], len(part)
    for share, expected in zip(shares, (rows, 0 if scale.h_known else rows), strict=True):
        rings.check(channel.peer, share, expected)
    return shares[: len(scale.shifts)]
