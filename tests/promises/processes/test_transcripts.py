"""Transcripts of real runs: every party's holds what its ledger lists, byte for byte what the transport moved, also
after a kill."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.promises.processes.institutions import ROOT, Institutions, tables
from tests.promises.processes.test_align_run import aligned, alone
from tests.promises.processes.test_predict import new_tables, predicted
from vfl.attacks.registry import ATTACKS
from vfl.ledger import read_ledger
from vfl.taps.transcript import FILE, read_transcript


def latest(parties: Institutions, name: str) -> Path:
    return sorted((parties.folder / name / "runs").glob("[!.]*"))[-1]


def lay_out(parties: Institutions, **more: Any) -> None:
    parties.lay_out(**more)
    for name in parties.roles:
        parties.change(name, "message_seconds = 3600", "message_seconds = 3600\ntranscript = true")


def check_ledger(folder: Path, name: str) -> dict[str, int]:
    """Each message once, with the ledger's hash; the sums."""
    found, lines = read_transcript(folder, name), list(read_ledger(folder / "ledger.jsonl"))
    listed = [line["sha256"] for line in lines if line["type"] == "received"]
    assert [hashlib.sha256(entry.data).hexdigest() for entry in found.received()] == listed != []
    sums = {"to": 0, "from": 0}
    for (way, _), size in found.totals().items():
        sums[way] += size
    for way, kind in (("to", "message"), ("from", "received")):
        assert sums[way] == sum(line["bytes"] for line in lines if line["type"] == kind)
    return sums


@pytest.mark.slow
def test_totals_are_those_of_the_transport(parties: Institutions) -> None:
    lay_out(parties)
    parties.done()
    for name in parties.roles:
        folder = latest(parties, name)
        sums = check_ledger(folder, name)
        phases = json.loads((folder / "report.json").read_text())["phases"]
        assert sums["to"] == sum(phase["bytes_sent"] for phase in phases)
        assert sums["from"] == sum(phase["bytes_received"] for phase in phases)
        assert (folder / FILE).stat().st_mode & 0o777 == 0o600


@pytest.mark.slow
def test_every_party_audits_its_own_run(parties: Institutions) -> None:
    """With the page beside it; a changed message is noticed."""
    lay_out(parties, data=tables(300))
    parties.done()
    schema = jsonschema.Draft202012Validator(json.loads((ROOT / "docs" / "commands.schema.json").read_text()))
    for name in parties.roles:
        folder = latest(parties, name)
        ended = parties.here("audit", folder, "--seeds", "2", "--json")
        assert ended.code == 0, ended.err
        found = json.loads(ended.out)
        assert [e.message for e in schema.iter_errors(found)] == []
        assert [check["holds"] for check in found["checks"]] == [True] * 4, found["checks"]
        assert len(found["attacks"]) + len(found["untried"]) == len(ATTACKS)
        assert "A party does not have its partners" in (folder / "audit.html").read_text()
        assert json.loads((folder / "audit.json").read_text())["about"]["party"] == name
    (folder / FILE).write_bytes((folder / FILE).read_bytes()[:3000])
    assert parties.here("audit", folder).code == 2
    (folder / FILE).unlink()
    parties.here("audit", folder).says(2, "has no transcript", "transcript = true")


@pytest.mark.slow
def test_both_audit_their_own_alignment(parties: Institutions) -> None:
    lay_out(parties)
    alone(parties)
    assert [ended.code for ended in aligned(parties, "--format", "csv").values()] == [0, 0]
    for name in ("bank", "telecom"):
        folder = latest(parties, name)
        ended = parties.here("audit", folder, "--seeds", "2", "--json")
        assert ended.code == 0, ended.err
        found = json.loads(ended.out)
        assert [check["holds"] for check in found["checks"]] == [True] * 4, found["checks"]
        assert [one["number"] for one in found["attacks"]] == [1, 16]
        assert found["holds"]
        assert "Attacks on a twin of this alignment" in (folder / "audit.html").read_text()


@pytest.mark.slow
def test_a_prediction_is_audited_with_a_twin_of_its_model(parties: Institutions) -> None:
    lay_out(parties, data=tables(300))
    models = parties.models(parties.done())
    new_tables(parties)
    results = predicted(parties, models)
    assert [ended.code for ended in results.values()] == [0] * len(results), results
    for name in results:
        folder = next((parties.folder / name / "runs").glob("predict-*"))
        ended = parties.here("audit", folder, "--seeds", "2", "--json")
        assert ended.code == 0, ended.err
        assert [check["holds"] for check in json.loads(ended.out)["checks"]] == [True] * 4
        assert "this prediction’s model" in (folder / "audit.html").read_text()


@pytest.mark.slow
def test_a_killed_run_leaves_one_whole_transcript(parties: Institutions) -> None:
    lay_out(parties, reconnect=30, max_iter=60)
    processes = {name: parties.start(name) for name in parties.roles}
    processes["bank"].until(lambda events: any(e["phase"] == "train" and (e["step"] or 0) >= 2 for e in events))
    processes["bank"].kill()
    assert processes["bank"].wait().code != 0
    again = parties.start("bank")
    assert again.wait().code == 0
    assert all(processes[name].wait().code == 0 for name in parties.roles if name != "bank")
    for name in parties.roles:
        check_ledger(latest(parties, name), name)
