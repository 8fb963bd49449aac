"""The commands of whoever answers for the data, and of whoever asks for help: `vfl budget`, `purge`, `audit`,
`support`."""

from __future__ import annotations

import datetime
import getpass
import sys
from pathlib import Path
from typing import Annotated

import typer

from protocols.errors import ConfigError
from vfl.screen.answer import AsJson, answer
from vfl.screen.arguments import PartyFile, RunFolder, say
from vfl.screen.console import Console
from vfl.screen.examples import examples

officer_app = typer.Typer()


def asked(column: str) -> str:
    """A customer's value of a key column: no command line, history or list of processes holds it."""
    given = getpass.getpass(f"Value of {column}: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\r\n")
    if not given:
        remedy = "Type it at the terminal, or give a line for each column on standard input"
        raise ConfigError(f"no value was given for column '{column}'", remedy=remedy)
    return given


@officer_app.command(epilog=examples("budget"))
def budget(party: PartyFile, as_json: AsJson = False) -> None:
    """Show budgets, and what each partner learnt of all runs.

    By partner and period: of a month, or of a set of labels or columns for good.
    """
    from vfl.cli.officers import print_budget
    from vfl.job import load_party
    from vfl.run.budget.shown import budget_shown

    told = budget_shown(load_party(party))
    answer(told, as_json, lambda: print_budget(told, Console()))


@officer_app.command(epilog=examples("purge"))
def purge(
    party: PartyFile,
    before: Annotated[
        datetime.datetime | None,
        typer.Option(metavar="DAY", formats=["%Y-%m-%d"], help="Runs that began before this day.", show_default=False),
    ] = None,
    models: Annotated[bool, typer.Option("--models", help="With --before: their model parts too.")] = False,
    budgets: Annotated[
        bool, typer.Option("--budgets", help="With --before: what months before it counted against budgets.")
    ] = False,
    customer: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN",
            help="One customer, by this key column of the own table (repeat it for several); the value is asked for, "
            "or read from standard input.",
            show_default=False,
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Erase; without it, only list what would be.")] = False,
    as_json: AsJson = False,
) -> None:
    """Erase old runs, budgets of past months, or one customer's rows.

    Lists what can be erased, and what must stay and why; with --yes it erases.  Ledgers stay: they are the record of
    what was disclosed, and hold no id.
    """
    from vfl.cli.officers import print_purge, purged
    from vfl.job import load_party

    own = load_party(party)
    cells = {column: asked(column) for column in customer or ()}
    told = purged(own, None if before is None else before.date(), models, budgets, cells, yes)
    answer(told, as_json, lambda: print_purge(told, Console()))


@officer_app.command(epilog=examples("audit"))
def audit(
    run: RunFolder,
    seeds: Annotated[
        int, typer.Option(min=2, max=1000, help="How often an attack is repeated that depends on random numbers.")
    ] = 20,
    minutes: Annotated[
        int, typer.Option(min=1, max=10_000, help="After this time an attack is repeated 5 times at most.")
    ] = 10,
    as_json: AsJson = False,
) -> None:
    """Attack this party's own run, and write audit.html.

    Checks what the transcript of a training or alignment shows ([run] transcript = true in the party file), and attacks
    a twin: generated tables with the shapes of the run, trained or aligned by the same job here.  Nothing is sent.  An
    attack that depends on random numbers is repeated at least 5 times, and as often as --seeds says if the time allows.
    The exit code is 0 whatever was found: with --json, `holds` says whether all of it holds.
    """
    from vfl.attacks.audit import PAGE
    from vfl.attacks.own_run import audit_run
    from vfl.cli.audits import audited, print_audit

    found = audit_run(run, seeds, minutes)
    told = audited(found, found.save(run))
    answer(told, as_json, lambda: print_audit(told, run / PAGE, Console()))


@officer_app.command(epilog=examples("support"))
def support(
    run: RunFolder,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE.zip", help="Without it, support-RUN.zip in the current folder.", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Pack what helps to find a fault, and no data.

    Versions, the run's events, and the heads of its ledger: names of parties, kinds of messages, times and sizes.
    """
    from vfl.cli.results import Support
    from vfl.run.support import pack

    file, holds = pack(run, out)
    answer(
        Support(file=str(file), holds=holds), as_json, lambda: say(f"{file}: {', '.join(holds)}; read it, then send it")
    )
