"""Answers to the questions 9 to 11, about budgets, partners and afterwards: each the section of a page."""

from __future__ import annotations

from vfl.evidence import grids
from vfl.evidence.blocks import Block, Facts, Grid
from vfl.evidence.recorded import Recorded
from vfl.evidence.resolved import members_job, permitted
from vfl.evidence.spent import NUMBERS
from vfl.evidence.subject import Subject
from vfl.evidence.through import others, sums
from vfl.job.policy import Policy
from vfl.report import words
from vfl.report.noise import promised

MODELS = "models_per_label"


def budget(s: Subject, key: str, title: str) -> Block:
    """What is spent and left."""
    rows = tuple(
        (b.budget, b.partner, b.period, *("–" if n is None else grids.number(n) for n in (b.used, b.limit, b.left)))
        for b in s.budgets.limits
    )
    head = ("Budget", "Partner", "Period", "Used", "Limit", "Left")
    found = (
        [Grid("Budgets of this party: by month, or for good where the period names labels or columns", head, rows, 3)]
        if rows
        else []
    )
    learnt = tuple(
        (one.partner, what, grids.number(count)) for one in s.budgets.partners for what, count in one.revealed.items()
    )
    if learnt:
        caption = (
            f"What {s.run.party} itself sent that tells something, in all runs up to this one and in it, as declared"
        )
        found.append(Grid(caption, ("Partner", "What", "Messages"), learnt, 1))
    lead = (
        promised(s.figures)
        or "This run adds no noise, so it has no epsilon. Budgets of messages, models and scores limit what many "
        "runs disclose."
    )
    return Block(
        key,
        title,
        lead,
        _meant(s),
        grids=tuple(found),
        points=_budget_points(s),
        links=(("budgets.json", "the same for programs"),),
    )


def _meant(s: Subject) -> Facts:
    """What each budget counts, and what the party file allows."""
    fields = Policy.model_fields
    found = []
    for name in dict.fromkeys(b.budget for b in s.budgets.limits if b.budget in fields):
        text = str(fields[name].description)
        if words.of_members(s.run.report) and name == MODELS:
            text = "the number of averagings of the same columns with each other party"
        allowed = s.budgets.policy.get(name)
        if name == NUMBERS:
            text = (
                "numbers computed from labels that hosts learn, over all hosts and runs; the limit is the number of "
                "training rows divided by this key of the policy"
            )
        said = "The key is" if name == NUMBERS else "The party file allows"
        found.append((name, text + (f". {said} {allowed:,}" if isinstance(allowed, int) else "")))
    return tuple(found)


def _budget_points(s: Subject) -> tuple[str, ...]:
    found = list[str]()
    if s.budgets.limits:
        found.append(
            "A job that would exceed a budget is refused, at the latest before the message that would exceed it."
        )
    if s.run.role == "guest" and "partition-to-hosts" in permitted(s.run):
        found.append(
            "What hosts learn of labels from the rows of nodes (partition-to-hosts: assume that they learn the labels) "
            f"falls under no budget of numbers. Only {MODELS} limits how often."
        )
    if s.run.role == "member" and sums(s.run):
        found.append(
            f"The sums of this run reached {words.joined(others(s.run))} too (question 7). The table counts only what "
            f"{s.run.party} sent itself."
        )
    if s.budgets.unreadable:
        found.append(f"{s.budgets.unreadable} ledgers could not be read and are in no sum.")
    return tuple(found)


def partner(s: Subject, key: str, title: str) -> Block:
    """When a partner fails, leaves or is compromised."""
    run = s.run
    points = list(_members_fail(run) if words.of_members(run.report) else _fails(run))
    points += [
        "A partner’s certificate is pinned: nobody else is accepted in its name. After a compromise, remove it from "
        "the party file: from then on nobody is accepted under it.",
        "What a partner learnt in earlier runs cannot be taken back; questions 7 and 9 list it.",
    ]
    return Block(
        key,
        title,
        "",
        points=tuple(points),
        entries=s.about.entries("incidents.contact", "incidents.partner_leaves", "incidents.compromised"),
    )


def _fails(run: Recorded) -> tuple[str, ...]:
    nothing = {"run": "no model", "align": "no list of common rows", "predict": "no scores"}[run.purpose]
    first = (
        "A party whose process or machine fails resumes with the same command; the others wait for it or end with an "
        f"error that names it. A run that fails leaves a ledger and {nothing}."
    )
    if run.purpose == "align":
        return (first, "The common rows that were found stay with each party when a partner leaves.")
    return (
        first,
        "Each party holds its own part of the model. When a partner leaves, the joint model scores nobody any more; "
        "the model of the guest’s own columns remains (question 4).",
    )


def _members_fail(run: Recorded) -> tuple[str, ...]:
    """Of an averaging."""
    holds = "Each member holds the whole model and can score without the others."
    if run.purpose != "run":
        return (holds,)
    arbiter = str((run.report.get("parties") or {}).get("arbiter"))
    found = [
        f"A run is never resumed, since keys and masks serve one run. If {arbiter}, which adds up, is gone, or a "
        "member before the first sum, the others wait for it (run.reconnect_seconds), and all begin another run from "
        "the start, which counts in the budgets again. A run that fails leaves a ledger and no model."
    ]
    if (job := members_job(run)) is not None:
        members, spec = job.parties.members, job.model
        terms = spec.terms(members)
        drawn = "all" if terms.cohort_size == len(members) else f"{terms.cohort_size} of the"
        found.append(
            f"A sum is over {drawn} {len(members)} members, and needs {terms.threshold} of them to the end; no sum is "
            f"of fewer than {spec.min_members}."
        )
        safe = len(members) >= spec.least_members if spec.fraction == 1 else terms.cohort_size > terms.threshold
        if not safe:
            found.append("In this run no member may drop out: one that leaves after the first sum can end the run.")
        else:
            found.append("One member may drop out: it is left out of this run, and the others continue.")
    return (*found, holds)


def monitored(s: Subject, key: str, title: str) -> Block:
    """Afterwards."""
    run = s.run
    if run.purpose == "align":
        lead = (
            "An alignment makes no model: there is nothing to monitor, and nothing to train again. The common rows are "
            "those of the tables on that day; another alignment finds later ones."
        )
    elif run.role == "arbiter":
        lead = f"{run.party} holds no data and compares no rows. Data parties monitor the model with `vfl monitor`."
    else:
        where = (
            "at each member for its own rows" if words.of_members(run.report) else "at each party for its own columns"
        )
        lead = (
            f"`vfl monitor` compares a new table with the training rows, {where}; nothing is sent. Each prediction "
            "compares its rows in the same way."
        )
    return Block(
        key, title, lead, entries=s.about.entries("monitoring.plan", "monitoring.limits", "monitoring.retrain")
    )
