"""A party that deviates, breaks off when it has what a training reveals to it, and comes back without a checkpoint and
with other numbers: most budgets count a run once, so a second answer would be free.

Honest parties have ledgers on disks, as between institutions.  The control is a build whose ledger forgets a training
on shares of Gram matrices each time that one begins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from protocols import glm
from protocols.cipher import Identity
from protocols.errors import LocalProtocolError, RemoteProtocolError
from protocols.glm import gram, scoring
from protocols.glm.links import LOGISTIC_LINKS
from protocols.glm.plan import Penalty
from protocols.recovery.pad_store import Paused
from protocols.session import Roles, Session
from tests.harness import gram_shares
from tests.promises.attacks.ledgers import Ledgers
from tests.promises.recovery import interrupted
from tests.promises.recovery.interrupted import Interrupted, Killed, MemoryKeeper
from tests.promises.recovery.resumed import scored

ROWS, PASSES, ATTEMPTS = 24, 6, 3
ROLES = Roles("guest", ("host",), "arbiter")
OTHER = "sent another message . than before the interruption"
PROTOCOLS = {"direct": (False, False), "prepared": (True, False), "gram": (True, True)}


class Attack:
    """The liar has other numbers in each attempt, and breaks off when it has been told something; `told` is that."""

    def __init__(self, folder: Path, protocol: str, liar: str, patch: pytest.MonkeyPatch) -> None:
        gram_shares(patch)
        self.rng, self.liar, self.told = np.random.default_rng(5), liar, list[Any]()
        self.x = self.rng.normal(size=(2, ROWS, 2)).clip(-3, 3)
        prepared, self.gram = PROTOCOLS[protocol]
        reveal = ("hosts",) if liar == "host" else ()
        link = LOGISTIC_LINKS["taylor"]
        self.terms = glm.Terms(link, Penalty(1.0), PASSES, prepared=prepared, gram=self.gram, reveal=reveal)
        self.y = self.drawn()
        self._ledgers = Ledgers(folder, liar)
        patch.setattr(interrupted, "Numbered", self._ledgers.tap)
        programs = {"guest": self.guest, "host": self.host, "arbiter": self.arbiter}
        self.run = Interrupted(ROLES, programs, Identity())

    def drawn(self) -> Any:
        return self.rng.integers(0, 2, size=(1, ROWS)).astype(float)

    def guest(self, session: Session) -> Any:
        trained = glm.guest(session, self.x[0], self.y, self.terms, bytes(16))
        if self.liar == "guest":
            self.told.append(np.frombuffer(scored(session, self.x[0], trained)[-8 * ROWS :]))
            raise Killed
        return scored(session, self.x[0], trained)

    def host(self, session: Session) -> Any:
        trained = glm.host(session, self.x[1], self.terms)
        if self.liar == "host":
            self.told.append(trained.weights)
            raise Killed
        return scored(session, self.x[1], trained)

    def arbiter(self, session: Session) -> Any:
        key = session.scheme.generate(session.me, session.seed("key"))
        kept = glm.arbiter(session, key, self.terms)
        return scoring.arbiter(session, key, kept.model_id, kept.shares)

    def attempt(self) -> None:
        try:
            assert self.run.attempt() is None
        finally:
            self._ledgers.close()

    def comes_back(self) -> None:
        """Without a checkpoint; the guest with other labels, the host with other columns."""
        self.run.keepers[self.liar] = MemoryKeeper()
        if self.liar == "guest":
            self.y = self.drawn()
        else:
            self.x[1] = self.rng.normal(size=(ROWS, 2)).clip(-3, 3)


@contextmanager
def planted(begin: Callable[[Session, bytes], None]) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gram, "begin", begin)
        yield


def forgets(session: Session, _: bytes) -> None:
    """A ledger that forgets whatever a training sent, each time that one begins."""
    if not session.course.skips:
        session.course.renew()


@pytest.mark.parametrize("liar", ["guest", "host"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_party_that_breaks_off_and_comes_back_with_other_numbers_is_told_nothing_more(
    protocol: str, liar: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attack = Attack(tmp_path, protocol, liar, monkeypatch)
    attack.attempt()
    for _ in range(ATTEMPTS - 1):
        attack.comes_back()
        with pytest.raises((RemoteProtocolError, LocalProtocolError), match=f"{OTHER}|that had ended at all parties"):
            attack.attempt()
    assert len(attack.told) == 1


@pytest.mark.parametrize("liar", ["guest", "host"])
def test_control_a_ledger_that_forgets_lets_a_training_be_repeated(
    liar: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The guest has score vectors of several models, the host weights of several tables, in one run."""
    with planted(forgets):
        attack = Attack(tmp_path, "gram", liar, monkeypatch)
        for _ in range(ATTEMPTS):
            attack.attempt()
            attack.comes_back()
    assert len(attack.told) == ATTEMPTS
    assert np.abs(attack.told[0] - attack.told[1]).min() > 1e-4


@pytest.mark.parametrize("liar", ["guest", "host"])
def test_a_party_that_breaks_off_and_changes_nothing_is_told_the_same(
    liar: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attack = Attack(tmp_path, "gram", liar, monkeypatch)
    for _ in range(2):
        attack.attempt()
        attack.run.keepers[liar] = MemoryKeeper()
    assert np.array_equal(*attack.told)


def test_a_training_that_has_begun_is_not_prepared_and_its_ledger_forgets_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Preparing would be another way to have the ledgers forget."""
    attack = Attack(tmp_path, "gram", "guest", monkeypatch)
    attack.attempt()
    attack.comes_back()
    attack.run.keepers["guest"].spent |= attack.run.keepers["host"].spent
    attack.run.ahead = 0
    found = attack.run.attempt() or {}
    attack._ledgers.close()
    assert all(isinstance(one, Paused) and one.trains for one in found.values())
    assert len(found) == 3
    attack.run.ahead = None
    with pytest.raises(RemoteProtocolError, match=OTHER):
        attack.attempt()
    assert len(attack.told) == 1
