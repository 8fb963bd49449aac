"""The guest's desk: what is refused, what is charged, and what answers while partners are silent."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest

from protocols.boosting.ensemble import Ensemble
from protocols.online.asking import Asked
from protocols.online.lists import Form
from tests.parts import guests
from tests.promises.predictions.kinds import fitted, tables
from vfl.job.node import Online
from vfl.job.policy import Policy
from vfl.models.fallback import Fallback
from vfl.models.registry import KINDS
from vfl.node.online.asked import Answered, Ask, Score
from vfl.node.online.customer import Refusal
from vfl.node.online.desk import Bucket, Desk
from vfl.preprocessing import Standardiser
from vfl.run.budget.queries import Queries, utc_now

EPOCH: Any = SimpleNamespace(name=b"e" * 16, left=1000, form=Form(1, 0))
ASK = Ask(id="anna", features={"a": 0.5, "b": 1.0})


class Readers:
    """In the place of `Customers`, which its own test reads with."""

    def name(self, ask: Ask) -> bytes | None:
        return str(ask.id).encode()

    def row(self, features: Any) -> pd.DataFrame:
        return pd.DataFrame({name: [value] for name, value in features.items()})


@pytest.fixture
def queries(tmp_path: Path) -> Iterator[Queries]:
    made = Queries(tmp_path)
    yield made
    made.close()


def desk(queries: Queries, *, fallback: bool = True, policy: Policy = Policy(), **online: Any) -> Desk:  # noqa: B008
    standardiser = Standardiser(("a", "b"), np.zeros(2), np.ones(2), 8.0)
    part = guests(standardiser, [1.0, -1.0], 0.25)
    kind: Any = KINDS["logistic-regression"]
    own = Fallback.of(part.model_id, np.array([[2.0, 0.0, 0.0]])) if fallback else None
    return Desk(part, kind, Readers(), own, queries, ["telecom"], policy, Online(**online))  # type: ignore[arg-type]


def logistic(z: float) -> float:
    return float(0.5 * (1 + np.tanh(z / 2)))


def asked_in_the_background(desk: Desk) -> tuple[threading.Thread, list[Score | Refusal]]:
    found = list[Score | Refusal]()

    def ask() -> None:
        try:
            found.append(desk.ask(ASK))
        except Refusal as refusal:
            found.append(refusal)

    thread = threading.Thread(target=ask)
    thread.start()
    return thread, found


@pytest.mark.parametrize(("known", "why"), [(True, None), (False, "unknown")])
def test_an_answer_of_the_partners(queries: Queries, known: bool, why: str | None) -> None:
    at = desk(queries)
    at.opens(EPOCH)
    thread, found = asked_in_the_background(at)
    (query,) = at.take(5)
    assert query.name == b"anna"
    assert query.x.shape == (1, 3)
    at.answered([query], Asked(np.array([[0.75]]), np.array([known]), 999))
    thread.join()
    (score,) = found
    assert isinstance(score, Score)
    assert score.score == logistic(0.75 if known else 1.0)
    assert (score.partial, score.why) == (not known, why)
    assert score.epoch == (b"e" * 16).hex() if known else score.epoch is None
    assert queries.today("telecom", utc_now()) == 1


@pytest.mark.parametrize("known", [True, False])
def test_sealed_trees_answer_by_partners_or_by_the_guests_own_trees(queries: Queries, known: bool) -> None:
    model, (table, _) = fitted("sealed trees"), tables("binary", True)
    part, kind = model.parts["guest"], model._kind
    row = model._learned.reader.read(table, kind, part, {}).table.features.iloc[[3]]

    class OneRow(Readers):
        def row(self, features: Any) -> pd.DataFrame:
            return row

    own = Ensemble(part.trees.params, part.model_id, np.array([0.5]), ())
    at = Desk(part, kind, OneRow(), own, queries, ["telecom"], Policy(), Online())  # type: ignore[arg-type]
    at.opens(EPOCH)
    thread, found = asked_in_the_background(at)
    (query,) = at.take(5)
    assert np.array_equal(query.x, part.binned(row).bins)
    at.answered([query], Asked(np.array([[0.75]]), np.array([known]), 999))
    thread.join()
    (score,) = found
    assert isinstance(score, Score)
    assert score.score == pytest.approx(logistic(0.75 if known else 0.5))
    assert score.partial is not known


def test_an_answer_waits_until_its_charge_is_on_the_disk(queries: Queries, monkeypatch: pytest.MonkeyPatch) -> None:
    """But not a partial one: it says nothing of partners."""
    go = threading.Event()
    monkeypatch.setattr(queries, "settle", lambda: go.wait(10))
    at = desk(queries)
    at.opens(EPOCH)
    thread, found = asked_in_the_background(at)
    at.answered(at.take(5), Asked(np.array([[0.75]]), np.array([True]), 999))
    thread.join(0.05)
    assert found == []
    go.set()
    thread.join(5)
    assert [one.partial for one in found if isinstance(one, Score)] == [False]


def test_a_silent_partner_gets_no_time_beyond_the_deadline(queries: Queries) -> None:
    at = desk(queries, seconds=0.05)
    at.opens(EPOCH)
    began = time.monotonic()
    score = at.ask(ASK)
    assert time.monotonic() - began < 1
    assert (score.score, score.why, score.partial) == (logistic(1.0), "silent", True)
    assert at.take(0) == [], "nobody waits for it any more: it is not asked late"


def test_while_nothing_is_published_nothing_is_charged(queries: Queries) -> None:
    assert desk(queries).ask(ASK).why == "closed"
    assert queries.today("telecom", utc_now()) == 0
    with pytest.raises(Refusal, match="kept no fallback"):
        desk(queries, fallback=False).ask(ASK)


def test_a_session_that_breaks_releases_who_waits(queries: Queries) -> None:
    at = desk(queries, seconds=30)
    at.opens(EPOCH)
    thread, found = asked_in_the_background(at)
    assert at.take(5)
    at.closes()
    thread.join(5)
    assert [one.why for one in found if isinstance(one, Score)] == ["silent"]


@pytest.mark.parametrize(
    ("policy", "detail"),
    [
        (Policy(queries_per_partner_per_day=2), "policy.queries_per_partner_per_day of this party"),
        (Policy(queries_per_id_per_month=2), "policy.queries_per_id_per_month of this party"),
    ],
)
def test_over_a_budget_nothing_leaves(queries: Queries, policy: Policy, detail: str) -> None:
    at = desk(queries, policy=policy, seconds=0.01)
    at.opens(EPOCH)
    for _ in range(2):
        assert at.ask(ASK).why == "silent"
    with pytest.raises(Refusal, match=detail) as refused:
        at.ask(ASK)
    assert refused.value.answer.status == 429
    assert (refused.value.answer.seconds or 0) > 0
    assert at.take(0) == []
    assert queries.today("telecom", utc_now()) == 2


def test_what_the_host_has_left_is_not_exceeded(queries: Queries) -> None:
    """Query k + 1 over the host's budget is refused here, before the host hears of it."""
    at = desk(queries, seconds=0.01)
    at.opens(SimpleNamespace(name=b"e" * 16, left=2))  # type: ignore[arg-type]
    for _ in range(2):
        assert at.ask(ASK).why == "silent"
    with pytest.raises(Refusal, match="a partner's policy"):
        at.ask(ASK)
    assert queries.today("telecom", utc_now()) == 2


def test_the_rate_is_limited(queries: Queries) -> None:
    at = desk(queries, per_second=0.5, burst=2)
    assert [at.ask(ASK).why for _ in range(2)] == ["closed", "closed"]
    answer = msgspec.json.decode(at.line(msgspec.json.encode(ASK)), type=Answered)
    assert answer.refused is not None
    assert (answer.refused.status, answer.refused.seconds) == (429, 2)
    clock = [0.0]
    bucket = Bucket(2.0, 3, lambda: clock[0])
    assert [bucket.take() for _ in range(4)] == [0, 0, 0, 0.5]
    clock[0] = 0.5
    assert [bucket.take(), bucket.take()] == [0, 0.5]


def test_a_line_that_is_no_query_is_refused(queries: Queries) -> None:
    for line in (b"", b"{}", b'{"id": null, "features": {}}', b"\xff", b'{"id": "a", "features": {}, "more": 1}'):
        answer = msgspec.json.decode(desk(queries).line(line), type=Answered)
        assert answer.refused is not None
        assert answer.refused.status == 422
