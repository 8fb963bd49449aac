"""One of three institutions is killed outright and given its command again: all end by themselves, and the model is the
one of an undisturbed run, bit for bit."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pandas as pd
import pytest

from protocols.cipher import Paillier
from protocols.local import run_local
from tests.promises.processes.institutions import Ended, Institutions, Process
from tests.promises.processes.test_three_processes import check_same, prepared, randomness, seed
from vfl.ledger import read_ledger, reconcile, verify_ledger
from vfl.run.train import program
from vfl.storage.run_store import FILE


def start(parties: Institutions, name: str) -> Process:
    return parties.run(
        ["-m", "tests.promises.processes.seeded", seed(name).hex(), str(parties.job), str(parties.file(name))], name
    )


def until_sent(parties: Institutions, name: str, messages: int, what: bytes = b'"type":"message"') -> None:
    """Waits until a party has listed so many messages in its ledgers; what: their lines hold."""
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        if sum(path.read_bytes().count(what) for path in (parties.folder / name).rglob("ledger.jsonl")) >= messages:
            return
        time.sleep(0.02)
    raise AssertionError(f"{name} did not send {messages} messages")


def undisturbed(parties: Institutions) -> dict[str, object]:
    """What the parties return with the same seeds in one process."""
    ready = prepared(parties)
    programs = {name: program(one) for name, one in ready.items()}
    return run_local(ready["bank"].roles, programs, Paillier(2048), randomness=randomness(ready))


def check(parties: Institutions, results: dict[str, Ended]) -> None:
    """The same model, whole ledgers that agree, and no store left."""
    expected = undisturbed(parties)
    folders = {}
    for name, result in results.items():
        assert result.code == 0, result.err
        folders[name] = result.folder
        assert list((parties.folder / name / "runs").glob("credit-risk-*")) == [result.folder]
        assert (
            verify_ledger(
                result.folder / "ledger.jsonl", (parties.folder / name / "identity" / "cert.pem").read_bytes()
            ).outcome
            == "done"
        )
        assert not list((parties.folder / name).rglob(FILE))
        assert not list((parties.folder / name).rglob("unconfirmed"))
    for name in ("bank", "telecom"):
        check_same(results[name].folder / "model", expected[name].part)  # type: ignore[attr-defined]
    for one, other in (("bank", "telecom"), ("bank", "trustco"), ("telecom", "trustco")):
        found = reconcile(folders[one] / "ledger.jsonl", folders[other] / "ledger.jsonl")
        assert not any(found.underway.values())


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    ("victim", "messages"),
    [pytest.param("bank", 14, marks=SLOW), pytest.param("telecom", 2, marks=SLOW), ("trustco", 15)],
)
@pytest.mark.slow
def test_a_party_that_is_killed_comes_back(parties: Institutions, victim: str, messages: int) -> None:
    parties.lay_out(reconnect=60, max_iter=12, preparation="none")
    started = {name: start(parties, name) for name in parties.roles}
    until_sent(parties, victim, messages)
    started[victim].kill(signal.SIGKILL)
    started[victim].wait(10)
    started[victim] = start(parties, victim)
    check(parties, {name: process.wait(100) for name, process in started.items()})
    (ledger,) = (parties.folder / victim).rglob("ledger.jsonl")
    assert [line["type"] for line in read_ledger(ledger)].count("resumed") == 1
    reports = {
        name: json.loads(next((parties.folder / name / "runs").glob("credit-risk-*/report.json")).read_bytes())
        for name in started
    }
    assert {name for name, report in reports.items() if report.get("resumed")} == {victim}
    page = (ledger.parent / "report.html").read_text()
    assert "resumed it. Times, bytes and products on this page are those since then" in page


@SLOW
def test_a_run_that_everybody_left_goes_on_with_the_same_command(parties: Institutions) -> None:
    """Nobody waits: the others stop with a typed error within seconds, and say that the same command goes on."""
    parties.lay_out(max_iter=12, preparation="none")
    started = {name: start(parties, name) for name in parties.roles}
    until_sent(parties, "trustco", 12)
    started.pop("bank").kill(signal.SIGKILL)
    for process in started.values():
        ended = process.wait(15)
        ended.says(ended.code, "bank", "it resumes where it stopped")
    results = {name: process.wait(100) for name, process in {n: start(parties, n) for n in parties.roles}.items()}
    check(parties, results)
    assert all(json.loads(result.report.read_text())["resumed"] for result in results.values())


@SLOW
def test_a_table_that_changed_is_refused_until_it_is_put_back(parties: Institutions) -> None:
    parties.lay_out(max_iter=12, preparation="none")
    started = {name: start(parties, name) for name in parties.roles}
    until_sent(parties, "trustco", 12)
    started.pop("telecom").kill(signal.SIGKILL)
    for process in started.values():
        process.wait(15)
    path = parties.folder / "telecom" / "customers.csv"
    before = path.read_text()
    table = pd.read_csv(path)
    table.loc[3, "canarybill"] += 1
    table.to_csv(path, index=False)
    parties.start("telecom").wait(20).says(
        3, "telecom: the table has changed since the run in .* began", "Put the former one back", "--fresh"
    )
    path.write_text(before)
    check(parties, {name: process.wait(100) for name, process in {n: start(parties, n) for n in parties.roles}.items()})


@SLOW
def test_a_run_that_was_given_up_begins_anew(parties: Institutions, tmp_path: Path) -> None:
    parties.lay_out(max_iter=12, preparation="none")
    started = {name: start(parties, name) for name in parties.roles}
    until_sent(parties, "trustco", 12)
    started.pop("telecom").kill(signal.SIGKILL)
    for process in started.values():
        process.wait(15)
    again = {name: parties.start(name, *(["--fresh"] if name == "telecom" else [])) for name in parties.roles}
    results = {name: process.wait(100) for name, process in again.items()}
    assert [r.code for r in results.values()] == [0, 0, 0], [r.err for r in results.values()]
    for name in ("bank", "trustco"):
        assert "is given up: telecom has it no more (--fresh, or a run directory that was lost" in results[name].err
    assert not any("resumed" in json.loads(result.report.read_text()) for result in results.values())
    for name in parties.roles:
        assert len(list((parties.folder / name / "runs").glob("credit-risk-*"))) == 2
        assert not list((parties.folder / name).rglob(FILE))
