"""Counts what goes both ways, by phase and peer, what encryption is made of, and memory: report.json's "phases",
"encryption" and "peak_memory"."""

from __future__ import annotations

import resource
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from protocols._native import PlainVec
from protocols.channel import Tap
from protocols.cipher import CipherVec, DecryptionKey, EncryptionKey, Scheme
from protocols.message import Message
from protocols.randomness import Seed

OUTSIDE = "other"


@dataclass(frozen=True)
class Counted:
    """A scheme; `watch` receives every key that this party makes or accepts, and counts the products modulo n^2 under
    it."""

    scheme: Scheme
    watch: Callable[[EncryptionKey], None]

    @property
    def bits(self) -> int:
        return self.scheme.bits

    def generate(self, holder: str, seed: Seed) -> DecryptionKey:
        key = self.scheme.generate(holder, seed)
        self.watch(key.public)
        return key

    def accept(self, n: int, proof: bytes, holder: str) -> EncryptionKey:
        key = self.scheme.accept(n, proof, holder)
        self.watch(key)
        return key


def peak_memory() -> int:
    """The most memory that this process has held so far, in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024  # in which the system counts
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def pace(key: EncryptionKey, vector: CipherVec | None = None) -> float:
    """Seconds of one thread for one product modulo n^2, at the pace of a long run of them: the best of forty, or of as
    many as half a second holds, so that a moment's other work does not count.

    vector: 4,000 ciphertexts under `key`; by default some are made, of zeros and known randomness: they are sent to
    nobody.
    """
    if vector is None:
        vector = key.encrypt(PlainVec.zeros(40), Seed("pace", bytes(32))).take(np.arange(4000) % 40)
    bins, best, enough = np.zeros((4000, 1), dtype=np.int64), float("inf"), time.process_time() + 0.5
    for _ in range(40):
        before, start = key.raw.products, time.process_time()
        vector.histogram(bins, 1)
        best = min(best, (time.process_time() - start) / (key.raw.products - before))
        if start > enough:
            break
    return best


@dataclass
class Traffic:
    """Messages and bytes in both directions."""

    messages_sent: int = 0
    bytes_sent: int = 0
    messages_received: int = 0
    bytes_received: int = 0


class CountingTap(Tap):
    """`phase(name)` starts a phase, `phase(None)` ends it; a name that is used again continues where it stopped.

    `traffic` is by (phase, peer); what comes outside of any phase counts as "other".
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._phase: str | None = None
        self._began = 0.0
        self._seconds: dict[str, float] = {}
        self.traffic: dict[tuple[str, str], Traffic] = {}
        self.keys: list[EncryptionKey] = []  # those that this party has made or accepted

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

    @property
    def total(self) -> tuple[int, int]:
        """Bytes sent and received."""
        with self._lock:
            entries = list(self.traffic.values())
        return sum(t.bytes_sent for t in entries), sum(t.bytes_received for t in entries)

    @property
    def products(self) -> int:
        """How many products modulo n^2 this party has computed, under any key."""
        return sum(key.raw.products for key in self.keys)

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
