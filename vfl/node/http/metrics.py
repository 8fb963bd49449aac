"""`/metrics`: what the node and its jobs do, for Prometheus.  The names of jobs and partners are labels; no id, value
or key is."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)

from vfl.node.online.asked import Answered
from vfl.node.service import Service
from vfl.node.table import STATES
from vfl.node.telling import certificate_ends, last_event
from vfl.storage.run_store import folder_name

without_times: Callable[[], None] = disable_created_metrics  # which has no types
without_times()  # the counters below are made for each answer
TYPE: str = CONTENT_TYPE_LATEST
REFUSED = {422: "refused", 429: "limited"}  # by status
BORDERS = (0.0025, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.5, 1.0, 2.0, 5.0)  # seconds


class OnlineTimes:
    """How long online queries took at this node, by job and outcome: nothing says of whom."""

    def __init__(self) -> None:
        told = "seconds of online queries, from the whole request to the answer"
        labels = ["job", "outcome"]
        self.seconds = Histogram("vfl_online_query_seconds", told, labels, buckets=BORDERS, registry=None)

    def add(self, job: str, answered: Answered, seconds: float) -> None:
        """A query that is over."""
        outcome = "answered"
        if answered.refused is not None:
            outcome = REFUSED.get(answered.refused.status, "none")
        elif answered.score is not None and answered.score.why is not None:
            outcome = answered.score.why
        self.seconds.labels(job, outcome).observe(seconds)


def metrics_of(service: Service, times: OnlineTimes) -> bytes:
    """All metrics, as text; times: of the queries since the node began."""
    registry = CollectorRegistry()
    registry.register(times.seconds)
    _node(service, registry)
    _runs(service, registry)
    _certificates(service, registry)
    text: bytes = generate_latest(registry)
    return text


def _node(service: Service, registry: CollectorRegistry) -> None:
    Gauge("vfl_node_start_time_seconds", "when the node began", registry=registry).set(service.started)
    jobs = Gauge("vfl_node_jobs", "jobs by state", ["state"], registry=registry)
    tally = Tally(entry.state for entry in service.table.entries())
    for state in STATES:
        jobs.labels(state).set(tally[state])
    refused = Gauge("vfl_node_inbox_refused", "files in the inbox that are no job of this party", registry=registry)
    refused.set(len(service.inbox.refused))
    if service.router is not None:
        callers = Counter("vfl_node_callers", "callers at the port between parties", ["outcome"], registry=registry)
        for outcome, count in service.router.counts.items():
            callers.labels(outcome.value).inc(count)


def _runs(service: Service, registry: CollectorRegistry) -> None:
    """Of the jobs that run now, by the last event of each."""
    sent = Gauge("vfl_run_bytes", "bytes of a run's process", ["job", "direction"], registry=registry)
    step = Gauge("vfl_run_step", "steps of the phase that are done", ["job", "phase"], registry=registry)
    of = Gauge("vfl_run_steps", "steps of the phase", ["job", "phase"], registry=registry)
    left = Gauge("vfl_run_seconds_left", "estimate for the phase", ["job", "phase"], registry=registry)
    missing = Gauge("vfl_run_peers_missing", "partners that the run waits for", ["job"], registry=registry)
    for entry in service.table.entries():
        event = last_event(service.party.run.directory, entry) if entry.state == "running" else None
        if event is None:
            continue
        name, phase = folder_name(entry.command, entry.name), event.phase or "-"
        sent.labels(name, "sent").set(event.bytes_sent)
        sent.labels(name, "received").set(event.bytes_received)
        missing.labels(name).set(len(event.missing))
        for gauge, value in ((step, event.step), (of, event.of), (left, event.seconds_left)):
            if value is not None:
                gauge.labels(name, phase).set(value)


def _certificates(service: Service, registry: CollectorRegistry) -> None:
    expires = Gauge("vfl_certificate_expires_seconds", "when a certificate expires", ["party"], registry=registry)
    for name, end in certificate_ends(service.party).items():
        expires.labels(name).set(end.timestamp())
