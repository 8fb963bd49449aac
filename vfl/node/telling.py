"""What a node tells of its jobs, in a command and over HTTP."""

from __future__ import annotations

import contextlib
import datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from protocols.errors import VFLError
from vfl.job import Party
from vfl.node.table import Entry, JobTable
from vfl.screen.events import Event
from vfl.storage.run_store import folder_name
from vfl.transport.identity import load_certificate

MOST_EVENTS = 1000
TAIL = 16 << 10  # bytes, more than one event has


class Decision(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What somebody decided about a job."""

    at: Annotated[str, Meta(description="ISO 8601")]
    what: Annotated[str, Meta(description="approved or cancelled")]
    who: str
    how: Annotated[str, Meta(description="command, http or party file")]


class JobState(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A job at a node, as a command, the local face and the board show it."""

    job: str
    digest: Annotated[str, Meta(description="by which it is approved: of a prediction its own, else the job digest")]
    job_digest: str
    command: Annotated[str, Meta(description="run, align or predict")]
    model: Annotated[str | None, Meta(description="of a prediction, this party's model folder")]
    data: Annotated[str | None, Meta(description="of a prediction, the table in the place of the party file's")]
    out: Annotated[str | None, Meta(description="of a prediction, the file for the scores; null: in the run's folder")]
    parties: list[str]
    state: Annotated[str, Meta(description="waiting, approved, running, cancelling, cancelled, done or failed")]
    changed: Annotated[str, Meta(description="since when, ISO 8601")]
    submitted: str
    submitted_by: str
    message: Annotated[str | None, Meta(description="of the error that ended its last process")]
    called: Annotated[str | None, Meta(description="when somebody who knows the job last called for it in vain")]


class NodeJob(JobState, kw_only=True, forbid_unknown_fields=True):
    """A job at a node."""

    decisions: list[Decision]
    code: Annotated[str | None, Meta(description="of the error that ended its last process")]


def job_told(table: JobTable, entry: Entry) -> NodeJob:
    """One job with its decisions."""
    decisions = [Decision(at=a, what=b, who=c, how=d) for a, b, c, d in table.decisions(entry.digest)]
    return NodeJob(**state_told(entry), decisions=decisions, code=entry.code)


def state_told(entry: Entry) -> dict[str, Any]:
    """What a `JobState` holds."""
    return {
        "job": entry.name,
        "digest": entry.digest,
        "job_digest": entry.job_digest,
        "command": entry.command,
        "model": entry.model,
        "data": entry.data,
        "out": entry.out,
        "parties": entry.parties.split(", "),
        "state": entry.state,
        "changed": time_text(entry.changed),
        "submitted": entry.submitted,
        "submitted_by": entry.submitted_by,
        "message": entry.message,
        "called": None if entry.called is None else time_text(entry.called),
    }


def last_event(directory: Path, entry: Entry) -> Event | None:
    """Of the latest run of a job, if there is one that can be read."""
    named = f"{folder_name(entry.command, entry.name)}-[0-9]*-[0-9]*"
    for path in sorted(directory.glob(f"{named}/events.jsonl"), reverse=True):
        with contextlib.suppress(OSError, ValueError):
            with path.open("rb") as file:
                file.seek(max(0, path.stat().st_size - TAIL))
                lines = file.read().splitlines(keepends=True)
            whole = [line for line in lines if line.endswith(b"\n")]
            return msgspec.json.decode(whole[-1], type=Event) if whole else None
    return None


def certificate_ends(party: Party) -> dict[str, datetime.datetime]:
    """By name, when the certificate of this party and of each partner expires; without those that cannot be read."""
    files = [(party.name, party.identity.certificate)]
    files += [(name, file) for name, peer in party.peers.items() for file in peer.certificate]
    ends = dict[str, datetime.datetime]()
    for name, file in files:
        with contextlib.suppress(OSError, VFLError):
            end = load_certificate(file.read_bytes(), "The certificate").not_valid_after_utc
            ends[name] = max(end, ends.get(name, end))  # of several pins, the one that is valid longest
    return ends


def events_after(folder: str, after: int) -> tuple[list[Event], int]:
    """At most `MOST_EVENTS` events of a run after its first `after` lines, and the number of lines up to there."""
    found, number = list[Event](), 0
    with contextlib.suppress(FileNotFoundError), (Path(folder) / "events.jsonl").open("rb") as file:
        for line in file:
            if len(found) == MOST_EVENTS or not line.endswith(b"\n"):
                break
            number += 1
            if number > after:
                with contextlib.suppress(msgspec.DecodeError):  # a line of another release
                    found.append(msgspec.json.decode(line, type=Event))
    return found, max(number, after)


def time_text(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds).astimezone().isoformat(timespec="seconds")
