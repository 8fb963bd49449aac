"""`vfl check`: everything that can be found out about a job before anything is sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from protocols.alignment.outcome import most_common
from protocols.errors import ConfigError
from vfl.cli.show import print_permits
from vfl.cost import estimate
from vfl.data import shapes
from vfl.data.shapes import Profile
from vfl.job import Agreement, AlignmentJob, Job, Party, cautions, load_agreement, load_party, searched
from vfl.job.opened import rows_taken
from vfl.job.plan import plan_of, roles_of
from vfl.job.policy import bounds_told
from vfl.models.registry import kind_of
from vfl.run import align as alignment_run
from vfl.run.preflight import look_at
from vfl.run.readiness import meet_all, ready_to_connect
from vfl.run.recovery import budget_of
from vfl.run.session import Ready, peers_for
from vfl.run.train import prepare
from vfl.schema.section import listed
from vfl.screen.console import Console

MOST_ROWS_LOG2 = 40
SHOWN = 12  # columns


def print_check(job_file: Path, party_file: Path, console: Console, connect: float | None = None) -> None:
    """Runs every check and says what the job would do and disclose; connect: also meets every peer that does the same
    within this number of seconds.  Raises the error that `vfl run` would raise."""
    agreement, party = load_agreement(job_file), load_party(party_file)
    purpose = "run" if isinstance(agreement, Job) else "align"
    ready = (
        _print_check(agreement, party, console)
        if isinstance(agreement, Job)
        else (_print_alignment_check(agreement, party, console))
    )
    if connect is not None:
        peers = listed(peers_for(agreement, party.name, purpose), "and")
        console.print(f"Waiting for {peers}, up to {connect:g} s, to give the same command.", highlight=False)
        met = meet_all(ready, purpose, connect)
        told = f"to {listed(met, 'and')}: the same job, release and certificates. Nothing else was sent."
        console.print(f"[green]Connected[/] {told}")


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


def _print_check(job: Job, party: Party, console: Console) -> Ready[Any]:
    profile: Profile = {}
    ready = prepare(job, party, profile)
    budget, peers = budget_of(ready, "run"), job.parties.peers_of(party.name)
    budget.check(peers)
    kind, most = kind_of(job.model), carried(job)
    told = (
        cautions(job, party)
        + (look_at(job, ready.table, most) if ready.table else [])
        + ([ready.table.event_caution] if ready.table and ready.table.event_caution else [])
        + (ready.table.code_cautions if ready.table else [])
        + [ready.caution] * bool(ready.caution)
        + _dropped(job, party, profile)
        + ready_to_connect(ready, "run")
    )
    facts = {
        **_named(job, party),
        **kind.described(plan_of(job), roles_of(job)),
        **searched.described(job),
        "head-room": f"the key carries sums over up to {most:,} common rows"
        + (", as many as one message can name" if most == most_common() else ""),
    }
    if ready.table:
        facts["table"] = f"{len(ready.table):,} rows, {ready.table.features.shape[1]} columns" + (
            ", and the label" if ready.table.label is not None else ""
        )
        facts["own columns"] = escape(_columns([str(name) for name in ready.table.features.columns]))
        if ready.table.classes is not None and len(ready.table.classes) == 2:
            facts["event"] = escape(f"{ready.table.classes[1]!r} rather than {ready.table.classes[0]!r}")
    facts |= _ids(profile)
    planned = next((one for one in job.candidates if getattr(one.model, "max_iter", None) == "auto"), None)
    passes = kind.usual_passes(plan_of(planned), roles_of(planned), ready.table) if ready.table and planned else None
    if passes:
        facts["iterations"] = f"about {passes}, by these labels: the common rows decide"
    facts["time"] = estimate.told(
        job, (len(ready.table), ready.table.features.shape[1]) if ready.table else None, passes
    )
    _print(
        facts,
        job,
        bounds_told(job, party.policy) + rows_taken(job, party) + budget.explained(peers, ready.table),
        told,
        console,
    )
    return ready


def _print_alignment_check(job: AlignmentJob, party: Party, console: Console) -> Ready[Any]:
    profile: Profile = {}
    ready = alignment_run.prepare(job, party, profile=profile)
    facts = _named(job, party)
    if ready.ids is not None:
        facts["table"] = f"{ready.rows:,} rows, {len(ready.ids[0]):,} of them with an id of their own"
    facts |= _ids(profile)
    facts["time"] = estimate.told_of_alignment(job, None if ready.ids is None else len(ready.ids[0]))
    budget = budget_of(ready, "align")
    budget.check(ready.peers)
    told = cautions(job, party) + _dropped(job, party, profile) + ready_to_connect(ready, "align")
    _print(facts, job, bounds_told(job, party.policy) + budget.explained(ready.peers, None), told, console)
    return ready


def _columns(names: Sequence[str]) -> str:
    """Which of this party's columns the job uses: no other one takes part."""
    shown = ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
    return f"{shown or 'none'}; no value of them leaves in the clear"


def _ids(profile: Profile) -> dict[str, str]:
    """The shapes of each key column's ids, which two people can compare by phone."""
    return {f"ids '{name}'": "\n".join(own.lines()) for name, own in profile.items()}


def _dropped(job: Agreement, party: Party, profile: Profile) -> list[str]:
    """A caution for each key column whose letters are not compared."""
    return [] if party.data is None else shapes.cautions(profile, party.data.settings().by_own(job.align.normalise))


def _named(job: Job | AlignmentJob, party: Party) -> dict[str, str]:
    return {
        "job": f"{job.name}, digest {job.digest.hex()[:16]}...: every party must see the same (vfl job digest)",
        "this party": f"{party.name}, the {party.role}",
    }


def _print(
    facts: Mapping[str, str], job: Job | AlignmentJob, bounds: Sequence[str], told: Sequence[str], console: Console
) -> None:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for name, text in facts.items():
        table.add_row(f"[bold]{name}[/]", escape(text))
    console.print(table)
    console.print("\n[bold]What this job discloses[/], all of it allowed by this party's policy:")
    print_permits(job, console)
    console.print("\n[bold]What this party's policy bounds[/]:")
    for sentence in bounds:
        console.print(f"  - {escape(sentence)}", highlight=False)
    for caution in told:
        console.print(f"[yellow]caution[/]: {escape(caution)}", highlight=False)
    console.print("\n[green]Ready.[/] Nothing was sent.")
