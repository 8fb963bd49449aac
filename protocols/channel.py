"""Typed messages to and from one peer.

A `Wire` moves bytes (in memory here; over mutual TLS in `vfl.transport`); a `Channel` encodes, asks every tap, counts,
hashes and decodes.  Every channel encodes and decodes for real.  `send` enqueues and returns; `recv` has a deadline and
names the culprit.
"""

from __future__ import annotations

import hashlib
import queue
from collections import deque
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol, TypeVar

from protocols import codec
from protocols.cipher import Keyring
from protocols.errors import Cause, LocalProtocolError, PeerAborted, PeerTimeout, RemoteProtocolError, VFLError
from protocols.message import Message
from protocols.parts import WHOLE, Part, Place

M = TypeVar("M", bound=Message)


class Wire(Protocol):
    """Whole messages as bytes, in order, to and from `peer`."""

    @property
    def me(self) -> str: ...
    @property
    def peer(self) -> str: ...
    def send(self, data: bytes) -> None:
        """Enqueues; never waits for the peer to read."""

    def recv(self, timeout: float) -> bytes:
        """The next message; raises PeerTimeout, PeerClosed, PeerAborted."""


class Count(NamedTuple):
    """How many messages have been sent to and received from a peer, and the chained SHA-256 (32 bytes) of those
    received and of those sent."""

    sent: int = 0
    received: int = 0
    consumed: bytes = bytes(32)
    produced: bytes = bytes(32)

    def mirrored(self) -> Count:
        """The same as the peer counts it."""
        return Count(self.received, self.sent, self.produced, self.consumed)


def chained(before: bytes, digest: bytes) -> bytes:
    """The chained SHA-256 of messages: of those before, and the SHA-256 of one more."""
    return hashlib.sha256(before + digest).digest()


class Tap:
    """Watches a channel: policy, ledger, counters, transcripts.  The default does nothing."""

    def check(self, peer: str, kind: type[Message]) -> None:
        """Before anything is encoded; raises DisclosureRefused to keep it from leaving."""

    def sent(self, peer: str, kind: type[Message], data: bytes) -> None:
        """The bytes that go into the wire."""

    def waits(self, peer: str, kind: type[Message]) -> None:
        """From now on this party waits for the peer's next message, which must be a `kind`."""

    def arrived(self, peer: str, kind: type[Message]) -> None:
        """It is there, not decoded yet: the party works again."""

    def received(self, peer: str, kind: type[Message], data: bytes) -> None:
        """The bytes that came out of the wire and decoded as `kind`."""

    def moved(self, peer: str, count: Count) -> None:
        """The run resumes where it was interrupted: the next message has the number after these."""

    def renewed(self, peer: str, count: Count) -> None:
        """What follows these messages is drawn again in each attempt: it need not be what an earlier one sent."""


class Channel:
    """`send` and `recv` of declared messages with one peer, numbered from 1 in each direction.

    On a run that resumes after an interruption, `replay` delivers again what was received before, and transmits nothing
    that is sent; `restore` ends that.
    """

    def __init__(self, wire: Wire, keys: Keyring, taps: Sequence[Tap] = (), deadline: float = 3600.0) -> None:
        self.wire, self.me, self.peer = wire, wire.me, wire.peer
        self._keys, self._taps, self._deadline = keys, taps, deadline
        self.count = Count()
        self._recorded: list[bytes] | None = None
        self._replay: deque[bytes] | None = None

    def send(self, message: Message, part: Part | None = None) -> None:
        """Sends `message`, if every tap agrees; part: which block of a vector it is."""
        broadcast([self], message, part)

    def recv(self, kind: type[M], part: Part | None = None, *, at_least: float = 0.0) -> M:
        """The next message, which must be a `kind`, and this block of its vector (the whole where none is named);
        at_least: seconds to wait for it, where the channel's deadline is shorter."""
        message, found = self._decoded(self._next(kind, max(self._deadline, at_least)), kind)
        due = WHOLE if part is None else part.place
        if found != due:
            raise misplaced(self.peer, kind, due, found)
        return message

    def recv_block(self, kind: type[M]) -> tuple[M, Place]:
        """The next message, which must be a `kind`, and where it stands in its vector."""
        return self._decoded(self._next(kind, self._deadline), kind)

    def recv_of(
        self, kinds: Sequence[type[Message]], deadline: float | None = None, *, at_least: float = 0.0
    ) -> Message:
        """The next message, which must be of one of these kinds; deadline: in seconds, if another than the channel's;
        at_least: as of `recv`."""
        data = self._next(kinds[0], max(self._deadline if deadline is None else deadline, at_least))
        claimed = codec.peek(data, self.peer)
        return self._decoded(data, next((kind for kind in kinds if kind.kind == claimed), kinds[0]))[0]

    def _next(self, kind: type[Message], deadline: float) -> bytes:
        for tap in self._taps:
            tap.waits(self.peer, kind)
        data = self.wire.recv(deadline) if self._replay is None else self._again(self._replay)
        for tap in self._taps:
            tap.arrived(self.peer, kind)
        return data

    def _decoded(self, data: bytes, kind: type[M]) -> tuple[M, Place]:
        message, place = codec.decode_block(data, kind, self.peer, self._keys)
        if self._recorded is not None:
            self._recorded.append(data)
        consumed = chained(self.count.consumed, hashlib.sha256(data).digest())
        self.count = self.count._replace(received=self.count.received + 1, consumed=consumed)
        for tap in self._taps:
            tap.received(self.peer, kind, data)
        return message, place

    def record(self, on: bool) -> list[bytes]:
        """Begins or ends the recording of what is received; returns what was recorded until now."""
        recorded, self._recorded = self._recorded or [], [] if on else None
        return recorded

    def replay(self, messages: Iterable[bytes]) -> None:
        """From now on these messages are received again, and nothing is sent."""
        self._replay = deque(messages)

    def replays(self) -> bool:
        """Whether something is left to be received again."""
        return bool(self._replay)

    def restore(self, count: Count) -> None:
        """So much has gone both ways; from now on messages move again."""
        self.count, self._replay, self._recorded = count, None, None
        for tap in self._taps:
            tap.moved(self.peer, count)

    def renew(self) -> None:
        """What follows is drawn again in each attempt."""
        for tap in self._taps:
            tap.renewed(self.peer, self.count)

    def _again(self, messages: deque[bytes]) -> bytes:
        if not messages:
            raise LocalProtocolError(
                f"this run asks {self.peer} for more than it did before it was interrupted", party=self.me
            )
        return messages.popleft()

    def _put(self, kind: type[Message], data: bytes, digest: bytes) -> None:
        for tap in self._taps:
            tap.sent(self.peer, kind, data)
        self.count = self.count._replace(sent=self.count.sent + 1, produced=chained(self.count.produced, digest))
        if self._replay is None:
            self.wire.send(data)

    def _check(self, kind: type[Message]) -> None:
        for tap in self._taps:
            tap.check(self.peer, kind)


def broadcast(channels: Sequence[Channel], message: Message, part: Part | None = None) -> None:
    """One message to several receivers: encoded once, and each ciphertext's factors are fresh to all of them; part: as
    `Channel.send`."""
    kind = type(message)
    for channel in channels:
        channel._check(kind)
    data = codec.encode(message, [c.peer for c in channels], channels[0].me, part)
    digest = hashlib.sha256(data).digest()
    for channel in channels:
        channel._put(kind, data, digest)


def misplaced(sender: str, kind: type[Message], due: Place, found: Place) -> RemoteProtocolError:
    """Another block of a vector than was due."""
    return RemoteProtocolError(
        f"{sender} sent another block of {kind.kind} than was due",
        remedy=f"Check which software {sender} runs",
        party=sender,
        expected=f"number {due.number}, {due.more} to follow",
        found=f"number {found.number}, {found.more} to follow",
    )


class MemoryWire:
    """One end of an in-memory wire; `MemoryNetwork` makes both."""

    def __init__(
        self,
        me: str,
        peer: str,
        outbox: queue.SimpleQueue[bytes | VFLError],
        inbox: queue.SimpleQueue[bytes | VFLError],
    ) -> None:
        self.me, self.peer, self._outbox, self._inbox = me, peer, outbox, inbox
        self._interrupted: PeerAborted | None = None

    def send(self, data: bytes) -> None:
        if self._interrupted is not None:
            raise self._interrupted
        self._outbox.put(data)

    def recv(self, timeout: float) -> bytes:
        if self._interrupted is not None:
            raise self._interrupted
        try:
            item = self._inbox.get(timeout=timeout)
        except queue.Empty:
            raise PeerTimeout(
                f"{self.peer} sent nothing for {timeout:.0f} s", remedy=f"Read {self.peer}'s log", party=self.peer
            ) from None
        if isinstance(item, VFLError):
            self._inbox.put(item)
            raise item
        return item

    def interrupt(self) -> None:
        """From now on every `send` and `recv` of this party raises, also one that waits already."""
        self._interrupted = PeerAborted(Cause("interrupted", self.peer))
        self._inbox.put(self._interrupted)

    def abort(self, cause: Cause) -> None:
        """Tells the peer why this party stopped."""
        self._outbox.put(PeerAborted(cause, me=self.peer))


class MemoryNetwork:
    """In-memory wires between every pair of `parties`."""

    def __init__(self, parties: Sequence[str]) -> None:
        queues: dict[tuple[str, str], queue.SimpleQueue[bytes | VFLError]]
        queues = {(a, b): queue.SimpleQueue() for a in parties for b in parties if a != b}
        self._wires = {a: {b: MemoryWire(a, b, queues[a, b], queues[b, a]) for b in parties if b != a} for a in parties}

    def wires(self, party: str) -> dict[str, MemoryWire]:
        return self._wires[party]

    def interrupt(self) -> None:
        """Nobody waits any more, and nothing is sent any more."""
        for wires in self._wires.values():
            for wire in wires.values():
                wire.interrupt()
