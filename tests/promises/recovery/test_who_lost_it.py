"""A party that has lost what the others still have is named at all parties: its stored pads, or the end of a
training."""

from __future__ import annotations

import copy
import logging
from pathlib import Path

import numpy as np
import pytest

from protocols.errors import LocalProtocolError
from protocols.glm import attempts
from tests.promises.recovery.interrupted import Interrupted
from tests.promises.recovery.test_pads_ahead import CHUNKS, PARTIES, UNITS, anew, expected, prepared
from tests.promises.recovery.test_prepared_chunks import regression, weights
from vfl.storage.pad_store import PadFolder, Sealing


@pytest.mark.parametrize("party", PARTIES)
def test_a_party_that_lost_its_spent_list_or_its_files_is_named_at_all(party: str) -> None:
    """Without the list, files that were made with it are worthless: the store has none."""
    run = prepared()
    run.pads[party].files.clear()
    assert np.abs(weights(run.attempt()) - expected()).max() <= UNITS
    assert anew(run) == CHUNKS
    assert {name: {*pads.lack} for name, pads in run.pads.items()} == {name: {(party,)} for name in PARTIES}


@pytest.mark.parametrize("party", PARTIES)
def test_a_party_whose_run_store_was_put_back_is_named_at_all(party: str) -> None:
    """From before most chunks were prepared: all repeat that, and nobody uses what others have stored."""
    run = regression()
    run.ahead = 1
    assert run.attempt() is not None
    old = copy.deepcopy(run.keepers[party])
    run.ahead = 0
    assert run.attempt() is not None
    run.keepers[party], run.ahead, run.hashes = old, None, {}
    assert np.abs(weights(run.attempt()) - expected()).max() <= UNITS
    assert run.behind == dict.fromkeys(PARTIES, (party,))


def test_nobody_is_named_where_all_have_the_same() -> None:
    for run in (prepared(), prepared(1), regression()):
        assert run.attempt() is not None
        assert not any(pads.lack for pads in run.pads.values())
        assert not any(run.behind.values())


def ended(party: str) -> Interrupted:
    """A run whose training has ended at all, and the party's store is put back from the middle of it."""
    run = regression()
    assert run.attempt("guest", 30) is None
    old = copy.deepcopy(run.keepers[party])
    assert run.attempt() is not None
    run.keepers[party], run.hashes = old, {}
    with pytest.raises(LocalProtocolError, match="a training or scoring that had ended at all parties"):
        run.attempt()
    return run


@pytest.mark.parametrize("party", PARTIES)
def test_a_party_that_lost_the_end_of_a_training_is_named_at_all(party: str) -> None:
    run = ended(party)
    assert set(run.failures) == set(PARTIES)
    for error in run.failures.values():
        assert isinstance(error, LocalProtocolError), run.failures
        assert error.party == party
        assert f"{party} would repeat a training or scoring that had ended" in str(error)
        assert f"The run store of {party} was lost, or put back from a copy" in str(error)


def test_planted_fault_where_the_guest_names_nobody_others_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each party at which the training is over refuses by itself."""
    monkeypatch.setattr(attempts, "_named", lambda session, numbers: ())
    run = ended("guest")
    refused = {party for party, error in run.failures.items() if isinstance(error, LocalProtocolError)}
    assert refused >= {"host1", "arbiter"}


def test_it_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = PadFolder(tmp_path, tmp_path, b"", Sealing(lambda key, what: key, lambda sealed, what: sealed))
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            store.lacking(["telecom"])
        store.lacking(["telecom", "trustco"])
    assert [record.message.split(" cannot use the pads")[0] for record in caplog.records] == [
        "telecom",
        "telecom and trustco",
    ]
    assert "spent.sqlite" in caplog.text
