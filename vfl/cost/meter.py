"""Watches one party of a run: what it computes between two messages, what it sends, and how long it waits.

A party is a straight line of computing, sending and waiting.  So the list of its events, with the seconds of work and
the products modulo n^2 before each, is all that is needed to say where its time goes, and how long the same run takes
on another network (`vfl.cost.network`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Literal, NamedTuple

from protocols.channel import Tap
from protocols.cipher import EncryptionKey, Scheme
from protocols.message import Message
from protocols.session import Observer
from vfl.taps import counting

OUTSIDE = "other"


class Event(NamedTuple):
    """One message sent or received, or the end of a phase, and the work since the event before it."""

    what: Literal["send", "receive", "end"]
    phase: str
    peer: str
    kind: str
    size: int  # bytes; 0 at the end of a phase
    seconds: float  # of work, waiting left out
    products: int  # modulo n^2
    waited: float  # seconds, for a message received


class Meter(Tap, Observer):
    """One party's events.  It is a tap of all its channels and its observer; everything is called in the party's own
    thread."""

    _mine = threading.local()

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.events: list[Event] = []
        self._clock, self._phase, self._keys = clock, OUTSIDE, list[EncryptionKey]()
        self._work, self._waited, self._since, self._products, self._last = 0.0, 0.0, clock(), 0, 0

    def watch(self, key: EncryptionKey) -> None:
        """Counts the products under a key that this party has made or accepted."""
        self._keys.append(key)

    @classmethod
    def here(cls) -> Meter | None:
        """The meter of the party whose thread this is."""
        return getattr(cls._mine, "meter", None)

    # -- as a tap and an observer

    def sent(self, peer: str, kind: type[Message], data: bytes) -> None:
        self._event("send", peer, kind.kind, len(data))

    def waits(self, peer: str, kind: type[Message]) -> None:
        self._pause()

    def arrived(self, peer: str, kind: type[Message]) -> None:
        now = self._clock()
        self._waited, self._since = now - self._since, now
        self._last = len(self.events)
        self._event("receive", peer, kind.kind, 0)

    def received(self, peer: str, kind: type[Message], data: bytes) -> None:
        self.events[self._last] = self.events[self._last]._replace(size=len(data))

    def phase_begins(self, phase: str) -> None:
        Meter._mine.meter = self
        self._since, self._work = self._clock(), 0.0
        self._phase = phase

    def phase_ends(self, phase: str) -> None:
        self._event("end", "", "", 0)
        self._phase = OUTSIDE

    # -- inside

    def _pause(self) -> None:
        now = self._clock()
        self._work += now - self._since
        self._since = now

    def _event(self, what: Literal["send", "receive", "end"], peer: str, kind: str, size: int) -> None:
        self._pause()
        products = sum(key.raw.products for key in self._keys)
        self.events.append(
            Event(what, self._phase, peer, kind, size, self._work, products - self._products, self._waited)
        )
        self._work, self._waited, self._products = 0.0, 0.0, products


class Counted(counting.Counted):
    """A scheme whose keys are watched by the meter of the party that makes or accepts them."""

    def __init__(self, scheme: Scheme) -> None:
        super().__init__(scheme, _watched)


def _watched(key: EncryptionKey) -> None:
    if (meter := Meter.here()) is not None:
        meter.watch(key)
