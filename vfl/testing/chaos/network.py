"""Parties in one process, joined by links that break as a schedule says.

Messages are sent as the frames and authentication codes of the real transport (vfl/transport), and are read by its
readers.  There is no clock: when every living party waits and nothing is under way, what was delayed arrives; when
nothing was, one of those who wait runs into its deadline, as it would after its seconds.  So a schedule ends in
milliseconds, and no wait can be without an end.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Mapping, Sequence

from protocols.errors import PeerAborted, PeerClosed, PeerTimeout, RemoteProtocolError, VFLError, cause_of
from vfl.testing.chaos.schedule import Break, Direction, Fault
from vfl.transport import frames
from vfl.transport.frames import Assembler, BadFrameError, FrameReader
from vfl.transport.seal import End, Seal, direction

HANG = 60.0  # seconds of real time: nothing here takes so long


class Way:
    """One direction of a connection."""

    def __init__(self, way: Direction, attempt: int) -> None:
        ends = [End(name.encode(), attempt.to_bytes(16, "big")) for name in way]
        self._seal: Seal = direction(bytes(32), *ends)
        self._reader, self._assembler = FrameReader(), Assembler(direction(bytes(32), *ends))
        self.sent = 0
        self.under_way, self.delayed, self._whole = deque[bytes](), deque[bytes](), deque[bytes]()
        self._bad: BadFrameError | None = None
        self.swapped: bytes | None = None
        self.stalled = self.mute = False

    def framed(self, message: bytes) -> bytes:
        """The message as it crosses."""
        self.sent += 1
        return b"".join(part for parts in frames.cut(message, self._seal) for part in parts)

    def put(self, data: bytes) -> None:
        """Bytes on their way to the receiver."""
        (self.delayed if self.stalled else self.under_way).append(data)

    def release(self) -> bool:
        """Lets what was delayed arrive; False if there is nothing."""
        if self.swapped is not None:
            self.delayed.append(self.swapped)
            self.swapped = None
        waiting, self.stalled = bool(self.delayed), False
        self.under_way.extend(self.delayed)
        self.delayed.clear()
        return waiting

    def read(self) -> bytes | None:
        """The next whole message; raises BadFrameError where the bytes behind the good ones are none."""
        while not self._whole and self._bad is None and self.under_way:
            try:
                for kind, payload in self._reader.feed(memoryview(self.under_way.popleft())):
                    message = self._assembler.add(kind, payload)
                    if message is not None:
                        self._whole.append(message)
            except BadFrameError as bad:
                self._bad = bad
        if self._whole:
            return self._whole.popleft()
        if self._bad is not None:
            raise self._bad
        return None


class Network:
    """The connections of one attempt."""

    def __init__(
        self,
        parties: Sequence[str],
        attempt: int,
        breaks: Iterable[Break] = (),
        old: Mapping[Direction, bytes] | None = None,
    ) -> None:
        """old: by direction, the bytes of a message of an earlier attempt."""
        self._changed = threading.Condition()
        self.ways = {(a, b): Way((a, b), attempt) for a in parties for b in parties if a != b}
        self._breaks = {(b.way, b.number): b for b in breaks}
        self._old, self.captured = dict(old or {}), dict[Direction, bytes]()
        self.struck: list[Break] = []  # the breaks that met a message
        self._living, self._waiting = set(parties), dict[str, str]()  # who waits: for whom
        self._late: str | None = None  # whose deadline is over
        self._cut: set[frozenset[str]] = set()
        self._told: dict[str, VFLError] = {}  # why it is over for a party

    def wires(self, me: str) -> dict[str, SimulatedWire]:
        """This party's ends."""
        return {b: SimulatedWire(self, me, b) for a, b in self.ways if a == me}

    def send(self, me: str, peer: str, message: bytes) -> None:
        with self._changed:
            way = self.ways[me, peer]
            data = way.framed(message)
            self.captured.setdefault((me, peer), data)
            hit = self._breaks.get(((me, peer), way.sent))
            if hit is not None:
                self.struck.append(hit)
            if frozenset((me, peer)) not in self._cut and not way.mute:
                self._deliver(way, data, hit)
            self._changed.notify_all()

    def recv(self, me: str, peer: str) -> bytes:
        with self._changed:
            self._waiting[me] = peer
            try:
                while (message := self._next(me, peer)) is None:
                    if self._stuck():
                        self._time_passes()
                    else:
                        self._changed.wait(HANG)
                return message
            finally:
                del self._waiting[me]

    def _next(self, me: str, peer: str) -> bytes | None:
        """The next message; raises why there will be none."""
        try:
            message = self.ways[peer, me].read()
        except BadFrameError as bad:
            raise RemoteProtocolError(f"{peer} sent {bad}", remedy="Start all parties again", party=peer) from None
        if message is None:
            self._raise_if_over(me, peer)
        return message

    def leave(self, me: str, error: VFLError | None) -> None:
        """A party is done, or tells its peers why it stops, as far as they can hear it."""
        with self._changed:
            self._living.discard(me)
            for peer in [b for a, b in self.ways if a == me]:
                if error is not None and frozenset((me, peer)) not in self._cut and not self.ways[me, peer].mute:
                    self._told.setdefault(peer, PeerAborted(cause_of(error, me), me=peer))
            if self._stuck():
                self._time_passes()
            self._changed.notify_all()

    def _deliver(self, way: Way, data: bytes, hit: Break | None) -> None:
        """What arrives of a frame.  Branches because every fault has its own."""
        fault = hit.fault if hit else None
        cut = int((hit.at if hit else 0) * len(data))
        match fault:
            case Fault.LOSE | Fault.CUT_BEFORE:
                data = b""
            case Fault.TWICE:
                data *= 2
            case Fault.SWAP:
                way.swapped = data
                return
            case Fault.DELAY:
                way.stalled = True
            case Fault.HALF | Fault.TORN:
                data = data[:cut]
            case Fault.FLIP:
                data = data[:cut] + bytes([data[cut] ^ 1]) + data[cut + 1 :]
            case Fault.OLD:
                data = self._old.get(hit.way, data * 2) if hit else data
            case Fault.MUTE | Fault.DEAF:
                data, way.mute = b"", True
        if data:
            way.put(data)
        if way.swapped is not None:
            way.put(way.swapped)
            way.swapped = None
        if hit and fault is Fault.DEAF:
            self.ways[hit.way[1], hit.way[0]].mute = True
        if hit and fault in (Fault.CUT_BEFORE, Fault.CUT_AFTER, Fault.HALF):
            self._cut.add(frozenset(hit.way))

    def _stuck(self) -> bool:
        """Whether every living party waits, and nothing is on its way to it."""
        return bool(self._living) and self._late is None and all(self._in_vain(party) for party in self._living)

    def _in_vain(self, me: str) -> bool:
        peer = self._waiting.get(me)
        over = me in self._told or any(me in pair for pair in self._cut)
        return peer is not None and not over and not self.ways[peer, me].under_way

    def _time_passes(self) -> None:
        """Everybody waits: what was delayed arrives, or the first of those who wait, by name, waits no longer."""
        released = [way.release() for way in self.ways.values()]
        if not any(released):
            self._late = min(self._waiting)
        self._changed.notify_all()

    def _raise_if_over(self, me: str, peer: str) -> None:
        if me in self._told:
            raise self._told[me]
        for pair in self._cut:
            if me in pair:
                (other,) = pair - {me}
                raise PeerClosed(f"{other}'s connection broke", remedy="Start all parties again", party=other)
        if self._late == me:
            self._late = None
            raise PeerTimeout(f"{peer} sent nothing", remedy="Start all parties again", party=peer)


class SimulatedWire:
    """One end of a simulated connection, as `protocols.channel.Wire`."""

    def __init__(self, network: Network, me: str, peer: str) -> None:
        self._network, self.me, self.peer = network, me, peer

    def send(self, data: bytes) -> None:
        """Puts `data` on its way."""
        self._network.send(self.me, self.peer, data)

    def recv(self, timeout: float) -> bytes:
        """The next message.  Raises PeerTimeout, PeerClosed, PeerAborted, RemoteProtocolError."""
        return self._network.recv(self.me, self.peer)
