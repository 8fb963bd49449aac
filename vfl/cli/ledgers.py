"""A run's ledger in plain words: what left and came, whether it is whole, and whether a partner's agrees with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from protocols.errors import ConfigError
from vfl.cli.results import LedgerReconcile, LedgerVerify, Pair
from vfl.ledger import reconcile, verify_ledger
from vfl.report.words import CLASSES, number, size
from vfl.run.ledger_shown import Kind, LedgerShow, Sent, ledger_path, own_ledger
from vfl.screen.console import Console
from vfl.screen.tables import facts, grid, say

WIDE = 200  # columns, where there is no terminal
HASH = 12  # characters of a digest that are shown
NEVER_CLOSED = "never closed: the run was killed, or is still running"


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
    for partner, count in told.queries.items():
        say(console, f"online queries with {escape(partner)}: {number(count)}")
    if told.resumed:
        say(console, f"resumed after an interruption or vfl prepare: {', '.join(map(escape, told.resumed))}")


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
    return LedgerVerify(**asdict(verify_ledger(own_ledger(run), pem_of(certificate))))


def pem_of(certificate: Path | None) -> bytes | None:
    """What the file holds.  Raises ConfigError."""
    try:
        return certificate.read_bytes() if certificate else None
    except OSError as error:
        raise ConfigError(
            f"{certificate} cannot be read ({error.strerror})", remedy="Name the certificate of the party that signed"
        ) from None


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
