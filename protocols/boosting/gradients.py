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
Who learns what: the arbiter how many rows are near the edge of the table, or hosts and arbiter the powers of two in
TargetScale; nobody anything else.
Source: the cut of shares is the local truncation of Mohassel and Zhang, SecureML (S&P 2017), here as the rounding;
stochastic rounding of gradients is Shi et al. (NeurIPS 2022).
All steps take block after block of rows (row_blocks.py), but for one EdgeShare after the last.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from protocols import look_up
from protocols._native import PlainVec
from protocols.boosting import factors, rings
from protocols.boosting.blocks import Slots
from protocols.boosting.keys import PairKeys
from protocols.boosting.objective import POISSON_STEP
from protocols.boosting.params import Params
from protocols.boosting.rings import Words
from protocols.boosting.split import Units
from protocols.channel import Channel, broadcast
from protocols.curves import Curve, logistic, logistic_slope, softplus
from protocols.errors import DataError, RemoteProtocolError
from protocols.glm.links import ROW_WEIGHT, capped
from protocols.glm.sealed_link import UNIT, receive_edge, tell_edge
from protocols.message import BLINDED, REVEALED, Message
from protocols.parts import Part, parts
from protocols.row_blocks import pace, taken
from protocols.session import Session

Floats = NDArray[np.float64]
Bits = NDArray[np.bool_]
MOST_LOG2 = 40  # of labels and weights
FAR = 5  # log2: labels lie within 2^FAR units of the base

_LOGISTIC, _SLOPE, _SOFTPLUS = Curve(logistic, UNIT), Curve(logistic_slope, UNIT), Curve(softplus, UNIT)
_SAME, _SQUARE = Curve(lambda z: z, UNIT), Curve(lambda z: z * z, UNIT)


class TargetScale(
    Message,
    disclosure=REVEALED,
    permit="label-scale-to-parties",
    learns=(
        "two powers of two, 1 where the job does not need them: the order of magnitude of the labels' spread "
        "(squared error) or mean (counts), and a bound on the largest weight of a row"
    ),
):
    label_log2: int
    weight_log2: int


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
class Scale:
    """How rows' g and h become integers of `bits` bits, for an objective, labels of this order of magnitude and, where
    `weighted`, rows' weights up to 2^weight_log2."""

    objective: str
    bits: int
    rows: int
    label_log2: int = 0
    weight_log2: int = 0
    weighted: bool = False
    sampled: bool = False  # whether a round leaves rows out

    @property
    def margin_unit(self) -> float:
        """What one unit of a margin's share is worth."""
        return 2.0 ** ((self.label_log2 if self.squared else 0) - UNIT)

    @property
    def squared(self) -> bool:
        return self.objective == "reg:squarederror"

    @property
    def counts(self) -> bool:
        return self.objective == "count:poisson"

    @property
    def curves(self) -> list[Curve]:
        """What is looked up at the margin: the mean, and its slope where that is another function."""
        if self.squared:
            return [_SAME]
        return [capped(self.label_log2)[0]] if self.counts else [_LOGISTIC, _SLOPE]

    @property
    def loss_curve(self) -> Curve:
        """The loss of a row, less label times margin (squared error: of the margin less the label)."""
        if self.squared:
            return _SQUARE
        return capped(self.label_log2)[1] if self.counts else _SOFTPLUS

    @property
    def fraction(self) -> int:
        """Fractional bits of looked-up values, of weighted ones too."""
        return self.curves[0].fraction + (ROW_WEIGHT - self.weight_log2 if self.weighted else 0)

    @property
    def _top(self) -> int:
        """log2 of what 2^(bits - 1) units of g are worth: |g| of a row of binary labels at most; of counts four times the mean, so that no sum over rows spills."""  # noqa: E501
        return self.weight_log2 + (self.label_log2 + 2 if self.counts else 0)

    @property
    def g_shift(self) -> int:
        return max(0, self.fraction + self._top - (self.bits - 1))

    @property
    def h_shift(self) -> int:
        """Of h as looked up: a slope of 1/4 at most, or a mean."""
        return max(0, self.fraction + self._top - (self.bits - 1) - (0 if self.counts else 2))

    @property
    def shifts(self) -> tuple[int, ...]:
        """Of each quantity of a row that is shared: g, and h where nobody knows it."""
        return (self.g_shift,) if self.h_known else (self.g_shift, self.h_shift)

    def labels(self, y: Floats) -> PlainVec:
        """In units of a looked-up mean."""
        y = y / 2.0**self.label_log2 if self.squared else y
        return PlainVec.from_i64(np.rint(y * 2.0 ** self.curves[0].fraction).astype(np.int64))

    @property
    def multiplied(self) -> bool:
        """Whether each row's g and h are multiplied by a number that the guest knows."""
        return self.weighted or self.sampled

    def whole_weights(self, weight: Floats) -> NDArray[np.int64]:
        return np.rint(weight * 2.0 ** (ROW_WEIGHT - self.weight_log2)).astype(np.int64)

    @property
    def h_known(self) -> bool:
        """Whether h is the row's weight, which the guest knows."""
        return self.squared

    @property
    def h_known_log2(self) -> int:
        """log2 of the unit of a known h: 1 without weights."""
        return self.weight_log2 - (self.bits - 1) if self.weighted else 0

    @cached_property
    def units(self) -> Units:
        g = 2.0 ** (self.g_shift - self.fraction)
        if self.h_known:
            return Units(g, 2.0**self.h_known_log2)
        return Units(g, 2.0 ** (self.h_shift - self.fraction) * (math.exp(POISSON_STEP) if self.counts else 1.0))

    @property
    def slots(self) -> Slots:
        """A slot holds the sum of all rows, and 1 part in 64 more."""
        count = (self.rows + self.rows // 64 + 1).bit_length()
        return Slots(self.bits + count, count + (1 if self.h_known and not self.weighted else self.bits - 1))


def scale_of(p: Params, rows: int, weighted: bool) -> Scale:
    """As far as the job decides it."""
    return Scale(p.objective, p.bits(rows), rows, weighted=weighted, sampled=p.subsample < 1)


def needs_scale(p: Params, weighted: bool) -> bool:
    return weighted or p.objective in ("reg:squarederror", "count:poisson")


def announce(session: Session, p: Params, rows: int, y: Floats, weight: Floats | None, base: float) -> Scale:
    """At the guest, from labels and weights of those of all `rows` that trees are trained on.  Raises DataError for
    labels or weights out of bounds."""
    scale = scale_of(p, rows, weight is not None)
    if not needs_scale(p, weight is not None):
        return scale
    label = 0
    if scale.counts:
        label = math.ceil(math.log2(max(float(np.average(y, weights=weight)), math.exp(base))))
    elif scale.squared:
        apart = np.abs(y - base)
        spread = math.sqrt(float(np.average(apart**2, weights=weight))) or 1.0
        label = max(math.ceil(math.log2(spread)) + 1, math.ceil(math.log2(max(float(apart.max()), 1e-300))) - FAR)
    heaviest = 0 if weight is None else math.ceil(math.log2(float(weight.max())))
    if max(abs(label), abs(heaviest)) > MOST_LOG2:
        raise DataError(
            "labels or weights are too large or too small", remedy="Choose another unit for them", party=session.me
        )
    broadcast([*session.hosts, session.arbiter], TargetScale(label, heaviest))
    return replace(scale, label_log2=label, weight_log2=heaviest)


def receive(session: Session, p: Params, rows: int, weighted: bool) -> Scale:
    """The same at hosts and arbiter."""
    scale = scale_of(p, rows, weighted)
    if not needs_scale(p, weighted):
        return scale
    told = session.guest.recv(TargetScale)
    if max(abs(told.label_log2), abs(told.weight_log2)) > MOST_LOG2:
        raise RemoteProtocolError(f"{session.roles.guest} announced an impossible scale", party=session.roles.guest)
    return replace(scale, label_log2=told.label_log2, weight_log2=told.weight_log2)


@dataclass(frozen=True)
class Pair:
    """One holder's shares of all rows' g and h (n,), modulo 2^128; h is None at the arbiter where the guest knows
    it."""

    g: PlainVec
    h: PlainVec | None

    def x(self, slots: Slots) -> PlainVec:
        """g and h of each row as one number."""
        return self.g if self.h is None else rings.add(self.g, self.h.shift_left(slots.g_bits))


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
    margin: Words,
    y: Floats,
    weight: Floats | None,
    inside: Bits | None,
) -> Pair:
    """The guest's side: its shares of margins, labels and weights (n,); inside (n,): the rows of this round, None for
    all."""
    factor = np.ones(len(y), dtype=np.int64) if weight is None else scale.whole_weights(weight)
    factor = factor if inside is None else factor * inside
    edges, found, helper = list[PlainVec](), list[list[PlainVec]](), session.roles.hosts[0]
    for part in parts(len(y)):
        here, rows = part.label(label), part.rows
        looked, edge = look_up_margins(session, margin[rows], scale.curves, part, first=True)  # 1
        edges.append(edge)
        if not part.more:
            tell_edge(session, edges)
        values = of_looked_up(looked, scale, scale.labels(y[rows]))
        if scale.multiplied:
            values = factors.guest(session, keys, f"{here} weights", factor[rows], values, part)  # 2
        other = shares_of(session.arbiter, session.arbiter.recv(Reshared, part), part, scale)  # 3
        tau, fresh = (pads(keys, helper, f"{here} {name}", scale, len(part)) for name in ("tau", "fresh"))
        one = PlainVec.from_i64(np.ones(len(part), dtype=np.int64))
        found.append(
            [
                rings.add(rings.sub(rings.add(v, o), t).shift_right(shift) + one, e)
                for v, o, t, e, shift in zip(values, other, tau, fresh, scale.shifts, strict=True)
            ]
        )
        if not scale.multiplied:
            taken(session.channels[helper], part)
    g, *h = map(rings.join, zip(*found, strict=True))
    return Pair(g, known_h(session, scale, weight, inside, len(y)) if scale.h_known else h[0])


def arbiter(session: Session, keys: PairKeys, scale: Scale, label: str, margin: Words) -> tuple[Pair, int]:
    """The arbiter's side; also how many rows are beyond where the mean of counts is exact.  Raises DataError where a
    row is near the edge of the table."""
    edges, found, beyond, dealer = list[PlainVec](), list[list[PlainVec]](), 0, session.channels[session.roles.hosts[0]]
    for part in parts(len(margin)):
        here = part.label(label)
        looked, edge = look_up_margins(session, margin[part.rows], scale.curves, part, first=False)  # 1
        edges.append(edge)
        if not part.more:
            beyond = receive_edge(session, edges)
        values = of_looked_up(looked, scale, None)
        if scale.multiplied:
            values = factors.arbiter(session, keys, f"{here} weights", values, part)  # 2
        rho = pads(keys, dealer.peer, f"{here} rho", scale, len(part))
        session.guest.send(Reshared(*padded([rings.sub(v, r) for v, r in zip(values, rho, strict=True)])), part)  # 3
        found.append(shares_of(dealer, dealer.recv(CutShare, part), part, scale))
    g, *h = map(rings.join, zip(*found, strict=True))
    return Pair(g, None if scale.h_known else h[0]), beyond


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


def known_h(session: Session, scale: Scale, weight: Floats | None, inside: Bits | None, rows: int) -> PlainVec:
    """At the guest: squared error's h, 1 or the row's weight, rounded at random; 0 outside the round."""
    here = np.ones(rows, dtype=np.int64) if inside is None else inside.astype(np.int64)
    if weight is None:
        return PlainVec.from_i64(here)
    exact = scale.whole_weights(weight)
    shift = ROW_WEIGHT - (scale.bits - 1)
    noise = session.seed("weight rounding", exact.tobytes()).words(rows) >> np.uint64(64 - shift)
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
