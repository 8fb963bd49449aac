"""A party stopped within a chunk of prepared iterations: all go back to its beginning, draw new pads, and end with the
model of an undisturbed run; no pad is sent twice, whatever was restored from a copy."""

from __future__ import annotations

import copy
import itertools
from collections import Counter
from typing import Any

import numpy as np
import pytest

from protocols import glm
from protocols.channel import Channel
from protocols.cipher import Paillier
from protocols.errors import LocalProtocolError, RemoteProtocolError
from protocols.glm import ahead, attempts, preparation, prepared
from protocols.glm.links import LOGISTIC_LINKS
from protocols.glm.plan import WEIGHT, Penalty
from protocols.recovery.checkpoint import Position
from protocols.session import Roles, Session
from tests.harness import TOY
from tests.promises.recovery.interrupted import Interrupted, MemoryKeeper

ROWS, PASSES = 20, 5
TRAIN = 1  # the stage after that of the pads that are prepared ahead
PADS = (
    preparation.PreparedWeights,
    preparation.PreparedPredictor,
    preparation.MaskedPads,
    preparation.PreparedResiduals,
    preparation.MaskedGradientPads,
    prepared.WeightsLessPad,
    prepared.PaddedPredictor,
    prepared.MeanLessPad,
    prepared.ResidualLessPad,
)
Keepers = dict[str, MemoryKeeper]


def regression(link: str = "taylor", hosts: int = 1, stopping: glm.Stopping | None = None) -> Interrupted:
    """Several chunks of up to three iterations, whose weights stay shared."""
    rng = np.random.default_rng(5)
    terms = glm.Terms(LOGISTIC_LINKS[link], Penalty(1.0), PASSES, prepared=True, stopping=stopping)
    x, y = rng.normal(size=(1 + hosts, ROWS, 2)).clip(-3, 3), rng.integers(0, 2, size=(1, ROWS)).astype(float)
    roles = Roles("guest", tuple(f"host{k}" for k in range(1, hosts + 1)), "arbiter")

    def guest(session: Session) -> Any:
        return {"guest": glm.guest(session, x[0], y, terms, bytes(16)).shares.latest}

    def host(session: Session) -> Any:
        return {session.me: glm.host(session, x[roles.hosts.index(session.me) + 1], terms).shares.latest}

    def arbiter(session: Session) -> Any:
        key = session.scheme.generate(session.me, session.seed("key"))
        return {party: one.latest for party, one in glm.arbiter(session, key, terms).shares.items()}

    scheme = TOY if stopping is None else Paillier(768)  # with room for what hides a difference of losses
    return Interrupted(roles, {"guest": guest, **dict.fromkeys(roles.hosts, host), "arbiter": arbiter}, scheme)


def weights(found: dict[str, Any] | None) -> np.ndarray[Any, Any]:
    """All parties' weights, in units of 2^-WEIGHT, from both holders' shares."""
    assert found is not None
    held = found["arbiter"]
    return np.concatenate([(found[party][party] + held[party])[0].view(np.int64) for party in sorted(held)])


def twice(run: Interrupted) -> list[str]:
    """The kinds of messages under pads that were sent twice with one content: a broadcast counts once."""
    seen = Counter((sender, kind.kind, data) for sender, kind, data in run.sent if kind in PADS)
    others = len(run.roles.data_parties)
    once = {"PreparedResiduals": others, "ResidualLessPad": len(run.roles.hosts)}
    return sorted({kind for (_, kind, _), count in seen.items() if count > once.get(kind, 1)})


@pytest.mark.parametrize(
    ("link", "hosts", "every"),
    [("taylor", 1, 17), pytest.param("exact", 2, 5, marks=pytest.mark.slow)],
)
def test_a_party_stopped_within_a_chunk_repeats_it_with_other_pads(link: str, hosts: int, every: int) -> None:
    """At every message in turn; the model within the documented units."""
    whole = regression(link, hosts)
    expected, starts = weights(whole.attempt()), set[Position]()
    for turn, (party, killer) in enumerate(whole.killers.items()):
        for at in range(1 + turn, killer.seen + 1, every):
            run = regression(link, hosts)
            assert run.attempt(party, at) is None
            found = weights(run.attempt())
            units = 3 * PASSES if link == "taylor" else 1e-4 * np.abs(expected).max()
            assert np.abs(found - expected).max() <= units, (party, at)
            assert twice(run) == [], (party, at)
            starts.add(run.goals[-1])
    assert starts >= {Position(TRAIN, 0), Position(TRAIN, 1)}
    assert max(starts).item < PASSES


def test_the_model_is_of_the_size_that_the_bound_is_for() -> None:
    """Other weights are far beyond the documented units."""
    assert np.abs(weights(regression().attempt())).max() > 2.0 ** (WEIGHT - 5)


def stopped(party: str = "host1", part: float = 0.93) -> Interrupted:
    """Stopped after the first chunk and before the end of the last."""
    whole = regression()
    whole.attempt()
    run = regression()
    assert run.attempt(party, int(whole.killers[party].seen * part)) is None
    assert Position(TRAIN, 1) <= max(run.keepers[party].checkpoints) < max(whole.keepers[party].checkpoints)
    return run


@pytest.mark.parametrize("restored", [*itertools.combinations(("guest", "host1", "arbiter"), 2)])
def test_two_folders_restored_in_the_middle_of_a_chunk(restored: tuple[str, ...]) -> None:
    """After another attempt at the chunk: new pads.  After the end: refused."""
    run = stopped()
    old: Keepers = copy.deepcopy({party: run.keepers[party] for party in restored})
    assert run.attempt("arbiter", 12) is None
    run.keepers |= copy.deepcopy(old)
    expected = weights(run.attempt())
    assert twice(run) == []
    run.keepers |= copy.deepcopy(old)
    with pytest.raises(LocalProtocolError, match="had ended at all parties"):
        run.attempt()
    assert expected.any()


def test_one_store_and_two_runs() -> None:
    run = stopped()
    copies: Keepers = copy.deepcopy(run.keepers)
    first = weights(run.attempt())
    run.keepers, run.hashes = copies, {}
    assert np.abs(weights(run.attempt()) - first).max() <= 3 * PASSES
    assert twice(run) == []


def test_planted_nonces_that_repeat_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The name of the attempt is on every party's disk."""
    monkeypatch.setattr(attempts, "run_seed", lambda: bytes(32))
    run = regression()
    with pytest.raises(LocalProtocolError, match="would be used twice"):
        run.attempt()  # the second chunk has the name of the first
    assert twice(run) == []


def test_planted_pads_that_outlive_an_attempt_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Random numbers that repeat, in a build that does not look whether names were spent: the same pads are sent
    again."""
    for module in (attempts, ahead):
        monkeypatch.setattr(module, "run_seed", lambda: bytes(32))
    monkeypatch.setattr(MemoryKeeper, "spend", lambda self, name: True)
    run = stopped()
    assert run.attempt() is not None
    assert "WeightsLessPad" in twice(run)
    assert "MaskedPads" in twice(run)


def test_a_guest_that_names_an_attempt_alone_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = Channel.recv

    def planted(self: Channel, kind: Any, part: Any = None) -> Any:
        found = honest(self, kind, part)
        if kind is not attempts.ChunkNonces:
            return found
        return kind(bytes(len(found.nonces)), b"", found.without, found.behind)

    monkeypatch.setattr(Channel, "recv", planted)
    with pytest.raises(RemoteProtocolError, match="without this party's random number"):
        regression().attempt()
