"""A network whose training may end early, and a party that stops right after a verdict: all go back to the beginning of
its chunk, and end after the same epoch with the same weights; the signs of an epoch are opened a few times at most."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from protocols import network
from protocols.errors import LocalProtocolError
from protocols.glm.signs import OPENINGS
from protocols.network import stopping
from protocols.network.descent import Descent
from protocols.session import Roles, Session
from tests.promises.recovery.interrupted import Interrupted, Killed
from tests.promises.recovery.test_network_chunks import twice
from tests.unit.protocols.glm.test_glm import problem
from tests.unit.protocols.network.networks import opened
from tests.unit.protocols.network.test_stopping import KEY, ROWS, STOPS, TRAINED
from tests.unit.protocols.network.test_training import TABLE


def training() -> Interrupted:
    blocks, y = problem(n=ROWS)
    train, held = [b[:TRAINED] for b in blocks], [b[TRAINED:] for b in blocks]
    known = network.HeldOut(held[0], y[TRAINED:])

    def arbiter(session: Session) -> Any:
        return network.arbiter(session, KEY.generate("arbiter", session.seed("key")), STOPS)

    programs = {
        "guest": lambda session: network.guest(session, train[0], y[:TRAINED], STOPS, bytes(16), held_out=known),
        "host1": lambda session: network.host(session, train[1], STOPS, held[1]),
        "arbiter": arbiter,
    }
    return Interrupted(Roles("guest", ("host1",), "arbiter"), programs, KEY)


class Dies:
    """A party that stops so many times right after the verdict of an epoch, before it stores anything."""

    def __init__(self, patch: pytest.MonkeyPatch, victim: str, epoch: int, times: int = 1) -> None:
        self.victim, self.epoch, self.times = victim, epoch, times
        for role in ("guest", "host", "arbiter"):
            patch.setattr(stopping, role, self.after(getattr(stopping, role)))

    def after(self, role: Callable[..., None]) -> Callable[..., None]:
        def verdict(session: Session, *rest: Any) -> None:
            role(session, *rest)
            (watch,) = (one.watch for one in rest if isinstance(one, Descent))
            assert watch is not None
            if session.me == self.victim and watch.made == self.epoch and self.times:
                self.times -= 1
                raise Killed

        return verdict


def signs(run: Interrupted) -> int:
    return sum(kind is stopping.EpochSign for _, kind, _ in run.sent)


def ended(found: dict[str, Any] | None) -> tuple[int, str, int]:
    assert found is not None
    assert found["guest"].best == found["host1"].best
    return found["guest"].epochs, found["guest"].end, found["guest"].best


@pytest.mark.parametrize(
    ("victim", "epoch"),
    [
        ("host1", 3),
        *(pytest.param(*one, marks=pytest.mark.slow) for one in (("guest", 1), ("arbiter", 4), ("host1", 8))),
    ],
)
def test_a_party_that_stops_after_a_verdict(monkeypatch: pytest.MonkeyPatch, victim: str, epoch: int) -> None:
    """Also after the last verdict, when others may have stored that training is over."""
    whole = training()
    expected = whole.attempt()
    assert ended(expected) == (8, "loss", 5)
    assert expected is not None
    run = training()
    Dies(monkeypatch, victim, epoch)
    assert run.attempt() is None
    found = run.attempt()
    assert ended(found) == ended(expected)
    assert found is not None
    steps = 5 * 2  # of two batches
    assert np.abs(opened(found, STOPS) - opened(expected, STOPS)).max() < 2 * TABLE * steps * STOPS.rate
    assert twice(run) == []
    assert signs(whole) == 7 <= signs(run) <= 14


def test_an_arbiter_that_drops_its_connection_is_not_answered_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    run = training()
    Dies(monkeypatch, "arbiter", 2, times=100)
    for _ in range(OPENINGS):
        assert run.attempt() is None
    with pytest.raises(LocalProtocolError, match="opened 4 times and training did not get past it"):
        run.attempt()
    assert signs(run) == OPENINGS


@pytest.mark.slow
@pytest.mark.parametrize("forgets", [("guest",), ("arbiter",), ("guest", "arbiter")])
def test_either_of_the_two_that_stores_nothing_is_stopped_by_the_other(
    monkeypatch: pytest.MonkeyPatch, forgets: tuple[str, ...]
) -> None:
    """The control: where both store nothing, there is no end."""
    run = training()
    Dies(monkeypatch, "arbiter", 2, times=100)
    for _ in range(OPENINGS):
        assert run.attempt() is None
        for party in forgets:
            run.keepers[party].spent.clear()
    if len(forgets) == 2:
        assert run.attempt() is None
        return
    with pytest.raises(LocalProtocolError, match="opened 4 times"):
        run.attempt()
