"""An arbiter that deviates in an evaluation of the loss (`tol`, `early_stopping`).

It lets one weight differ by a number of its choice.  If the losses were opened, it would read from two of them how the
loss depends on that weight: a sum of a column of any party, weighted by residuals.  It opens the signs of differences
under factors of random length.  So each evaluation answers one question: whether such a difference is below a number of
its choice.  A multiple of the look-up table's period, by which it once read the mean of a column over the rows whose
label is 1, changes no loss.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from protocols import glm
from protocols._native import PlainVec
from protocols.channel import broadcast
from protocols.cipher import CipherVec, Identity
from protocols.glm import loss_predictors, losses, predictors, stopping
from protocols.glm import progress as verdicts
from protocols.glm.block import Share
from protocols.glm.links import LOGISTIC_LINKS, Weighted
from protocols.glm.plan import WEIGHT, Penalty
from protocols.local import run_local
from protocols.session import Roles, Session

Matrix = NDArray[np.float64]
ROLES = Roles("guest", ("h0",), "arbiter")
N, C, EVERY = 200, 0.02, 5
PERIOD = 1 << 48  # of the look-up (look_up.py)
SHIFT = 1 << (WEIGHT - 1)  # half a unit of a weight


class Thief:
    """The arbiter's side of an evaluation; weight `column` of `party`.  It always says "continue", so that each loss is
    compared with the one before."""

    def __init__(self, party: str, column: int, shift: int = SHIFT) -> None:
        self.party, self.column, self.shift = party, column, shift
        self.opened, self.points = list[int](), list[dict[str, Matrix]]()
        self.evaluations = 0

    def planted(self) -> tuple[int, float]:
        """What it adds to its share of the weight, and to the mean loss: nothing to every second one."""
        return self.shift if self.evaluations % 2 else 0, 0.0

    def learn(self, difference: int) -> None:
        """From what it opens."""
        self.opened.append(difference)

    def arbiter(
        self, session: Session, key: Any, plan: Any, link: Any, progress: Any, step: Any, penalised: Any, ready: Any
    ) -> None:
        (planted, added), validation = self.planted(), progress.stopping.validation
        false = {party: Share.start(share.point) for party, share in progress.shares.items()}
        parts = false[self.party].point.to_ints()
        parts[self.column] += planted
        false[self.party] = Share.start(PlainVec.from_ints(parts))
        z = loss_predictors.arbiter(session, key, false, stopping.rows_of(plan, progress.stopping), ready)
        if not validation:
            predictors.serve(session, key, progress.shares)
        held, _ = losses.of(link).arbiter(session, z, weighted=isinstance(link, Weighted))
        held = held + PlainVec.from_ints([round(added * N * 2.0**losses.UNIT)])
        if not validation:
            own = {party: share.point.to_ints()[: penalised[party]] for party, share in progress.shares.items()}
            held = held.concat(PlainVec.from_ints([sum(v * v for values in own.values() for v in values)]))
        session.guest.send(stopping.LossShare(key.encrypt(held, session.seed("l", held.to_bytes()))))
        self.unit = 1 << stopping.mean_bits(plan)
        if progress.best:
            values = session.guest.recv(stopping.LossSigns).values
            self.learn(key.open(values, key.public.plain_bits).to_ints()[1])
        self.points.append({p: np.array(s.point.to_ints(), dtype=object) for p, s in progress.shares.items()})
        self.evaluations += 1
        told = stopping.Verdict(verdicts.GO_ON)
        broadcast([session.channels[p] for p in session.roles.data_parties], told)
        progress.follow(verdicts.GO_ON, step)

    @property
    def read(self) -> Fraction:
        """The last difference, as if it were opened: how much the weight's shift adds to the loss."""
        return Fraction(-self.opened[-1], self.unit)


class Comparing(Thief):
    """It has each evaluation compare L(w + shift) - L(w - shift) with the middle of the interval in which this lies,
    once the weights hardly move: it plants the shift with both signs in turn, and adds the threshold to its own part of
    the losses."""

    LEAST, FROM = 1.0, 6  # the interval that it begins with, and the evaluation

    def __init__(self, party: str, column: int) -> None:
        super().__init__(party, column)
        self.low, self.high, self.added = -self.LEAST, self.LEAST, 0.0
        self.questions = 0

    @property
    def sign(self) -> int:
        return 1 if self.evaluations % 2 else -1

    def planted(self) -> tuple[int, float]:
        if self.evaluations >= self.FROM:
            self.added -= self.sign * (self.low + self.high) / 2
        return self.sign * self.shift, self.added

    def learn(self, difference: int) -> None:
        super().learn(difference)
        if self.evaluations >= self.FROM:
            middle = (self.low + self.high) / 2
            below = (difference >= 0) == (self.sign > 0)
            self.low, self.high = (self.low, middle) if below else (middle, self.high)
            self.questions += 1


class World:
    """A training of 60 iterations with a thief in it, and the loss at the weights of each evaluation."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, thief: Thief, *, validation: bool, prepared: bool) -> None:
        rng = np.random.default_rng(1)
        tables = {"guest": rng.normal(size=(N, 2)).round(3), "h0": rng.normal(size=(N, 2)).round(3)}
        y = (sum(x.sum(axis=1) for x in tables.values()) + rng.logistic(size=N) > 0).astype(float)
        more = {name: rng.normal(size=(N, 2)).round(3) for name in tables}
        labels = (rng.random(N) < 0.3).astype(float)
        ends = stopping.Stopping(1e-9, EVERY, validation)
        terms = glm.Terms(LOGISTIC_LINKS["exact"], Penalty(C), 60, stopping=ends, prepared=prepared)
        held = {name: (x if validation else None) for name, x in more.items()}
        at_guest = glm.HeldOut(more["guest"], labels[None], None) if validation else None
        programs: dict[str, Callable[[Session], Any]] = {
            "guest": lambda s: glm.guest(s, tables["guest"], y[None], terms, bytes(16), None, at_guest),
            "h0": lambda s: glm.host(s, tables["h0"], terms, held["h0"]),
            "arbiter": lambda s: glm.arbiter(s, s.scheme.generate("arbiter", s.seed("key")), terms),
        }
        self.thief, self.own = thief, {name: list[Matrix]() for name in tables}
        self.x, self.y = (more, labels) if validation else (tables, y)
        with monkeypatch.context() as patch:
            patch.setattr(stopping, "arbiter", thief.arbiter)
            for role in ("guest", "host"):
                patch.setattr(stopping, role, self.follows(getattr(stopping, role)))
            run_local(ROLES, programs, Identity())

    def follows(self, role: Callable[..., None]) -> Callable[..., None]:
        def watched(session: Session, look: Any, progress: Any, *rest: Any) -> None:
            self.own[session.me].append(np.array(progress.shares[session.me].point.to_ints(), dtype=object))
            role(session, look, progress, *rest)

        return watched

    def loss(self, shift: float = 0.0, evaluation: int = -1) -> float:
        """The mean loss there, with the thief's weight shifted."""
        z = np.zeros(N)
        for party, x in self.x.items():
            w = (self.own[party][evaluation] + self.thief.points[evaluation][party]).astype(float) / 2**WEIGHT
            if party == self.thief.party:
                w[self.thief.column] += shift
            z = z + (np.column_stack([x, np.ones(N)]) if party == "guest" else x) @ w
        return float(np.mean(np.logaddexp(0, z) - self.y * z))


def plain(session: Session, total: CipherVec, noise: CipherVec, bits: int, multiple: int, what: str) -> CipherVec:
    """The planted fault: the difference itself is opened."""
    return total


WAYS = pytest.mark.parametrize(
    ("party", "column", "validation", "prepared"),
    [("guest", 0, True, False), ("h0", 1, True, True), ("h0", 1, False, False), ("guest", 0, False, True)],
)


@WAYS
def test_it_reads_nothing_from_the_numbers_that_it_opens(
    monkeypatch: pytest.MonkeyPatch, party: str, column: int, validation: bool, prepared: bool
) -> None:
    thief = Thief(party, column)
    World(monkeypatch, thief, validation=validation, prepared=prepared)
    sizes = [abs(found).bit_length() for found in thief.opened]
    assert len(sizes) == 11
    assert abs(thief.read) > 2**100
    assert np.ptp(sizes) > 100  # the size is that of the factor


@WAYS
def test_control_without_factors_it_reads_how_the_loss_depends_on_a_weight(
    monkeypatch: pytest.MonkeyPatch, party: str, column: int, validation: bool, prepared: bool
) -> None:
    monkeypatch.setattr(stopping, "blinded", plain)
    thief = Thief(party, column)
    world = World(monkeypatch, thief, validation=validation, prepared=prepared)
    true = world.loss(SHIFT / 2**WEIGHT) - world.loss(evaluation=-2)
    assert abs(float(thief.read) - true) < 2e-4 < abs(true) / 10


@WAYS
def test_a_multiple_of_the_tables_period_changes_no_loss(
    monkeypatch: pytest.MonkeyPatch, party: str, column: int, validation: bool, prepared: bool
) -> None:
    """Even where the differences are opened; the control above shows that it would be seen."""
    monkeypatch.setattr(stopping, "blinded", plain)
    thief = Thief(party, column, PERIOD)
    world = World(monkeypatch, thief, validation=validation, prepared=prepared)
    assert abs(float(thief.read) - (world.loss() - world.loss(evaluation=-2))) < 2e-4


@pytest.mark.parametrize(("party", "column", "prepared"), [("guest", 0, False), ("h0", 1, True)])
def test_each_evaluation_answers_one_question(
    monkeypatch: pytest.MonkeyPatch, party: str, column: int, prepared: bool
) -> None:
    """What docs/threat-model.md declares: after n evaluations it knows an interval of 2^-n of what it began with."""
    thief = Comparing(party, column)
    world = World(monkeypatch, thief, validation=True, prepared=prepared)
    true = world.loss(SHIFT / 2**WEIGHT) - world.loss(-SHIFT / 2**WEIGHT)
    assert thief.questions == 6
    assert thief.high - thief.low == 2 * thief.LEAST / 2**thief.questions
    assert thief.low <= true < thief.high
    assert abs(true) > 0.01  # the control: it is not the middle, where the search begins
