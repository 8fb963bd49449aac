"""An interrupted alignment resumes on another number of workers, or on none, with the same bytes."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any

import pytest

from protocols.alignment import lists, pieces
from protocols.session import Session
from protocols.workers.cluster import Cluster
from protocols.workers.run import Caller, Inline
from protocols.workers.seal import Seal
from tests.promises.recovery.interrupted import Interrupted
from tests.promises.recovery.resumed import Programs, long_lists

ATTEMPTS = ({"guest": 3, "host": 1}, {"guest": 2}, {"host": 5}, {})  # workers of each attempt


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lists, "CHUNK", 2)
    monkeypatch.setattr(lists, "BLOCK", 3)
    monkeypatch.setattr(pieces, "LEAST_PIECE", 1)


def on_workers(programs: Programs, counts: dict[str, int]) -> Programs:
    def own(me: str, session: Session) -> Any:
        if me in counts:
            seal = Seal(me.encode().ljust(32), b"one run")
            session.cluster = Cluster(Caller(Inline(counts[me], seal), seal))
        return programs[me](session)

    return {me: partial(own, me) for me in programs}


def test_the_same_rows_and_messages_whatever_resumes() -> None:
    """`Interrupted` holds each message against what was sent under its number in an earlier attempt."""
    roles, programs, scheme = long_lists((33, 29), keys=2)
    whole = Interrupted(roles, programs, scheme)
    expected = whole.attempt()
    assert expected is not None
    last = whole.killers["guest"].seen
    for at in range(5, last, 9):
        run = Interrupted(roles, programs, scheme)
        for counts, end in zip(ATTEMPTS, (at, at + 3, at + 6, None), strict=True):
            run = dataclasses.replace(run, programs=on_workers(programs, counts))
            found = run.attempt("guest", end)
            if found is not None:
                break
        assert found == expected
