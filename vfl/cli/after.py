"""The commands that read what there is, and send nothing: `vfl monitor`, `runs`, `report`, `bench`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vfl.screen.answer import AsJson, answer
from vfl.screen.arguments import NewTable, PartyFile, RunFolder
from vfl.screen.console import Console
from vfl.screen.examples import examples
from vfl.storage.runs import resolved

after_app = typer.Typer()


@after_app.command(epilog=examples("monitor"))
def monitor(
    party: PartyFile,
    model: Annotated[
        Path,
        typer.Option(
            metavar="MODEL", help="This party's model folder, RUN/model.", show_default=False, callback=resolved
        ),
    ],
    data: NewTable = None,
    scores: Annotated[
        Path | None,
        typer.Option(
            metavar="SCORES.csv", help="Guest: the scores of vfl predict, to compare them too.", show_default=False
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Also write the numbers: .json, .csv, .parquet, .feather or .arrow.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compare a new table with the training rows.

    Each party does this for its own columns; nothing is sent.  The population stability index (PSI) of each column, and
    of the guest's scores.
    """
    from vfl.cli.monitor import monitor as monitor_party
    from vfl.cli.monitor import monitored, print_monitor, write_monitor
    from vfl.job import load_party

    found = monitor_party(load_party(party), model, data, scores, out)
    if out is not None:
        write_monitor(found, out)
    answer(monitored(found), as_json, lambda: print_monitor(found, Console()))


@after_app.command(epilog=examples("runs"))
def runs(
    party: PartyFile,
    as_json: AsJson = False,
) -> None:
    """List this party's runs: when, which job, how it ended, where."""
    from vfl.cli.results import Runs
    from vfl.cli.show import print_runs
    from vfl.job import load_party
    from vfl.storage.runs import listed

    directory = load_party(party).run.directory
    found = Runs(runs=listed(directory))
    answer(found, as_json, lambda: print_runs(found, directory, Console()))


@after_app.command(epilog=examples("report"))
def report(
    run: RunFolder,
    cutoff: Annotated[
        float | None,
        typer.Option(
            metavar="SCORE",
            min=0,
            max=1,
            help="Guest: show the confusion matrix for this cut-off: rows with this score or more are flagged.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show a run's results; writes its page again."""
    from vfl.cli.show import show_report

    answer(show_report(run, None if as_json else Console(), cutoff), as_json, lambda: None)


@after_app.command(epilog=examples("bench"))
def bench(
    full: Annotated[
        bool,
        typer.Option(
            "--full",
            help="Large tables, long sweeps, other models, network namespaces: about forty minutes on two quiet cores.",
        ),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="For overhead.json and overhead.html; without it, benchmarks/results if it exists, else the "
            "current folder.",
            show_default=False,
        ),
    ] = None,
    compare: Annotated[
        Path | None,
        typer.Option(metavar="OLD.json", help="An older overhead.json: shows what costs more now.", show_default=False),
    ] = None,
    peers_python: Annotated[
        Path | None,
        typer.Option(
            metavar="PYTHON",
            help="A Python that has the other libraries, so they need not be installed in this one.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure what encryption costs on this machine.

    The same regression and the same trees centralised, in the clear, under Paillier and by other libraries, on
    generated tables; nothing is sent.  It takes two to three minutes.
    """
    from vfl.bench.command import bench as measure
    from vfl.cli.results import Bench

    folder, found = measure(full, out, compare, peers_python, None if as_json else Console())
    answer(Bench(folder=str(folder), overhead=found), as_json, lambda: None)
