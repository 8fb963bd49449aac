"""What `vfl budget` and `vfl purge` find out, and how they show it."""

from __future__ import annotations

import datetime
from collections.abc import Mapping

from rich.markup import escape

from protocols.errors import ConfigError
from vfl.cli.ledgers import WIDE
from vfl.cli.results import Purge
from vfl.job import Party
from vfl.report.words import number, size
from vfl.run.budget.shown import Budget
from vfl.run.purge import Purged, purge_budgets, purge_customer, purge_pads, purge_runs, rules_of
from vfl.screen.console import Console
from vfl.screen.tables import grid, say


def print_budget(told: Budget, console: Console) -> None:
    """In the terminal."""
    if not console.is_terminal:
        console = Console(width=max(console.width, WIDE))  # no name is cut in two for a program that reads it
    table = grid("budget", "partner", "period", "used", "limit", "left", numbers=3)
    for one in told.limits:
        counts = ("-" if n is None else number(n) for n in (one.used, one.limit, one.left))
        table.add_row(*map(escape, (one.budget, one.partner, one.period)), *counts)
    console.print(table, highlight=False)
    for partner in told.partners:
        sent, came = f"{number(partner.messages)} messages, {size(partner.bytes)}", number(partner.received_messages)
        say(console, f"\n[bold]{escape(partner.partner)}[/], in {number(partner.runs)} runs: {sent} left; {came} came")
        for learns, count in partner.revealed.items():
            say(console, f"  learnt {number(count)} times: {escape(learns)}")
    if not told.partners:
        say(console, "\nno run has sent anything yet")
    for path in told.unreadable:
        say(console, f"[yellow]caution[/]: {escape(path)} cannot be read, and is in no sum: vfl ledger verify")


def purged(
    party: Party,
    before: datetime.date | None,
    models: bool,
    budgets: bool,
    cells: Mapping[str, str],
    erase: bool,
) -> Purge:
    """Erases, or with erase=False only finds out.  Raises ConfigError, DataError."""
    if before is None and not cells:
        raise ConfigError("nothing to erase is named", remedy="Give --before DAY, or --customer COLUMN")
    if before is None and (models or budgets):
        what = "--models" if models else "--budgets"
        raise ConfigError(f"{what} goes with --before", remedy="Add --before DAY, or leave it out")
    directory, found = party.run.directory, list[Purged]()
    if before is not None:
        found += [purge_runs(directory, before, models, erase), purge_pads(directory, erase)]
        found += [purge_budgets(directory, before, erase)] if budgets else []
    if cells:
        found.append(purge_customer(party, cells, rules_of(party), erase))
    erased = {path: what for one in found for path, what in one.erased.items()}
    kept = {path: why for one in found for path, why in one.kept.items()}
    prepared = {path: what for one in found for path, what in one.prepared.items()}
    return Purge(erased=erased, kept=kept, prepared=prepared, done=erase)


def print_purge(told: Purge, console: Console) -> None:
    """In the terminal."""
    say(console, "[bold]Erased[/]:" if told.done else "[bold]Would be erased[/] with --yes:")
    for folder, what in told.prepared.items():
        say(console, f"  [yellow]{escape(folder)}: {escape(what)}[/]")
    for path, what in told.erased.items():
        say(console, f"  {escape(path)}: {escape(what)}")
    if not told.erased:
        say(console, "  nothing")
    say(console, "[bold]Stays[/]:")
    for path, why in told.kept.items():
        say(console, f"  {escape(path)}: {escape(why)}")
