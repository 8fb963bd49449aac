"""What a node tells of itself, in the terminal."""

from __future__ import annotations

from rich.markup import escape
from rich.table import Table

from vfl.cli.results import NodeStatus
from vfl.screen.console import Console
from vfl.screen.tables import facts, say


def print_status(told: NodeStatus, console: Console) -> None:
    """The node, a line per job, and what each job that waits or has failed needs."""
    running = "runs" if told.runs else "does not run: give vfl node start PARTY.toml"
    facts(console, {"node": f"of {escape(told.party)}, {running}", "folder": escape(told.folder)})
    for one in told.online:
        what = f"online scores of {one.job}: {one.doing if one.runs else 'no process yet'}, digest {one.job_digest}"
        console.print(what, highlight=False, markup=False, soft_wrap=True)
        if one.error:
            say(console, f"  {escape(one.error)}")
    if not told.jobs:
        say(console, "no job yet")
        return
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in ("job", "command", "with", "state", "since", "called"):
        table.add_column(name, no_wrap=name in ("state", "since", "called"), overflow="fold")
    for job in told.jobs:
        others = ", ".join(name for name in job.parties if name != told.party)
        table.add_row(
            escape(job.job), job.command, escape(others), job.state, _minute(job.changed), _minute(job.called)
        )
    console.print(table, highlight=False)
    for job in told.jobs:
        what = f"{job.job}, {job.command}: digest {job.digest}"
        console.print(what, highlight=False, markup=False, soft_wrap=True)
        if own := [f"{name} {path}" for name, path in (("model", job.model), ("table", job.data)) if path]:
            say(console, f"  {escape(', '.join(own))}")
        if job.message:
            say(console, f"  {escape(job.message)}")


def _minute(time: str | None) -> str:
    """A time in ISO 8601, to the minute."""
    return "-" if time is None else time[:16].replace("T", " ")
