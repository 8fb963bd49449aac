"""The commands that read one file or folder and send nothing: `vfl job`, `vfl ledger`, `vfl model`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from protocols.errors import ConfigError
from vfl.screen.answer import AsJson, answer
from vfl.screen.arguments import JobFile, ModelKind, RunFolder, say
from vfl.screen.console import Console
from vfl.screen.examples import examples
from vfl.storage.runs import resolved

job_app = typer.Typer(help="Job files: write one, explain one, its digest, the schema.", no_args_is_help=True)
ledger_app = typer.Typer(help="Ledgers, which list what left in a run: show, verify, reconcile.", no_args_is_help=True)
model_app = typer.Typer(help="This party's part of a model: show.", no_args_is_help=True)


@job_app.command("new", epilog=examples("job new"))
def job_new(
    job: JobFile,
    key: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN", help="An id column; several make one key.", show_default=False),
    ] = None,
    kind: ModelKind = "logistic-regression",
    guest: Annotated[str, typer.Option(metavar="NAME", help="Who holds the labels.")] = "bank",
    host: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Who holds further columns; repeat it for several.")
    ] = None,
    arbiter: Annotated[str, typer.Option(metavar="NAME", help="Who holds no data.")] = "trustco",
    member: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="With --kind averaging: a member; repeat it for each.", show_default=False),
    ] = None,
    label: Annotated[
        str, typer.Option(metavar="COLUMN", help="With --kind averaging: the label's column, at all members.")
    ] = "default",
    column: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN", help="With --kind averaging: a feature, at all members; repeat it.", show_default=False
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write a commented job file to start from."""
    from vfl.cli.results import JobNew
    from vfl.job.setup import new_job
    from vfl.job.starter import AVERAGING

    if kind == AVERAGING:
        _unused(kind, {"--key": key, "--host": host, "--guest": guest != "bank"})
        _needed("--member", member, "averaging needs the names of its members", 2)
        _needed("--column", column, "members train on columns other than the label")
        new_job(job, kind, members=member, arbiter=arbiter, label=label, columns=column)
    else:
        _unused(kind, {"--member": member, "--column": column, "--label": label != "default"})
        _needed("--key", key, "customers are matched by an id column")
        new_job(job, kind, keys=key, guest=guest, hosts=host or ["telecom"], arbiter=arbiter)
    what = "read it, change what your parties agreed on differently, and give the same file to all"
    answer(JobNew(job=str(job)), as_json, lambda: say(f"{job}: {what}"))


def _unused(kind: str, given: Mapping[str, object]) -> None:
    """Raises ConfigError where an option was given that a job of this kind has no place for."""
    from vfl.schema.section import listed

    if unused := [option for option, value in given.items() if value]:
        raise ConfigError(
            f"a job of kind {kind} does not use {listed(unused, 'and')}",
            remedy="Leave it out, or choose another --kind: only an averaging has members, and these match no ids",
        )


def _needed(option: str, given: list[str] | None, why: str, least: int = 1) -> None:
    """Raises ConfigError unless an option is given often enough."""
    if len(given or ()) < least:
        often = "once or more" if least == 1 else f"{least} times or more"
        raise ConfigError(f"{option} is missing: {why}", remedy=f"Give it {often}")


@job_app.command("show", epilog=examples("job show"))
def job_show(job: JobFile, as_json: AsJson = False) -> None:
    """Explain what a job asks of its parties."""
    from vfl.cli.jobs import print_job
    from vfl.job import load_agreement
    from vfl.job.shown import job_shown

    told = job_shown(load_agreement(job))
    answer(told, as_json, lambda: print_job(told, Console()))


@job_app.command("digest", epilog=examples("job digest"))
def job_digest(job: JobFile, as_json: AsJson = False) -> None:
    """Print the digest that every party must see before it agrees."""
    from vfl.cli.results import JobDigest
    from vfl.job import load_agreement

    digest = load_agreement(job).digest.hex()
    answer(JobDigest(job_digest=digest), as_json, lambda: say(digest))


@job_app.command("schema", epilog=examples("job schema"))
def job_schema() -> None:
    """Print the JSON schema of job files, for editors and programs."""
    from vfl.job.json_schema import job_schema as schema

    say(schema())


@ledger_app.command("show", epilog=examples("ledger show"))
def ledger_show(
    run: RunFolder,
    messages: Annotated[
        bool, typer.Option("--messages", help="One line per message, with its time and the hash of its bytes.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show what left, to whom, and what was learnt."""
    from vfl.cli.ledgers import print_ledger
    from vfl.run.ledger_shown import ledger_shown

    told = ledger_shown(run, messages)
    answer(told, as_json, lambda: print_ledger(told, Console()))


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
    as_json: AsJson = False,
) -> None:
    """Check that no line was edited, removed or moved."""
    from vfl.cli.ledgers import print_verified, verified

    found = verified(run, certificate)
    answer(found, as_json, lambda: print_verified(found, certificate, Console()))


@ledger_app.command("reconcile", epilog=examples("ledger reconcile"))
def ledger_reconcile(
    run: RunFolder,
    other: Annotated[
        Path,
        typer.Argument(metavar="OTHER", help="The same run's folder or ledger at another party.", show_default=False),
    ],
    as_json: AsJson = False,
) -> None:
    """Compare the ledgers of two parties of a run.

    What one sent the other must have received: number, kind, length and hash of each message. If one of them has what
    the other signed at the end of the run (signatures.json), the ledgers must also fit that.
    """
    from vfl.cli.ledgers import print_reconciled, reconciled

    found = reconciled(run, other)
    answer(found, as_json, lambda: print_reconciled(found, Console()))


@model_app.command("show", epilog=examples("model show"))
def model_show(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="A model folder, RUN/model.", show_default=False, callback=resolved)
    ],
    as_json: AsJson = False,
) -> None:
    """Show this party's coefficients."""
    from vfl.cli.show import model_shown, print_model

    told = model_shown(model)
    answer(told, as_json, lambda: print_model(told, Console()))
