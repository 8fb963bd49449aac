"""What a job asks of its parties, and what it reveals, in plain words."""

from __future__ import annotations

from rich.markup import escape
from rich.table import Table

from vfl.cli.results import JobShow, Reveals, permits_of
from vfl.job import AlignmentJob, Job, cautions, needed_permits, searched
from vfl.job.alignment_job import alignment_permits
from vfl.job.plan import plan_of, roles_of
from vfl.models.registry import kind_of
from vfl.report.coalitions import DEALT, coalitions
from vfl.report.words import number
from vfl.screen.console import Console
from vfl.screen.tables import bullets, facts, say


def disclosed_by(job: Job | AlignmentJob) -> Reveals:
    """What a job reveals, each permission that its messages need."""
    needed = needed_permits(job) if isinstance(job, Job) else alignment_permits(job)
    return Reveals(
        permits=permits_of([p for p in job.disclosure.allow if p in needed]),
        rounded=kind_of(job.model).rounded(plan_of(job)) if isinstance(job, Job) else [],
        sizes=_sizes(job),
        together=_together(job) if isinstance(job, Job) else [],
        unused=[p for p in job.disclosure.allow if p not in needed],
    )


def _sizes(job: Job | AlignmentJob) -> list[str]:
    """What the arbiter learns of every job in which it takes part."""
    name = job.parties.arbiter
    if not name:
        return []
    if not isinstance(job, Job):
        return [f"{name} learns the number of ids of each party"] if len(job.parties.hosts) > 1 else []
    return [f"{name} learns the number of rows that are trained on and scored, and of each party's columns"]


def _together(job: Job) -> list[str]:
    """What conspiring parties could learn, as docs/threat-model.md says at length."""
    model = {name: getattr(job.model, name, None) for name in ("kind", "membership", "link", *DEALT)}
    rows = coalitions({"model": model, "parties": {"hosts": job.parties.hosts}})
    return [f"{who}: {what}" for who, what in rows]


TOGETHER = (
    "What parties could learn if, against the agreement, they put together what each of them saw (mixed: sums of "
    "columns with unknown factors, which a few known values undo):"
)


def print_disclosed(told: Reveals, console: Console) -> None:
    """One paragraph a permission."""
    table = Table(box=None, show_header=False, padding=(0, 1, 0, 1))
    for one in told.permits:
        table.add_row("-", f"{escape(one.discloses)} [dim]({escape(one.permit)})[/]")
    for text in told.rounded:
        table.add_row("-", escape(text))
    for text in told.sizes:
        table.add_row("-", f"{escape(text)} [dim](no permission is needed)[/]")
    console.print(table, highlight=False)
    if told.together:
        console.print(TOGETHER, highlight=False)
        bullets(console, told.together)
    if told.unused:
        say(
            console,
            f"[yellow]caution[/]: the job allows {escape(', '.join(told.unused))}, which none of its messages "
            f"needs: remove it from the job at every party",
        )


def job_shown(job: Job | AlignmentJob) -> JobShow:
    """What a job asks of its parties."""
    parties, align = job.parties, job.align
    hosts = " and ".join(parties.hosts)
    key = ", else by ".join(" and ".join(f"{c} ({align.normalise[c]})" for c in columns) for columns in align.keys)
    repeated = (
        "rows that share an id are an error"
        if align.duplicates == "error"
        else "if rows share an id, the first one counts"
    )
    told = {
        "who": f"{parties.guest} and {hosts} find the customers that they share",
        "match": f"customers by {key}; {repeated}; stop if fewer than {number(align.min_intersection)} are common "
        f"to all",
    }
    return JobShow(
        job=job.name,
        job_digest=job.digest.hex(),
        facts=told | _trained(job) if isinstance(job, Job) else told,
        disclosed=disclosed_by(job),
        cautions=cautions(job) if isinstance(job, Job) else [],
    )


def _trained(job: Job) -> dict[str, str]:
    parties, split = job.parties, job.split
    later = f", and those of {split.out_of_time} or later, by dates that only {parties.guest} knows"
    return {
        "who": f"{parties.guest} holds the labels, {' and '.join(parties.hosts)} further columns"
        + (f", {parties.arbiter} no data" if parties.arbiter else ""),
        "hold out": f"{100 * split.test:g} % of the common rows, chosen by seed {split.seed}, to evaluate the model"
        + (later if split.out_of_time else ""),
        **(
            {"evaluate": f"also on training rows: {parties.guest} learns their scores too"}
            if job.evaluation.train
            else {}
        ),
        **kind_of(job.model).described(plan_of(job), roles_of(job)),
        **searched.described(job),
    }


def print_job(told: JobShow, console: Console) -> None:
    """In the terminal."""
    named = {"job": f"{told.job}, digest {told.job_digest}", **told.facts}
    facts(console, {name: escape(text) for name, text in named.items()})
    console.print("\n[bold]What is disclosed[/], if every party's policy allows it:")
    print_disclosed(told.disclosed, console)
    for caution in told.cautions:
        say(console, f"[yellow]caution[/]: {escape(caution)}")
