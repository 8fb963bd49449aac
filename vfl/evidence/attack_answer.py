"""The answer to question 8: which attacks were tried, on what, as whom, with which result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vfl.evidence import grids, strips
from vfl.evidence.blocks import Block, Grid
from vfl.evidence.spent import NUMBERS
from vfl.evidence.subject import Subject

Content = Mapping[str, Any]
BLIND = "no: the control failed, so it says nothing"
TRIED_AS = {  # by who of question 7's table, the attack that reads what these receive
    "a data party by itself, with many lists of its choice": 2,
    "arbiter and guest": 7,
    "a host by itself": 9,
    "the guest by itself": 10,
}
EVENTS = 17  # the attack that depends on how many numbers computed from labels a host learns
EQUATIONS = 7  # the attack that solves for single columns
RATE = 50  # labels for each of these numbers, when that attack is made

RULE = (
    "An attack holds if its result, a mean, is at most its bound, and if its control, in which a leak is planted, gets "
    "at least what the table says that it needs. A result next to the guess says that the attack found nothing."
)


def attacks(s: Subject, key: str, title: str) -> Block:
    """Which attacks were tried."""
    audit = s.run.audited
    if not s.run.audit:
        lead = "No attack was tried on this run: the folder of the run held no audit when this pack was made."
        points = (
            "`vfl audit RUN` attacks a run that was recorded (`transcript = true` in `[run]` of the party file); a "
            "pack that is made afterwards holds its results.",
            "The engine’s own tests attack every protocol, but not with the messages of this run.",
        )
        return Block(key, title, lead, points=points)
    said = {"audit.html": "the attacks, their bounds and results", "audit.json": "the same for programs"}
    note = (audit.get("about") or {}).get("note")
    return Block(
        key,
        title,
        f"{what_was_tried(audit, s.run.party)} {RULE}" if audit.get("attacks") else what_was_tried(audit, s.run.party),
        (("What the audit says of itself", str(note)),) if note else (),
        points=(*_expected(audit), *_events(s)),
        grids=(*tables(audit), *_coalitions(s)),
        links=tuple((f"audit/{name}", said[name]) for name in s.run.audit),
    )


def what_was_tried(audit: Content, party: str) -> str:
    """On what, as whom."""
    if not audit:
        return "No attack was tried on this run."
    source = str((audit.get("about") or {}).get("source") or "a twin of this run")
    checks = f"checks of the messages that {party} recorded in this run"
    if not audit.get("attacks"):
        return f"No attack was tried, only {checks} were made." if audit.get("checks") else "No attack was tried."
    if not source.startswith("a twin"):
        return "The attacks were made on this run, as those who are listed below and as nobody else."
    return (
        f"The attacks were made on {source}, and not on its own messages, as those who are listed below and as nobody "
        f"else{f'; {checks} were made too' if audit.get('checks') else ''}."
    )


def tables(audit: Content) -> tuple[Grid, ...]:
    """Of an audit's content the attacks with their results, and the checks."""
    tried = audit.get("attacks") or ()
    rows = tuple(
        (
            _name(one),
            _result(one["product"]),
            _times(one),
            grids.number(float(one["chance"]), 3),
            grids.number(float(one["bound"]), 3),
            f"{_result(one['control'])}; needs {grids.number(float(one['succeeds']), 3)}",
            _result(one["textbook"]),
            "yes" if one["holds"] else f"no: {one.get('verdict', 'above the bound')}" if one["works"] else BLIND,
        )
        for one in tried
    )
    head = ("Attack", "Result", "Times made", "A guess gets", "Bound", "Control", "Textbook protocol", "Holds")
    cut = any(" of " in row[2] for row in rows)
    reading = strips.ATTACKED + " Where it was made less often than asked, the time was up." * cut
    found = [Grid("Attacks that were tried", head, rows, 0, tuple(map(strips.attacked, tried)), reading)]
    who = tuple((_name(one), str(one["who"]), str(one["measure"])) for one in tried)
    found.append(Grid("As whom, and what a result is", ("Attack", "As whom", "What the result is"), who))
    checks = tuple(
        (str(one["check"]), str(one["found"]), "yes" if one["holds"] else "no") for one in audit.get("checks") or ()
    )
    found.append(Grid("What the transcript itself shows", ("Check", "Found", "Holds"), checks))
    untried = tuple((str(name), str(why)) for name, why in (audit.get("untried") or {}).items())
    found.append(Grid("Attacks that were not tried", ("Attack", "Why"), untried))
    return tuple(grid for grid in found if grid.rows)


def _coalitions(s: Subject) -> tuple[Grid, ...]:
    """For each line of question 7's table the attack that stands for it, or that none does."""
    names = {int(one["number"]): _name(one) for one in s.run.audited.get("attacks") or ()}
    rows = list[tuple[str, str]]()
    for grid in grids.together(s.run):
        for who, learn in grid.rows:
            if learn.startswith("nothing"):
                text = "none was tried: that there is nothing follows from the protocol, and was not measured"
            elif (number := TRIED_AS.get(who)) in names:
                text = names[number]
                if number == EQUATIONS:
                    text += ", for single columns; what question 7 says of them as a mixture is assumed, not measured"
            else:
                text = "none was tried: assume that they learn what question 7 says"
            rows.append((who, text))
    caption = "Which attack stands for which line of question 7"
    return (Grid(caption, ("Who", "Attack"), tuple(rows)),) if rows and names else ()


def _expected(audit: Content) -> tuple[str, ...]:
    """Why a result above a bound is what the job permits, where it is."""
    return tuple(
        f"{_name(one)}: the result is above the bound, as was to be expected: the bound is of jobs without these "
        f"permissions. The job has {one['expected']}."
        for one in audit.get("attacks") or ()
        if one.get("expected")
    )


def _events(s: Subject) -> tuple[str, ...]:
    """How many numbers computed from labels hosts have really learnt, where an attack depends on it."""
    if EVENTS not in {int(one["number"]) for one in s.run.audited.get("attacks") or ()}:
        return ()
    used = [one for one in s.budgets.limits if one.budget == NUMBERS]
    if not used:
        return (f"Attack {EVENTS} was made with one number computed from labels for {RATE} labels, the default.",)
    total, rows = sum(int(one.used) for one in used), (s.figures.get("alignment") or {}).get("train_rows")
    beyond = bool(rows) and total * RATE > int(rows or 0)
    said = f" of {grids.number(rows)} training rows" if rows else ""
    return (
        f"Attack {EVENTS} was made with one number computed from labels for {RATE} labels, the default. Hosts have "
        f"learnt {total:,} such numbers from the labels{said}, in all runs"
        + (
            ": more than the attack was made with, so that its result does not bound what they could find."
            if beyond
            else "."
        ),
    )


def _name(one: Content) -> str:
    return f"{one['number']} · {one['name']}"


def _result(estimate: Content) -> str:
    """A mean, with its 95 % interval where values differ."""
    mean, low, high = (grids.number(float(estimate[key]), 3) for key in ("mean", "low", "high"))
    return mean if low == high else f"{mean} ({low} to {high})"


def _times(one: Content) -> str:
    """How often an attack was made, and how often it was to be made where the time was up before."""
    made, asked = int(one["product"]["seeds"]), int(one.get("asked", 0))
    return f"{made} of {asked}" if made < asked else str(made)
