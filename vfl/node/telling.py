"""What a node tells of its jobs, in a command and over HTTP."""

from __future__ import annotations

import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from vfl.node.table import Entry, JobTable


class Decision(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What somebody decided about a job."""

    at: Annotated[str, Meta(description="ISO 8601")]
    what: Annotated[str, Meta(description="approved or cancelled")]
    who: str
    how: Annotated[str, Meta(description="command, http or party file")]


class NodeJob(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A job at a node."""

    job: str
    job_digest: str
    command: Annotated[str, Meta(description="run or align")]
    parties: list[str]
    state: Annotated[str, Meta(description="waiting, approved, running, cancelling, cancelled, done or failed")]
    changed: Annotated[str, Meta(description="since when, ISO 8601")]
    submitted: str
    submitted_by: str
    decisions: list[Decision]
    code: Annotated[str | None, Meta(description="of the error that ended its last process")]
    message: Annotated[str | None, Meta(description="the same in words")]
    called: Annotated[str | None, Meta(description="when somebody who knows the job last called for it in vain")]


def job_told(table: JobTable, entry: Entry) -> NodeJob:
    """One job with its decisions."""
    return NodeJob(
        job=entry.name,
        job_digest=entry.digest,
        command=entry.command,
        parties=entry.parties.split(", "),
        state=entry.state,
        changed=_time(entry.changed),
        submitted=entry.submitted,
        submitted_by=entry.submitted_by,
        decisions=[Decision(at=a, what=b, who=c, how=d) for a, b, c, d in table.decisions(entry.digest)],
        code=entry.code,
        message=entry.message,
        called=None if entry.called is None else _time(entry.called),
    )


def _time(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds).astimezone().isoformat(timespec="seconds")
