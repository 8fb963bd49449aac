"""Predictions at a node: what is approved, when it has to be approved again, and what does not run at once."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pytest

from protocols.errors import ConfigError, DisclosureRefused
from tests.promises.node.test_approval import ALIGNS
from tests.unit.vfl.node.conftest import Bank
from tests.unit.vfl.node.test_service import put, until
from vfl.job import load_agreement, load_party
from vfl.node import inbox, process
from vfl.node.batch import Batch, digest_of
from vfl.node.inbox import check_batch, submit
from vfl.node.service import Service
from vfl.node.table import Entry, JobTable
from vfl.run.session import session_digest
from vfl.transport import hello

MODEL = Batch("/srv/bank/runs/first/model", "/srv/bank/new.csv", None)


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each model and table fits: there are none."""
    monkeypatch.setattr(inbox, "check_batch", lambda job, party, batch: None)


def given(bank: Bank, node: Service, batch: Batch = MODEL) -> Entry:
    return submit(node.table, node.party, bank.job, batch=batch)


def change(bank: Bank, digest: str, column: str, value: str) -> None:
    """As whoever writes to the node's folder could."""
    with sqlite3.connect(bank.folder / "node.sqlite") as db:
        db.execute(f"UPDATE jobs SET {column} = ? WHERE digest = ?", (value, digest))
    db.close()


@pytest.mark.usefixtures("fits")
def test_what_is_approved_is_the_job_and_this_partys_own_files(bank: Bank) -> None:
    """Planted faults: another model, table or file than the approved one, and another job file."""
    node = bank.service()
    entry = given(bank, node)
    assert (entry.command, entry.state, entry.batch) == ("predict", "waiting", MODEL)
    assert entry.digest != entry.job_digest == load_agreement(bank.job).digest.hex()
    with pytest.raises(DisclosureRefused, match="is not approved"):
        process.approved_job(node.table, entry.digest)
    node.table.approve(entry.digest, "jane", "command")
    assert process.approved_job(node.table, entry.digest)[1:] == (node.table.get(entry.digest).approval, MODEL)
    for column in ("model", "data", "out"):
        before = getattr(MODEL, column)
        change(bank, entry.digest, column, "/srv/other")
        with pytest.raises(DisclosureRefused, match="has changed since it was approved"):
            process.approved_job(node.table, entry.digest)
        change(bank, entry.digest, column, before)
    process.approved_job(node.table, entry.digest)
    file = node.table.job_file(entry.digest)
    file.write_text(file.read_text().replace("max_iter = 5", "max_iter = 6"))
    with pytest.raises(DisclosureRefused, match="has changed since it was approved"):
        process.approved_job(node.table, entry.digest)


@pytest.mark.usefixtures("fits")
def test_each_batch_waits_for_an_approval_of_its_own(bank: Bank) -> None:
    node = bank.service()
    digest = given(bank, node).digest
    node.table.approve(digest, "jane", "command")
    assert given(bank, node).state == "approved"  # it is there already
    until(node, lambda: node.processes.lives(digest))
    assert given(bank, node).state == "running"
    bank.end(0)
    until(node, lambda: node.table.get(digest).state == "done")
    again = given(bank, node)
    assert (again.digest, again.state, again.approval) == (digest, "waiting", None)
    node.round()
    assert not node.processes.lives(digest)
    assert [d[1] for d in node.table.decisions(digest)] == ["approved"]  # the first one stays on record


@pytest.mark.usefixtures("fits")
def test_a_training_that_is_done_does_not_run_again_when_it_is_given_again(bank: Bank) -> None:
    node = bank.service()
    digest = put(bank, node)
    node.table.move(digest, "waiting", "done")
    assert submit(node.table, node.party, bank.job).state == "done"
    assert given(bank, node).state == "waiting"  # a prediction of it is another matter


@pytest.mark.usefixtures("fits")
def test_an_allow_list_approves_each_batch_of_one_model_and_table(bank: Bank) -> None:
    job = load_agreement(bank.job)
    bank.file.write_text(bank.file.read_text() + f'approved = ["{digest_of(job, MODEL)}"]\n')
    node = bank.service()
    entry = given(bank, node)
    assert (entry.state, entry.approved_how) == ("approved", "party file")
    node.table.move(entry.digest, "approved", "done")
    assert given(bank, node).state == "approved"
    assert given(bank, node, Batch(MODEL.model, "/srv/bank/other.csv", None)).state == "waiting"
    assert submit(node.table, node.party, bank.job).state == "waiting"  # the training


@pytest.mark.usefixtures("fits")
def test_two_predictions_of_one_job_do_not_run_at_once_but_its_training_does(bank: Bank) -> None:
    """They would wait for the same callers."""
    node = bank.service()
    digests = [given(bank, node).digest, given(bank, node, Batch(MODEL.model, None, None)).digest, put(bank, node)]
    for digest in digests:
        node.table.approve(digest, "jane", "command")
    node.round()
    node.round()
    states = [node.table.get(digest).state for digest in digests]
    assert sorted(states[:2]) == ["approved", "running"]
    assert states[2] == "running"
    bank.end(0)
    until(node, lambda: {node.table.get(digest).state for digest in digests} == {"done"})


@pytest.mark.usefixtures("fits")
def test_who_calls_for_a_prediction_is_noted_at_the_predictions_alone(bank: Bank) -> None:
    node = bank.service()
    training, one = put(bank, node), given(bank, node).digest
    other = given(bank, node, Batch(MODEL.model, None, None)).digest
    node.round()
    node.calls.heard(hello.knock("telecom", session_digest(load_agreement(bank.job), "predict")))
    node.round()
    called = [node.table.get(digest).called is not None for digest in (training, one, other)]
    assert called == [False, True, True]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ((), "--model is missing"),
        (("--data", "postgresql://user:secret@host/db"), "--data is an address"),
        (("--model", "nowhere"), "nowhere"),
    ],
    ids=["no model", "an address", "no folder"],
)
def test_a_prediction_that_this_party_cannot_make_does_not_enter(bank: Bank, options: Sequence[str], says: str) -> None:
    ended = bank.parties.here("node", "predict", bank.job, bank.file, *options)
    assert ended.code in (2, 7), ended.err
    assert says in ended.err
    assert "secret" not in ended.err
    assert JobTable(bank.folder).entries() == []
    assert not list((bank.folder / "jobs").iterdir())


def test_a_job_without_a_model_is_refused_by_name(bank: Bank) -> None:
    path = bank.job.with_name("align.toml")
    path.write_text(ALIGNS)
    with pytest.raises(ConfigError, match="without a model"):
        check_batch(load_agreement(path), load_party(bank.file), MODEL)


def test_paths_are_kept_whole_whatever_folder_the_command_was_given_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made = Batch.of(Path("model"), "new.csv", Path("scores.csv"))
    assert made == Batch(*(str(tmp_path / name) for name in ("model", "new.csv", "scores.csv")))
    assert Batch.of(None, f"file://{tmp_path}/new.csv", None).data == str(tmp_path / "new.csv")
