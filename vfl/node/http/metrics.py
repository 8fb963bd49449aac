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
    disable_created_metrics,
    generate_latest,
)

from vfl.node.service import Service
from vfl.node.table import STATES
from vfl.node.telling import certificate_ends, last_event

without_times: Callable[[], None] = disable_created_metrics  # which has no types
without_times()  # the counters below are made for each answer
TYPE: str = CONTENT_TYPE_LATEST


def metrics_of(service: Service) -> bytes:
    """All metrics, as text."""
    registry = CollectorRegistry()
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
        name, phase = entry.name, event.phase or "-"
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
