"""Transcripts of real runs: every party's holds what its ledger lists, byte for byte what the transport moved, also
after a kill."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.members import lay_out as lay_out_members
from tests.promises.processes.institutions import ROOT, Institutions, tables
from tests.promises.processes.test_align_run import aligned, alone
from tests.promises.processes.test_evidence import KINDS, counted, measured
from tests.promises.processes.test_predict import new_tables, predicted
from tests.promises.processes.test_scorecard import made as with_texts
from vfl.attacks.registry import ATTACKS
from vfl.evidence.archive import unpacked
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


def check_totals(folder: Path, name: str) -> None:
    """Bytes of the transcript are those that the transport counted; nobody else reads the file."""
    sums = check_ledger(folder, name)
    report = next(path for path in (folder / "alignment.json", folder / "report.json") if path.exists())
    phases = json.loads(report.read_text())["phases"]
    assert sums["to"] == sum(phase["bytes_sent"] for phase in phases)
    assert sums["from"] == sum(phase["bytes_received"] for phase in phases)
    assert (folder / FILE).stat().st_mode & 0o777 == 0o600


def audited(parties: Institutions, name: str, folder: Path) -> dict[str, Any]:
    """What a party's audit of its run finds by the command: the transcript is the transport's, every check holds, and
    a pack with the page is sound."""
    check_totals(folder, name)
    ended = parties.vfl("audit", folder, "--seeds", "2", "--json", seconds=600)
    assert ended.code == 0, ended.err
    found: dict[str, Any] = json.loads(ended.out)
    schema = jsonschema.Draft202012Validator(json.loads((ROOT / "docs" / "commands.schema.json").read_text()))
    assert [e.message for e in schema.iter_errors(found)] == []
    assert [check["holds"] for check in found["checks"]] == [True] * 4, found["checks"]
    assert len(found["attacks"]) + len(found["untried"]) == len(ATTACKS)
    assert json.loads((folder / "audit.json").read_text())["about"]["party"] == name
    out = parties.folder / f"{name}-audited.zip"
    ended = parties.vfl("evidence", folder, "--out", out)
    assert ended.code == 0, ended.err
    ended = parties.vfl("evidence", "verify", out)
    assert ended.code == 0, ended.err
    files = unpacked(out.read_bytes())
    assert "audit/audit.html" in files
    assert ("Attacks that were tried" in files["index.html"].decode()) == bool(found["attacks"])
    return found


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", KINDS)
def test_every_party_audits_its_own_run(parties: Institutions, kind: str) -> None:
    """With the page beside it; a changed message is noticed."""
    make = {"counts": counted, "numbers": measured, "scorecard": lambda rows: with_texts(rows, 3)}.get(kind, tables)
    lay_out(parties, **KINDS[kind] | {"data": make(300)})
    parties.done()
    for name in parties.roles:
        folder = latest(parties, name)
        assert audited(parties, name, folder)["attacks"]
        assert "A party does not have its partners" in (folder / "audit.html").read_text()
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
        found = audited(parties, name, folder)
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
        assert audited(parties, name, folder)["attacks"]
        assert "this prediction’s model" in (folder / "audit.html").read_text()


@pytest.mark.slow
def test_members_and_their_aggregator_audit_an_averaging(parties: Institutions) -> None:
    world = lay_out_members(parties.folder)
    for name in world.names:
        world.change(name, "message_seconds = 3600", "message_seconds = 3600\ntranscript = true")
    words = ["-m", "vfl", "run", "--progress", "lines", str(world.job_file)]
    started = {name: parties.run([*words, str(world.file(name))], name) for name in world.names}
    for name, process in started.items():
        ended = process.wait()
        assert ended.code == 0, ended.err
        found = audited(parties, name, ended.folder)
        assert [one["number"] for one in found["attacks"]] == [18]
        assert found["holds"]


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
