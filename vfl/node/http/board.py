"""What the board shows, from the table of jobs, `events.jsonl`, the folders of runs and the budgets: no id, value or
key."""

from __future__ import annotations

import datetime
import threading
import time
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from protocols.errors import ConfigError
from vfl.node.http.access import Tickets
from vfl.node.http.part import Answer
from vfl.node.online.publications import Published
from vfl.node.service import Service
from vfl.node.table import Entry
from vfl.node.telling import JobState, certificate_ends, last_event, state_told
from vfl.report.page import PAGE
from vfl.run.budget.shown import Limit
from vfl.run.budget.used import budgets_used
from vfl.storage.runs import Listed, Listing
from vfl.version import __version__

MOST = 50  # jobs that are over, and runs
FRESH = 0.4  # seconds for which all browsers see the same
BUDGETS_FRESH = 10.0  # reading them takes a lock that a run may want
REPORT = "/v1/runs/{run}/report"


class Progress(Answer):
    """The last event of a job's run."""

    at: Annotated[str, Meta(description="ISO 8601")]
    run: str | None
    phase: Annotated[str | None, Meta(description="as in events.jsonl")]
    step: int | None
    of: int | None
    seconds_left: Annotated[float | None, Meta(description="estimate for the phase")]
    bytes_sent: int
    bytes_received: int
    peers: Annotated[list[str], Meta(description="that are connected")]
    missing: Annotated[list[str], Meta(description="for which this party waits")]


class BoardJob(JobState, kw_only=True, forbid_unknown_fields=True):
    """A job at the node."""

    approved_by: str | None
    approved_at: str | None
    progress: Annotated[Progress | None, Meta(description="of a job that runs")]


class BoardRun(Answer):
    """A run of this party."""

    run: str
    job: str
    command: str
    started: str | None
    outcome: Annotated[str, Meta(description="as in vfl runs")]
    report: Annotated[str | None, Meta(description="the address of its report, good for half an hour")]
    ledger: Annotated[bool, Meta(description="whether it has one")]


class BoardPartner(Answer):
    """A partner, or this party itself."""

    partner: str
    expires: Annotated[str | None, Meta(description="its certificate, ISO 8601; null if it cannot be read")]
    days_left: int | None
    budgets: Annotated[list[Limit], Meta(description="as in vfl budget")]


class Board(Answer):
    """Everything that the board shows at once."""

    party: str
    role: str
    release: str
    jobs: Annotated[list[BoardJob], Meta(description="all that are not over, and the latest others")]
    refused: Annotated[dict[str, str], Meta(description="by the name of a file in the inbox, why it was not taken")]
    runs: Annotated[list[BoardRun], Meta(description="the latest first")]
    own: Annotated[BoardPartner, Meta(description="this party's certificate")]
    partners: list[BoardPartner]
    online: Annotated[list[Published], Meta(description="the models that are published for online scores")]
    left_out: Annotated[int, Meta(description="jobs and runs that are over, and too old to be shown")]
    unreadable: Annotated[str | None, Meta(description="why budgets are not shown")]


class Boards:
    """Makes the board, at most every `FRESH` seconds however many ask."""

    def __init__(self, service: Service, tickets: Tickets) -> None:
        self._service, self._tickets = service, tickets
        self._listing = Listing(service.party.run.directory)
        self._lock = threading.Lock()
        self._made: tuple[float, bytes] = (0.0, b"")
        self._known: tuple[float, int, list[Limit], str | None] = (0.0, -1, [], None)

    def json(self) -> bytes:
        """The board as it is now."""
        with self._lock:
            at, text = self._made
            if time.monotonic() - at > FRESH or not text:
                text = msgspec.json.encode(self._board())
                self._made = time.monotonic(), text
            return text

    def _board(self) -> Board:
        service = self._service
        party, entries = service.party, service.table.entries()
        going = [entry for entry in entries if entry.state not in ("done", "cancelled")]
        over = [entry for entry in entries if entry.state in ("done", "cancelled")]
        runs = self._listing.runs()
        limits, unreadable = self._limits(len(runs))
        ends = certificate_ends(party)
        return Board(
            party=party.name,
            role=party.role,
            release=__version__,
            jobs=[self._job(entry) for entry in [*going, *over[:MOST]]],
            refused=dict(service.inbox.refused),
            runs=[self._run(one) for one in reversed(runs[-MOST:])],
            own=_partner(party.name, ends, []),
            partners=[_partner(name, ends, limits) for name in sorted(party.peers)],
            online=service.online.told(),
            left_out=max(0, len(over) - MOST) + max(0, len(runs) - MOST),
            unreadable=unreadable,
        )

    def _limits(self, runs: int) -> tuple[list[Limit], str | None]:
        """Read again after a while, or when a run began."""
        at, before, limits, why = self._known
        if runs != before or time.monotonic() - at > BUDGETS_FRESH:
            try:
                used, why = budgets_used(self._service.party), None
            except ConfigError as error:
                used, why = [], error.what
            limits = [
                Limit(budget=b.budget, partner=b.partner, period=b.period, used=b.used, limit=b.limit, left=b.left)
                for b in used
            ]
            self._known = time.monotonic(), runs, limits, why
        return limits, why

    def _job(self, entry: Entry) -> BoardJob:
        running = entry.state in ("running", "cancelling")
        return BoardJob(
            **state_told(entry),
            approved_by=entry.approved_by,
            approved_at=entry.approved_at,
            progress=self._progress(entry) if running else None,
        )

    def _progress(self, entry: Entry) -> Progress | None:
        event = last_event(self._service.party.run.directory, entry)
        if event is None or event.event in ("done", "failed"):
            return None  # of an earlier run, or of one that ends right now
        return Progress(
            at=event.time,
            run=event.run,
            phase=event.phase,
            step=event.step,
            of=event.of,
            seconds_left=event.seconds_left,
            bytes_sent=event.bytes_sent,
            bytes_received=event.bytes_received,
            peers=event.peers,
            missing=event.missing,
        )

    def _run(self, one: Listed) -> BoardRun:
        folder = Path(one.folder)
        address = REPORT.format(run=folder.name) + f"?{self._tickets.query(folder.name)}"
        return BoardRun(
            run=folder.name,
            job=one.job,
            command=one.command,
            started=one.started,
            outcome=one.outcome,
            report=address if (folder / PAGE).exists() else None,
            ledger=(folder / "ledger.jsonl").exists(),
        )


def _partner(name: str, ends: dict[str, datetime.datetime], limits: list[Limit]) -> BoardPartner:
    end = ends.get(name)
    left = None if end is None else (end - datetime.datetime.now(datetime.UTC)).days
    return BoardPartner(
        partner=name,
        expires=None if end is None else end.isoformat(timespec="seconds"),
        days_left=left,
        budgets=[limit for limit in limits if limit.partner == name],
    )
