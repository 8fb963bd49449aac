"""What commands answer in the folder of a run that is over: to the questions of docs/data-protection.md, and to
programs."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any, Union

import jsonschema
import msgspec
import pytest

from tests.promises.processes.institutions import KEY, ROOT, Institutions
from vfl.cli.results import RESULTS, Audit, Bench, Demo, NodeStart, Predict, ReportShown

OFFICER = {
    "Which of our columns": r"own columns +numbers: canaryage, canarylimit",
    "In which form": r"telecom +HostRows +revealed",
    "What do the others": r"trustco learns the number of rows that.*put together what.*arbiter and any host: the",
    "What did we receive": r"received from telecom: [\d,]+ messages",
    "Can anybody change": r"Unbroken",
    "Who started the run": r"started by +\w+.*approved by +Jane Doe",
    "Which job was it": r"^[0-9a-f]{64}$",
    "Can anybody demand more": r"What this party's policy bounds.*accepts 2048 or more",
    "How much is used up": r"runs_per_partner_per_month +telecom +\d{4}-\d\d +\d +20.*telecom, in \d runs.*learnt",
    "How long must we keep": r"Would be erased.*Stays.*ledger.jsonl: the signed record",
    "A customer asks": r"Would be erased.*aligned.*: 1 row.*partners: what they learnt",
    "Which runs were there": r"run +credit-risk[\w-]* +done",
}


def answer_the_officer(parties: Institutions, run: Path) -> None:
    """Every question of docs/data-protection.md: its command is given, and its answer is there."""
    rows = re.findall(
        r"^\| ([^|]*\?)[^|]*\| `vfl ([^`|]*)` \|", (ROOT / "docs" / "data-protection.md").read_text(), re.M
    )
    assert len(OFFICER) >= 11
    assert len(rows) == len(OFFICER)
    names = {"JOB": "job.toml", "PARTY": "bank/party.toml", "RUN": run, "COLUMN": KEY, "2026-01-01": "2999-01-01"}
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    for question, command in rows:
        answer = next(pattern for start, pattern in OFFICER.items() if question.startswith(start))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("sys.stdin", io.StringIO("CANARY-00040\n"))
            patch.setattr("getpass.getpass", lambda *_, **__: "CANARY-00040")
            shown = parties.here(*(names.get(word, word) for word in command.split()))
        assert shown.code == 0, (command, shown.err)
        assert re.search(answer, " ".join(shown.out.split())), (command, shown.out)
        assert "CANARY-00040" not in shown.out + shown.err
    assert before == {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}  # nothing is erased unasked


def of_a_node(parties: Institutions, model: Path) -> list[tuple[str | Path, ...]]:
    """The commands about the bank's node, which does not run."""
    file = parties.file("bank")
    file.write_text(file.read_text() + "\n[node]\n")
    digest = parties.here("job", "digest", "job.toml").out.strip()
    jobs = [("submit", "job.toml"), ("status",), ("approve", digest), ("cancel", digest)]
    jobs += [("predict", "job.toml", "--model", model, "--data", "new.csv")]
    return [*jobs, ("publish", "job.toml", "--model", model), ("withdraw", digest)]


def answer_programs(parties: Institutions, runs: dict[str, Path], answers: list[str]) -> None:
    """The other commands with --json: each answers with one object, as docs/commands.schema.json declares it."""
    run, model = runs["bank"], runs["bank"] / "model"
    pem = parties.folder / "telecom" / "identity" / "cert.pem"
    for words in (
        ("init", "shop", "--role", "guest", "--name", "shop"),
        ("trust", "shop", pem),
        ("renew", "shop"),
        ("job", "new", "other.toml", "--key", KEY),
        ("job", "show", "job.toml"),
        ("job", "digest", "job.toml"),
        ("check", "job.toml", "bank/party.toml"),
        ("runs", "bank/party.toml"),
        ("report", run),
        ("report", next((parties.folder / "bank" / "runs").glob("*/alignment.json")).parent),
        ("ledger", "show", run, "--messages"),
        ("ledger", "verify", run),
        ("ledger", "reconcile", run, runs["telecom"]),
        *(("model", "show", folder / "model") for folder in runs.values()),
        ("monitor", "bank/party.toml", "--model", model, "--data", "new.csv"),
        ("budget", "bank/party.toml"),
        ("purge", "bank/party.toml", "--before", "2000-01-01", "--budgets"),
        ("support", run),
        ("evidence", "pack", run, "--out", "pack.zip"),
        ("evidence", "verify", "pack.zip"),
        *(("node", *words, "bank/party.toml") for words in of_a_node(parties, model)),
    ):
        ended = parties.here(*words, "--json")
        assert ended.code == 0, ended.err
        answers.append(ended.out)
    declared: Any = Union[tuple(RESULTS.values())]  # noqa: UP007
    found = [msgspec.json.decode(answer, type=declared) for answer in answers]
    assert {type(one) for one in found} == set(RESULTS.values()) - {
        Audit,
        Demo,
        Bench,
        NodeStart,
    }  # of which other tests have answers
    schema = jsonschema.Draft202012Validator(json.loads((ROOT / "docs" / "commands.schema.json").read_text()))
    assert [e.message for answer in answers for e in schema.iter_errors(json.loads(answer))] == []
    assert not schema.is_valid(json.loads(answers[0]) | {"id": "CANARY"})
    assert all(answer.count("\n") == 1 for answer in answers)
    reports = [one for one in found if isinstance(one, ReportShown)]
    assert [(one.report is None, one.alignment is None) for one in reports] == [(False, True), (True, False)]
    predicted = next(one for one in found if isinstance(one, Predict))
    assert predicted.scores is None  # a host's: it has none
    parties.here("run", "job.toml", "bank/party.toml", "--json", "--progress", "lines").says(2, "both print JSON")
