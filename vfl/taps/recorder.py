"""Tells two listeners of a run's phases and steps: what counts them and what shows them."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

from protocols.recovery.pad_store import Paused
from protocols.session import Observer
from vfl.taps.counting import CountingTap


class Recorder(Observer):
    """Phases go to `counting` (seconds and bytes) and, with the steps, to `watch` (progress)."""

    def __init__(self, counting: CountingTap, watch: Observer) -> None:
        self.counting, self._watch = counting, watch

    def phase_begins(self, phase: str) -> None:
        self.counting.phase(phase)
        self._watch.phase_begins(phase)

    def phase_ends(self, phase: str) -> None:
        self.counting.phase(None)
        if isinstance(sys.exception(), Paused | None):  # a phase that failed is not shown as done
            self._watch.phase_ends(phase)

    def step(self, phase: str, done: int, total: int) -> None:
        self._watch.step(phase, done, total)

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """As `Session.phase`, for what happens outside a session."""
        self.phase_begins(name)
        try:
            yield
        finally:
            self.phase_ends(name)
