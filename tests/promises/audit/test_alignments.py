"""The audit of an alignment: in one process, and of a party's own folder."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import vfl
from protocols.errors import ConfigError, ModelError
from tests.promises.audit.scenes import aligned, federation
from vfl.attacks import own_alignment, own_run
from vfl.attacks.alignments import Aligning
from vfl.attacks.attack import SEEDS
from vfl.attacks.audit import one_thread, tried_on
from vfl.attacks.page import render
from vfl.attacks.received import kind_of
from vfl.attacks.registry import ATTACKS
from vfl.attacks.repeated_sizes import LIST, RepeatedSizes, allowed
from vfl.job.alignment_job import agreement_in
from vfl.job.policy import Policy
from vfl.ledger import LedgerWriter
from vfl.schema.section import read_toml
from vfl.taps.transcript import TranscriptFile

JOB = """
version = 1
name = "customers"
[parties]
guest = "bank"
hosts = ["telecom"]
[align]
keys = [["id"]]
[disclosure]
allow = ["intersection-to-parties"]
"""


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    with one_thread():
        yield


def folder_of(run: Aligning, party: str, folder: Path, toml: str = JOB) -> Path:
    """What `vfl align` leaves of a run at a party that records a transcript."""
    (folder / "job.toml").write_text(toml)
    job = agreement_in(*read_toml(folder / "job.toml"), "job.toml")
    with (
        LedgerWriter(folder / "ledger.jsonl", job=job.name, job_digest=job.digest, party=party) as writer,
        TranscriptFile(folder) as file,
    ):
        for entry in run.seen[party].entries:
            kind = kind_of(entry)
            assert kind is not None
            if entry.way == "from":
                writer.received(entry.peer, kind, entry.data)
                file.tap.received(entry.peer, kind, entry.data)
            else:
                writer.record(entry.peer, kind, bytes(entry.size))
                file.tap.sent(entry.peer, kind, bytes(entry.size))
    content: dict[str, Any] = {"format": 1, "job": job.name, "job_digest": job.digest.hex(), "party": party}
    content |= {"role": "host", "started": "2026-01-01T00:00:00+00:00", "job_file": json.loads(job.canonical)}
    content |= {"rows": {"bank": 400, "telecom": 300}, "common": run.rows}
    (folder / "alignment.json").write_text(json.dumps(content))
    return folder


def test_attacks_on_ids_are_tried_and_the_others_say_why_not() -> None:
    found = vfl.audit(federation(), seeds=2)
    assert [one.attack.number for one in found.tried] == [1]
    assert found.holds
    assert len(found.untried) == len(ATTACKS) - 1
    assert sum(why == Aligning.without for why in found.untried.values()) == len(ATTACKS) - 4
    assert Aligning.reasons[12] in found.untried.values()
    page = render(found.as_dict())
    assert "alignment on 400 common rows" in page
    assert "columns: " not in page.partition("<main>")[0].partition("<body>")[2]


def test_what_only_a_model_takes_is_refused_without_one() -> None:
    with pytest.raises(ConfigError, match="an alignment takes no preprocess"):
        vfl.audit(federation(40), preprocess=vfl.Preprocessing())
    with pytest.raises(ConfigError, match="a training takes no cardinality_only"):
        vfl.audit(federation(40), vfl.LogisticRegression(), cardinality_only=True)


def test_a_party_audits_its_own_alignment(tmp_path: Path) -> None:
    run = aligned()
    found = own_run.audit_run(folder_of(run, "telecom", tmp_path), seeds=2)
    assert [one.attack.number for one in found.tried] == [1, 16]
    assert all(one.textbook.mean > one.attack.bound for one in found.tried)
    assert found.holds, [check for check in found.checks if not check["holds"]]
    assert found.about["source"] == "a twin of this alignment"
    assert found.about["rows"] == run.rows == 200
    content = json.loads((tmp_path / "alignment.json").read_text())
    del content["job_file"]
    (tmp_path / "alignment.json").write_text(json.dumps(content))
    with pytest.raises(ModelError, match="does not hold the job"):
        own_run.audit_run(tmp_path)


def test_rows_that_the_job_does_not_permit_are_named(tmp_path: Path) -> None:
    sizes = JOB.replace('[["id"]]', '[["id"]]\ncardinality_only = true').replace(
        "intersection-to", "intersection-size-to"
    )
    folder = folder_of(aligned(), "telecom", tmp_path, sizes)
    checks = own_alignment.audit_alignment(folder, seeds=2).checks
    assert "HostRows" in next(check["found"] for check in checks if not check["holds"])


def test_a_budget_counts_the_sizes_that_a_partner_may_ask_for() -> None:
    assert allowed(LIST) == Policy().runs_per_partner_per_month < LIST


@pytest.mark.slow
@pytest.mark.timeout(2700)
def test_repeated_sizes_stay_under_the_bound() -> None:
    run, attack = aligned(size_only=True), RepeatedSizes()
    assert attack.unfit(run) == ""
    assert "intersection-to-parties" in attack.unfit(aligned())
    tried = tried_on(run, attack, SEEDS)
    print(f"{tried.product}; control {tried.control}, textbook {tried.textbook}")
    assert tried.holds
    smallest = attack.smallest(run, SEEDS)
    assert smallest is not None
    assert attack.found is not None
    assert smallest <= attack.found
