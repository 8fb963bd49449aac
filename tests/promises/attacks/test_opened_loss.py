"""An arbiter that deviates in an evaluation of the loss (`tol`, `early_stopping`).

It adds a multiple of the look-up table's period to its share of one weight.  The look-up on shares does not notice, but
what is linear in the predictors and in the weights does: from the mean that it opens it reads, for a column of its
choice of any party, the mean of the column where the label is 1, times the share of these rows; with `tol` less the
penalty's part, which is of the weight.  Leaving the penalty out cures nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from protocols import glm
from protocols._native import PlainVec
from protocols.channel import broadcast
from protocols.cipher import Identity
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
    """The arbiter's side of an evaluation; weight `column` of `party`.  It opens two means, an honest one and one of a
    wrong share, at weights that hardly differ, and always says "go on"."""

    def __init__(self, party: str, column: int) -> None:
        self.party, self.column = party, column
        self.opened, self.weights = list[float](), list[float]()

    def arbiter(
        self, session: Session, key: Any, plan: Any, link: Any, progress: Any, step: Any, penalised: Any
    ) -> None:
        planted, validation = (PERIOD if len(self.opened) % 2 else 0), progress.stopping.validation
        parts = {party: share.point.to_ints() for party, share in progress.shares.items()}
        squared = sum(v * v for party, own in parts.items() for v in own[: penalised[party]])
        own = parts[self.party][self.column]
        parts[self.party][self.column] = own + planted
        for party, each in parts.items():
            made = PlainVec.from_ints(each)
            session.channels[party].send(WeightShare(key.encrypt(made, session.seed("s", made.to_bytes()))))
        rows = (1, stopping.MOST_ROWS) if validation else plan.rows
        held, _ = link.serve_measure(session, rows, key, each=isinstance(link, Weighted))
        if not validation:
            held = held.concat(PlainVec.from_ints([squared + 2 * planted * own]))  # so that it adds 2 w times `planted`
        session.guest.send(stopping.LossShare(key.encrypt(held, session.seed("l", held.to_bytes()))))
        bits = stopping.mean_bits(plan, link)
        (loss,) = key.open(session.guest.recv(stopping.MeanLoss).mean, key.public.plain_bits).to_ints()
        self.opened.append(loss / 2**bits)
        self.own = own
        broadcast([session.channels[p] for p in session.roles.data_parties], stopping.Verdict(stopping.GO_ON))
        progress.follow(stopping.GO_ON, step)

    def follows(self, role: Callable[..., None]) -> Callable[..., None]:
        """What the party's weight is, for the test."""

        def watched(session: Session, look: Any, progress: Any, *rest: Any) -> None:
            mine = progress.shares[session.me].point.to_ints()[self.column]
            role(session, look, progress, *rest)
            self.weights.append((mine + self.own) / 2**WEIGHT)

        return watched

    @property
    def read(self) -> float:
        """Of the last two means."""
        return (self.opened[-1] - self.opened[-2]) * 2**WEIGHT / PERIOD


def stolen(monkeypatch: pytest.MonkeyPatch, party: str, column: int, *, validation: bool) -> tuple[Thief, float]:
    """The thief after a training of 60 iterations, and the mean of the column's values times the labels."""
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
    thief = Thief(party, column)
    with monkeypatch.context() as patch:
        patch.setattr(stopping, "arbiter", thief.arbiter)
        role = "guest" if party == "guest" else "host"
        patch.setattr(stopping, role, thief.follows(getattr(stopping, role)))
        run_local(ROLES, programs, Identity())
    x, of = (more, labels) if validation else (tables, y)
    return thief, float((np.rint(x[party][:, column] * 2**FEATURE) / 2**FEATURE) @ of / N)


@pytest.mark.parametrize(("party", "column"), [("guest", 0), ("h0", 1)])
def test_with_early_stopping_it_reads_the_mean_of_a_column_times_the_label(
    monkeypatch: pytest.MonkeyPatch, party: str, column: int
) -> None:
    thief, moment = stolen(monkeypatch, party, column, validation=True)
    assert abs(thief.read + moment) < 1e-7 < abs(moment)


@pytest.mark.parametrize(("party", "column"), [("guest", 0), ("h0", 1)])
def test_with_tol_it_reads_that_less_the_penaltys_part(
    monkeypatch: pytest.MonkeyPatch, party: str, column: int
) -> None:
    thief, moment = stolen(monkeypatch, party, column, validation=False)
    part = C / N * thief.weights[-1]
    assert abs(thief.read + moment - part) < 1e-7 < abs(part)
