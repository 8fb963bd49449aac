"""`TlsNetwork`: this party's connections to all others, as blocking wires."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Collection, Coroutine, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from protocols.errors import Cause, ConfigError, LocalProtocolError, VFLError, cause_of
from vfl.transport.hello import VERSION, Command, Hello, nonce
from vfl.transport.identity import Identity, check_name
from vfl.transport.peers import Peer, PeerAddress, check_peers
from vfl.transport.ports import OwnPort, Port
from vfl.transport.switchboard import Switchboard, Timing
from vfl.transport.tls import make_context
from vfl.transport.wire import Mailroom, TlsWire

if TYPE_CHECKING:
    from protocols.channel import Wire

    _: type[Wire] = TlsWire


class TlsNetwork:
    """Mutual TLS 1.3 with pinned certificates between the few parties of one run.

    The arbiter and the hosts dial the guest, the hosts dial the arbiter; a peer without an address is one that dials
    this party.
    `listen` is the address of a port to open, or the port of this party's node.
    `session` is 32 bytes that must be equal at every party (the digest of the job and whatever else was agreed), and
    depends on the `command`, which tells why where it differs.

        with TlsNetwork("bank", "guest", identity, peers, listen="0.0.0.0:7443", session=digest) as network:
            wires = network.connect()

    met: receives the name of each peer that is connected, in the network's own thread; declared: the policy keys and
    permissions that a party may name as the cause of its end; may_leave: peers whose death does not end the run once
    all have met: `send` to them and `recv` from them raise it; named: what the job is called, so that a partner with a
    node and another file of it says so at once ("": it does not).

    Leaving the `with` block closes in good order, or tells every peer the code of the exception.  Raises ConfigError
    and ListenFailed.
    """

    def __init__(
        self,
        me: str,
        role: str,
        identity: Identity,
        peers: Sequence[PeerAddress],
        *,
        listen: str | Port | None,
        session: bytes,
        command: Command = "",
        connect_timeout: float = 60.0,
        heartbeat: float = 2.0,
        dead_after: float = 10.0,
        met: Callable[[str], None] = lambda peer: None,
        declared: Collection[str] = (),
        may_leave: Collection[str] = (),
        named: str = "",
    ) -> None:
        if len(session) != 32:
            raise LocalProtocolError("a session is named by 32 bytes", party=me)
        if not 0 < 2 * heartbeat < dead_after:
            raise ConfigError("`dead_after` must be more than two heartbeats")
        self._me, self._certificate = check_name(me), identity.certificate_der
        self._greeting = Hello(version=VERSION, name=me, role=role, session=session, nonce=nonce(), command=command)
        checked = [Peer(p) for p in peers]
        check_peers(me, self._certificate, checked, listen is not None)
        self._peers = {p.name: p for p in checked}
        pins = [pem for p in checked for pem in p.pins.values()]
        self._contexts = make_context(identity, pins, server=False), make_context(identity, pins, server=True)
        self._met, self._declared, self._may_leave, self._named = met, declared, may_leave, named
        self._timing = Timing(connect_timeout, heartbeat, dead_after)
        self._mailroom = Mailroom(self._peers)
        self._board: Switchboard | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._closing, self._closed = threading.Lock(), False
        self._ready = threading.Event()  # the loop runs, and the switchboard is there
        self._listener: Port | None = OwnPort(listen) if isinstance(listen, str) else listen
        self._port = self._listener.number if self._listener else None

    @property
    def bound_port(self) -> int | None:
        """The port at which this party listens (useful after `listen="127.0.0.1:0"`)."""
        return self._port

    def connect(self) -> dict[str, TlsWire]:
        """Blocks until every peer is connected and greeted; returns one wire a peer.

        The parties may start in any order within `connect_timeout`.  Raises PeerUnreachable (nobody there),
        HandshakeFailed (not who, or not the job, that was agreed), PeerAborted (a peer gave up, and says because of
        whom); the other parties are then informed, and everything is closed.
        """
        if self._closed or self._thread is not None:
            raise LocalProtocolError("a network connects once", party=self._me)
        try:
            self._start()
            self._run(Switchboard.meet)
        except BaseException as error:
            self.abort(self._told(error))
            raise
        return {name: TlsWire(self._me, name, self._mailroom, self._post, self._took) for name in self._peers}

    def abort(self, cause: Cause) -> None:
        """Tells every peer the cause, and closes; what was queued and not sent is dropped."""

        async def tell(board: Switchboard) -> None:
            board.abort(cause)

        self._end(tell)
        self._mailroom.shut(self._me, quietly=True)

    def close(self) -> None:
        """Closes in good order: returns when every peer has all that was sent to it.

        Raises what kept it from that (such as PeerClosed), unless `recv` or `send` has raised it before.
        """
        self._end(Switchboard.farewell)
        self._mailroom.shut(self._me)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            self.abort(self._told(error))

    def _told(self, error: BaseException) -> Cause:
        return cause_of(error, self._me) if isinstance(error, VFLError) else Cause("stopped", self._me)

    # -- the loop's thread

    def _start(self) -> None:
        async def live() -> None:
            self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
            self._board = Switchboard(
                self._greeting,
                self._certificate,
                self._peers,
                self._contexts,
                self._mailroom,
                self._listener,
                self._timing,
                self._met,
                self._declared,
                self._may_leave,
                self._named,
            )
            self._ready.set()
            await self._stop.wait()

        name = f"vfl transport of {self._me}"
        thread = threading.Thread(target=lambda: asyncio.run(live()), name=name, daemon=True)
        thread.start()
        self._thread = thread
        self._ready.wait()

    def _run(self, work: Callable[[Switchboard], Coroutine[Any, Any, None]]) -> None:
        assert self._loop is not None
        assert self._board is not None
        asyncio.run_coroutine_threadsafe(work(self._board), self._loop).result()

    def _post(self, peer: str, message: bytes) -> None:
        self._soon(Switchboard.send, peer, message)

    def _took(self, peer: str, size: int) -> None:
        self._soon(Switchboard.took, peer, size)

    def _soon(self, work: Callable[..., None], *given: object) -> None:
        assert self._loop is not None
        with contextlib.suppress(RuntimeError):  # the loop has just been closed; `send` raises from the next message on
            self._loop.call_soon_threadsafe(work, self._board, *given)

    def _end(self, last_words: Callable[[Switchboard], Coroutine[Any, Any, None]]) -> None:
        with self._closing:
            if self._closed:
                return
            self._closed = True
            if self._listener is not None and self._thread is None:
                self._listener.close()
            try:
                if self._thread is not None:
                    self._ready.wait()  # whoever stops the run may do so while the loop starts
                    self._run(last_words)
                    self._run(Switchboard.stop)
            finally:
                if self._thread is not None and self._loop is not None:
                    self._loop.call_soon_threadsafe(self._stop.set)
                    self._thread.join()
