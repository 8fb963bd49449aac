"""Three institutions prepare a regression, and train it later: the model of a run without that, in one run that is
counted once; what lies on their disks in between is for nobody to read, and serves nothing else."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from protocols.session import Observer
from tests.promises.leakage import canaries
from tests.promises.leakage.test_canaries import of_files, tables
from tests.promises.processes.institutions import CANARIES, Institutions
from tests.unit.vfl.transport.world import at_once
from vfl.job import load_job, load_party
from vfl.ledger import read_ledger, verify_ledger
from vfl.run.budget import Budget
from vfl.run.budget.disclosed import RunAllowance
from vfl.run.budget.table import NUMBERS
from vfl.run.prepare import PreparedRun, prepare_ahead
from vfl.run.train import prepare
from vfl.storage.pad_store import DAY, DAYS, HEADER, MAGIC, PADS, SPENT
from vfl.storage.run_store import FILE
from vfl.transport.identity import Identity

WITHIN = 1e-4  # of the largest weight


def weights(parties: Institutions, results: Any) -> Any:
    """Of all parties, which nobody knows alone."""
    whole = parties.whole(parties.models(results))
    return np.concatenate([whole[name].weights.ravel() for name in sorted(whole)])


def prepared(parties: Institutions, *options: str, **changes: Any) -> dict[str, dict[str, Any]]:
    """What `vfl prepare` answers at each party; bytes and files agree."""
    ended = parties.together(*options, command="prepare", **changes)
    assert [one.code for one in ended.values()] == [0] * len(ended), [one.err for one in ended.values()]
    return {name: json.loads(one.out.splitlines()[-1]) for name, one in ended.items()}


def files(parties: Institutions, name: str) -> list[Path]:
    return sorted((parties.folder / name / "runs").glob(f"*/{PADS}/*"))


def kinds(parties: Institutions, name: str) -> list[str]:
    (ledger,) = (parties.folder / name / "runs").glob("*/ledger.jsonl")
    return [line["message"] for line in read_ledger(ledger) if line["type"] == "message"]


def test_a_regression_is_prepared_and_trained_later(parties: Institutions) -> None:
    """In one run: aligned and counted once, with one ledger; and nothing of it stays."""
    parties.lay_out(data=None, max_iter=20, link="exact")
    expected = weights(parties, parties.done())
    for path in parties.folder.glob("*/runs"):
        path.rename(path.with_name("before"))
    prepared(parties)
    runs = json.loads(parties.here("runs", parties.file("bank"), "--json").out)["runs"]
    assert [one["outcome"] for one in runs] == ["prepared"]
    for name in parties.roles:
        assert files(parties, name)
        assert all(path.stat().st_mode & 0o777 == 0o600 for path in files(parties, name))
        assert verify_ledger(files(parties, name)[0].parents[1] / "ledger.jsonl").outcome == "prepared"
    before = {name: kinds(parties, name) for name in parties.roles}
    assert {"PreparedWeights", "PreparedResiduals"} <= set(before["trustco"])
    results = parties.done()
    difference = np.abs(weights(parties, results) - expected)
    assert difference.max() <= WITHIN * np.abs(expected).max()
    for name, result in results.items():
        later = set(kinds(parties, name)[len(before[name]) :])
        assert later & set(before[name]) <= {"ChunkNonce", "ChunkNonces", "Standing", "Agreed", "Counted"}
        assert later & {"ChunkNonce", "ChunkNonces"}
        assert verify_ledger(result.folder / "ledger.jsonl").outcome == "done"
        assert not list((parties.folder / name).rglob(f"{FILE}*"))
        assert not files(parties, name)
        used = Budget(load_party(parties.file(name)), "run")
        assert {used.used(peer) for peer in parties.roles if peer != name} == {1}


def test_what_lies_on_the_disks_is_sealed(parties: Institutions) -> None:
    """No id, feature or label of any party, no run seed, and no number of a pad, in any file between the commands."""
    parties.lay_out(tables_of(), max_iter=5)
    prepared(parties)
    for name in parties.roles:
        (folder,) = (parties.folder / name / "runs").glob("*/")
        kept = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
        assert sum(data.startswith(MAGIC) for data in kept) >= 1
        for wanted in of_files(parties.data).values():
            assert canaries.found(wanted, kept) == set()
        assert not any(word in data for word in CANARIES for data in kept if data.startswith(MAGIC))
        for path in files(parties, name):
            body = np.frombuffer(path.read_bytes()[HEADER:], np.uint8)
            counts = np.bincount(body, minlength=256)
            assert (
                (counts - len(body) / 256) ** 2 / (len(body) / 256)
            ).sum() < 400  # chi-squared of 255: uniform bytes


def tables_of() -> dict[str, Any]:
    data = tables()
    return {
        "bank": data["guest"]
        .rename(columns={"id": "canarycustomer", "default": "canarylabel"})
        .assign(canarylabel=lambda t: np.where(t["canarylabel"] == 1, "canarygood", "canarybad")),
        "telecom": data["telecom"].rename(columns={"id": "canarycustomer"}),
    }


def in_threads(parties: Institutions) -> None:
    """`vfl prepare` of all parties in this process, with run seeds that the test knows."""
    ready = {name: prepare(load_job(parties.job), load_party(parties.file(name))) for name in parties.roles}
    works = [
        lambda one=one: prepare_ahead(one, Observer(), connect_timeout=20, seed=one.party.name.encode().ljust(32, b"."))
        for one in ready.values()
    ]
    for found in at_once(*works):
        assert isinstance(found, PreparedRun), found


@pytest.mark.parametrize("planted", [False, True])
def test_no_run_seed_lies_in_a_store(parties: Institutions, monkeypatch: pytest.MonkeyPatch, planted: bool) -> None:
    """From it follow the arbiter's key and every mask but the stored pads.  Planted: seals that are none."""
    if planted:
        monkeypatch.setattr(Identity, "seal", lambda self, data, purpose: data + bytes(16))
        monkeypatch.setattr(Identity, "unseal", lambda self, data, purpose: data[:-16])
    parties.lay_out(max_iter=5)
    in_threads(parties)
    for name in parties.roles:
        (store,) = (parties.folder / name).rglob(FILE)
        assert (name.encode().ljust(32, b".") in store.read_bytes()) == planted


def models(parties: Institutions) -> list[tuple[str, int]]:
    """How many the guest has counted, by partner."""
    told = json.loads(parties.here("budget", parties.file("bank"), "--json").out)["limits"]
    return [(one["partner"], one["used"]) for one in told if one["budget"] in ("models_per_label", NUMBERS)]


@pytest.mark.parametrize("planted", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_preparation_counts_no_model(parties: Institutions, monkeypatch: pytest.MonkeyPatch, planted: bool) -> None:
    """The run that trains counts it.  Planted: a build that counts whatever it asks for."""
    if planted:
        asked = RunAllowance.training
        monkeypatch.setattr(RunAllowance, "training", lambda *given, begins=True: asked(*given))
    parties.lay_out(max_iter=5)
    in_threads(parties)
    assert (models(parties) == []) != planted
    parties.done()
    assert models(parties) == [("telecom", 1), ("trustco", 1), ("telecom", 1)]  # and the number of iterations


@pytest.mark.slow  # tests/unit/vfl/run/budget has the same without processes
def test_a_command_that_the_label_budget_refuses_counts_no_model(parties: Institutions) -> None:
    """Neither the preparation nor the run; with the budget raised, the run counts its models and numbers."""
    parties.lay_out(max_iter=5)
    parties.job.write_text(parties.job.read_text().replace("allow = [", 'allow = [\n  "host-weights-to-host",', 1))
    for name in parties.roles:
        parties.change(name, "allow = [", 'allow = [\n  "host-weights-to-host",')
    parties.change("bank", f"{NUMBERS} = 1", f"{NUMBERS} = 1000")
    for command in ("prepare", "run"):
        ended = parties.together(command=command)
        ended["bank"].says(6, "would learn 2 numbers computed from these labels")
        assert models(parties) == []
    parties.change("bank", f"{NUMBERS} = 1000", f"{NUMBERS} = 1")
    parties.done()
    assert models(parties) == [("telecom", 1), ("trustco", 1), ("telecom", 3)]


def test_another_key_does_not_resume_the_run(parties: Institutions) -> None:
    parties.lay_out(max_iter=5)
    prepared(parties)
    assert parties.here("renew", parties.folder / "telecom", "--new-key").code == 0
    ended = parties.here("prepare", parties.job, parties.file("telecom"))
    ended.says(2, "begun with another key of this party", "--fresh")


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def age(path: Path) -> None:
    """As if it had been written eight days ago."""
    data = bytearray(path.read_bytes())
    first = len(MAGIC)
    made = int.from_bytes(data[first : first + 8], "big") - (DAYS + 1) * DAY
    data[first : first + 8] = made.to_bytes(8, "big")
    path.write_bytes(data)


FAULTS = {
    "a changed byte": lambda path: flip(path, -1),
    "a changed byte of the header": lambda path: flip(path, len(MAGIC) + 7),
    "another name": lambda path: path.rename(path.with_name("0" * 64 + path.suffix)),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-40]),
    "expired": age,
    "lost": lambda path: path.unlink(),
    "the list of spent pads is gone": lambda path: (path.parents[2] / SPENT).unlink(missing_ok=True),
}


@pytest.mark.slow
@pytest.mark.parametrize(("fault", "party"), [*zip(FAULTS, 3 * ["bank", "telecom", "trustco"], strict=False)])
def test_pads_of_one_party_that_are_no_good_are_used_by_nobody(parties: Institutions, party: str, fault: str) -> None:
    parties.lay_out(max_iter=5)
    prepared(parties)
    for path in files(parties, party):
        FAULTS[fault](path)
    results = parties.done()
    assert "PreparedWeights" in kinds(parties, "trustco")[-200:]
    assert any("prepared" in line for line in results[party].err.splitlines())
    assert not any(files(parties, name) for name in parties.roles)


@pytest.mark.slow
def test_another_table_does_not_resume_and_fresh_prepares_anew(parties: Institutions) -> None:
    parties.lay_out(max_iter=5)
    prepared(parties)
    customers = parties.folder / "telecom" / "customers.csv"
    customers.write_text("\n".join(customers.read_text().splitlines()[:-1]) + "\n")
    ended = parties.together(timeout=5)
    ended["telecom"].says(3, "the table has changed since the run .* began", "--fresh")
    assert all(one.code == 4 for name, one in ended.items() if name != "telecom")
    old = {path for name in parties.roles for path in files(parties, name)}
    results = parties.done("--fresh")
    assert not any(path.exists() for path in old)
    assert all(one.code == 0 for one in results.values())


@pytest.mark.slow
def test_other_commands_at_a_peer_are_told_apart(parties: Institutions) -> None:
    parties.lay_out(max_iter=5)
    started = {
        name: parties.start(name, command="run" if name == "bank" else "prepare", timeout=10) for name in parties.roles
    }
    ended = {name: process.wait() for name, process in started.items()}
    assert all(one.code == 4 for one in ended.values())
    for name, one in ended.items():
        assert "the commands differ" in one.err, (name, one.err)
        assert "Give the same command" in one.err
        assert "digest" not in one.err
    assert "bank gave vfl run, this party vfl prepare" in ended["telecom"].err + ended["trustco"].err


@pytest.mark.parametrize(
    ("job", "more", "words"),
    [
        ({"kind": "boosted-trees"}, "", "no iterations that can be prepared"),
        ({"max_iter": 5, "preparation": "none"}, "", 'preparation = "none"'),
        ({"max_iter": 5}, "[search]\nparam_grid = { C = [0.1, 1.0] }\ncv = 2\n", "does not go with .search."),
    ],
)
def test_a_job_without_such_iterations_is_refused_before_anything_is_sent(
    parties: Institutions, job: dict[str, Any], more: str, words: str
) -> None:
    parties.lay_out(**job)
    text = parties.job.read_text().replace("allow = [", 'allow = [\n  "best-candidate-to-parties",', 1)
    parties.job.write_text(text + more if more else text)
    parties.here("prepare", parties.job, parties.file("bank")).says(2, words, "Give vfl run")
    assert not any((parties.folder / name / "runs").exists() for name in parties.roles)


def test_a_prepared_run_is_shown_as_such_until_its_pads_expire(parties: Institutions) -> None:
    """By runs, check, report, model show and purge, which names it before it erases it."""
    parties.lay_out(max_iter=5)
    prepared(parties)
    folder, bank, tomorrow = files(parties, "bank")[0].parents[1], parties.file("bank"), "2999-01-01"

    def seen(command: str, *words: object) -> str:
        return " ".join(parties.here(command, *words).out.split())

    (run,) = json.loads(parties.here("runs", bank, "--json").out)["runs"]
    until = run["prepared_until"]
    left = datetime.datetime.fromisoformat(until) - datetime.datetime.now(datetime.UTC)
    assert (run["outcome"], round(left / datetime.timedelta(days=1))) == ("prepared", DAYS)
    assert f"prepared until {until[:10]}" in seen("runs", bank)
    assert f"prepared until {until}; the time above is without it" in seen("check", parties.job, bank)
    for words in (("report", folder), ("model", "show", folder / "model")):
        parties.here(*words).says(2, "is only prepared", "Give vfl run")
    purge = json.loads(parties.here("purge", bank, "--before", tomorrow, "--json").out)
    assert purge["prepared"].keys() == {str(folder)}
    assert f"prepared until {until}: without it the others must start again too" in seen(
        "purge", bank, "--before", tomorrow
    )
    for path in files(parties, "bank"):
        age(path)
    (run,) = json.loads(parties.here("runs", bank, "--json").out)["runs"]
    assert (run["outcome"], run["prepared_until"]) == ("prepared, expired", None)
    assert "prepared, expired" in seen("check", parties.job, bank)
    parties.job.write_text(parties.job.read_text().replace("max_iter = 5", "max_iter = 6"))
    assert "prepared, expired" not in seen("check", parties.job, bank)  # another job's


def test_pads_that_have_expired_are_purged(parties: Institutions) -> None:
    """Of whatever run; others stay."""
    parties.lay_out(max_iter=5)
    prepared(parties)
    fresh, *_ = files(parties, "bank")
    old = fresh.with_name("1" * 64 + fresh.suffix)
    old.write_bytes(fresh.read_bytes())
    age(old)
    for options in ((), ("--yes",)):
        told = parties.here("purge", parties.file("bank"), "--before", "2026-01-01", "--json", *options)
        assert json.loads(told.out)["erased"] == {str(old): "pads that have expired"}
        assert old.exists() == (not options)
    assert fresh.exists()
    assert (parties.folder / "bank" / "runs" / SPENT).exists()
