"""Noise on events of bins is drawn once for a run: whoever stops, a host learns the same numbers again, or none."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from protocols.binning import by_label
from protocols.binning.by_label import FineBins, MergedCounts
from protocols.binning.merging import BinningRule
from protocols.binning.noise import CountNoise
from protocols.channel import Tap
from protocols.errors import LocalProtocolError
from protocols.message import Message
from protocols.session import Session
from tests.harness import TOY
from tests.promises.recovery import interrupted
from tests.promises.recovery.interrupted import Interrupted, MemoryKeeper
from tests.unit.protocols.boosting.world import roles_of

ROWS, RULE, NOISE = 24, BinningRule(min_bin_rows=2), CountNoise(Fraction(3))
LABELS = np.random.default_rng(3).integers(0, 2, ROWS)


def fine(k: int) -> FineBins:
    bins = np.random.default_rng(k).permuted(np.tile(np.arange(ROWS) % 4, (2, 1)), axis=1).T
    return FineBins(bins, (4, 4), (1, 0), (True, False))


def guest(session: Session) -> None:
    by_label.guest(session, LABELS, fine(0), RULE, tell=True, noise=NOISE)


def host(session: Session) -> None:
    by_label.host(session, fine(int(session.me[-1])), RULE, tell=True, noisy=True)


def bins() -> Interrupted:
    programs: dict[str, Callable[[Session], Any]] = {"guest": guest, "host1": host, "host2": host}
    return Interrupted(roles_of(2), programs | {"arbiter": by_label.arbiter}, TOY)


def told(run: Interrupted) -> list[bytes]:
    return [data for _, kind, data in run.sent if kind is MergedCounts]


@pytest.mark.parametrize("party", ["guest", "host1"])
def test_a_run_that_resumes_tells_the_same(party: str) -> None:
    whole = bins()
    assert whole.attempt() is not None
    for at in range(whole.killers[party].seen // 2, whole.killers[party].seen + 1):
        run = bins()
        assert run.attempt(party, at) is None
        run.attempt()
        assert set(told(run)) == set(told(whole))


def restarted(patch: pytest.MonkeyPatch, times: int) -> list[bytes]:
    """What host2 learns in one run, while host1 begins it again and again with other random numbers."""
    found = list[bytes]()

    class Told(Tap):
        def sent(self, peer: str, kind: type[Message], data: bytes) -> None:
            found.extend([data] if kind is MergedCounts and peer == "host2" else [])

    patch.setattr(interrupted, "Numbered", lambda *_: Told())
    run = bins()
    seen = bins()
    seen.attempt()
    found.clear()
    for k in range(times):
        run.keepers["host1"], run.seeds["host1"] = MemoryKeeper(), bytes([k]) * 32
        with contextlib.suppress(LocalProtocolError):
            run.attempt("guest", seen.killers["guest"].seen)
    return found


def test_a_host_that_begins_again_learns_no_second_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(restarted(monkeypatch, 4)) == 1


def test_planted_noise_that_is_drawn_again_averages_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(by_label, "reveal_once", lambda *_: None)
    found = restarted(monkeypatch, 4)
    assert len(found) == len(set(found)) == 4
