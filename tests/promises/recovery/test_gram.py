"""A party stopped in a training on shares of Gram matrices: all go on from the last checkpoint, send the same bytes
again, and end with the same shares; a run that only prepares finds nothing to prepare."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from protocols import glm
from protocols.errors import RemoteProtocolError
from protocols.glm.links import LOGISTIC_LINKS
from protocols.glm.plan import Penalty
from protocols.recovery.checkpoint import ANYWHERE, Position
from protocols.recovery.pad_store import Paused
from protocols.session import Roles, Session
from tests.harness import TOY, gram_shares
from tests.promises.recovery.interrupted import Interrupted

ROWS = 20
BLOCKS, FIRST = 0, 1  # the stages: shares of blocks, iterations of the first model


@pytest.fixture(autouse=True)
def shares(monkeypatch: pytest.MonkeyPatch) -> None:
    gram_shares(monkeypatch)


def regression(passes: int = 12, models: int = 1, *, settles: bool = False) -> Interrupted:
    rng = np.random.default_rng(5)
    terms = glm.Terms(LOGISTIC_LINKS["taylor"], Penalty(1.0), passes, prepared=True, gram=True, settles=settles)
    x, y = rng.normal(size=(2, ROWS, 2)).clip(-3, 3), rng.integers(0, 2, size=(models, ROWS)).astype(float)

    def guest(session: Session) -> bytes:
        return glm.guest(session, x[0], y, terms, bytes(16)).shares.latest.tobytes()

    def host(session: Session) -> bytes:
        return glm.host(session, x[1], terms).shares.latest.tobytes()

    def arbiter(session: Session) -> bytes:
        key = session.scheme.generate(session.me, session.seed("key"))
        return b"".join(one.latest.tobytes() for one in glm.arbiter(session, key, terms).shares.values())

    return Interrupted(Roles("guest", ("host",), "arbiter"), {"guest": guest, "host": host, "arbiter": arbiter}, TOY)


@pytest.mark.parametrize(
    ("settles", "every"),
    [(False, 61), (True, 83), *(pytest.param(settles, 1, marks=pytest.mark.slow) for settles in (False, True))],
)
@pytest.mark.timeout(900)
def test_a_party_stopped_at_a_message_changes_nothing(settles: bool, every: int) -> None:
    """At every message in turn: the same bytes, bit for bit, in both protocols of ending."""
    make = partial(regression, models=2, settles=settles)
    whole = make()
    expected, starts = whole.attempt(), set[Position]()
    assert expected is not None
    for turn, (party, killer) in enumerate(whole.killers.items()):
        for at in range(1 + turn, killer.seen + 1, every):
            run = make()
            assert run.attempt(party, at) is None
            assert run.attempt() == expected, (party, at)
            starts.add(run.goals[-1])
    stages = {goal.stage for goal in starts}
    assert stages >= {BLOCKS, FIRST, FIRST + 1} if every == 1 else stages & {FIRST, FIRST + 1}
    assert every > 1 or Position(FIRST, 1) in starts


def test_the_arbiter_can_resume_from_wherever_the_others_are() -> None:
    run = regression()
    assert run.attempt() is not None
    assert Position(BLOCKS, ANYWHERE) in run.keepers["arbiter"].checkpoints


def test_stale_shares_are_found_after_a_resume() -> None:
    """The host's checkpoint of the shares is one of another run, as where a folder was put back from a copy; even where
    no ledger tells that the host's messages differ."""
    other = regression()
    other.seeds = {"host": b"another run".ljust(32)}
    assert other.attempt() is not None
    run = regression()
    whole = regression()
    assert whole.attempt() is not None
    assert run.attempt("guest", whole.killers["guest"].seen - 12) is None
    last = Position(BLOCKS, 1)
    mark, _ = run.keepers["host"].checkpoints[last]
    run.keepers["host"].checkpoints[last] = mark, other.keepers["host"].checkpoints[last][1]
    run.hashes.clear()
    with pytest.raises(RemoteProtocolError, match="do not belong together"):
        run.attempt()


def test_a_run_that_only_prepares_finds_nothing_to_prepare() -> None:
    """And the run that trains later ends with the model of one that never prepared."""
    whole, run = regression(), regression()
    run.ahead = 0
    paused = run.attempt()
    assert paused is not None
    assert all(isinstance(one, Paused) and (one.iterations, one.trains) == (0, False) for one in paused.values())
    run.ahead = None
    found = run.attempt()
    assert found is not None
    assert sorted(found) == sorted(whole.attempt() or {})
