"""Keys that two parties share: every number is used once, and every training and scoring has its own."""

from __future__ import annotations

import threading
from collections import Counter

import numpy as np
import pytest

from protocols.boosting import keys, walk
from protocols.boosting.keys import PairKeys
from protocols.boosting.product import Level
from protocols.cipher import Identity
from protocols.randomness import Seed
from tests.harness import Recording, Sent
from tests.unit.protocols.boosting.samples import small, tables
from tests.unit.protocols.boosting.world import score, train


def labels_used(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bytes, str]]:
    """(who, the key, for what) of every draw from a key of two parties."""
    found: list[tuple[str, bytes, str]] = []
    honest = PairKeys.with_

    def with_(self: PairKeys, party: str, label: str) -> Seed:
        found.append((threading.current_thread().name, self.keys[party].secret, label))
        return honest(self, party, label)

    monkeypatch.setattr(PairKeys, "with_", with_)
    return found


def jobs_with_keys() -> None:
    """Weights, early stopping, classes, a model that is continued, whose walk goes over one row at a time, and a
    scoring."""
    p = small(n_estimators=3, early_stopping_rounds=2)
    train(
        *tables(p, [2, 3], seed=2, rows=140), p, Identity(1024), weight=np.ones(140), held_out=np.arange(140) % 4 == 0
    )
    p = small(objective="multi:softprob", num_class=3, subsample=0.8)
    blocks, y = tables(p, [2, 3, 2], seed=2, rows=40)
    train(blocks, y, p, Identity(1024))
    start = train(blocks, (y > 0).astype(np.float64), small(n_estimators=1), Identity(1024))
    train(blocks, (y > 0).astype(np.float64), small(n_estimators=3), Identity(1024), after=start)
    score(start, blocks, Identity(1024))


def test_every_label_of_a_key_is_used_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk, "BLOCK", 8)
    used = labels_used(monkeypatch)
    jobs_with_keys()
    assert (
        len({key for _, key, _ in used}) == 3 + 4 * 4
    )  # a second host and the guest share one that nothing is drawn from
    assert [what for what, times in Counter(used).items() if times > 1] == []


def test_planted_labels_that_repeat_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A level without its number."""
    used = labels_used(monkeypatch)
    honest = Level.__init__
    monkeypatch.setattr(Level, "__init__", lambda self, label, *rest: honest(self, label.split(" level")[0], *rest))
    p = small()
    train(*tables(p, [2, 3], seed=2, rows=60), p, Identity(1024))
    assert max(Counter(used).values()) > 1


def test_keys_differ_from_training_to_training_and_from_scoring() -> None:
    found: list[Sent] = []
    p = small(n_estimators=1)
    blocks, y = tables(p, [2, 3], seed=2, rows=60)
    for _ in range(2):
        train(blocks, y, p, Identity(1024), taps={q: [Recording(q, found)] for q in ("guest", "arbiter")})
    sent = [s.data for s in found if s.kind is keys.PairKey]
    assert len(sent) == len(set(sent)) == 6
