"""events.jsonl in a run's folder: its progress, for a scheduler, a board or whoever asks later."""

from __future__ import annotations

import datetime
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from protocols.session import Observer
from vfl.compute.memory import trim
from vfl.screen.events import Event, Happening, Watch
from vfl.storage.files import appended
from vfl.taps.counting import CountingTap

log = logging.getLogger("vfl.run.events")
EVENTS = "events.jsonl"
EVERY = 1.0  # seconds between two lines about steps


class Events(Observer):
    """Writes the events of one party's run, and tells `watch` of each; a step at most once a second."""

    def __init__(self, job: str, party: str, command: str, counting: CountingTap, watch: Observer) -> None:
        self._job, self._party, self._command = job, party, command
        self._counting, self._watch = counting, watch
        self._folder: Path | None = None
        self._early = list[bytes]()  # lines from before there was a folder
        self._phase: str | None = None
        self._began = self._last = 0.0
        self._first: int | None = None  # the step at which this phase began, other than 0 if the run resumed
        self._peers, self._missing = list[str](), list[str]()
        self.attempt = 0

    def meets(self, missing: Sequence[str]) -> None:
        """Another attempt: this party waits for these peers."""
        self.attempt += 1
        self._peers, self._missing = [], list(missing)

    def met(self, peer: str) -> None:
        """A peer is connected."""
        if peer in self._missing:
            self._missing.remove(peer)
            self._peers.append(peer)
            self._tell("met", step=len(self._peers), of=len(self._peers) + len(self._missing))

    def waits(self, peer: str | None, code: str) -> None:
        """A peer is gone, and this party waits for it."""
        self._phase = None
        self._missing = [peer] if peer else self._peers
        self._tell("waits", code=code)

    def begun(self, folder: Path) -> None:
        """The run has a folder from now on."""
        if self._folder != folder:
            self._folder = folder
            self._write(b"".join(self._early))
            self._early = []

    def over(self, event: Happening, *, code: str | None = None, report: Path | None = None) -> None:
        """The run is done, or this party has failed."""
        self._phase = None
        self._tell(event, code=code, report=None if report is None else str(report))

    def phase_begins(self, phase: str) -> None:
        self._phase, self._began, self._last, self._first = phase, time.monotonic(), 0.0, None
        self._watch.phase_begins(phase)
        self._tell("begins")

    def phase_ends(self, phase: str) -> None:
        self._watch.phase_ends(phase)
        self._tell("ends")
        self._phase = None
        trim()

    def step(self, phase: str, done: int, total: int) -> None:
        self._watch.step(phase, done, total)
        now = time.monotonic()
        if self._first is None:
            self._first, self._began = done, now
        if now - self._last >= EVERY or done == total:
            self._last = now
            made = done - self._first
            left = (now - self._began) / made * (total - done) if made > 0 else None
            self._tell("step", step=done, of=total, seconds_left=None if left is None else round(left, 1))

    def _tell(self, happened: Happening, **more: Any) -> None:
        sent, received = self._counting.total
        event = Event(
            time=datetime.datetime.now().astimezone().isoformat(timespec="milliseconds"),
            event=happened,
            job=self._job,
            party=self._party,
            command=self._command,
            run=None if self._folder is None else self._folder.name,
            attempt=self.attempt,
            phase=self._phase,
            bytes_sent=sent,
            bytes_received=received,
            peers=list(self._peers),
            missing=list(self._missing),
            **more,
        )
        line = msgspec.json.encode(event) + b"\n"
        if self._folder is None:
            self._early.append(line)
        else:
            self._write(line)
        if isinstance(self._watch, Watch):
            self._watch.event(event)

    def _write(self, lines: bytes) -> None:
        """A disk that is full ends no run: what matters is written elsewhere, and refused there."""
        assert self._folder is not None
        try:
            appended(self._folder / EVENTS, lines)
        except OSError as error:
            log.info("%s cannot be written (%s)", EVENTS, error.strerror)
