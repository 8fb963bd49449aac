"""Counts what goes both ways, by phase and peer: report.json's "phases"."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from protocols.channel import Tap
from protocols.message import Message

OUTSIDE = "other"


@dataclass
class Traffic:
    """Messages and bytes in both directions."""

    messages_sent: int = 0
    bytes_sent: int = 0
    messages_received: int = 0
    bytes_received: int = 0


class CountingTap(Tap):
    """`phase(name)` starts a phase, `phase(None)` ends it; a name that comes again goes on where it stopped.

    `traffic` is by (phase, peer); what comes outside of any phase counts as "other".
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._phase: str | None = None
        self._began = 0.0
        self._seconds: dict[str, float] = {}
        self.traffic: dict[tuple[str, str], Traffic] = {}

    def phase(self, name: str | None) -> None:
        """From now on everything belongs to the phase `name`."""
        with self._lock:
            now = self._clock()
            if self._phase is not None:
                self._seconds[self._phase] += now - self._began
            self._phase, self._began = name, now
            if name is not None:
                self._seconds.setdefault(name, 0.0)

    def sent(self, peer: str, kind: type[Message], data: bytes) -> None:
        with self._lock:
            entry = self._entry(peer)
            entry.messages_sent += 1
            entry.bytes_sent += len(data)

    def received(self, peer: str, kind: type[Message], data: bytes) -> None:
        with self._lock:
            entry = self._entry(peer)
            entry.messages_received += 1
            entry.bytes_received += len(data)

    def _entry(self, peer: str) -> Traffic:
        return self.traffic.setdefault((self._phase or OUTSIDE, peer), Traffic())

    def phases(self) -> list[dict[str, str | float | int]]:
        """One row a phase, in order of first start: name, seconds, bytes_sent, bytes_received, messages_sent,
        messages_received."""
        with self._lock:
            seconds = dict(self._seconds)
            if self._phase is not None:
                seconds[self._phase] += self._clock() - self._began
            names = [*seconds, *({OUTSIDE} & {p for p, _ in self.traffic} - set(seconds))]
            rows: list[dict[str, str | float | int]] = []
            for name in names:
                entries = [t for (phase, _), t in self.traffic.items() if phase == name]
                rows.append(
                    {
                        "name": name,
                        "seconds": seconds.get(name, 0.0),
                        "bytes_sent": sum(t.bytes_sent for t in entries),
                        "bytes_received": sum(t.bytes_received for t in entries),
                        "messages_sent": sum(t.messages_sent for t in entries),
                        "messages_received": sum(t.messages_received for t in entries),
                    }
                )
            return rows

    def totals(self) -> dict[str, Traffic]:
        """By peer, over all phases."""
        with self._lock:
            sums: dict[str, Traffic] = {}
            for (_, peer), t in self.traffic.items():
                s = sums.setdefault(peer, Traffic())
                s.messages_sent += t.messages_sent
                s.bytes_sent += t.bytes_sent
                s.messages_received += t.messages_received
                s.bytes_received += t.bytes_received
            return sums
