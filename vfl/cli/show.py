"""What a run left, in plain words in the terminal: its ledger, its report, a model part; and what a job asks for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jinja2 import TemplateError
from rich.markup import escape
from rich.table import Table

from protocols.errors import ConfigError, ModelError
from vfl.job import PERMITS, AlignmentJob, Job, cautions, needed_permits, searched
from vfl.job.alignment_job import alignment_permits
from vfl.job.plan import plan_of, roles_of
from vfl.ledger import LedgerBroken, read_ledger, reconcile, summarise, verify_ledger
from vfl.ledger.writing import Line
from vfl.models.part_files import load_part
from vfl.models.registry import ARBITER_KINDS, KINDS, kind_of
from vfl.report.page import REPORT, read_report, write_report
from vfl.report.terminal import print_summary
from vfl.report.words import CLASSES, class_of, number, percent, size
from vfl.run.align import REPORT as ALIGNMENT
from vfl.run.align import read_alignment
from vfl.screen.console import Console
from vfl.screen.tables import facts, grid, say
from vfl.storage.runs import listed

LEARNT = {"public": "what the job says", "blinded": "nothing: random numbers", "sealed": "nothing: it has no key"}
WIDE = 200  # columns
HASH = 12  # characters of a digest that are shown


def print_permits(job: Job | AlignmentJob, console: Console) -> None:
    """What a job discloses, one paragraph a permission."""
    table = Table(box=None, show_header=False, padding=(0, 1, 0, 1))
    needed = needed_permits(job) if isinstance(job, Job) else alignment_permits(job)
    for permit in (p for p in job.disclosure.allow if p in needed):
        table.add_row("-", f"{escape(PERMITS[permit])} [dim]({escape(permit)})[/]")
    if isinstance(job, Job):
        for text in kind_of(job.model).rounded(plan_of(job)):
            table.add_row("-", escape(text))
    console.print(table, highlight=False)
    if unused := [p for p in job.disclosure.allow if p not in needed]:
        say(
            console,
            f"[yellow]caution[/]: the job allows {escape(', '.join(unused))}, which none of its messages "
            f"needs: remove it from the job at every party",
        )


def ledger_path(run: Path) -> Path:
    """The ledger of a run's folder; a ledger's own path is fine too."""
    return run / "ledger.jsonl" if run.is_dir() else run


def print_ledger(run: Path, console: Console, messages: bool) -> None:
    """What left in this run, in sum or message by message.  Raises ConfigError, LedgerBroken."""
    path = ledger_path(run)
    lines = list(read_ledger(path))
    kinds = {line.get("type") for line in lines}
    if "start" not in kinds:
        raise ConfigError(f"{path} is no ledger", remedy="Name a run's folder, or the ledger.jsonl in it")
    if broken := fault(path):
        say(console, f"[bold red]Do not rely on it[/]: {escape(broken)}\n")
    start, sent = lines[0], [line for line in lines if line.get("type") == "message"]
    end = lines[-1] if "end" in kinds else {}
    outcome = str(end.get("outcome", "never closed: the run was killed, or is still running"))
    facts(
        console,
        {
            "party": escape(str(start.get("party"))),
            "job": escape(f"{start.get('job')}, digest {str(start.get('job_digest'))[:HASH]}..."),
            "from, to": escape(f"{start.get('time')}, {end.get('time', '-')}"),
            "sent": f"{number(len(sent))} messages, {size(sum(int(line['bytes']) for line in sent))}",
            "outcome": escape(outcome),
        },
    )
    console.print()
    console.print(_each(sent) if messages else _sums(lines), highlight=False)
    console.print()
    for name in CLASSES:
        if any(class_of(line) == name for line in sent):
            say(console, f"[bold]{name}[/]: {CLASSES[name][1]}")
    came = [line for line in lines if line.get("type") == "received"]
    again = [line for line in lines if line.get("type") == "resumed"]
    by_peer = {peer: [line for line in came if line["from"] == peer] for peer in dict.fromkeys(x["from"] for x in came)}
    for peer, own in by_peer.items():
        total = size(sum(int(line["bytes"]) for line in own))
        say(console, f"received from {escape(str(peer))}: {number(len(own))} messages, {total}")
    if again:
        say(console, f"interrupted and resumed: {', '.join(escape(str(line['time'])) for line in again)}")


def fault(path: Path) -> str | None:
    """What is wrong with a ledger that was closed; None if it is sound, or of a run that never came to its end."""
    if not any(line.get("type") == "end" for line in read_ledger(path)):
        return None
    try:
        verify_ledger(path)
    except LedgerBroken as error:
        return str(error)
    return None


def _each(sent: list[Line]) -> Table:
    table = grid("time", "to", "message", "class", "SHA-256", "bytes", numbers=1)
    for line in sent:
        cells = (line["time"][11:], line["to"], line["message"], class_of(line), line["sha256"][:HASH])
        table.add_row(*(escape(str(c)) for c in cells), number(int(line["bytes"])))
    return table


def _sums(lines: list[Line]) -> Table:
    table = grid("to", "message", "class", "what the receiver learns", "count", "bytes", numbers=2)
    for row in summarise(lines):
        cells = (row["to"], row["message"], class_of(row), LEARNT.get(class_of(row), row["learns"]))
        table.add_row(*(escape(str(c)) for c in cells), number(row["count"]), size(row["bytes"]))
    return table


def print_verified(run: Path, certificate: Path | None, console: Console) -> None:
    """Checks a ledger.  Raises ConfigError, LedgerBroken."""
    path = ledger_path(run)
    try:
        pem = certificate.read_bytes() if certificate else None
    except OSError as error:
        raise ConfigError(
            f"{certificate} cannot be read ({error.strerror})", remedy="Name the certificate of the ledger's party"
        ) from None
    check = verify_ledger(path, pem)
    say(
        console,
        f"[green]Unbroken.[/] {number(check.messages)} messages, {size(check.bytes)}; no line was edited, "
        f"removed or moved.",
    )
    told = {"party": check.party, "job": f"{check.job}, digest {check.job_digest[:HASH]}...", "outcome": check.outcome}
    facts(console, {name: escape(text) for name, text in told.items()})
    if check.signed:
        say(console, f"Signed by the owner of {escape(str(certificate))}.")
    else:
        say(
            console,
            "[yellow]The signature was not checked[/]: whoever can write the file could have written a new one. "
            "Give --certificate with the party's cert.pem to be sure.",
        )


def print_reconciled(run: Path, other: Path, console: Console) -> None:
    """Compares two parties' ledgers of a run.  Raises ConfigError, LedgerBroken."""
    from vfl.transport.identity import fingerprint  # certificates are slow to import

    found = reconcile(ledger_path(run), ledger_path(other))
    for (sender, receiver), count in found.messages.items():
        waiting = found.underway[sender, receiver]
        rest = f"; {number(waiting)} more left and had not arrived when the ledger ended" if waiting else ""
        say(console, f"{sender} to {receiver}: {number(count)} messages, the same in both{rest}")
    say(console, "[green]They agree.[/] Check each one's signature with vfl ledger verify --certificate.")
    for party in found.parties:
        if party in found.signed:
            mark = fingerprint(found.signed[party])
            say(console, f"{party} signed them at the end of the run, with the certificate {mark}.")
        else:
            say(
                console,
                f"[yellow]No signature of {party} is kept[/]: the run did not end here, or the files were "
                f"moved. A ledger cut at its end would not show.",
            )


def print_model(folder: Path, console: Console) -> None:
    """One party's part of a model.  Raises ModelError."""
    part, manifest = load_part(folder)
    told = {
        "party": part.party,
        "model": f"{manifest.kind}; name {part.model_id.hex()}, the same in the other parties' parts",
        "job": f"digest {manifest.job_digest[:HASH]}... (vfl job digest)",
    }
    facts(console, {name: escape(text) for name, text in told.items()})
    printer = ARBITER_KINDS[manifest.kind] if manifest.kind in ARBITER_KINDS else KINDS[manifest.kind]
    printer.print_part(part, console)


def print_runs(directory: Path, console: Console, as_json: bool) -> None:
    """Every run in a party's run directory, the oldest first."""
    if as_json:
        for run in listed(directory):
            console.print(json.dumps(run.as_dict()), markup=False, highlight=False, soft_wrap=True)
        return
    if not console.is_terminal:
        console = Console(width=max(console.width, WIDE))  # no name is cut in two for a program that reads it
    table = grid("started", "command", "job", "outcome", "folder")
    for run in listed(directory):
        cells = ((run.started or "-")[:19].replace("T", " "), run.command, run.job, run.outcome, Path(run.folder).name)
        table.add_row(*map(escape, cells))
    console.print(table if table.row_count else f"no runs in {escape(str(directory))} yet", highlight=False)


def print_report(run: Path, console: Console, cutoff: float | None = None) -> None:
    """Writes the page again from report.json, and prints the summary; of an alignment, its match rates.  Raises
    ModelError, ConfigError.

    cutoff: the confusion matrices are shown there from now on; without one, where they were.
    """
    only_aligned = (run / ALIGNMENT).exists() and not (run / REPORT).exists()
    result = read_alignment(run) if only_aligned else read_report(run)
    try:
        if cutoff is not None:
            if not any("cutoffs" in model for part in (result.get("plots") or {}).values() for model in part.values()):
                raise ConfigError(
                    f"{run} holds no scores of a two-valued outcome",
                    remedy="Leave --cutoff out, or name the run of such a job's guest",
                )
            result["cutoff"] = cutoff
        if only_aligned:
            print_alignment(result, run, console)
            return
        write_report(run, result)
        console.print(
            f"The page is written again: {escape(str(run / 'report.html'))}\n", highlight=False, soft_wrap=True
        )
        print_summary(result, console, run)
    except (ArithmeticError, AttributeError, LookupError, TemplateError, TypeError, ValueError):
        raise ModelError(
            f"{run / (ALIGNMENT if only_aligned else REPORT)} is damaged",
            remedy="Restore it from a copy of the run's folder",
        ) from None


def print_alignment(found: dict[str, Any], run: Path, console: Console) -> None:
    """What `vfl align` found in this run."""
    told = {
        "job": f"{found['job']}, digest {found['job_digest'][:HASH]}...",
        "party": f"{found['party']}, the {found['role']}",
        "started": found["started"],
    }
    facts(console, {name: escape(str(text)) for name, text in told.items()})
    table = grid("", "", numbers=1)
    for name, rows in found.get("rows", {}).items():
        table.add_row(f"rows of {escape(name)}", number(rows))
    if "common" in found:
        table.add_row("common to all", number(found["common"]))
    for key in found.get("by_key", ()):
        table.add_row("  by " + escape(" + ".join(key["columns"])), number(key["matched"]))
    for name, rate in found.get("match_rate", {}).items():
        table.add_row(f"match rate of {escape(name)}", percent(rate))
    console.print(table, highlight=False)
    if found.get("file"):
        say(console, f"own common rows: {escape(str(run / found['file']))}")
    say(console, f"report: {escape(str(run / ALIGNMENT))}")


def print_job(job: Job | AlignmentJob, console: Console) -> None:
    """Explains what a job asks of its parties."""
    parties, align = job.parties, job.align
    hosts = " and ".join(parties.hosts)
    key = ", else by ".join(" and ".join(f"{c} ({align.normalise[c]})" for c in columns) for columns in align.keys)
    repeated = (
        "rows that share an id are an error"
        if align.duplicates == "error"
        else "if rows share an id, the first one counts"
    )
    told = {
        "job": f"{job.name}, digest {job.digest.hex()}",
        "who": f"{parties.guest} and {hosts} find the customers that they share",
        "match": f"customers by {key}; {repeated}; stop if fewer than {number(align.min_intersection)} are common "
        f"to all",
    }
    if isinstance(job, Job):
        told |= {
            "who": f"{parties.guest} holds the labels, {hosts} further columns"
            + (f", {parties.arbiter} no data" if parties.arbiter else ""),
            "hold out": f"{100 * job.split.test:g} % of the common rows, chosen by seed {job.split.seed}, to evaluate "
            f"the model"
            + (
                f", and those of {job.split.out_of_time} or later, by dates that only {parties.guest} knows"
                if job.split.out_of_time
                else ""
            ),
            **(
                {"evaluate": f"also on training rows: {parties.guest} learns their scores too"}
                if job.evaluation.train
                else {}
            ),
            **kind_of(job.model).described(plan_of(job), roles_of(job)),
            **searched.described(job),
        }
    facts(console, {name: escape(text) for name, text in told.items()})
    console.print("\n[bold]What is disclosed[/], if every party's policy allows it:")
    print_permits(job, console)
    for caution in cautions(job) if isinstance(job, Job) else ():
        say(console, f"[yellow]caution[/]: {escape(caution)}")
