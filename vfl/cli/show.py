"""What a run left, in plain words in the terminal: its report, a model part, and the list of all runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from jinja2 import TemplateError
from rich.markup import escape

from protocols.errors import ConfigError, ModelError
from vfl.cli import members
from vfl.cli.ledgers import HASH, WIDE
from vfl.cli.results import AlignmentReport, ModelShow, ReportShown, Runs
from vfl.models.part_files import load_part
from vfl.models.registry import ARBITER_KINDS, KINDS
from vfl.models.saved_files import NAME
from vfl.report.page import ALIGNMENT, PAGE, REPORT, read_report, write_alignment, write_report
from vfl.report.schema import Report
from vfl.report.terminal import print_summary
from vfl.report.words import number, percent
from vfl.run.align import read_alignment
from vfl.screen.console import Console
from vfl.screen.shown import show
from vfl.screen.tables import facts, grid, say
from vfl.storage.runs import refuse_prepared


def model_shown(folder: Path) -> ModelShow:
    """One party's part of a model.  Raises ModelError."""
    refuse_prepared(folder.parent)
    if (folder / NAME).exists():
        return members.model_shown(folder)
    part, head = load_part(folder)
    kind: Any = ARBITER_KINDS.get(head.kind) or KINDS[head.kind]
    return ModelShow(
        party=part.party,
        kind=head.kind,
        model_id=part.model_id.hex(),
        job_digest=head.job_digest,
        part=kind.shown(part),
    )


def print_model(told: ModelShow, console: Console) -> None:
    """In the terminal."""
    named = {
        "party": told.party,
        "model": f"{told.kind}; name {told.model_id}, the same in the other parties' parts",
        "job": f"digest {told.job_digest[:HASH]}... (vfl job digest)",
    }
    facts(console, {name: escape(text) for name, text in named.items()})
    show(told.part, console)


def _minute(time: str) -> str:
    return time[:16].replace("T", " ")


def print_runs(found: Runs, directory: Path, console: Console) -> None:
    """Every run in a party's run directory, the oldest first."""
    if not console.is_terminal:
        console = Console(width=max(console.width, WIDE))  # no name is cut in two for a program that reads it
    table = grid("started", "command", "job", "outcome", "folder")
    for run in found.runs:
        outcome = run.outcome + (f" until {_minute(run.prepared_until)}" if run.prepared_until else "")
        cells = ((run.started or "-")[:19].replace("T", " "), run.command, run.job, outcome, Path(run.folder).name)
        table.add_row(*map(escape, cells))
    console.print(table if table.row_count else f"no runs in {escape(str(directory))} yet", highlight=False)


def show_report(run: Path, console: Console | None, cutoff: float | None = None) -> ReportShown:
    """Writes the page again from report.json, and prints the summary; of an alignment, its match rates.  Raises
    ModelError, ConfigError.

    cutoff: the confusion matrices are shown there from now on; without one, where they were.  console: None prints
    nothing.
    """
    refuse_prepared(run)
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
            write_alignment(run, result)
        else:
            write_report(run, result)
        if console is not None:
            _print_report(result, run, console, only_aligned)
        return ReportShown(
            folder=str(run),
            page=str(run / PAGE),
            report=None if only_aligned else msgspec.convert(result, Report),
            alignment=msgspec.convert(result, AlignmentReport) if only_aligned else None,
        )
    except (ArithmeticError, AttributeError, LookupError, TemplateError, TypeError, ValueError):
        raise ModelError(
            f"{run / (ALIGNMENT if only_aligned else REPORT)} is damaged",
            remedy="Restore it from a copy of the run's folder",
        ) from None


def _print_report(result: dict[str, Any], run: Path, console: Console, only_aligned: bool) -> None:
    page = escape(str(run / PAGE))
    console.print(f"The page is written again: {page}\n", highlight=False, soft_wrap=True)
    if only_aligned:
        print_alignment(result, run, console)
    else:
        print_summary(result, console, run)


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
