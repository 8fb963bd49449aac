"""The commands that read one file or folder and send nothing: `vfl job`, `vfl ledger`, `vfl model`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vfl.screen.arguments import JobFile, ModelKind, RunFolder, say
from vfl.screen.console import Console
from vfl.screen.examples import examples
from vfl.storage.runs import resolved

job_app = typer.Typer(help="Job files: write one, explain one, print its digest.", no_args_is_help=True)
ledger_app = typer.Typer(help="Ledgers, which list what left in a run: show, verify, reconcile.", no_args_is_help=True)
model_app = typer.Typer(help="This party's part of a model: show.", no_args_is_help=True)


@job_app.command("new", epilog=examples("job new"))
def job_new(
    job: JobFile,
    key: Annotated[
        list[str], typer.Option(metavar="COLUMN", help="An id column; several make one key.", show_default=False)
    ],
    kind: ModelKind = "logistic-regression",
    guest: Annotated[str, typer.Option(metavar="NAME", help="Who holds the labels.")] = "bank",
    host: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Who holds further columns; repeat it for several.")
    ] = None,
    arbiter: Annotated[str, typer.Option(metavar="NAME", help="Who holds no data.")] = "trustco",
) -> None:
    """Write a commented job file to start from."""
    from vfl.job.setup import new_job

    new_job(job, keys=key, kind=kind, guest=guest, hosts=host or ["telecom"], arbiter=arbiter)
    say(f"{job}: read it, change what your parties agreed on differently, and give the same file to all")


@job_app.command("show", epilog=examples("job show"))
def job_show(job: JobFile) -> None:
    """Explain what a job asks of its parties."""
    from vfl.cli.show import print_job
    from vfl.job import load_agreement

    print_job(load_agreement(job), Console())


@job_app.command("digest", epilog=examples("job digest"))
def job_digest(job: JobFile) -> None:
    """Print the digest that every party must see before it agrees."""
    from vfl.job import load_agreement

    say(load_agreement(job).digest.hex())


@ledger_app.command("show", epilog=examples("ledger show"))
def ledger_show(
    run: RunFolder,
    messages: Annotated[
        bool, typer.Option("--messages", help="One line per message, with its time and the hash of its bytes.")
    ] = False,
) -> None:
    """Show what left, to whom, and what was learnt."""
    from vfl.cli.show import print_ledger

    print_ledger(run, Console(), messages)


@ledger_app.command("verify", epilog=examples("ledger verify"))
def ledger_verify(
    run: RunFolder,
    certificate: Annotated[
        Path | None,
        typer.Option(
            metavar="CERT.pem",
            help="The cert.pem of the party that wrote it, to check its signature.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Check that no line was edited, removed or moved."""
    from vfl.cli.show import print_verified

    print_verified(run, certificate, Console())


@ledger_app.command("reconcile", epilog=examples("ledger reconcile"))
def ledger_reconcile(
    run: RunFolder,
    other: Annotated[
        Path,
        typer.Argument(metavar="OTHER", help="The same run's folder or ledger at another party.", show_default=False),
    ],
) -> None:
    """Compare the ledgers of two parties of a run.

    What one sent the other must have received: number, kind, length and hash of each message. If one of them has what
    the other signed at the end of the run (signatures.json), the ledgers must also fit that.
    """
    from vfl.cli.show import print_reconciled

    print_reconciled(run, other, Console())


@model_app.command("show", epilog=examples("model show"))
def model_show(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="A model folder, RUN/model.", show_default=False, callback=resolved)
    ],
) -> None:
    """Show this party's coefficients."""
    from vfl.cli.show import print_model

    print_model(model, Console())
