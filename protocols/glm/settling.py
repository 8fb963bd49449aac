"""Whether the weights have settled: one bit, which all parties learn every ten iterations and after the last one; if
they have, training ends.

Source: the method and its error after k iterations are Brakhage's (plan.py).  A random factor hides a size and keeps
its sign; what it leaves of the size is bounded below.
Adversary: honest but curious; what a party that deviates reads is in docs/threat-model.md.

After k iterations the error is about (j / k)^6 of what the weights have moved since iteration j, except in directions
that have hardly moved; there they still drift.  So the weights have settled where w has moved by at most |w| / HALF since
iteration j, about k / 2, and in the last ten by at most |w| / (PACE k), all parties' together.  docs/protocols/glm.md
has measurements.  |w| is without the intercept; weights below 2^-FLOOR count as that, so that there is always an end.

 V = |w|^2 - HALF^2 |w - w_j|^2 - (PACE k)^2 |w - w_(k-10)|^2, a sum of products f v.v; v = a + b, party P's and the arbiter's
        host P                                            guest                                  arbiter (sk)
 1             <---------------------------------------------------------------------  SettlingShare: [[b_P]] for each v, to P alone
        SettlingPart [[sum f (2 a.b + a.a)]]
        + masks that cancel, [[N_P]], re-randomised  -->  the sums, and its own; N_P random multiples of all b (signs.py)
                                                          <--------------------------  SettlingSum [[sum f b.b]]
 2                                                        [[r V + t N + s]], r of random length, 0 <= t N + s < r
                                                          SettlingSign --------------> opens this number, whose sign is V's
 3             <---------------------------------------------------------------------  Settled, to all data parties

Who learns what: all parties whether V >= 0, and so after how many iterations training ended; the arbiter besides hardly
anything of V's size (signs.py).
Where predictors have left the link's table late, when they grow slowly, training ends without settled weights.
Cost: three encryptions for each weight, and six products with long integers, every ten iterations.
"""  # noqa: E501

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from protocols._native import PlainVec
from protocols.channel import broadcast
from protocols.cipher import CipherVec, DecryptionKey, EncryptionKey
from protocols.codec import check_lengths
from protocols.errors import RemoteProtocolError
from protocols.glm.pair_masks import PairMasks
from protocols.glm.plan import SCORE, SIGMA, WEIGHT, WIDE, Plan, Step
from protocols.glm.progress import Comparing, End, Judging, Progress
from protocols.glm.sealed_link import Edge, refuse_near
from protocols.glm.signs import blinded, multiple_bits, multiples, spend
from protocols.message import REVEALED, SEALED, Message
from protocols.parts import ONE
from protocols.session import Session

EVERY = 10  # iterations
HALF = 25
PACE = 5
FLOOR = 7
LATE = 30  # iterations: from here on predictors grow by less than a half between two verdicts
ENDED: tuple[End | None, ...] = (None, "settled", "edge")


class SettlingShare(
    Message,
    disclosure=SEALED,
    learns="nothing: the arbiter's shares of the receiver's weights and of their changes, encrypted",
):
    weights: CipherVec  # (d_P,)
    since_half: CipherVec  # (d_P,)
    since_last: CipherVec  # (d_P,)

    @property
    def each(self) -> tuple[CipherVec, CipherVec, CipherVec]:
        """Those of w, w - w_j and w - w_(k-10)."""
        return self.weights, self.since_half, self.since_last


class SettlingPart(
    Message,
    disclosure=SEALED,
    learns="nothing: how far the sender's weights have settled, encrypted and masked, and a random number, encrypted",
):
    part: CipherVec  # (2,)


class SettlingSum(Message, disclosure=SEALED, learns="nothing: the arbiter's part of the same, encrypted"):
    part: CipherVec  # (1,)


class SettlingSign(
    Message,
    disclosure=REVEALED,
    permit="convergence-to-parties",
    learns="whether the weights have settled; how far they have settled is hidden by a factor of random length",
):
    value: CipherVec  # (1,)


class Settled(
    Message,
    disclosure=REVEALED,
    permit="convergence-to-parties",
    learns=(
        "whether training continues, and if it ends, why: the weights have settled, or predictors have left the "
        "range of the link's table"
    ),
):
    code: int


@dataclass(frozen=True)
class Look:
    """The verdict after iteration k = step.number + 1.  half, last: the iterations that it compares with."""

    plan: Plan
    step: Step
    half: int
    last: int

    @classmethod
    def of(cls, plan: Plan, progress: Progress, step: Step) -> Look:
        last = max(progress.earlier)
        return cls(plan, step, max(j for j in progress.earlier if 2 * j <= step.number + 1), last)

    @property
    def factors(self) -> tuple[int, int, int]:
        """f of w, w - w_j and w - w_(k-10); of fewer than ten last iterations the pace is the same."""
        made = self.step.number + 1
        return 1, -(HALF**2), -((PACE * EVERY * made // (made - self.last)) ** 2)

    @property
    def part_bits(self) -> int:
        """Bits of a mask that hides a party's part."""
        return 2 * self.plan.share_bits + max(map(abs, self.factors)).bit_length() + WIDE + SIGMA

    @property
    def value_bits(self) -> int:
        """|V| < 2^value_bits."""
        return 2 * (WEIGHT + SCORE + 1) + max(map(abs, self.factors)).bit_length() + WIDE

    def multiple(self, key: EncryptionKey) -> int:
        """The length of the random multiples of the arbiter's shares."""
        return multiple_bits(key, self.value_bits, self.plan.share_bits)

    def shares(self, progress: Progress, party: str) -> tuple[PlainVec, PlainVec, PlainVec]:
        """A holder's shares of w, w - w_j and w - w_(k-10)."""
        point = progress.shares[party].point
        half, last = (progress.earlier[k][party] for k in (self.half, self.last))
        return point, point - half, point - last

    def own(self, theirs: SettlingShare, progress: Progress, party: str, penalised: int) -> CipherVec:
        """(1,) what a party adds to V, without the squares of the arbiter's shares."""
        mine, first = self.shares(progress, party), np.arange(penalised)
        wide, moved = list(zip(theirs.each, mine, self.factors, strict=True)), None
        for b, a, factor in wide[1:]:
            found = product(b, a, factor)
            moved = found if moved is None else moved + found
        assert moved is not None
        return moved + product(theirs.weights.take(first), mine[0].take(first), 1) if penalised else moved

    def rest(self, progress: Progress, penalised: Mapping[str, int]) -> PlainVec:
        """(1,) the squares of the arbiter's shares, with the floor of all weights."""
        found = 0
        for party, count in penalised.items():
            weights, *moved = (share.to_ints() for share in self.shares(progress, party))
            found += sum(w * w for w in weights[:count]) + (count << (2 * (WEIGHT - FLOOR)))
            found += sum(f * sum(v * v for v in each) for f, each in zip(self.factors[1:], moved, strict=True))
        return PlainVec.from_ints([found])


def due(step: Step) -> bool:
    """Whether there is a verdict after this iteration."""
    return step.last or (step.number + 1) % EVERY == 0


def product(theirs: CipherVec, mine: PlainVec, factor: int) -> CipherVec:
    """[[factor (2 a.b + a.a)]] (1,)."""
    squares = factor * sum(a * a for a in mine.to_ints())
    return theirs.mul_plain(mine.scale(2 * factor)).sum().add_plain(PlainVec.from_ints([squares]))


def guest(session: Session, plan: Plan, progress: Comparing, step: Step, penalised: int) -> None:
    """The guest's side of a verdict after `step`, which it follows."""
    look, theirs = Look.of(plan, progress, step), receive_share(session, progress)
    multiple = look.multiple(theirs.weights.key)
    total = look.own(theirs, progress, session.me, penalised)  # 1
    total = total.concat(multiples(session, theirs.each, multiple, "settling"))
    for channel in session.hosts:
        part = channel.recv(SettlingPart).part
        check_lengths(channel.peer, 2, part)
        total = total + part
    held = session.arbiter.recv(SettlingSum).part
    check_lengths(session.roles.arbiter, 1, held)
    value, noise = total.take(np.arange(1)) + held, total.take(np.arange(1, 2))
    total = blinded(session, value, noise, look.value_bits, multiple, "settling")
    spend(session, progress.evaluation("weights", step))
    session.arbiter.send(SettlingSign(total.rerandomise(session.seed("settling", total.digest()))))  # 2
    progress.conclude(receive_verdict(session), step)  # 3


def host(session: Session, plan: Plan, progress: Progress, step: Step, masks: PairMasks, use: int) -> None:
    """The same at a host; masks, use: as in training, but separate ones."""
    look, width = Look.of(plan, progress, step), len(progress.shares[session.me].point)
    theirs = receive_share(session, progress)
    part = look.own(theirs, progress, session.me, width)  # 1
    part = part.add_plain(masks.apart("settling").integers(use, ONE, look.part_bits))
    part = part.concat(multiples(session, theirs.each, look.multiple(part.key), "settling"))
    session.guest.send(SettlingPart(part.rerandomise(session.seed("settling part", part.digest()))))
    progress.conclude(receive_verdict(session), step)  # 3


def arbiter(
    session: Session, key: DecryptionKey, plan: Plan, progress: Judging, step: Step, penalised: Mapping[str, int]
) -> None:
    """The same at the arbiter, which opens the sign; penalised: how many weights of each party the penalty is of."""
    look = Look.of(plan, progress, step)
    for party in progress.shares:
        shares = (
            key.encrypt(values, session.seed("settling share", values.to_bytes()))
            for values in look.shares(progress, party)
        )
        session.channels[party].send(SettlingShare(*shares))  # 1
    rest = look.rest(progress, penalised)
    session.guest.send(SettlingSum(key.encrypt(rest, session.seed("settling sum", rest.to_bytes()))))
    value = session.guest.recv(SettlingSign).value  # 2
    check_lengths(session.roles.guest, 1, value)
    spend(session, progress.evaluation("weights", step))
    (found,) = key.open(value, key.public.plain_bits).to_ints()
    code = 1 if found >= 0 else 2 if progress.near else 0
    broadcast([session.channels[p] for p in session.roles.data_parties], Settled(code))  # 3
    progress.conclude(ENDED[code], step)


def meet(session: Session, progress: Judging, edge: Edge, step: Step) -> None:
    """At the arbiter, what the look-up of an iteration says of its table: the next verdict ends a training whose
    predictors leave it late; DataError otherwise."""
    progress.beyond = edge.beyond
    if progress.settles and step.number >= LATE:
        progress.near += edge.near
    else:
        refuse_near(session, edge)


def receive_share(session: Session, progress: Progress) -> SettlingShare:
    theirs = session.arbiter.recv(SettlingShare)
    check_lengths(session.roles.arbiter, len(progress.shares[session.me].point), *theirs.each, what="weights")
    return theirs


def receive_verdict(session: Session) -> End | None:
    code = session.arbiter.recv(Settled).code
    if code not in range(len(ENDED)):
        raise RemoteProtocolError(f"{session.roles.arbiter} sent an unknown verdict", party=session.roles.arbiter)
    return ENDED[code]
