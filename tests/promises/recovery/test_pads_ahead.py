"""Pads that were prepared ahead serve one attempt: whoever is stopped, wherever, and whatever is restored from a copy,
no pad meets two values, and the model is that of a run without them."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

from protocols import glm
from protocols.channel import Channel
from protocols.errors import RemoteProtocolError
from protocols.glm import ahead, attempts, preparation
from protocols.glm.prepared import WeightsLessPad
from protocols.glm.stopping import LossSigns, Verdict
from protocols.recovery.pad_store import Paused
from tests.promises.recovery.interrupted import Interrupted, MemoryKeeper
from tests.promises.recovery.test_prepared_chunks import PASSES, regression, twice, weights
from vfl.testing.chaos.memory import MemoryPads

PARTIES = ("guest", "host1", "arbiter")
SLOW = pytest.mark.slow
UNITS, CHUNKS = 3 * PASSES, 3
PREPARED = (preparation.PreparedWeights, preparation.MaskedPads, preparation.PreparedResiduals)


def prepared(iterations: int = 0, **shape: Any) -> Interrupted:
    """A run whose pads are prepared, and that has not begun to train."""
    run = regression(**shape)
    run.ahead = iterations
    found = run.attempt()
    assert found is not None
    assert all(isinstance(one, Paused) and not one.trains for one in found.values())
    run.ahead = None
    run.sent.clear()
    return run


def expected(**shape: Any) -> Any:
    return weights(regression(**shape).attempt())


def anew(run: Interrupted) -> int:
    """How many batches were prepared in the last attempts."""
    return sum(kind is preparation.PreparedWeights for _, kind, _ in run.sent) // len(run.roles.data_parties)


def chunks(run: Interrupted) -> int:
    return len(run.pads["guest"].files)


def test_a_run_uses_the_pads_that_were_prepared_for_it() -> None:
    run = prepared()
    assert chunks(run) == CHUNKS
    found = weights(run.attempt())
    assert np.abs(found - expected()).max() <= UNITS
    assert anew(run) == 0
    assert not any(pads.files for pads in run.pads.values())
    assert {len(pads.spent) for pads in run.pads.values()} == {CHUNKS}


@pytest.mark.parametrize("lost", [False, True])
def test_pads_for_evaluations_of_the_loss_are_among_them(lost: bool) -> None:
    """Two evaluations in five iterations; where a party has lost all pads, they are prepared again with their
    chunks."""
    ends = glm.Stopping(1e-9, 2)
    whole, run = regression(stopping=ends), prepared(stopping=ends)
    model = weights(whole.attempt())
    if lost:
        run.pads["host1"].files.clear()
    assert np.abs(weights(run.attempt()) - model).max() <= UNITS
    assert anew(run) == (anew(whole) if lost else 0)
    assert {kind for _, kind, _ in run.sent} >= {LossSigns, Verdict}


def test_the_party_that_wants_least_decides_and_the_rest_is_prepared_as_ever() -> None:
    run = prepared(1)
    assert chunks(run) == 1
    assert np.abs(weights(run.attempt()) - expected()).max() <= UNITS
    assert anew(run) == CHUNKS - 1


def test_a_party_without_room_bounds_what_is_prepared(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the bytes of its own pads, not beyond one chunk of each model."""
    monkeypatch.setattr(ahead, "MOST_BYTES", 1)
    run = prepared()
    assert chunks(run) == 1
    assert np.abs(weights(run.attempt()) - expected()).max() <= UNITS


def test_a_second_preparation_adds_what_lacks() -> None:
    run = prepared(1)
    before = {party: set(pads.files) for party, pads in run.pads.items()}
    run.ahead = 0
    assert run.attempt() is not None
    assert all(before[party] < set(pads.files) for party, pads in run.pads.items())
    assert anew(run) == CHUNKS - 1
    run.pads["host1"].files.clear()
    assert run.attempt() is not None
    assert chunks(run) == CHUNKS  # what others had of these is erased
    run.ahead = None
    run.sent.clear()
    assert np.abs(weights(run.attempt()) - expected()).max() <= UNITS
    assert anew(run) == 0


@pytest.mark.parametrize("party", PARTIES)
def test_pads_that_one_party_lacks_are_used_by_nobody(party: str) -> None:
    """One of two chunks: it is prepared again, and the half that others have is erased."""
    run = prepared()
    first = next(iter(run.pads[party].files))
    del run.pads[party].files[first]
    assert np.abs(weights(run.attempt()) - expected()).max() <= UNITS
    assert anew(run) == 1
    assert not any(pads.files for pads in run.pads.values())
    assert all(first in pads.spent for name, pads in run.pads.items() if name != party)


@pytest.mark.parametrize("party", PARTIES)
def test_pads_of_anything_else_are_not_used(party: str) -> None:
    """The file of another chunk under this one's name."""
    run = prepared()
    pads = run.pads[party].files
    one, other, _ = pads
    pads[one], pads[other] = pads[other], pads[one]
    assert np.abs(weights(run.attempt()) - expected()).max() <= UNITS
    assert anew(run) == 2


@pytest.mark.parametrize(
    ("shape", "every"),
    [
        ({}, 19),
        pytest.param({}, 1, marks=SLOW),
        pytest.param({"link": "exact", "hosts": 2}, 4, marks=SLOW),
    ],
)
def test_a_party_stopped_within_a_chunk_has_it_prepared_anew(shape: dict[str, Any], every: int) -> None:
    """At every message in turn of the run that uses them."""
    whole, plain = prepared(**shape), expected(**shape)
    start = copy.deepcopy((whole.keepers, whole.pads, whole.hashes))
    assert whole.attempt() is not None
    units = UNITS if not shape else 1e-4 * np.abs(plain).max()
    for turn, (party, killer) in enumerate(whole.killers.items()):
        for at in range(1 + turn, killer.seen + 1, every):
            run = regression(**shape)
            run.keepers, run.pads, run.hashes = copy.deepcopy(start)
            assert run.attempt(party, at) is None
            assert np.abs(weights(run.attempt()) - plain).max() <= units, (party, at)
            assert twice(run) == [], (party, at)


@pytest.mark.parametrize("every", [37, pytest.param(1, marks=SLOW)])
def test_a_party_stopped_while_it_prepares(every: int) -> None:
    """Another preparation, or the run itself, goes on from there."""
    whole = regression()
    whole.ahead = 0
    assert whole.attempt() is not None
    plain = expected()
    for turn, (party, killer) in enumerate(whole.killers.items()):
        for at in range(1 + turn, killer.seen + 1, every):
            for again in (0, None):
                run = regression()
                run.ahead = 0
                assert run.attempt(party, at) is None
                run.ahead = again
                found = run.attempt()
                assert found is not None
                if again is not None:
                    run.ahead = None
                    run.sent.clear()
                    found = run.attempt()
                    assert anew(run) == 0, (party, at)
                assert np.abs(weights(found) - plain).max() <= UNITS, (party, at)
                assert twice(run) == [], (party, at)


Folders = dict[str, tuple[MemoryKeeper, dict[bytes, tuple[bytes, bytes]]]]


def folders(run: Interrupted, parties: tuple[str, ...]) -> Folders:
    """A copy of their runs' folders: not of what lies beside these."""
    return copy.deepcopy({party: (run.keepers[party], run.pads[party].files) for party in parties})


def restore(run: Interrupted, saved: Folders) -> None:
    for party, (keeper, files) in copy.deepcopy(saved).items():
        run.keepers[party], run.pads[party].files = keeper, files


ROLLED_BACK = [PARTIES, PARTIES[:2], *(pytest.param(two, marks=SLOW) for two in (PARTIES[1:], PARTIES[::2]))]


@pytest.mark.parametrize("restored", ROLLED_BACK)
def test_folders_restored_in_the_middle_of_a_chunk(restored: tuple[str, ...]) -> None:
    """To what they were before the run, when each party had its pads; also those of all parties."""
    run = prepared()
    old = folders(run, restored)
    assert run.attempt("guest", 30) is None
    assert any(kind is WeightsLessPad for _, kind, _ in run.sent)
    restore(run, old)
    assert np.abs(weights(run.attempt()) - expected()).max() <= UNITS
    assert twice(run) == []
    assert anew(run) >= 1


def test_planted_a_build_that_marks_nothing_as_spent_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    run = prepared()
    monkeypatch.setattr(MemoryPads, "spend", lambda self, name: True)
    old = folders(run, PARTIES)
    assert run.attempt("guest", 30) is None
    restore(run, old)
    assert run.attempt() is not None
    assert {"WeightsLessPad"} <= set(twice(run))


def test_one_store_and_two_runs() -> None:
    """Copies of all parties' folders: the second run draws its own."""
    run = prepared()
    copies, hashes = folders(run, PARTIES), dict(run.hashes)
    first = weights(run.attempt())
    restore(run, copies)
    run.hashes = hashes
    assert np.abs(weights(run.attempt()) - first).max() <= UNITS
    assert twice(run) == []
    assert anew(run) == CHUNKS


def test_a_run_that_trains_already_prepares_nothing() -> None:
    run = prepared()
    assert run.attempt("guest", 30) is None
    run.ahead = 0
    found = run.attempt()
    assert found is not None
    assert all(one.trains for one in found.values())
    run.ahead = None
    assert np.abs(weights(run.attempt()) - expected()).max() <= UNITS


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        (attempts.ChunkNonces, "stored", bytes(32)),
        (ahead.ChunksAhead, "iterations", 10_000),
        (ahead.ChunksAhead, "chunks", np.array([77], dtype=np.int32)),
    ],
)
def test_a_guest_that_names_other_pads_is_found_out(
    monkeypatch: pytest.MonkeyPatch, kind: Any, field: str, value: Any
) -> None:
    honest = Channel.recv

    def planted(self: Channel, asked: Any, part: Any = None) -> Any:
        found = honest(self, asked, part)
        given = {name: getattr(found, name) for name, _ in asked.schema()}
        return asked(**given | {field: value}) if asked is kind else found

    monkeypatch.setattr(Channel, "recv", planted)
    run = regression()
    run.ahead = 0
    with pytest.raises(RemoteProtocolError):
        run.attempt()


def drawn(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[bytes]]:
    """Each party's stored pads of one chunk, where run seeds and nonces are the same in every run."""
    monkeypatch.setattr(attempts, "run_seed", lambda: bytes(32))
    run = prepared(1)
    return {party: [packed for _, packed in pads.files.values()] for party, pads in run.pads.items()}


def test_pads_do_not_follow_from_what_the_run_store_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    """From its run seed and public numbers.  Planted: a build that draws them from these alone."""
    first, second = drawn(monkeypatch), drawn(monkeypatch)
    assert all(first[party] != second[party] for party in PARTIES)
    monkeypatch.setattr(ahead, "run_seed", lambda: bytes(32))
    assert drawn(monkeypatch) == drawn(monkeypatch)
