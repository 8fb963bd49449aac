"""An arbiter that deviates in the verdict on the weights.

It packs weights of the parties above what it should open: where the guest's random factor may be short, there is room
for them, and it reads them exactly.  And it has each verdict compare a weight with a number of its choice, which no
factor prevents: one bit of that weight each time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from protocols import glm
from protocols._native import PlainVec
from protocols.channel import broadcast
from protocols.cipher import CipherVec, Identity
from protocols.errors import VFLError
from protocols.glm import settling
from protocols.glm.links import LOGISTIC_LINKS
from protocols.glm.plan import WEIGHT, Penalty
from protocols.local import run_local
from protocols.session import Roles, Session

ROLES = Roles("guest", ("h0",), "arbiter")
ROOM = 550  # bits of the longest factor under which the packed weight still fits


class Thief:
    """The arbiter's side of a verdict, by which it reads the guest's weight `column`; it always says "go on"."""

    def __init__(self, column: int) -> None:
        self.column, self.read, self.true = column, dict[int, int](), dict[int, int]()
        self.verdicts = 0

    def arbiter(self, session: Session, key: Any, plan: Any, progress: Any, step: Any, penalised: Any) -> None:
        look = settling.Look.of(plan, progress, step)
        rest, digit = look.rest(progress, penalised).to_ints()[0], ROOM + 40
        low = ROOM + look.value_bits - 4
        parts = {party: [x.to_ints() for x in look.shares(progress, party)] for party in progress.shares}
        own = progress.shares["guest"].point.to_ints()[self.column]
        planted = 1 << (low + digit)
        parts["guest"][0][self.column] = own + planted
        for party, each in parts.items():
            made = (key.encrypt(PlainVec.from_ints(x), session.seed("s", repr(x).encode())) for x in each)
            session.channels[party].send(settling.SettlingShare(*made))
        held = PlainVec.from_ints([rest + 2 * planted * own + (1 << low)])
        session.guest.send(settling.SettlingSum(key.encrypt(held, session.seed("r", held.to_bytes()))))
        value = session.guest.recv(settling.SettlingSign).value
        self.verdicts += 1
        self._unpack(key, value, step.number + 1, own, low, digit)
        broadcast([session.channels[p] for p in session.roles.data_parties], settling.Settled(0))
        progress.conclude(None, step)

    def _unpack(self, key: Any, value: CipherVec, made: int, own: int, low: int, digit: int) -> None:
        try:
            (found,) = key.open(value, key.public.plain_bits).to_ints()
        except VFLError:
            return  # it wrapped
        above, digits = (found + (1 << (low - 1))) >> low, list[int]()
        for _ in range(2):
            one = ((above + (1 << (digit - 1))) % (1 << digit)) - (1 << (digit - 1))
            digits.append(one)
            above = (above - one) >> digit
        factor, product = digits
        if factor > 0 and above == 0 and product % (2 * factor) == 0 and factor.bit_length() <= ROOM:
            self.read[made] = product // (2 * factor) - own  # the guest's own share

    def guest(self, role: Callable[..., None]) -> Callable[..., None]:
        def follows(session: Session, plan: Any, progress: Any, step: Any, *rest: Any) -> None:
            self.true[step.number + 1] = progress.shares[session.me].point.to_ints()[self.column]
            role(session, plan, progress, step, *rest)

        return follows


class Comparing:
    """The arbiter's side of a verdict, whose sign it makes that of a weight of the guest minus a number: it halves the
    interval in which the weight lies, since the weights hardly move.  It always says "go on"."""

    LEAST, FROM = 4.0, 40  # the interval that it begins with, and the iteration

    def __init__(self, column: int) -> None:
        self.column, self.low, self.high, self.verdicts = column, -self.LEAST, self.LEAST, 0
        self.opened = list[int]()
        self.weight = 0.0

    def arbiter(self, session: Session, key: Any, plan: Any, progress: Any, step: Any, penalised: Any) -> None:
        look, middle = settling.Look.of(plan, progress, step), (self.low + self.high) / 2
        parts = {party: [x.to_ints() for x in look.shares(progress, party)] for party in progress.shares}
        own, planted = progress.shares["guest"].point.to_ints()[self.column], 1 << (look.value_bits - WEIGHT - 5)
        parts["guest"][0][self.column] = own + planted
        for party, each in parts.items():
            made = (key.encrypt(PlainVec.from_ints(x), session.seed("s", repr(x).encode())) for x in each)
            session.channels[party].send(settling.SettlingShare(*made))
        rest = look.rest(progress, penalised).to_ints()[0] + 2 * planted * (own - round(middle * 2**WEIGHT))
        held = PlainVec.from_ints([rest])
        session.guest.send(settling.SettlingSum(key.encrypt(held, session.seed("r", held.to_bytes()))))
        value = session.guest.recv(settling.SettlingSign).value
        (found,) = key.open(value, key.public.plain_bits).to_ints()
        if step.number + 1 >= self.FROM:
            self.verdicts += 1
            self.opened.append(abs(found).bit_length())
            self.low, self.high = (middle, self.high) if found >= 0 else (self.low, middle)
        self.share = own
        broadcast([session.channels[p] for p in session.roles.data_parties], settling.Settled(0))
        progress.conclude(None, step)

    def guest(self, role: Callable[..., None]) -> Callable[..., None]:
        def follows(session: Session, plan: Any, progress: Any, step: Any, *rest: Any) -> None:
            mine = progress.shares[session.me].point.to_ints()[self.column]
            role(session, plan, progress, step, *rest)
            self.weight = (mine + self.share) / 2**WEIGHT

        return follows


def short_factors(session: Session, total: CipherVec, _: CipherVec, bits: int, multiple: int, what: str) -> CipherVec:
    """The planted fault: the length of the factor is uniform from 0 up."""
    seed, longest = session.seed("settling factor", total.digest()), total.key.plain_bits - bits - 2
    length = seed.child("length").integers(1, 64).to_ints()[0] % longest
    factor = (1 << length) + seed.child("factor").integers(1, length + 1).to_ints()[0] % (1 << length)
    return total.mul_plain(PlainVec.from_ints([factor]))


def stolen(monkeypatch: pytest.MonkeyPatch) -> tuple[int, int]:
    """(weights that were read exactly, verdicts) of one training of 120 iterations."""
    thief = Thief(0)
    trained(monkeypatch, thief)
    return sum(thief.true[made] == share for made, share in thief.read.items()), thief.verdicts


def trained(monkeypatch: pytest.MonkeyPatch, thief: Thief | Comparing) -> None:
    """A training of 120 iterations in which the arbiter is the thief."""
    rng = np.random.default_rng(1)
    x, h = rng.normal(size=(120, 2)), rng.normal(size=(120, 2))
    y = (x.sum(axis=1) + h.sum(axis=1) + rng.logistic(size=120) > 0).astype(float)
    terms = glm.Terms(LOGISTIC_LINKS["taylor"], Penalty(1.0), 120, settles=True)
    programs: dict[str, Callable[[Session], Any]] = {
        "guest": lambda s: glm.guest(s, x, y[None], terms, bytes(16)),
        "h0": lambda s: glm.host(s, h, terms),
        "arbiter": lambda s: glm.arbiter(s, s.scheme.generate("arbiter", s.seed("key")), terms),
    }
    with monkeypatch.context() as patch:
        patch.setattr(settling, "arbiter", thief.arbiter)
        patch.setattr(settling, "guest", thief.guest(settling.guest))
        run_local(ROLES, programs, Identity())


def test_an_arbiter_reads_no_weight_from_the_number_that_it_opens(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [stolen(monkeypatch) for _ in range(3)]
    assert [verdicts for _, verdicts in found] == [12, 12, 12]
    assert sum(read for read, _ in found) == 0


def test_control_with_short_factors_it_reads_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settling, "blinded", short_factors)
    assert sum(stolen(monkeypatch)[0] for _ in range(3)) >= 3


@pytest.mark.parametrize("column", [0, 1])
def test_an_arbiter_that_deviates_learns_one_comparison_per_verdict(
    monkeypatch: pytest.MonkeyPatch, column: int
) -> None:
    """What docs/threat-model.md declares: after n verdicts it knows an interval of 2^-n of what it began with."""
    thief = Comparing(column)
    trained(monkeypatch, thief)
    assert thief.verdicts == 9
    assert thief.high - thief.low == 2 * thief.LEAST / 2**thief.verdicts
    assert thief.low <= thief.weight < thief.high
    assert abs(thief.weight) > 0.1  # the control: it is not the middle, where the search begins
    assert np.ptp(thief.opened) > 50  # the size of what it opens is that of the factor, and tells no second bit
