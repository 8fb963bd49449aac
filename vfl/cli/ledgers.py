"""A run's ledger in plain words: what left and came, whether it is whole, and whether a partner's agrees with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from protocols.errors import ConfigError
from vfl.cli.results import Kind, LedgerReconcile, LedgerShow, LedgerVerify, Pair, Received, Sent
from vfl.ledger import LedgerBroken, read_ledger, reconcile, summarise, verify_ledger
from vfl.ledger.writing import Line
from vfl.report.words import CLASSES, class_of, number, size
from vfl.screen.console import Console
from vfl.screen.tables import facts, grid, say

LEARNT = {"public": "what the job says", "blinded": "nothing: random numbers", "sealed": "nothing: it has no key"}
WIDE = 200  # columns, where there is no terminal
HASH = 12  # characters of a digest that are shown
NEVER_CLOSED = "never closed: the run was killed, or is still running"


def ledger_path(run: Path) -> Path:
    """The ledger of a run's folder; a ledger's own path is fine too."""
    return run / "ledger.jsonl" if run.is_dir() else run


def own_ledger(run: Path) -> Path:
    """As `ledger_path`.  Raises ConfigError where the folder has none."""
    path = ledger_path(run)
    if run.is_dir() and not path.exists():
        raise ConfigError(
            f"{run} holds no ledger",
            remedy="It is no run's folder, or a prediction of a member, which sends nothing. vfl runs PARTY.toml lists "
            "the runs of a party",
        )
    return path


def ledger_shown(run: Path, messages: bool) -> LedgerShow:
    """What left and came in this run, in sum and, if asked, message by message.  Raises ConfigError, LedgerBroken."""
    path = own_ledger(run)
    lines = list(read_ledger(path))
    kinds = {line.get("type") for line in lines}
    if "start" not in kinds:
        raise ConfigError(f"{path} is no ledger", remedy="Name a run's folder, or the ledger.jsonl in it")
    start, sent = lines[0], [line for line in lines if line.get("type") == "message"]
    end = lines[-1] if "end" in kinds else {}
    return LedgerShow(
        party=str(start.get("party")),
        job=str(start.get("job")),
        job_digest=str(start.get("job_digest")),
        started=str(start.get("time")),
        started_by=_text(start.get("started_by")),
        approved_by=_text(start.get("approved_by")),
        job_approved=_job_approved(start.get("approval")),
        ended=_text(end.get("time")),
        outcome=_text(end.get("outcome")),
        fault=fault(path),
        messages=len(sent),
        bytes=sum(int(line["bytes"]) for line in sent),
        kinds=[_kind(row) for row in summarise(lines)],
        received=_received(lines),
        resumed=[str(line["time"]) for line in lines if line.get("type") == "resumed"],
        each=[_sent(line) for line in sent] if messages else None,
    )


def _job_approved(found: object) -> str | None:
    """Who let this party's node start the job, when and how."""
    return f"{found.get('by')}, {found.get('at')}, by {found.get('how')}" if isinstance(found, dict) else None


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _kind(row: Line) -> Kind:
    learns = str(LEARNT.get(class_of(row), row["learns"]))
    return Kind(to=row["to"], message=row["message"], disclosure=class_of(row), learns=learns, count=row["count"], bytes=row["bytes"])  # fmt: skip  # noqa: E501


def _sent(line: Line) -> Sent:
    what = {name: str(line[name]) for name in ("time", "to", "message", "sha256")}
    return Sent(disclosure=class_of(line), bytes=int(line["bytes"]), **what)


def _received(lines: Sequence[Line]) -> list[Received]:
    sizes = dict[str, list[int]]()
    for line in lines:
        if line.get("type") == "received":
            sizes.setdefault(str(line["from"]), []).append(int(line["bytes"]))
    return [Received(peer=peer, messages=len(each), bytes=sum(each)) for peer, each in sizes.items()]


def print_ledger(told: LedgerShow, console: Console) -> None:
    """In the terminal."""
    if told.fault:
        say(console, f"[bold red]Do not rely on it[/]: {escape(told.fault)}\n")
    shown = {
        "party": told.party,
        "job": f"{told.job}, digest {told.job_digest[:HASH]}...",
        "from, to": f"{told.started}, {told.ended or '-'}",
        "started by": told.started_by or "an earlier release did not record it",
        "approved by": told.approved_by or "policy.approved_by names nobody",
        **({"job approved": told.job_approved} if told.job_approved else {}),
        "sent": f"{number(told.messages)} messages, {size(told.bytes)}",
        "outcome": told.outcome or NEVER_CLOSED,
    }
    facts(console, {name: escape(text) for name, text in shown.items()})
    console.print()
    console.print(_sums(told.kinds) if told.each is None else _each(told.each), highlight=False)
    console.print()
    for name in CLASSES:
        if any(kind.disclosure == name for kind in told.kinds):
            say(console, f"[bold]{name}[/]: {CLASSES[name][1]}")
    for one in told.received:
        say(console, f"received from {escape(one.peer)}: {number(one.messages)} messages, {size(one.bytes)}")
    if told.resumed:
        say(console, f"resumed after an interruption or vfl prepare: {', '.join(map(escape, told.resumed))}")


def fault(path: Path) -> str | None:
    """What is wrong with a ledger that was closed; None if it is sound, or of a run that never came to its end."""
    if not any(line.get("type") == "end" for line in read_ledger(path)):
        return None
    try:
        verify_ledger(path)
    except LedgerBroken as error:
        return str(error)
    return None


def _each(sent: Sequence[Sent]) -> Table:
    table = grid("time", "to", "message", "class", "SHA-256", "bytes", numbers=1)
    for one in sent:
        cells = (one.time[11:], one.to, one.message, one.disclosure, one.sha256[:HASH])
        table.add_row(*map(escape, cells), number(one.bytes))
    return table


def _sums(kinds: Sequence[Kind]) -> Table:
    table = grid("to", "message", "class", "what the receiver learns", "count", "bytes", numbers=2)
    for one in kinds:
        cells = (one.to, one.message, one.disclosure, one.learns)
        table.add_row(*map(escape, cells), number(one.count), size(one.bytes))
    return table


def verified(run: Path, certificate: Path | None) -> LedgerVerify:
    """Checks a ledger.  Raises ConfigError, LedgerBroken."""
    try:
        pem = certificate.read_bytes() if certificate else None
    except OSError as error:
        raise ConfigError(
            f"{certificate} cannot be read ({error.strerror})", remedy="Name the certificate of the ledger's party"
        ) from None
    return LedgerVerify(**asdict(verify_ledger(own_ledger(run), pem)))


def print_verified(found: LedgerVerify, certificate: Path | None, console: Console) -> None:
    """In the terminal."""
    say(
        console,
        f"[green]Unbroken.[/] {number(found.messages)} messages, {size(found.bytes)}; no line was edited, "
        f"removed or moved.",
    )
    told = {"party": found.party, "job": f"{found.job}, digest {found.job_digest[:HASH]}...", "outcome": found.outcome}
    facts(console, {name: escape(text) for name, text in told.items()})
    if found.signed:
        say(console, f"Signed by the owner of {escape(str(certificate))}.")
    else:
        say(
            console,
            "[yellow]The signature was not checked[/]: whoever can write the file could have written a new one. "
            "Give --certificate with the party's cert.pem to be sure.",
        )


def reconciled(run: Path, other: Path) -> LedgerReconcile:
    """Compares two parties' ledgers of a run.  Raises ConfigError, LedgerBroken."""
    from vfl.transport.identity import fingerprint  # certificates are slow to import

    found = reconcile(ledger_path(run), ledger_path(other))
    pairs = [
        Pair(sender=sender, receiver=receiver, messages=count, underway=found.underway[sender, receiver])
        for (sender, receiver), count in found.messages.items()
    ]
    signed = {p: fingerprint(found.signed[p]) if p in found.signed else None for p in found.parties}
    return LedgerReconcile(pairs=pairs, signed=signed)


def print_reconciled(found: LedgerReconcile, console: Console) -> None:
    """In the terminal."""
    for pair in found.pairs:
        rest = f"; {number(pair.underway)} more left and had not arrived when the ledger ended" if pair.underway else ""
        say(console, f"{pair.sender} to {pair.receiver}: {number(pair.messages)} messages, the same in both{rest}")
    say(console, "[green]They agree.[/] Check each one's signature with vfl ledger verify --certificate.")
    for party, mark in found.signed.items():
        if mark is not None:
            say(console, f"{party} signed them at the end of the run, with the certificate {mark}.")
        else:
            say(
                console,
                f"[yellow]No signature of {party} is kept[/]: the run did not end here, or the files were "
                f"moved. A ledger that was cut at its end would not be detected.",
            )
