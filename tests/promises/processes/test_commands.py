"""Every command of the README, as printed there and in that order; and what the showing ones say when a file is not
what it should be."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.main import get_command

from tests.promises.processes.answers import answer_programs, answer_the_officer
from tests.promises.processes.institutions import KEY, ROOT, Ended, Institutions, tables
from tools.command_schema import SCHEMA, command_schema
from vfl.cli.main import app
from vfl.cli.results import RESULTS
from vfl.demo.run import free_ports
from vfl.job import job_from, starter_job
from vfl.job.setup import init_party, trust_peer
from vfl.metrics import binary_metrics, plot_series
from vfl.report import write_report
from vfl.screen import errors as faults
from vfl.screen.examples import EXAMPLES
from vfl.transport.identity import create_identity

README = (ROOT / "README.md").read_text()


def printed() -> list[list[str]]:
    """The commands of the README's block "Between institutions", each as its words."""
    block = README.partition("## Between institutions")[2].split("```")[1]
    return [shlex.split(line, comments=True) for line in block.strip().splitlines()]


def prepare(folder: Path) -> dict[str, Path]:
    """What the README takes for granted: two partners, a job, tables."""
    made = tables(rows=160)
    for name, role in (("telecom", "host"), ("trustco", "arbiter")):
        init_party(folder / name, role, name)  # type: ignore[arg-type]
        (folder / f"{name}.pem").write_bytes((folder / name / "identity" / "cert.pem").read_bytes())
    job = starter_job(keys=[KEY], max_iter=5, key_bits=2048).replace('link = "exact"', 'link = "taylor"')
    (folder / "job.toml").write_text(job)
    made["telecom"].assign(canarycalls=made["telecom"]["canarybill"] ** 2).to_csv(
        folder / "telecom" / "customers.csv", index=False
    )
    made["bank"].to_csv(folder / "customers.csv", index=False)
    made["bank"].drop(columns="canarylabel").to_csv(folder / "new.csv", index=False)
    return {name: folder / name / "party.toml" for name in ("bank", "telecom", "trustco")}


def fill_in(folder: Path, files: dict[str, Path]) -> None:
    """What the comments of party.toml ask for, and the pins that the README does not show."""
    (folder / "customers.csv").rename(folder / "bank" / "customers.csv")
    ports = dict(zip(("bank", "trustco"), free_ports(2), strict=True))
    for name, port in ports.items():
        files[name].write_text(files[name].read_text().replace("0.0.0.0:7443", f"127.0.0.1:{port}"))
    files["bank"].write_text(files["bank"].read_text().replace('label = "default"', 'label = "canarylabel"'))
    approved = files["bank"].read_text().replace('# approved_by = "Jane Doe, 2026-11-30"', 'approved_by = "Jane Doe"')
    files["bank"].write_text(approved)
    scored_again = files["telecom"].read_text().replace("scores_per_row = 1\n", "scores_per_row = 2\n")
    files["telecom"].write_text(
        scored_again
    )  # new.csv holds the customers of the training, some of whom were scored there
    bank = folder / "bank" / "identity" / "cert.pem"
    trust_peer(folder / "bank", folder / "trustco.pem")
    trust_peer(folder / "telecom", bank, f"127.0.0.1:{ports['bank']}")
    trust_peer(folder / "telecom", folder / "trustco.pem", f"127.0.0.1:{ports['trustco']}")
    trust_peer(folder / "trustco", bank, f"127.0.0.1:{ports['bank']}")
    trust_peer(folder / "trustco", folder / "telecom.pem")


def complete(runs: dict[str, Path]) -> None:
    """The reports of a run hold what a validator asks for, each party's of what it knows."""
    bank, telecom = (json.loads((runs[party] / "report.json").read_text()) for party in ("bank", "telecom"))
    assert bank["outcome"] == "binary"
    assert {"auc", "gini", "ks", "log_loss", "brier"} <= set(bank["uplift"]["test"]["measures"])
    assert "uplift" not in telecom
    assert [c["column"] for c in bank["columns"]] == ["canaryage", "canarylimit"]
    assert [c["column"] for c in telecom["stability"]["columns"]] == ["canarybill", "canarylate", "canarycalls"]
    assert telecom["stability"]["score"] is None
    for report in (bank, telecom):
        assert job_from(report["job_file"]).digest.hex() == report["job_digest"]
        assert "scores-to-guest" in report["permits"]
        assert len(report["inputs"]["own table"]) == 64
        assert sum(report["stability"]["columns"][0]["before"]) == report["alignment"]["train_rows"]
        assert sum(report["stability"]["columns"][0]["now"]) == report["alignment"]["test_rows"]


@pytest.mark.timeout(400)
def test_the_readme_from_end_to_end(parties: Institutions, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = parties.folder
    monkeypatch.chdir(folder)
    files = prepare(folder)
    said: dict[str, Ended] = {}
    runs: dict[str, Path] = {}
    answers: list[str] = []
    for program, *words in printed():
        assert program == "vfl"
        words = [w.replace("RUN", str(runs.get("bank"))).replace("cert.pem", "bank/identity/cert.pem") for w in words]
        name = " ".join(w for w in words[:2] if w.isalpha())
        if words[0] in ("prepare", "run", "align", "predict"):
            other = ["--model", str(runs.get("telecom", "")) + "/model"] if words[0] == "predict" else []
            commands = {"bank": words, "telecom": [words[0], "job.toml", "telecom/party.toml", "--json", *other]}
            if words[0] in ("prepare", "run", "predict"):
                kept = ["--model", str(runs.get("trustco", "")) + "/model"] if words[0] == "predict" else []
                commands["trustco"] = [words[0], "job.toml", "trustco/party.toml", "--json", *kept]
            started = {p: parties.run(["-m", "vfl", *c], p, cwd=folder) for p, c in commands.items()}
            ended = {p: process.wait(120) for p, process in started.items()}
            assert [e.code for e in ended.values()] == [0] * len(ended), ended
            said[name] = ended["bank"]
            answers += [e.out for p, e in ended.items() if p != "bank"]
            runs = runs or ({p: e.folder for p, e in ended.items()} if words[0] == "run" else {})
        else:
            said[name] = (
                parties.vfl(*words, seconds=100) if words[0] == "chaos" else parties.here(*words)
            )  # chaos forks: this process has threads
            assert said[name].code == 0, (words, said[name].err)
        if name == "trust":
            fill_in(folder, files)
    assert "telecom is pinned. Compare this fingerprint" in said["trust"].out
    assert "bank holds the labels, telecom further columns" in said["job show"].out
    assert "Ready. Nothing was sent." in said["check"].out
    assert "iterations of each model are prepared at all parties; pads here" in said["prepare"].out
    assert re.search(r"run +credit-risk[\w-]* +done", said["runs"].out)
    assert re.search(r"in common +128", said["report"].out)
    assert re.search(r"telecom +HostRows +revealed", said["ledger show"].out)
    assert "Unbroken." in said["ledger verify"].out
    assert "Signed by the owner of bank/identity/cert.pem" in said["ledger verify"].out
    assert re.search(r"canaryage +-?\d", said["model show"].out)  # the mean of the column: no party knows its weight
    assert "stay shared between it and the arbiter" in " ".join(said["model show"].out.split())
    complete(runs)
    assert "128 of 160 rows are scored" in said["predict"].out
    assert re.search(r"canaryage +0\.\d{3} +0\.\d{3} +stable", said["monitor"].out)
    assert re.search(r"\b128\b", said["align"].out)
    answer_programs(parties, runs, answers)
    answer_the_officer(parties, runs["bank"])
    show_what_is_wrong(parties, runs["bank"])


def show_what_is_wrong(parties: Institutions, run: Path) -> None:
    """The showing commands on files that are not what they should be."""
    ledger = run / "ledger.jsonl"
    assert "SHA-256" in parties.here("ledger", "show", run, "--messages").out
    assert "The signature was not checked" in parties.here("ledger", "verify", run).out
    assert "Do not rely on it" not in parties.here("ledger", "show", run).out
    parties.here("ledger", "verify", run, "--certificate", "telecom.pem").says(
        5, "is not signed by the owner of this certificate"
    )
    parties.here("ledger", "verify", run, "--certificate", "none.pem").says(
        2, "none.pem cannot be read", "Name the certificate"
    )
    text = ledger.read_text()
    ledger.write_text(text.replace('"bytes":', '"bytes":1', 1))
    parties.here("ledger", "verify", run).says(5, r"ledger.jsonl: line \d+ ", "It is not what the run wrote")
    shown = parties.here("ledger", "show", run)
    assert (
        shown.code,
        "Do not rely on it" in shown.out,
        "It is not what the run wrote" in " ".join(shown.out.split()),
    ) == (0, True, True)
    ledger.write_text("{}\n")
    parties.here("ledger", "show", run).says(2, "is no ledger", "Name a run's folder")
    ledger.write_text(text)
    for command in (("report", "bank"), ("report", "nowhere"), ("audit", "nowhere")):
        parties.here(*command).says(7, f"{command[1]} holds no finished run", "vfl runs PARTY.toml lists them")
    parties.here("evidence", "pack", "nowhere", "--out", parties.folder / "p.zip").says(
        2, "nowhere holds no finished run", "vfl runs PARTY.toml lists them"
    )
    parties.here("model", "show", run).says(7, "holds no readable model part", "Name the model folder")
    parties.here("ledger", "show", "nowhere").says(2, "nowhere cannot be read", "Name a run's")


def leaves(command: Any, name: str = "") -> dict[str, Any]:
    """Every command that does something, by its words."""
    inner = getattr(command, "commands", None)
    return (
        {name: command}
        if inner is None
        else {k: v for n, c in inner.items() for k, v in leaves(c, f"{name} {n}".strip()).items()}
    )


def test_every_command_has_a_declared_answer() -> None:
    """And the committed schema is that of the declarations."""
    found = {name: {p.name for p in c.params} for name, c in leaves(get_command(app)).items() if "chaos" not in name}
    assert set(RESULTS) == set(found) - {"job schema"}  # which is JSON itself
    assert [name for name in RESULTS if "as_json" not in found[name]] == []
    assert SCHEMA.read_text() == command_schema()
    with pytest.raises(msgspec.ValidationError):  # planted: an undeclared key
        msgspec.json.decode('{"command":"job digest","job_digest":"00","id":"CANARY"}', type=RESULTS["job digest"])
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode('{"command":"job digest","job_digest":7}', type=RESULTS["job digest"])


def test_every_help_page_ends_with_examples_that_parse(parties: Institutions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    found = leaves(get_command(app))
    assert set(EXAMPLES) == set(found)
    for name, lines in EXAMPLES.items():
        text = parties.here(*name.split(), "--help").out
        for line in lines:
            assert f"\n    {line}\n" in text, (name, text)
            words = shlex.split(line)
            assert words[: 1 + len(name.split())] == ["vfl", *name.split()]
            found[name].make_context(name, words[1 + len(name.split()) :]).close()
    with pytest.raises(Exception, match="No such option"):
        found["run"].make_context("run", ["job.toml", "party.toml", "--no-such"])


def test_a_report_at_another_cut_off(parties: Institutions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(parties.folder)
    y, p = [0, 0, 1, 1], [0.1, 0.6, 0.4, 0.9]
    folder = parties.folder / "run"
    write_report(
        folder,
        {
            "job": "j",
            "job_digest": "d",
            "role": "guest",
            "plots": {"test": {"joint": plot_series(y, p)}},
            "metrics": {"test": {"joint": binary_metrics(y, p)}},
        },
    )
    assert parties.here("report", folder, "--cutoff", "0.5").code == 0
    assert "Rows that score 0.500 or more are flagged" in (folder / "report.html").read_text().replace("\u00a0", " ")
    assert parties.here("report", folder).code == 0
    assert json.loads((folder / "report.json").read_text())["cutoff"] == 0.5
    write_report(folder, {"job": "j", "job_digest": "d", "role": "host"})
    parties.here("report", folder, "--cutoff", "0.5").says(2, "no scores of a two-valued outcome", "Leave --cutoff out")


def test_the_help_lists_the_commands_in_the_order_of_use(
    parties: Institutions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = parties.here("--help").out
    listed = re.findall(r"^  ([a-z]+) +\S", text.partition("Commands:")[2], re.MULTILINE)
    assert listed == [
        "demo",
        "init",
        "trust",
        "renew",
        "job",
        "check",
        "align",
        "prepare",
        "run",
        "predict",
        "node",
        "monitor",
        "runs",
        "report",
        "ledger",
        "evidence",
        "model",
        "budget",
        "purge",
        "audit",
        "support",
        "bench",
        "chaos",
    ]
    assert "..." not in text.partition("Commands:")[2]  # nothing is cut off at 80 columns
    assert re.fullmatch(r"vfl \d+\.\d+\.\d+\n", parties.here("--version").out)
    in_readme = list(dict.fromkeys(words[1] for words in printed()))
    assert set(in_readme) == set(listed) - {"demo", "bench", "purge", "renew", "node", "audit"}


def test_init_and_trust_leave_nothing_half_done(parties: Institutions) -> None:
    folder = parties.folder / "x"
    parties.here("init", folder, "--role", "guest", "--name", "Bank AG").says(
        2, "the party's name .* not a valid name", "Use|Write|lower-case letters"
    )
    assert not folder.exists()
    init = ("init", folder, "--role", "guest", "--name", "bank")
    assert parties.here(*init).code == 0
    parties.here(*init).says(2, "party.toml exists already", "Choose another folder")
    init_party(parties.folder / "telecom", "host", "telecom")
    text, theirs, own = (
        (folder / "party.toml").read_text(),
        parties.folder / "telecom" / "identity",
        folder / "identity" / "cert.pem",
    )
    parties.here("trust", folder, theirs / "cert.pem", "--address", "nowhere").says(
        2, "peers.telecom.address.* is not an address", "Write it as"
    )
    parties.here("trust", folder, theirs / "key.pem").says(2, "holds a private key", "Only certificates are exchanged")
    parties.here("trust", folder, own).says(
        2, "is the certificate of bank, and this folder is bank's own", "Give a certificate that a partner handed over"
    )
    assert (folder / "party.toml").read_text() == text
    assert list((folder / "peers").iterdir()) == []
    assert parties.here("trust", folder, theirs / "cert.pem").code == 0
    text = (folder / "party.toml").read_text()
    again = parties.here("trust", folder, theirs / "cert.pem")
    assert (again.code, "telecom is pinned already, and nothing has changed. Compare" in again.out) == (0, True)
    assert json.loads(parties.here("trust", folder, theirs / "cert.pem", "--json").out)["already"] is True
    assert (folder / "party.toml").read_text() == text
    for other in (  # another certificate, or another address
        (create_identity(parties.folder / "new", "telecom").certificate_path,),
        (theirs / "cert.pem", "--address", "10.0.0.3:7443"),
    ):
        parties.here("trust", folder, *other).says(
            2, "already has .peers.telecom.", "--add .both are accepted. or --replace"
        )
    assert (folder / "party.toml").read_text() == text


def test_a_role_that_is_none_is_named_with_those_that_are(parties: Institutions) -> None:
    init = ("init", parties.folder / "x", "--name", "bank", "--role")
    parties.here(*init, "gest").says(2, "--role gest is no role", "Did you mean guest. The roles are guest, host, arb")
    parties.here(*init, "bank").says(2, "--role bank is no role", "The roles are guest, host, arbiter and member")
    assert not (parties.folder / "x").exists()


def test_a_fault_of_the_program_shows_no_data(capsys: pytest.CaptureFixture[str]) -> None:
    def fault() -> None:
        secret = {"CANARY-00001": 1}
        faults.describe(ValueError())
        secret["CANARY-00002"]

    assert faults.ended(fault) == 1
    text = capsys.readouterr().err
    assert text.startswith("vfl: a fault of the program: KeyError at vfl/screen/errors.py:")
    assert "CANARY" not in text
    assert text.count("\n") == 1


@pytest.mark.parametrize("columns", ["80", pytest.param("120", marks=pytest.mark.slow)])
@pytest.mark.slow
def test_progress_fits_the_terminal(parties: Institutions, columns: str) -> None:
    """The bars of a run, as a terminal of this width gets them: no line is wider."""
    parties.lay_out()
    others = [parties.start(name) for name in ("telecom", "trustco")]
    arguments = ["-m", "vfl", "run", str(parties.job), str(parties.file("bank"))]
    shown = parties.run(arguments, "bank", environment={"COLUMNS": columns, "FORCE_COLOR": "1", "TERM": "xterm"}).wait(
        60
    )
    assert shown.code == 0, shown.err
    lines = [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line) for line in re.split(r"[\r\n]+", shown.err)]
    assert max(len(line) for line in lines) <= int(columns)
    assert any("training" in line and "5/5" in line for line in lines)
    *table, last = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in shown.out.splitlines()]
    assert last.startswith("report: ")
    assert Path(last.removeprefix("report: ")).is_file()
    assert max(len(line) for line in table) <= int(columns)
    assert any("in common" in line for line in table)
    assert [process.wait(20).code for process in others] == [0, 0]


def test_a_fingerprint_is_printed_letter_by_letter(capsys: pytest.CaptureFixture[str]) -> None:
    """rich would make pictures of :AB: and :CD: otherwise, in the very line that two people compare by phone."""
    from vfl.cli import main as cli

    cli.say("DE:AB:12:CD:00")
    assert capsys.readouterr().out == "DE:AB:12:CD:00\n"


def test_a_new_job_loads_and_is_never_overwritten(parties: Institutions) -> None:
    path = parties.folder / "trees.toml"
    asked = (
        "job",
        "new",
        path,
        "--kind",
        "boosted-trees",
        "--key",
        "national_id",
        "--host",
        "telecom",
        "--host",
        "shop",
    )
    assert parties.here(*asked).code == 0
    shown = parties.here("job", "show", path)
    assert "bank holds the labels, telecom and shop further columns, trustco no data" in " ".join(shown.out.split())
    parties.here(*asked).says(2, "trees.toml exists already", "Choose another name")
    parties.here("job", "new", parties.folder / "x.toml", "--kind", "oracle", "--key", "id").says(
        2, "the kind 'oracle' is not known", "Use"
    )
    parties.here("job", "new", parties.folder / "x.toml", "--key", "id", "--guest", "Bank AG").says(
        2, "parties.guest is .Bank AG."
    )
    assert not (parties.folder / "x.toml").exists()
