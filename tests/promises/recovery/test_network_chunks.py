"""A party stopped within a chunk of a network's training: all go back to its beginning, draw new pads, and end with the
network of an undisturbed run; nothing under pads is sent twice."""

from __future__ import annotations

import copy
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from protocols import network
from protocols.errors import LocalProtocolError
from protocols.glm import attempts, preparation, prepared
from protocols.glm.plan import WEIGHT
from protocols.network import dealt
from protocols.recovery.checkpoint import Position
from protocols.session import Roles, Session
from tests.harness import TOY
from tests.promises.recovery.interrupted import Interrupted, MemoryKeeper
from tests.unit.protocols.glm.test_glm import problem
from tests.unit.protocols.network.networks import TERMS, opened

THREE = replace(TERMS, hidden=(5,), epochs=3, batch_size=15)  # as many units as a plaintext has room for
PADS = (
    preparation.MaskedPads,
    preparation.MaskedGradientPads,
    prepared.WeightsLessPad,
    prepared.PaddedPredictor,
    prepared.MeanLessPad,
    prepared.ResidualLessPad,
    dealt.PaddedFactor,
    dealt.LayerSeed,
)


def training() -> Interrupted:
    """Three chunks of one epoch."""
    blocks, y = problem(n=30)
    roles = Roles("guest", ("host1",), "arbiter")

    def arbiter(session: Session) -> Any:
        return network.arbiter(session, TOY.generate("arbiter", session.seed("key")), THREE)

    programs = {
        "guest": lambda session: network.guest(session, blocks[0], y, THREE, bytes(16)),
        "host1": lambda session: network.host(session, blocks[1], THREE),
        "arbiter": arbiter,
    }
    return Interrupted(roles, programs, TOY)


def weights(found: dict[str, Any] | None) -> np.ndarray[Any, Any]:
    assert found is not None
    return opened(found, THREE)


def twice(run: Interrupted) -> list[str]:
    """The kinds of messages under pads that were sent twice with one content."""
    seen = Counter((kind.kind, data) for _, kind, data in run.sent if kind in PADS)
    return sorted({kind for (kind, _), count in seen.items() if count > 1})


@pytest.mark.parametrize("every", [pytest.param(1000, marks=pytest.mark.slow), pytest.param(9, marks=pytest.mark.slow)])
def test_a_party_stopped_within_a_chunk_repeats_it_with_other_pads(every: int) -> None:
    """The network within the error of the table, per step and unit of the rate."""
    whole = training()
    expected, starts = weights(whole.attempt()), set[Position]()
    assert np.abs(expected).max() > 0.1
    for turn, (party, killer) in enumerate(whole.killers.items()):
        for at in range(40 + killer.seen * turn // 4, killer.seen, every):
            run = training()
            assert run.attempt(party, at) is None
            found = weights(run.attempt())
            assert np.abs(found - expected).max() <= 1e-4 * 6 * THREE.rate + 6 / 2**WEIGHT, (party, at)
            assert twice(run) == [], (party, at)
            starts.add(run.goals[-1])
    assert len(starts) > 1


@pytest.mark.slow
def test_a_training_that_has_ended_is_not_repeated() -> None:
    run = training()
    whole = training()
    whole.attempt()
    assert run.attempt("host1", int(0.9 * whole.killers["host1"].seen)) is None
    old = {party: run.keepers[party] for party in ("guest", "host1")}
    copies = copy.deepcopy(old)
    weights(run.attempt())
    run.keepers |= copies
    with pytest.raises(LocalProtocolError, match="had ended at all parties"):
        run.attempt()


@pytest.mark.slow
def test_planted_pads_that_outlive_an_attempt_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Random numbers that repeat, in a build that does not look whether names were spent: the same pads are sent
    again."""
    monkeypatch.setattr(attempts, "run_seed", lambda: bytes(32))
    monkeypatch.setattr(MemoryKeeper, "spend", lambda self, name: True)
    whole, run = training(), training()
    whole.attempt()
    assert run.attempt("host1", int(0.9 * whole.killers["host1"].seen)) is None
    weights(run.attempt())
    assert {"WeightsLessPad", "PaddedFactor", "MaskedPads"} <= set(twice(run))
