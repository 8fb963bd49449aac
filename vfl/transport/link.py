"""One connection to one party: greeting, messages, heartbeats, end.  Runs in the loop's thread only.

TLS handshake -> both send HELLO -> both check it, and send WELCOME -> OPEN -> ... -> BYE / BYE_ACK
                                                   or REFUSE(reason)            or ABORT(cause)
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Protocol

from protocols.errors import Cause, PeerAborted, PeerClosed, PeerTimeout, RemoteProtocolError, VFLError
from vfl.transport import frames, hello
from vfl.transport.failures import broken_handshake, own_address
from vfl.transport.frames import Assembler, BadFrameError, FrameReader, Kind
from vfl.transport.hello import Hello, Reason
from vfl.transport.peers import Peer
from vfl.transport.seal import End, direction
from vfl.transport.tls import TlsProtocol, certificate_refused, explain, not_open
from vfl.transport.window import Outbox, Window

PASSING = (PeerClosed.code, PeerTimeout.code)  # a third party is gone, and may come back
_TURN = 4 << 20  # bytes encrypted before the loop may do something else


class NotOpenError(ConnectionResetError):
    """The node at the other end has no process that waits for what was knocked for."""


class Owner(Protocol):
    """What a link needs of the party that it belongs to."""

    greeting: Hello
    certificate: bytes  # this party's, in DER

    def peer_of(self, certificate: bytes) -> Peer | None:
        """The party to which this certificate is pinned."""

    def called_itself(self, knock: str | None) -> bool:
        """Whether this party's own port heard the knock."""

    def claims(self, knock: str | None) -> str | None:
        """The party that the knock names."""

    def reserve(self, link: Link) -> bool:
        """Makes `link` the one of its peer; False if that has a live one already."""

    def opened(self, link: Link) -> None:
        """Both sides have welcomed each other."""

    def arrived(self, name: str, message: bytes) -> None:
        """A whole message from `name`."""

    def ended(self, name: str) -> None:
        """`name` has sent everything and said so."""

    def known(self, cause: Cause) -> Cause:
        """The cause, without a name that is not declared here."""

    def lost(self, name: str, error: VFLError) -> None:
        """The open link to `name` broke."""


class Link(TlsProtocol):
    """`greeted` is done when both sides have said WELCOME; it fails with HandshakeFailed, or with OSError if it is
    worth another try."""

    def __init__(
        self, owner: Owner, context: ssl.SSLContext, where: str, *, dialled: Peer | None, by_name: bytes | None = None
    ) -> None:
        """by_name: the key of `hello.name_key`, to knock by the job's name and not by the session."""
        self._owner, self._dialled, self.where = owner, dialled, where
        mine = owner.greeting
        self._knocked = None if dialled is None else hello.knock(mine.name, by_name or mine.session)
        super().__init__(context, knock=self._knocked)
        self.peer: Peer | None = None  # known by its certificate, from the end of the TLS handshake
        self._presented = b""  # that certificate, in DER
        self.greeted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.greeted.add_done_callback(lambda f: f.cancelled() or f.exception())  # seen, also if nobody waits any more
        self.acknowledged: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.unpinned = False  # it was turned away because of its certificate
        self.why = ""  # it was turned away, without who and where
        self._reader, self._window = FrameReader(), Window()
        self._assembler: Assembler | None = None  # from the peer's hello on
        self._accepted = self._welcomed = self.ended = self._aborted = False
        self._outbox = Outbox(self._window)
        self._pumping, self._silence, self._spoke, self._written = False, 0.0, True, 0

    @property
    def name(self) -> str:
        """Who is at the other end, as far as is known: by its certificate, or by whom this party meant to dial."""
        known = self.peer or self._dialled
        return known.name if known else f"a peer at {self.where}"

    @property
    def claimed(self) -> str | None:
        """The party that the other end is, or shows good reason to be (see `hello.knock`)."""
        known = self.peer or self._dialled
        return known.name if known else self._owner.claims(self.knock)

    @property
    def open(self) -> bool:
        """Whether messages may cross, towards this party at least."""
        return self._accepted and self._welcomed and not self.finished

    # -- out

    def send(self, message: bytes) -> None:
        """Queues `message`."""
        self._queue(message)

    def bye(self) -> None:
        """Says, after all that is queued, that this party has sent everything; `acknowledged` is done when the peer has
        it."""
        self._queue(None)

    def abort(self, cause: Cause) -> None:
        """Drops what is queued, tells the peer why (if it is a peer), and ends the connection."""
        self._outbox.clear()
        if cause.code in PASSING and not self.open:
            self.drop()  # while they still greet: this party may come back, so it is worth another try
        elif self._accepted and not self.finished and not self._aborted:  # its welcome may still be on its way
            self._aborted = True
            payload = frames.abort_payload(cause)
            self.write(frames.header(Kind.ABORT, len(payload)), payload)
            self.finish()
        elif self.peer is not None and not self.finished:
            self._refuse(Reason.STOPPED)

    def progress(self) -> object:
        """Something that changes as long as bytes leave."""
        return self._written, self._transport.get_write_buffer_size() if self._transport else 0

    def took(self, size: int) -> None:
        """A message of `size` bytes from this peer was read: it may send more."""
        if (room := self._window.took(size)) and self.open and not self.ended:
            self.write(frames.header(Kind.ROOM, frames.ROOM.size), frames.ROOM.pack(room))

    def _queue(self, message: bytes | None) -> None:
        self._outbox.put(message)
        if not self._pumping:
            self._pump()

    def _pump(self) -> None:
        self._pumping, turn = False, 0
        while not self.paused and not self.finished and (parts := self._outbox.take()):
            self.write(*parts)
            self._spoke, turn, self._written = True, turn + sum(map(len, parts)), self._written + 1
            if turn >= _TURN:  # let the loop read what has arrived
                self._pumping = True
                asyncio.get_running_loop().call_soon(self._pump)
                return

    def on_resume(self) -> None:
        if not self._pumping:
            self._pump()

    def tick(self, elapsed: float, dead_after: float) -> None:
        """Sends a heartbeat if nothing else was sent since the last tick; fails if the peer was silent for
        `dead_after`."""
        if not self.open or self.ended:
            return
        if not self._spoke and not self.paused:
            self.write(frames.header(Kind.BEAT))
        self._spoke = False
        self._silence += elapsed
        if self._silence >= dead_after:
            remedy = f"Check that {self.name}'s process and the network between are alive, then start all parties again"
            self._fail(PeerTimeout(f"{self.name} was silent for {dead_after:g} s", remedy=remedy, party=self.name))
            self.drop()  # nobody is there to read our last words

    # -- in

    def on_secured(self, certificate: bytes) -> None:
        peer = self._owner.peer_of(certificate)
        self._send_hello()
        if peer is None:
            self._refuse(Reason.CERTIFICATE)
        elif self._dialled is not None and peer is not self._dialled:
            self._refuse(Reason.NAME, self._dialled.name, peer.name)
        else:
            self.peer, self._presented = peer, certificate

    def _send_hello(self) -> None:
        payload = hello.encode(self._owner.greeting)
        self.write(frames.header(Kind.HELLO, len(payload)), payload)

    def on_data(self, data: memoryview) -> None:
        self._silence = 0.0
        try:
            for kind, payload in self._reader.feed(data):
                if self.finished:
                    return
                if self.open:
                    self._frame(kind, payload)
                else:
                    self._greet(kind, payload)
        except BadFrameError as bad:
            if self.open:
                remedy = f"Check that {self.name} runs the same version of this engine"
                self._fail(RemoteProtocolError(f"{self.name} sent {bad}", remedy=remedy, party=self.name))
            else:
                self._refuse(Reason.MALFORMED)

    def _greet(self, kind: Kind, payload: bytearray) -> None:
        if self.peer is None:
            return
        if kind is Kind.REFUSE:
            self._settle(hello.refused_by_them(self.peer.name, hello.read_reason(payload)))
            self.finish()
        elif kind is Kind.HELLO and not self._accepted:
            self._check_hello(payload, self.peer)
        elif kind is Kind.WELCOME and not self._welcomed:
            self._welcomed = True
            self._settle()
        else:
            self._refuse(Reason.MALFORMED)

    def _check_hello(self, payload: bytearray, peer: Peer) -> None:
        mine, theirs = self._owner.greeting, hello.read_hello(payload, self._owner.greeting.version)
        if isinstance(theirs, Reason):
            self._refuse(theirs)
        elif differs := hello.compare(theirs, peer.name, peer.role, mine):
            self._refuse(*differs)
        elif not self._owner.reserve(self):
            self._refuse(Reason.DUPLICATE)
        else:
            self._accepted = True
            here, there = End(self._owner.certificate, mine.nonce), End(self._presented, theirs.nonce)
            self._outbox.seal = direction(mine.session, here, there)
            self._assembler = Assembler(direction(mine.session, there, here))
            self.write(frames.header(Kind.WELCOME))
            self._settle()

    def _frame(self, kind: Kind, payload: bytearray) -> None:
        if kind in (Kind.PART, Kind.LAST) and not self.ended:
            self._piece(kind, payload)
        elif kind is Kind.ROOM:
            self._window.room(*frames.ROOM.unpack(payload))
            if not self._pumping:
                self._pump()
        elif kind is Kind.ABORT:
            self._aborted = True
            cause = self._owner.known(frames.read_abort(payload))
            self._fail(PeerAborted(cause, me=self._owner.greeting.name, differs=hello.differs(cause)))
        elif kind is Kind.REFUSE:  # it stopped before it had heard our welcome
            self._aborted = True
            self._fail(hello.refused_by_them(self.name, hello.read_reason(payload)))
        elif kind is Kind.BYE and not self.ended:
            self.ended = True
            self.write(frames.header(Kind.BYE_ACK))
            self._owner.ended(self.name)
        elif kind is Kind.BYE_ACK:
            self._acknowledge()
        elif kind is not Kind.BEAT:
            raise BadFrameError(f"a {kind.name} frame where none belongs")

    def _piece(self, kind: Kind, payload: bytearray) -> None:
        assert self._assembler is not None
        if not self._assembler.begun:
            self._window.begins()
        message = self._assembler.add(kind, payload)
        if message is not None:
            self._window.arrived(len(message))
            self._owner.arrived(self.name, message)

    # -- ends

    def on_over(self, error: Exception | None) -> None:
        if not self.open:
            self._settle(self._greeting_broke(error))
        elif not self.ended and not self.acknowledged.done():
            remedy = f"Read {self.name}'s log: its process ended or the network was cut; then start all parties again"
            self._fail(PeerClosed(f"{self.name}'s connection broke", remedy=remedy, party=self.name))
        self.finish()

    def finish(self) -> None:
        super().finish()
        self._acknowledge()

    def drop(self) -> None:
        super().drop()
        self._acknowledge()

    def drop_unless_settled(self) -> None:
        """Drops a link whose greeting was given up."""
        if not self.greeted.done() or self.greeted.cancelled():
            self.drop()

    def _greeting_broke(self, error: Exception | None) -> Exception:
        if not_open(error):
            return NotOpenError(explain(error))
        if not isinstance(error, ssl.SSLError) or isinstance(error, ssl.SSLEOFError):
            return ConnectionResetError(explain(error))
        if self._dialled is not None and self._owner.called_itself(self._knocked):
            return own_address(self._dialled.name, self.where)
        self.unpinned, self.why = certificate_refused(error) == "them", explain(error)
        mine, dialled = self._owner.greeting.name, self._dialled is not None
        return broken_handshake(error, mine, self.claimed, self.where, dialled=dialled)

    def _refuse(self, reason: Reason, expected: object = None, found: object = None) -> None:
        self.write(frames.header(Kind.REFUSE, len(reason)), reason.encode())
        refusal = hello.refused_by_us(self.name, reason, expected, found)
        self.why = refusal.what.partition(": ")[2]
        self._settle(refusal)
        self.finish()

    def _settle(self, error: Exception | None = None) -> None:
        if self.greeted.done() or (error is None and not self.open):
            return
        if error is None:
            self.greeted.set_result(None)
            self._owner.opened(self)
        else:
            self.greeted.set_exception(error)

    def _acknowledge(self) -> None:
        if not self.acknowledged.done():
            self.acknowledged.set_result(None)

    def _fail(self, error: VFLError) -> None:
        self._owner.lost(self.name, error)
        self.finish()
