"""The signs of one evaluation are opened a few times at most, however often a party stops right after it: each opening
answers another question of an arbiter that deviates."""

from __future__ import annotations

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
        run.keepers["guest"].spent.clear()
    assert opened(run, kind) == OPENINGS + 2


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
