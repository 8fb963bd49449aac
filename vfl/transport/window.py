"""Flow control of one connection: how much a party may have sent that its peer has not read yet.

A message may begin while less than `WINDOW` bytes lie unread at the receiver, which says ROOM for those that it has
taken.  So unread messages take at most `WINDOW` bytes and one message more, and heartbeats and ABORT still pass: a
party that computes for an hour notices a death within seconds.
`send` never waits: what has no room yet stays at its sender.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from vfl.transport import frames
from vfl.transport.frames import BadFrameError, Kind
from vfl.transport.seal import Seal

WINDOW = 64 << 20
OVERHEAD = 128  # bytes that a message takes beside its content: many empty ones fill a memory too


class Window:
    """Both directions of one connection."""

    def __init__(self) -> None:
        self._unread_there = self._unread_here = self._taken = 0

    # -- what this party sends

    @property
    def open(self) -> bool:
        """Whether a message may begin."""
        return self._unread_there < WINDOW

    def sent(self, size: int) -> None:
        """A message of `size` bytes begins."""
        self._unread_there += size + OVERHEAD

    def room(self, taken: int) -> None:
        """The peer says that it has taken this number of further bytes."""
        if taken > self._unread_there:
            raise BadFrameError("ROOM for more than was sent")
        self._unread_there -= taken

    # -- what it receives

    def begins(self) -> None:
        """A message begins to arrive."""
        if self._unread_here >= WINDOW:
            raise BadFrameError("a message while there was no room for one")

    def arrived(self, size: int) -> None:
        """A message of `size` bytes has arrived, and nobody has read it yet."""
        self._unread_here += size + OVERHEAD

    def took(self, size: int) -> int:
        """A message of `size` bytes was read; returns how many bytes to say ROOM for now: 0 until it is worth a
        frame."""
        self._unread_here -= size + OVERHEAD
        self._taken += size + OVERHEAD
        if self._taken < WINDOW // 4:
            return 0
        taken, self._taken = self._taken, 0
        return taken


class Outbox:
    """What waits to leave by one connection, in order."""

    def __init__(self, window: Window) -> None:
        self._window, self._waiting = window, deque[bytes | None]()  # None: BYE
        self._leaving: Iterator[tuple[bytes | memoryview, ...]] = iter(())  # the rest of the message that has begun
        self.seal: Seal | None = None  # from the peer's hello on

    def put(self, message: bytes | None) -> None:
        """Adds a message, or the BYE."""
        self._waiting.append(message)

    def clear(self) -> None:
        """Drops everything."""
        self._waiting.clear()
        self._leaving = iter(())

    def take(self) -> tuple[bytes | memoryview, ...] | None:
        """The parts of the next frame; None if there is nothing, or no room for it at the peer."""
        parts = next(self._leaving, None)
        if parts is not None or not self._waiting:
            return parts
        message = self._waiting[0]
        if message is None:
            self._waiting.popleft()
            return (frames.header(Kind.BYE),)
        if not self._window.open:
            return None
        assert self.seal is not None
        self._waiting.popleft()
        self._window.sent(len(message))
        self._leaving = frames.cut(message, self.seal)
        return next(self._leaving)
