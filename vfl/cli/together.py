"""The commands that all parties run at the same time: `vfl align`, `prepare`, `run`, `predict`."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from protocols.errors import ConfigError
from vfl.screen.answer import AsJson, answer
from vfl.screen.arguments import (
    ConnectTimeout,
    Fresh,
    JobFile,
    ModelFolder,
    NewTable,
    PartyFile,
    ProgressKind,
    ScoresFile,
    say,
)
from vfl.screen.console import Console
from vfl.screen.errors import noted, stoppable
from vfl.screen.examples import examples
from vfl.screen.tables import print_cautions

if TYPE_CHECKING:
    from vfl.job import MembersJob, Party
    from vfl.run.session import Ready

together_app = typer.Typer()


def one_output(progress: str, as_json: bool) -> None:
    """Raises ConfigError where a program would read two kinds of line."""
    if as_json and progress == "lines":
        remedy = "Leave one out: the last line of --progress lines names the report too"
        raise ConfigError("--json and --progress lines both print JSON to standard output", remedy=remedy)


def not_resumed(fresh: bool) -> None:
    """Raises ConfigError for an option that means nothing to members."""
    if fresh:
        raise ConfigError("--fresh is given, and a run of members is never resumed", remedy="Leave it out")


@together_app.command(epilog=examples("align"))
def align(
    job: JobFile,
    party: PartyFile,
    format: Annotated[
        str | None,
        typer.Option(
            metavar="FORMAT",
            help='"parquet" or "csv"; without it, Parquet where pyarrow is installed.',
            show_default=False,
        ),
    ] = None,
    fresh: Fresh = False,
    connect_timeout: ConnectTimeout = 600.0,
    progress: ProgressKind = "auto",
    as_json: AsJson = False,
) -> None:
    """Align ids only: find the rows that all parties have in common.

    Writes this party's own common rows, in an order that all parties share, and a match-rate report.  With one host no
    arbiter is needed.
    An interrupted alignment resumes where it stopped.
    """
    from vfl.cli.results import Align
    from vfl.job import MembersJob, load_agreement, load_party
    from vfl.report.page import PAGE
    from vfl.run.align import align as align_party
    from vfl.run.align import prepare, print_report
    from vfl.run.announce import announced
    from vfl.screen.progress import watching

    one_output(progress, as_json)
    console = Console(stderr=True)
    agreed, own = load_agreement(job), load_party(party)
    if isinstance(agreed, MembersJob):
        raise ConfigError(f"{job} is a job of members, who match no ids", remedy="Give vfl run")
    with contextlib.ExitStack() as stack:
        with noted(console), announced(agreed, own, "align", connect_timeout):
            ready = prepare(agreed, own, format, stack=stack)
        print_cautions(console, ready.cautions)
        with stoppable(console), watching(progress, console) as watch:
            folder, found = align_party(ready, watch, connect_timeout=connect_timeout, fresh=fresh)
    file = folder / "alignment.json"

    def show() -> None:
        errors = progress == "lines"  # whose last line, on stdout, is JSON too
        if found is not None:
            print_report(found, Console(stderr=errors))
        say(f"page: {folder / PAGE}", stderr=errors)
        say(f"report: {file}", stderr=errors)

    told = Align(folder=str(folder), report=str(file), rows=None, common=None, by_key={})
    if found is not None:
        told.rows, told.common, told.by_key = found.rows, found.common, found.by_key
    answer(told, as_json, show)


@together_app.command(epilog=examples("prepare"))
def prepare(
    job: JobFile,
    party: PartyFile,
    iterations: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="At least this number, of each model; without it, all that the job may make. The party that wants "
            "fewest decides.",
            show_default=False,
        ),
    ] = None,
    fresh: Fresh = False,
    connect_timeout: ConnectTimeout = 600.0,
    progress: ProgressKind = "auto",
    as_json: AsJson = False,
) -> None:
    """Prepare a regression's iterations before vfl run.

    Every party gives this command, the night before for instance.  It aligns, draws the split, standardises, and leaves
    encrypted one-time numbers (pads) for the iterations in the run's folder, for seven days; vfl run of the same job
    continues from there.
    """
    from vfl.cli.prepare import prepared, print_prepared
    from vfl.job import load_job, load_party
    from vfl.run.announce import announced
    from vfl.run.prepare import check_prepares, prepare_ahead
    from vfl.run.train import prepare as checked
    from vfl.screen.progress import watching

    one_output(progress, as_json)
    console = Console(stderr=True)
    agreed, own = load_job(job), load_party(party)
    with contextlib.ExitStack() as stack:
        with noted(console), announced(agreed, own, "prepare", connect_timeout):
            check_prepares(agreed)
            ready = checked(agreed, own, stack=stack)
        print_cautions(console, ready.cautions)
        with stoppable(console), watching(progress, console) as watch:
            asked = iterations or 0
            found = prepare_ahead(ready, watch, iterations=asked, connect_timeout=connect_timeout, fresh=fresh)
    answer(prepared(found), as_json, lambda: print_prepared(found, stderr=progress == "lines"))


@together_app.command(epilog=examples("run"))
def run(
    job: JobFile,
    party: PartyFile,
    fresh: Fresh = False,
    connect_timeout: ConnectTimeout = 600.0,
    progress: ProgressKind = "auto",
    as_json: AsJson = False,
) -> None:
    """Take part in a job: align, train, score.

    Every party runs this with the same job file; the order of starting does not matter.  An interrupted run resumes
    where it stopped; an averaging of members begins again.
    """
    from vfl.cli.results import Run
    from vfl.job import MembersJob, load_party, load_training
    from vfl.run.announce import announced
    from vfl.run.members import ready as of_members
    from vfl.run.members.run import run as run_member
    from vfl.run.train import prepare
    from vfl.run.train import run as run_party
    from vfl.screen.progress import watching

    one_output(progress, as_json)
    console = Console(stderr=True)
    agreed, own = load_training(job), load_party(party)
    ready: of_members.MemberReady | Ready
    with contextlib.ExitStack() as stack:
        with noted(console), announced(agreed, own, "run", connect_timeout):
            if isinstance(agreed, MembersJob):
                not_resumed(fresh)
                ready = of_members.prepare(agreed, own)
            else:
                ready = prepare(agreed, own, stack=stack)
        print_cautions(console, ready.cautions)
        with stoppable(console), watching(progress, console) as watch:
            if isinstance(ready, of_members.MemberReady):
                folder = run_member(ready, watch, connect_timeout=connect_timeout)
            else:
                folder = run_party(ready, watch, connect_timeout=connect_timeout, fresh=fresh)
    file, model = folder / "report.json", folder / "model"

    def show() -> None:
        if progress == "none":
            say(f"report: {file}")
        else:
            from vfl.report import read_report
            from vfl.report.terminal import print_summary

            print_summary(read_report(folder), Console(stderr=progress == "lines"), folder)  # whose last line is JSON

    told = Run(folder=str(folder), report=str(file), model=str(model) if model.exists() else None)
    answer(told, as_json, show)


@together_app.command(epilog=examples("predict"))
def predict(
    job: JobFile,
    party: PartyFile,
    model: ModelFolder = None,
    data: NewTable = None,
    out: ScoresFile = None,
    fresh: Fresh = False,
    connect_timeout: ConnectTimeout = 600.0,
    progress: ProgressKind = "auto",
    as_json: AsJson = False,
) -> None:
    """Score new rows with a joint model.

    Every party that holds a part of the model runs this; data parties bring their own new tables.  The arbiter runs it
    too if it holds shares of weights or the leaf values of sealed trees, and always with two or more hosts.  The guest
    gets the scores, of any number of rows.  The score of a row is empty if a party does not know it, or has no value
    that the model needs.  A member of an averaging needs nobody, and scores its own rows.
    An interrupted prediction resumes where it stopped.
    """
    from vfl.cli.results import Predict
    from vfl.job import MembersJob, load_party, load_training
    from vfl.run.announce import announced
    from vfl.run.predict import predict as predict_party
    from vfl.run.scoring import prepare
    from vfl.screen.progress import watching

    one_output(progress, as_json)
    agreed, own, console = load_training(job), load_party(party), Console(stderr=True)
    if isinstance(agreed, MembersJob):
        not_resumed(fresh)
        _predicted_alone(agreed, own, model, data, out, as_json)
        return
    with noted(console), announced(agreed, own, "predict", connect_timeout):
        scoring = prepare(agreed, own, model, data, out)
    print_cautions(console, scoring.cautions)
    with stoppable(console), watching(progress, console) as watch:
        folder, file, scored = predict_party(scoring, watch, connect_timeout=connect_timeout, fresh=fresh)

    def show() -> None:
        errors = progress == "lines"  # whose last line, on stdout, is JSON too
        if file is not None:
            say(f"{scoring.scored(scored)}\nscores: {file}", stderr=errors)
        say(f"report: {folder / 'report.json'}", stderr=errors)

    told = Predict(folder=str(folder), report=str(folder / "report.json"), cautions=list(scoring.cautions))
    if file is not None and scoring.new is not None:
        told.scores, told.rows, told.scored = str(file), len(scoring.new.index), scored
    answer(told, as_json, show)


def _predicted_alone(
    job: MembersJob, party: Party, model: Path | None, data: str | None, out: Path | None, as_json: bool
) -> None:
    """The same at a member, which holds the whole model."""
    from vfl.cli.results import Predict
    from vfl.run.members.predict import predict as predict_member

    found = predict_member(job, party, model, data, out)
    report = str(found.folder / "report.json")

    def show() -> None:
        say(f"{found.said}\nscores: {found.file}\nreport: {report}")

    told = Predict(folder=str(found.folder), report=report, cautions=[], scores=str(found.file))
    told.rows, told.scored = found.rows, found.scored
    answer(told, as_json, show)
