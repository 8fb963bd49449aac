"""What a job asks of its parties, and what it reveals, in plain words: for `vfl job show` and the board of a node."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import msgspec
from msgspec import Meta

from vfl.job import searched
from vfl.job.alignment_job import AlignmentJob, alignment_permits
from vfl.job.cautions import cautions
from vfl.job.job import Job, needed_permits
from vfl.job.members_job import MembersJob
from vfl.job.permits import PERMITS
from vfl.job.plan import plan_of, roles_of
from vfl.models import label_privacy
from vfl.models.privacy import Privacy
from vfl.models.registry import kind_of
from vfl.report.coalitions import DEALT, coalitions
from vfl.report.words import number
from vfl.schema.section import listed
from vfl.screen.result import Result

Asked: TypeAlias = Job | AlignmentJob | MembersJob


class Permit(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    permit: str
    discloses: str


class Reveals(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Everything that a job reveals."""

    permits: list[Permit]
    rounded: Annotated[list[str], Meta(description="how coarsely opened numbers are rounded, a sentence each")]
    sizes: Annotated[list[str], Meta(description="what the arbiter learns without a permission, a sentence each")]
    together: Annotated[list[str], Meta(description="what conspiring parties could learn, a sentence each")]
    unused: Annotated[list[str], Meta(description="permissions that none of the job's messages needs")]


class JobShow(Result, tag="job show"):
    job: str
    job_digest: str
    facts: dict[str, str]
    disclosed: Reveals
    cautions: list[str]


def permits_of(names: list[str]) -> list[Permit]:
    """Each with what it discloses."""
    return [Permit(permit=name, discloses=PERMITS[name]) for name in names]


def job_shown(job: Asked) -> JobShow:
    """What a job asks of its parties."""
    return JobShow(
        job=job.name,
        job_digest=job.digest.hex(),
        facts=averaged(job) if isinstance(job, MembersJob) else _described(job),
        disclosed=disclosed_by(job),
        cautions=[] if isinstance(job, AlignmentJob) else cautions(job),
    )


def _described(job: Job | AlignmentJob) -> dict[str, str]:
    parties, align = job.parties, job.align
    hosts = listed(parties.hosts, "and")
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
    return told | _trained(job) if isinstance(job, Job) else told | noise_told(job)


def _trained(job: Job) -> dict[str, str]:
    parties, split = job.parties, job.split
    later = f", and those of {split.out_of_time} or later, by dates that only {parties.guest} knows"
    return {
        "who": f"{parties.guest} holds the labels, {listed(parties.hosts, 'and')} further columns"
        + (f", {parties.arbiter} no data" if parties.arbiter else ""),
        "hold out": f"{100 * split.test:g} % of the common rows, chosen by seed {split.seed}, to evaluate the model"
        + (later if split.out_of_time else ""),
        **(
            {"evaluate": f"also on training rows: {parties.guest} learns their scores too"}
            if job.evaluation.train
            else {}
        ),
        **kind_of(job.model).described(plan_of(job), roles_of(job)),
        **noise_told(job),
        **searched.described(job),
    }


def noise_told(job: Job | AlignmentJob) -> dict[str, str]:
    """What carries noise, and how much; nothing without noise."""
    if (privacy := job.privacy) is None:
        return {}
    promise = f"epsilon = {privacy.epsilon:g}, delta = {privacy.delta:g}"
    if isinstance(job, AlignmentJob):
        times = number(float(privacy.multiplier(1)))
        return {
            "privacy": f"the size carries noise of each party, sigma = {times} times what one id can change: {promise}"
        }
    of = label_privacy.releases(privacy, plan_of(job), len(job.parties.hosts))
    what = (
        "events of bins that hosts learn carry noise"
        if of.what == label_privacy.BINS
        else "the model is trained on labels with noise"
    )
    times = f"sigma = {number(float(of.multiplier))} times what one label can change"
    return {"privacy": f"{what}, {times}: {promise}"}


def disclosed_by(job: Asked) -> Reveals:
    """What a job reveals, each permission that its messages need."""
    if isinstance(job, MembersJob):
        return _disclosed_by_members(job)
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


def averaged(job: MembersJob) -> dict[str, str]:
    """An averaging of members in plain words."""
    model, parties = job.model, job.parties
    drawn = "" if model.fraction == 1 else f", {100 * model.fraction:g} % of them drawn for each"
    batch = "all rows at once" if model.batch_size is None else f"{number(model.batch_size)} rows at a time"
    often = "once" if model.local_epochs == 1 else f"{model.local_epochs} times"
    own = f"{often} through its own rows, {batch}, learning rate {model.learning_rate:g}"
    prox = f", held near the common model by mu = {model.mu:g}" if model.mu else ""
    bits = "" if model.update_bits is None else f"; updates have {model.update_bits} bits"
    compared = "of this run" if model.window == "run" else "among the last four"
    names, plural = job.table.columns, "s" if len(job.table.columns) > 1 else ""
    least = f"is about fewer than {model.min_members} members"
    return {
        "who": f"{listed(parties.members, 'and')} hold the same columns of different customers; {parties.arbiter} adds "
        "up, and has no data",
        "table": f"label {job.table.label}; {len(names)} column{plural}: {', '.join(names)}",
        "hold out": f"{100 * job.split.test:g} % of each member's rows, drawn by seed {job.split.seed}"
        if job.split.test
        else "no rows",
        "model": f"averaging, {model.estimator}",
        "training": f"{number(model.rounds)} rounds{drawn}; in each a member goes {own}{prox}{bits}",
        **({} if job.privacy is None else {"privacy": _promised(job.privacy)}),
        "sums": f"no combination of sums {compared}, or of earlier runs, {least}",
    }


def _promised(privacy: Privacy) -> str:
    what = "each row of each member" if privacy.unit == "row" else "everything that a member holds"
    return (
        f"all sums carry noise that hides {what}: epsilon = {privacy.epsilon:g}, delta = {privacy.delta:g}, clipped to "
        f"{privacy.clip:g}"
    )


def _disclosed_by_members(job: MembersJob) -> Reveals:
    model = {"kind": job.model.kind, "min_members": job.model.min_members}
    rows = coalitions({"model": model, "parties": {"members": job.parties.members}})
    return Reveals(
        permits=permits_of([p for p in job.disclosure.allow if p in job.permits]),
        rounded=[],
        sizes=[f"{job.parties.arbiter} and all members learn which members take part in each sum"],
        together=[f"{who}: {what}" for who, what in rows],
        unused=[p for p in job.disclosure.allow if p not in job.permits],
    )
