"""What a run tells of its progress: one kind of event, for the file in its folder, for programs and for people."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

from protocols.session import Observer

Happening = Literal["begins", "step", "ends", "met", "waits", "done", "failed"]
Text: TypeAlias = Annotated[str, Meta(max_length=400)]
Number: TypeAlias = Annotated[int, Meta(ge=0)]


class Event(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of events.jsonl.  It holds no id, value or key, but bytes and steps tell sizes, also whether the one
    applicant of a batch is known to the partner: keep the file, and a log of `--progress lines`, as you keep the
    reports.
    """

    time: Annotated[str, Meta(description="when, ISO 8601 with its zone")]
    event: Annotated[
        Happening,
        Meta(
            description="what happened: a phase begins or ends, a step of it is done, a peer was met, this party waits "
            "for one that is gone, the run is done, or it failed at this party"
        ),
    ]
    job: Annotated[Text, Meta(description="the job's name")]
    party: Annotated[Text, Meta(description="this party")]
    command: Annotated[
        Text | None, Meta(description="run, prepare, align or predict; null in files of earlier releases")
    ] = None
    run: Annotated[Text | None, Meta(description="the run's folder; null until all parties have met")] = None
    attempt: Annotated[Number, Meta(description="counts the meetings of all parties in this process, from 1")]
    phase: Annotated[
        Text | None,
        Meta(
            description="connect, align, bin, search, prepare, train, averaging, score, publish, evaluate, write or "
            "finish; null outside"
        ),
    ] = None
    step: Annotated[Number | None, Meta(description="how many steps of the phase are done")] = None
    of: Annotated[Number | None, Meta(description="out of how many")] = None
    seconds_left: Annotated[float | None, Meta(description="estimate for the phase; null if unknown")] = None
    bytes_sent: Annotated[Number, Meta(description="by this process in this run, to all peers")] = 0
    bytes_received: Annotated[Number, Meta(description="the same, from all peers")] = 0
    peers: Annotated[list[Text], Meta(description="the peers that are connected")] = []
    missing: Annotated[list[Text], Meta(description="the peers for which this party waits")] = []
    code: Annotated[Text | None, Meta(description="of the error, if the run failed")] = None
    report: Annotated[Text | None, Meta(description="the report's file, when the run is done")] = None


class Watch(Observer):
    """Is informed of a run's phases, steps and events; the default does nothing."""

    def event(self, event: Event) -> None: ...
