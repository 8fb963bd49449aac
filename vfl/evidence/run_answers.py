"""Answers to the questions 7 to 12, about the run, partners and afterwards: each the section of a page."""

from __future__ import annotations

from collections.abc import Mapping

from vfl.evidence import grids
from vfl.evidence.blocks import Block, Grid
from vfl.evidence.commands import repeated
from vfl.evidence.subject import Subject
from vfl.job.policy import Policy
from vfl.report import words
from vfl.report.noise import promised


def received(s: Subject, key: str, title: str) -> Block:
    """Who received what."""
    run = s.run
    permits = tuple((name, text) for name, text in (s.figures.get("permits") or {}).items())
    if not run.lines:
        return Block(key, title, "This run sent nothing and received nothing.")
    lead = "Every message of this run is in the ledger, with its time, size and hash."
    if permits:
        lead += " The job reveals on purpose, and every party's policy allowed:"
    links = (
        ("data-protection.html", "every kind of message, for each party"),
        ("ledger/ledger.jsonl", "one line for each message"),
    )
    tables = (*grids.revealed(s.figures, run), *grids.together(run))
    return Block(key, title, lead, permits, grids=tables, links=links)


def budget(s: Subject, key: str, title: str) -> Block:
    """What is spent and left."""
    rows = tuple(
        (b.budget, b.partner, b.period, *("–" if n is None else grids.number(n) for n in (b.used, b.limit, b.left)))
        for b in s.budgets.limits
    )
    head = ("Budget", "Partner", "Period", "Used", "Limit", "Left")
    fields = Policy.model_fields
    limits = dict.fromkeys(b.budget for b in s.budgets.limits if b.budget in fields)
    meant = tuple((name, str(fields[name].description)) for name in limits)
    found = (
        [Grid("Budgets of this party: by month, or for good where the period names labels or columns", head, rows, 3)]
        if rows
        else []
    )
    learnt = tuple(
        (one.partner, what, grids.number(count)) for one in s.budgets.partners for what, count in one.revealed.items()
    )
    if learnt:
        found.append(
            Grid("What partners learnt in all runs until this one", ("Partner", "What", "Messages"), learnt, 1)
        )
    promise = promised(s.figures)
    lead = (
        promise
        or "This run adds no noise, so it has no epsilon. Budgets of messages, models and scores limit what many "
        "runs disclose."
    )
    points = (f"{s.budgets.unreadable} ledgers could not be read and are in no sum.",) if s.budgets.unreadable else ()
    if meant:
        points = ("A job that would exceed a budget is refused before anything is sent.", *points)
    return Block(
        key, title, lead, meant, grids=tuple(found), points=points, links=(("budgets.json", "the same for programs"),)
    )


def partner(s: Subject, key: str, title: str) -> Block:
    """When a partner fails, leaves or is compromised."""
    points = [
        "A party whose process or machine fails resumes with the same command; the others wait for it or end with an "
        "error that names it. A run that fails leaves a ledger and no model.",
        "A partner’s certificate is pinned. After a compromise, remove it from the party file: from then on nobody "
        "is accepted under it.",
        "What a partner learnt in earlier runs cannot be taken back; questions 7 and 9 list it.",
    ]
    if words.of_members(s.run.report):
        points.insert(
            1,
            "Members may drop out as long as enough are left; each member holds the whole model and can score "
            "without the others.",
        )
    elif s.run.purpose != "align":
        points.insert(
            1,
            "Each party holds its own part of the model. When a partner leaves, the joint model scores nobody any "
            "more; the model of the guest’s own columns remains (question 4).",
        )
    return Block(
        key,
        title,
        "",
        points=tuple(points),
        entries=s.about.entries("incidents.contact", "incidents.partner_leaves", "incidents.compromised"),
    )


def monitored(s: Subject, key: str, title: str) -> Block:
    """Afterwards."""
    lead = (
        "`vfl monitor` compares a new table with the training rows, at each party for its own columns; nothing is "
        "sent. Each prediction compares its rows in the same way."
    )
    return Block(
        key, title, lead, entries=s.about.entries("monitoring.plan", "monitoring.limits", "monitoring.retrain")
    )


def again(s: Subject, key: str, title: str) -> Block:
    """How numbers are produced again."""
    rows = tuple((one.what, one.command) for one in repeated(s.run.purpose, bool(s.run.audit)))
    environment = s.figures.get("environment") or {}
    facts = [
        (
            name.replace("_", " "),
            words.joined(value) if not isinstance(value, Mapping) else ", ".join(f"{n} {v}" for n, v in value.items()),
        )
        for name, value in environment.items()
    ]
    facts += [(f"SHA-256 of {name}", str(digest)) for name, digest in (s.figures.get("inputs") or {}).items()]
    lead = (
        "The same job file, tables and releases give the same numbers, up to rounding, and up to what each run draws "
        "again. These files and tables are the institution’s own, and not in this pack: JOB is the job file, PARTY the "
        "party file, RUN the folder of the run, MODEL its model, TABLE the new rows, CERT the certificate of the party."
    )
    return Block(
        key,
        title,
        lead,
        tuple(facts),
        grids=(Grid("Commands", ("Number", "Command"), rows),),
        points=s.differing,
        links=(
            ("commands.json", "the command for each number"),
            ("components.cdx.json", "component list, CycloneDX"),
            ("index.json", "every file with its SHA-256"),
        ),
    )
