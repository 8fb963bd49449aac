"""The signs of one evaluation are opened a few times at most, however often a party stops right after it: each opening
answers another question of an arbiter or a guest that deviates."""

from __future__ import annotations

from functools import partial
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from protocols import glm
from protocols.cipher import Identity
from protocols.errors import LocalProtocolError
from protocols.glm import settling, stopping
from protocols.glm.links import LOGISTIC_LINKS
from protocols.glm.plan import Penalty
from protocols.glm.signs import OPENINGS
from protocols.message import Message
from protocols.session import Roles, Session
from tests.promises.recovery.interrupted import Interrupted, Killed
from tests.promises.recovery.resumed import trees

KINDS = pytest.mark.parametrize(
    ("module", "kind"), [(settling, settling.SettlingSign), (stopping, stopping.LossSigns)], ids=["weights", "loss"]
)
PREPARED = pytest.mark.parametrize("prepared", [False, True], ids=["direct", "prepared"])


def regression(module: ModuleType, prepared: bool) -> Interrupted:
    """Ten iterations, at whose end a verdict on the weights is due, or the second on the loss."""
    rng, settles = np.random.default_rng(5), module is settling
    stops = None if settles else glm.Stopping(1e-9, 5)
    terms = glm.Terms(LOGISTIC_LINKS["taylor"], Penalty(1.0), 10, prepared=prepared, settles=settles, stopping=stops)
    x, y = rng.normal(size=(2, 20, 2)).clip(-3, 3), rng.integers(0, 2, size=(1, 20)).astype(float)

    def guest(session: Session) -> Any:
        return glm.guest(session, x[0], y, terms, bytes(16)).passes

    def host(session: Session) -> Any:
        return glm.host(session, x[1], terms).passes

    def arbiter(session: Session) -> Any:
        glm.arbiter(session, session.scheme.generate(session.me, session.seed("key")), terms)

    return Interrupted(
        Roles("guest", ("host1",), "arbiter"), {"guest": guest, "host1": host, "arbiter": arbiter}, Identity()
    )


def opened(run: Interrupted, kind: type[Message]) -> int:
    return sum(sent is kind for _, sent, _ in run.sent)


class Drops:
    """An arbiter that stops after it has opened signs, before it says anything, so many times."""

    def __init__(self, run: Interrupted, kind: type[Message], times: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.run, self.kind, self.times, self.dropped = run, kind, times, 0
        self.broadcast = settling.broadcast
        for module in (settling, stopping):
            monkeypatch.setattr(module, "broadcast", self)

    def __call__(self, channels: Any, message: Message) -> None:
        if self.dropped < min(self.times, opened(self.run, self.kind)):
            self.dropped += 1
            raise Killed
        self.broadcast(channels, message)


@PREPARED
@KINDS
def test_an_arbiter_that_drops_its_connection_is_not_answered_for_ever(
    monkeypatch: pytest.MonkeyPatch, module: ModuleType, kind: type[Message], prepared: bool
) -> None:
    run = regression(module, prepared)
    Drops(run, kind, 100, monkeypatch)
    for _ in range(OPENINGS):
        assert run.attempt() is None
    for _ in range(2):
        with pytest.raises(LocalProtocolError, match="opened 4 times and training did not get past it") as refused:
            run.attempt()
        assert "--fresh" in refused.value.remedy
    assert opened(run, kind) == OPENINGS


@PREPARED
@KINDS
def test_control_a_guest_that_stores_nothing_answers_for_ever(
    monkeypatch: pytest.MonkeyPatch, module: ModuleType, kind: type[Message], prepared: bool
) -> None:
    run = regression(module, prepared)
    Drops(run, kind, 100, monkeypatch)
    for _ in range(OPENINGS + 2):
        assert run.attempt() is None
        for party in ("guest", "arbiter"):
            run.keepers[party].spent.clear()
    assert opened(run, kind) == OPENINGS + 2


@pytest.mark.parametrize("stores", [True, False], ids=["arbiter", "control"])
@KINDS
def test_a_guest_that_drops_its_connection_is_not_answered_for_ever(
    monkeypatch: pytest.MonkeyPatch, module: ModuleType, kind: type[Message], stores: bool
) -> None:
    """It asks, hears the verdict, and says that it has not; of the arbiter's count there is a control."""
    run, told = regression(module, prepared=True), module.receive_verdict

    def heard(session: Session, *rest: Any) -> Any:
        found = told(session, *rest)
        if session.me == "guest" and opened(run, kind):
            raise Killed
        return found

    monkeypatch.setattr(module, "receive_verdict", heard)
    for _ in range(OPENINGS):
        assert run.attempt() is None
        run.keepers["guest"].spent.clear()
        if not stores:
            run.keepers["arbiter"].spent.clear()
    if stores:
        with pytest.raises(LocalProtocolError, match="opened 4 times and training did not get past it"):
            run.attempt()
    else:
        assert run.attempt() is None


def test_each_model_of_a_run_opens_signs_of_its_own() -> None:
    """As the folds of a search over sealed trees with early stopping: more of them than one evaluation may open."""
    stops = {"early_stopping_rounds": 1, "n_estimators": 2, "max_depth": 1, "gradient_bits": 16}
    roles, programs, scheme = trees("sealed", **stops)

    def several(one: Any, session: Session) -> int:
        return len([one(session) for _ in range(OPENINGS + 1)])

    run = Interrupted(roles, {party: partial(several, one) for party, one in programs.items()}, scheme)
    assert run.attempt() == dict.fromkeys(programs, OPENINGS + 1)


@KINDS
def test_a_few_repetitions_are_answered(
    monkeypatch: pytest.MonkeyPatch, module: ModuleType, kind: type[Message]
) -> None:
    run = regression(module, prepared=True)
    Drops(run, kind, OPENINGS - 1, monkeypatch)
    for _ in range(OPENINGS - 1):
        assert run.attempt() is None
    found = run.attempt()
    assert found is not None
    assert found["guest"] == found["host1"] == (10,)
    assert opened(run, kind) == OPENINGS
