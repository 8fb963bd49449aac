"""An arbiter that deviates in an evaluation of the loss (`tol`, `early_stopping`).

It adds a multiple of the look-up table's period to its share of one weight.  The look-up on shares does not notice, but
what is linear in the predictors and in the weights does.  Where the mean was opened to it, it read, for a column of its
choice of any party, the mean of the column where the label is 1, times the share of these rows.  Now it opens the sign
of a difference under a factor of random length.  So each evaluation answers one question: whether that number is below
another of its choice.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from protocols import glm
from protocols._native import PlainVec
from protocols.channel import broadcast
from protocols.cipher import CipherVec, Identity
from protocols.glm import progress as verdicts
from protocols.glm import stopping
from protocols.glm.links import LOGISTIC_LINKS, Weighted
from protocols.glm.plan import FEATURE, WEIGHT, Penalty
from protocols.glm.predictors import WeightShare
from protocols.local import run_local
from protocols.session import Roles, Session

ROLES = Roles("guest", ("h0",), "arbiter")
N, C, EVERY = 200, 0.02, 5
PERIOD = 1 << 48  # of the look-up (look_up.py); more would only make the reading finer


class Thief:
    """The arbiter's side of an evaluation; weight `column` of `party`.  It always says "continue", so that each loss is
    compared with the one before."""

    def __init__(self, party: str, column: int) -> None:
        self.party, self.column = party, column
        self.opened, self.weights = list[int](), list[float]()
        self.evaluations = self.own = 0

    def planted(self) -> tuple[int, float]:
        """What it adds to its share of the weight, and to the mean loss: nothing to every second one."""
        return PERIOD if self.evaluations % 2 else 0, 0.0

    def learn(self, difference: int) -> None:
        """From what it opens."""
        self.opened.append(difference)

    def arbiter(
        self, session: Session, key: Any, plan: Any, link: Any, progress: Any, step: Any, penalised: Any
    ) -> None:
        (planted, added), validation = self.planted(), progress.stopping.validation
        parts = {party: share.point.to_ints() for party, share in progress.shares.items()}
        squared = sum(v * v for party, own in parts.items() for v in own[: penalised[party]])
        own = parts[self.party][self.column]
        parts[self.party][self.column] = own + planted
        for party, each in parts.items():
            made = PlainVec.from_ints(each)
            session.channels[party].send(WeightShare(key.encrypt(made, session.seed("s", made.to_bytes()))))
        rows = (1, stopping.MOST_ROWS) if validation else plan.rows
        held, _ = link.serve_measure(session, rows, key, each=isinstance(link, Weighted))
        held = held + PlainVec.from_ints([round(added * N * 2**WEIGHT)])
        if not validation:
            held = held.concat(PlainVec.from_ints([squared + 2 * planted * own]))  # so that it adds 2 w times `planted`
        session.guest.send(stopping.LossShare(key.encrypt(held, session.seed("l", held.to_bytes()))))
        self.unit = 2.0 ** stopping.mean_bits(plan, link)
        if progress.best:
            values = session.guest.recv(stopping.LossSigns).values
            self.learn(key.open(values, key.public.plain_bits).to_ints()[1])
        self.own, self.evaluations = own, self.evaluations + 1
        told = stopping.Verdict(verdicts.GO_ON)
        broadcast([session.channels[p] for p in session.roles.data_parties], told)
        progress.follow(verdicts.GO_ON, step)

    def follows(self, role: Callable[..., None]) -> Callable[..., None]:
        """What the party's weight is, for the test."""

        def watched(session: Session, look: Any, progress: Any, *rest: Any) -> None:
            mine = progress.shares[session.me].point.to_ints()[self.column]
            role(session, look, progress, *rest)
            self.weights.append((mine + self.own) / 2**WEIGHT)

        return watched

    @property
    def read(self) -> Fraction:
        """Of the last difference, as if it were opened: the loss before less the planted one."""
        return Fraction(-self.opened[-1]) / int(self.unit) * 2**WEIGHT / PERIOD


class Comparing(Thief):
    """It has each evaluation compare the number with the middle of the interval in which it lies, once the loss hardly
    moves: it plants the period with both signs in turn, and adds the threshold to its own part of the losses."""

    LEAST, FROM = 1.0, 6  # the interval that it begins with, and the evaluation

    def __init__(self, party: str, column: int) -> None:
        super().__init__(party, column)
        self.low, self.high, self.added = -self.LEAST, self.LEAST, 0.0
        self.questions = 0

    @property
    def sign(self) -> int:
        return 1 if self.evaluations % 2 else -1

    def planted(self) -> tuple[int, float]:
        middle = (self.low + self.high) / 2
        if self.evaluations >= self.FROM:  # so that the difference is 2 (moment - middle) periods, times the sign
            self.added += self.sign * 2 * middle * PERIOD / 2**WEIGHT
        return self.sign * PERIOD, self.added

    def learn(self, difference: int) -> None:
        super().learn(difference)
        if self.evaluations >= self.FROM:
            middle = (self.low + self.high) / 2
            below = (difference >= 0) == (self.sign < 0)
            self.low, self.high = (self.low, middle) if below else (middle, self.high)
            self.questions += 1


def stolen(monkeypatch: pytest.MonkeyPatch, thief: Thief, *, validation: bool) -> float:
    """Lets the thief take part in a training of 60 iterations; the mean of the column's values times the labels."""
    rng = np.random.default_rng(1)
    tables = {"guest": rng.normal(size=(N, 2)).round(3), "h0": rng.normal(size=(N, 2)).round(3)}
    y = (sum(x.sum(axis=1) for x in tables.values()) + rng.logistic(size=N) > 0).astype(float)
    more = {name: rng.normal(size=(N, 2)).round(3) for name in tables}
    labels = (rng.random(N) < 0.3).astype(float)
    penalty = Penalty(C)
    terms = glm.Terms(LOGISTIC_LINKS["exact"], penalty, 60, stopping=stopping.Stopping(1e-9, EVERY, validation))
    held = {name: (x if validation else None) for name, x in more.items()}
    at_guest = glm.HeldOut(more["guest"], labels[None], None) if validation else None
    programs: dict[str, Callable[[Session], Any]] = {
        "guest": lambda s: glm.guest(s, tables["guest"], y[None], terms, bytes(16), None, at_guest),
        "h0": lambda s: glm.host(s, tables["h0"], terms, held["h0"]),
        "arbiter": lambda s: glm.arbiter(s, s.scheme.generate("arbiter", s.seed("key")), terms),
    }
    party, column = thief.party, thief.column
    with monkeypatch.context() as patch:
        patch.setattr(stopping, "arbiter", thief.arbiter)
        role = "guest" if party == "guest" else "host"
        patch.setattr(stopping, role, thief.follows(getattr(stopping, role)))
        run_local(ROLES, programs, Identity())
    x, of = (more, labels) if validation else (tables, y)
    return float((np.rint(x[party][:, column] * 2**FEATURE) / 2**FEATURE) @ of / N)


def plain(session: Session, total: CipherVec, bits: int, what: str) -> CipherVec:
    """The planted fault: the difference itself is opened."""
    return total


@pytest.mark.parametrize(("party", "column"), [("guest", 0), ("h0", 1)])
@pytest.mark.parametrize("validation", [True, False])
def test_it_reads_nothing_from_the_numbers_that_it_opens(
    monkeypatch: pytest.MonkeyPatch, party: str, column: int, validation: bool
) -> None:
    thief = Thief(party, column)
    moment = stolen(monkeypatch, thief, validation=validation)
    assert abs(thief.read) > 2**100 > abs(moment)
    sizes = [abs(found).bit_length() for found in thief.opened]
    assert len(sizes) == 11
    assert np.ptp(sizes) > 100  # the size is that of the factor


@pytest.mark.parametrize(("party", "column"), [("guest", 0), ("h0", 1)])
@pytest.mark.parametrize("validation", [True, False])
def test_control_without_factors_it_reads_the_mean_of_a_column_times_the_label(
    monkeypatch: pytest.MonkeyPatch, party: str, column: int, validation: bool
) -> None:
    """With `tol` less the penalty's part."""
    monkeypatch.setattr(stopping, "blinded", plain)
    thief = Thief(party, column)
    moment = stolen(monkeypatch, thief, validation=validation)
    part = 0.0 if validation else C / N * thief.weights[-1]
    assert abs(float(thief.read) + moment - part) < 1e-7 < abs(moment)
    assert validation or abs(part) > 1e-7


@pytest.mark.parametrize(("party", "column"), [("guest", 0), ("h0", 1)])
def test_each_evaluation_answers_one_question(monkeypatch: pytest.MonkeyPatch, party: str, column: int) -> None:
    """What docs/threat-model.md declares: after n evaluations it knows an interval of 2^-n of what it began with."""
    thief = Comparing(party, column)
    moment = stolen(monkeypatch, thief, validation=True)
    assert thief.questions == 6
    assert thief.high - thief.low == 2 * thief.LEAST / 2**thief.questions
    assert thief.low <= moment < thief.high
    assert abs(moment) > 1e-3  # the control: it is not the middle, where the search begins
