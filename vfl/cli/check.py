"""`vfl check`: everything that can be found out about a job before anything is sent."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table as Grid

from protocols.alignment.outcome import most_common
from protocols.errors import ConfigError
from vfl.cli import members
from vfl.cli.jobs import print_disclosed
from vfl.cli.results import Check, Memory
from vfl.cost import ahead, estimate
from vfl.data import Table
from vfl.data.schema import ColumnType, Schema
from vfl.data.shapes import Profile
from vfl.job import AlignmentJob, Job, MembersJob, Party, cautions, searched
from vfl.job.opened import numbers_added, rows_taken
from vfl.job.plan import plan_of, roles_of
from vfl.job.policy import bounds_told
from vfl.job.shown import disclosed_by, noise_told
from vfl.models.registry import kind_of
from vfl.run import align as alignment_run
from vfl.run import own_memory
from vfl.run.preflight import table_cautions
from vfl.run.readiness import meet_all, ready_to_connect, workers_ready
from vfl.run.session import Ready, peers_for
from vfl.run.stored_run import budget_of
from vfl.run.train import prepare
from vfl.schema.section import listed
from vfl.screen.console import Console
from vfl.screen.sentences import counted
from vfl.screen.tables import bullets, print_cautions
from vfl.storage.run_store import holds
from vfl.storage.runs import listed as runs_listed
from vfl.transport.hello import Command

MOST_ROWS_LOG2 = 40
SHOWN = 12  # columns of a type
TYPES: dict[ColumnType, str] = {
    "number": "numbers",
    "text": "categories, as written",
    "code": "categories that are numbers or truth values",
}


def checked(agreement: Job | AlignmentJob | MembersJob, party: Party) -> tuple[Check, Ready[Any]]:
    """Runs every check that can be made alone: what the job would do and disclose.  Raises the error that `vfl run`
    would raise."""
    if isinstance(agreement, MembersJob):
        return members.checked(agreement, party)
    return _check(agreement, party) if isinstance(agreement, Job) else _check_alignment(agreement, party)


def meet(ready: Ready[Any], connect: float, say: Callable[[str], object]) -> tuple[str, ...]:
    """Meets every peer that gives the same command within this number of seconds; say: receives whom it waits for."""
    purpose = "align" if isinstance(ready.job, AlignmentJob) else "run"
    peers = listed(peers_for(ready.job, ready.party.name, purpose), "and")
    say(f"Waiting for {peers}, up to {connect:g} s, to give the same command.")
    return meet_all(ready, purpose, connect)


def carries(job: Job, rows: int) -> None:
    """Raises ConfigError unless the key has the head-room for this number of common rows, whichever candidate is
    trained, and a message can name them all."""
    if rows > most_common():
        raise ConfigError(
            "one message cannot name that many common rows",
            remedy="Split the tables, or lower min_intersection",
            expected=f"at most {most_common():,}",
            found=f"{rows:,}",
        )
    for one in job.candidates:
        kind_of(one.model).carries(plan_of(one), roles_of(one), rows)


def carried(job: Job) -> int:
    """The most common rows of a run: a power of two that the key has head-room for, or all that a message can name.
    The same at every party.  Raises ConfigError if not even the least are carried."""
    least = job.align.min_intersection
    carries(job, least)
    found = least
    for rows in sorted({*(1 << k for k in range(MOST_ROWS_LOG2 + 1)), most_common()}):
        if rows > least:
            try:
                carries(job, rows)
            except ConfigError:
                break
            found = rows
    return found


def _check(job: Job, party: Party) -> tuple[Check, Ready[Any]]:
    profile: Profile = {}
    ready = prepare(job, party, profile)
    budget, peers = budget_of(ready, "run"), job.parties.peers_of(party.name)
    budget.check(peers)
    most = carried(job)
    told = (
        cautions(job, party)
        + (table_cautions(job, ready.table, most) if ready.table else [])
        + list(ready.cautions)
        + [ready.caution] * bool(ready.caution)
        + ready_to_connect(ready, "run")
    )
    workers, about = workers_ready(ready)
    memory, said, short = _memory(ready, "run")
    told += about + short
    facts = {
        **kind_of(job.model).described(plan_of(job), roles_of(job)),
        **noise_told(job),
        **searched.described(job),
        "room": f"the key carries sums over up to {most:,} common rows"
        + (", as many as one message can name" if most == most_common() else ""),
        **_of_table(ready.table),
        **_ids(profile),
        **_passes_and_time(job, ready.table, party.compute.workers),
        **_prepared(job, party),
        **({"workers": workers} if workers else {}),
        **said,
    }
    bounds = bounds_told(job, party) + rows_taken(job, party) + budget.explained(peers, ready.table, numbers_added(job))
    return _result(job, party, facts, bounds, told, memory), ready


def _memory(ready: Ready[Any], command: Command) -> tuple[Memory | None, dict[str, str], list[str]]:
    """What this party's own process needs: in bytes, in words, and cautions.  Raises ComputeError."""
    found = own_memory.enough_memory(ready, command)
    if found is None:
        return None, {}, []
    told = Memory(needs=found.needs, least=found.least, left=found.left)
    return told, {"memory": own_memory.in_words(ready, command, found)}, own_memory.cautions(found)


def _of_table(table: Table | None) -> dict[str, str]:
    if table is None:
        return {}
    label = ", and the label" if table.has_label else ""
    facts = {"table": f"{counted(len(table), 'row')}, {counted(len(table.columns), 'column')}{label}"}
    facts["own columns"] = _columns(table.schema)
    if table.classes is not None and len(table.classes) == 2:
        facts["event"] = f"{table.classes[1]!r} rather than {table.classes[0]!r}"
    return facts


def _prepared(job: Job, party: Party) -> dict[str, str]:
    """Whether vfl run would resume a prepared run."""
    for run in reversed(runs_listed(party.run.directory)):
        if run.prepared and holds(Path(run.folder), "run", job.digest):
            ends = f"until {run.prepared_until}; the time above is without it" if run.prepared_until else ""
            return {"prepared": f"vfl run resumes {run.folder}, {run.outcome} {ends}".rstrip()}
    return {}


def _passes_and_time(job: Job, table: Table | None, workers: int) -> dict[str, str]:
    planned = next((one for one in job.candidates if getattr(one.model, "max_iter", None) == "auto"), None)
    kind = kind_of(job.model)
    passes = kind.usual_passes(plan_of(planned), roles_of(planned), table) if table and planned else None
    facts = {"iterations": f"about {passes} by these labels; the common rows decide"} if passes else {}
    size = (len(table), table.features.shape[1]) if table else None
    facts |= {"time": estimate.in_words(job, size, passes, workers)}
    stored = ahead.in_words(job, size)
    return facts | ({"ahead": stored} if stored else {})


def _check_alignment(job: AlignmentJob, party: Party) -> tuple[Check, Ready[Any]]:
    profile: Profile = {}
    with contextlib.ExitStack() as stack:
        ready = alignment_run.prepare(job, party, profile=profile, stack=stack)
        workers, about = workers_ready(ready)
    facts = dict[str, str]()
    if ready.ids is not None:
        facts["table"] = f"{counted(ready.rows, 'row')}, {len(ready.ids[0]):,} of them with an id of their own"
    facts |= _ids(profile) | noise_told(job)
    ids = None if ready.ids is None else len(ready.ids[0])
    facts["time"] = estimate.alignment_in_words(job, ids, party.compute.workers)
    memory, said, short = _memory(ready, "align")
    facts |= ({"workers": workers} if workers else {}) | said
    budget = budget_of(ready, "align")
    budget.check(ready.peers)
    told = cautions(job, party) + list(ready.cautions) + ready_to_connect(ready, "align") + about + short
    bounds = bounds_told(job, party) + budget.explained(ready.peers, None)
    return _result(job, party, facts, bounds, told, memory), ready


def _columns(schema: Schema) -> str:
    """Which of this party's columns the job uses, by what they are read as: no other one takes part."""
    lines = []
    for kind, what in TYPES.items():
        names = [name for name, own in schema.types.items() if own == kind]
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        lines += [f"{what}: {', '.join(names[:SHOWN])}{more}"] if names else []
    return "\n".join([*(lines or ["none"]), "no value of them leaves in the clear"])


def _ids(profile: Profile) -> dict[str, str]:
    """The shapes of each key column's ids, which two people can compare by phone."""
    return {f"ids '{name}'": "\n".join(own.lines()) for name, own in profile.items()}


def _result(
    job: Job | AlignmentJob,
    party: Party,
    facts: Mapping[str, str],
    bounds: Sequence[str],
    told: Sequence[str],
    memory: Memory | None,
) -> Check:
    return Check(
        job=job.name,
        job_digest=job.digest.hex(),
        party=party.name,
        role=party.role,
        facts=dict(facts),
        disclosed=disclosed_by(job),
        bounds=list(bounds),
        cautions=list(told),
        memory=memory,
        met=[],
    )


def print_check(told: Check, console: Console) -> None:
    """In the terminal."""
    facts = {
        "job": f"{told.job}, digest {told.job_digest[:16]}...: every party must see the same (vfl job digest)",
        "this party": f"{told.party}, the {told.role}",
        **told.facts,
    }
    table = Grid(box=None, show_header=False, padding=(0, 2, 0, 0))
    for name, text in facts.items():
        table.add_row(f"[bold]{name}[/]", escape(text))
    console.print(table)
    console.print("\n[bold]What this job discloses[/], all of it allowed by this party's policy:")
    print_disclosed(told.disclosed, console)
    console.print("\n[bold]What this party's policy bounds[/]:")
    bullets(console, told.bounds)
    print_cautions(console, told.cautions)
    console.print("\n[green]Ready.[/] Nothing was sent.")


def print_met(met: Sequence[str], console: Console) -> None:
    """Whom this party has met."""
    told = f"to {listed(met, 'and')}: the same job, release and certificates. Nothing else was sent."
    console.print(f"[green]Connected[/] {told}")
