"""Answers to the questions 7 to 12, about the run, partners and afterwards: each the section of a page."""

from __future__ import annotations

from collections.abc import Mapping

from vfl.evidence import grids
from vfl.evidence.blocks import Block, Grid
from vfl.evidence.commands import repeated
from vfl.evidence.recorded import Recorded
from vfl.evidence.subject import Subject
from vfl.evidence.through import others, sums
from vfl.report import words


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
    return Block(key, title, lead, permits, points=_through(run), grids=tables, links=links)


def _through(run: Recorded) -> tuple[str, ...]:
    """Who else receives what an aggregator computes from this member's numbers."""
    if not (count := sums(run)) or run.role != "member":
        return ()
    arbiter = run.report["parties"]["arbiter"]
    return (
        f"The {count} sums that {run.party} received are over members, of which it is one. {arbiter} sends "
        f"each of them to every member that still takes part: {words.joined(others(run))} receive them as well.",
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
    names = {"MODEL": "the model’s folder", "TABLE": "the file of new rows"} if s.run.purpose == "predict" else {}
    more = "".join(f"{name} {text}, " for name, text in names.items())
    lead = (
        "The same job file, tables and releases give the same numbers, up to rounding, and up to what each run draws "
        "again. These files and tables are the institution’s own, and not in this pack: JOB is the job file, PARTY the "
        f"party file, RUN the folder of the run, OTHER a partner’s, {more}TEXTS the file with the institution’s own "
        "texts (if there is one), CERT the certificate of the party."
    )
    elsewhere = (
        "commands.json lists the numbers of figures.json. Other numbers stand elsewhere: messages received in "
        f"ledger/ledger.jsonl{', results of attacks in audit/audit.json' if s.run.audit else ''}, budgets in "
        "budgets.json."
    )
    return Block(
        key,
        title,
        lead,
        tuple(facts),
        grids=(Grid("Commands", ("Number", "Command"), rows),),
        points=(elsewhere, *s.differing),
        links=(
            ("commands.json", "the command for each number"),
            ("components.cdx.json", "component list, CycloneDX"),
            ("index.json", "every file with its SHA-256"),
        ),
    )
