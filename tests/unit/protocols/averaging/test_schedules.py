"""Whatever is lost, late or repeated, and whenever the aggregator dies: the right sum, or a typed error."""

from __future__ import annotations

from collections import Counter

import pytest

from protocols.averaging.cohorts import Terms, fewest
from protocols.averaging.secure_sum import MaskedUpdate, UnmaskingShares
from protocols.averaging.secure_sum_aggregator import Aggregator
from protocols.errors import RemoteProtocolError
from tests.unit.protocols.averaging.world import Faults, World, names, total

HEAVY = Faults(drop=0.03, late=0.01, repeated=0.2, killed=0.03)


def schedule(members: int, turns: int, seed: int, faults: Faults = HEAVY, **terms: object) -> Counter[str]:
    """Turns of one run, each checked; how they ended."""
    w, ended, opened = World(Terms(names(members), **terms), faults, seed), Counter[str](), []  # type: ignore[arg-type]
    for _ in range(turns):
        restarts, found = w.restarts, w.one_turn()
        ended["killed" if w.restarts > restarts else "too few" if found is None else "sum"] += 1
        ended["lost"] += len(w.gone)
        if found is None:
            continue
        assert (found.words == total(found.survivors, found.turn)).all()
        assert len(found.survivors) >= w.terms.threshold
        opened.append(found.survivors)
        assert fewest(tuple(opened[-w.terms.window :])) >= w.terms.min_members
    assert_no_member_gave_both(w)
    return ended


def assert_no_member_gave_both(w: World) -> None:
    """By the aggregator's own transcript: in one turn the answers of all members go by one list."""
    releases = Counter((sender, m.turn) for sender, m in w.told if isinstance(m, UnmaskingShares))
    updates = {(sender, m.turn, m.words) for sender, m in w.told if isinstance(m, MaskedUpdate)}
    assert len(updates) == len({(sender, turn) for sender, turn, _ in updates})  # one masked update per turn
    copies = {(sender, m.turn, m.shares) for sender, m in w.told if isinstance(m, UnmaskingShares)}
    assert len(copies) == len(releases)  # repeated ones are copies


def test_many_seeded_schedules() -> None:
    ended = sum((schedule(12, 6, seed) for seed in range(5)), Counter[str]())
    assert ended["sum"] >= 10
    assert ended["too few"] >= 5
    assert ended["killed"] >= 1


def test_fifty_members_of_whom_up_to_a_third_drop_out() -> None:
    ended = schedule(50, 1, 3, Faults(drop=0.06, late=0.005, repeated=0.1), window=1)
    assert ended["sum"] >= 1
    assert ended["lost"] == 14


def test_sampled_cohorts() -> None:
    ended = schedule(20, 5, 1, Faults(drop=0.01, late=0.01, repeated=0.2, killed=0.02), fraction=0.5)
    assert ended["sum"] >= 2


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(20))
def test_fifty_members_under_every_fault(seed: int) -> None:
    ended = schedule(50, 6, seed, Faults(drop=0.05, late=0.01, repeated=0.1, killed=0.02))
    assert ended["lost"] > 30
    assert ended.total() - ended["lost"] == 6


def test_planted_fault_late_updates_that_count_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """An aggregator that takes updates after the list was closed opens a wrong sum."""

    def takes_late(self: Aggregator, sender: str, message: object) -> None:
        turn, kinds = message.turn, self._answers  # type: ignore[attr-defined]
        if isinstance(message, MaskedUpdate) and turn == self._turn and self._step > 2:
            kinds[2][sender] = message
            self._survivors |= {sender}
        else:
            honest(self, sender, message)  # type: ignore[arg-type]

    honest = Aggregator.take
    monkeypatch.setattr(Aggregator, "take", takes_late)
    with pytest.raises((AssertionError, RemoteProtocolError)):  # a wrong sum, or shares that do not fit
        sum((schedule(12, 6, seed, Faults(late=0.05), window=1) for seed in range(4)), Counter[str]())
