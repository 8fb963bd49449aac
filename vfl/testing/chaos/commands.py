"""`vfl chaos`: the commands."""

from __future__ import annotations

from typing import Annotated

import typer

from vfl.screen.console import Console
from vfl.screen.examples import examples

chaos_app = typer.Typer(help="Inject faults into small runs: net, kill.", no_args_is_help=True)


@chaos_app.callback()
def group() -> None:
    pass


@chaos_app.command("net", epilog=examples("chaos net"))
def chaos_net(
    schedules: Annotated[int, typer.Option(metavar="N", min=1, help="How many schedules for each kind of run.")] = 50,
    seed: Annotated[int, typer.Option(metavar="SEED", min=0, help="Other seeds break other messages.")] = 0,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help='"alignment", "logistic-regression", "boosted-trees" or "boosted-trees, open"; without it, each.',
            show_default=False,
        ),
    ] = None,
) -> None:
    """Lose, repeat, swap, delay, cut and change messages on a simulated network.

    Each schedule breaks up to three attempts of a small run in this process; the parties resume from the last step that
    all have.  It succeeds if every run ends with the results of the undisturbed run, bit for bit, and with typed errors
    only.
    """
    from vfl.testing.chaos.show import print_storms

    print_storms([model] if model else None, schedules, seed, Console())


@chaos_app.command("kill", epilog=examples("chaos kill"))
def chaos_kill(
    model: Annotated[
        str,
        typer.Option(
            metavar="MODEL",
            help='"logistic-regression", "logistic-regression, direct", "logistic-regression, prepared" (after vfl '
            'prepare), "boosted-trees", "align" or "predict".',
        ),
    ] = "logistic-regression",
    every_boundary: Annotated[
        bool, typer.Option("--every-boundary", help="Kill before every single message: takes long.")
    ] = False,
    every: Annotated[
        int, typer.Option(metavar="N", min=0, help="Kill before every N-th message; 0: before none.")
    ] = 10,
    instants: Annotated[int, typer.Option(metavar="N", min=0, help="Kill at N random moments too.")] = 0,
    seed: Annotated[int, typer.Option(metavar="SEED", min=0, help="Other moments.")] = 0,
    jobs: Annotated[
        int, typer.Option(metavar="N", min=1, max=64, help="The trials are shared among N federations at a time.")
    ] = 1,
) -> None:
    """Kill real processes with SIGKILL, and give their command again.

    Three institutions on this machine, in a temporary folder.  In each trial one party dies at one message, or at one
    moment; the others wait for it.  It succeeds if every trial ends by itself with the results of the undisturbed run,
    bit for bit, the same messages, and ledgers that agree.  A regression whose iterations are prepared draws new
    numbers after a restart: its messages differ, and its weights agree to 1e-4 of the largest one.
    """
    from vfl.testing.chaos.show import print_kills

    print_kills(model, 1 if every_boundary else every, instants, seed, jobs, Console())
