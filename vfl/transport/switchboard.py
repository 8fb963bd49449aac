"""All links of one party: who is let in, how long to wait, and who is informed when one breaks.  Runs in the loop's
thread.

**The rule for callers.**  Anybody can reach an open port, so a caller that has not proved a pinned certificate is a
*stranger*: it is logged, counted, dropped after `GREETING` seconds, and never ends the run; the oldest stranger makes
room for the next, and no party makes room for a stranger.  There is one exception.  A party whose certificate is wrong
cannot prove who it is, yet both sides must learn of it within seconds.  So every party puts a *knock* into its
ClientHello: a MAC under the session (the job's digest) over its name.  A caller that fails in the TLS handshake **and**
knocked as a party that is still awaited ends this side with HandshakeFailed naming that party.  Whoever knows the job
and reaches the port can thus stop a run that has not begun; it learns nothing and can do nothing more.  Without a knock
the refused certificate is named when `connect_timeout` is over.  Once all have met, the port is closed.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import itertools
import logging
import socket
import ssl
from collections.abc import Callable, Collection, Coroutine
from dataclasses import dataclass
from typing import Any

from protocols.errors import (
    Cause,
    HandshakeFailed,
    LocalProtocolError,
    PeerTimeout,
    VFLError,
    cause_of,
)
from vfl.transport import hello
from vfl.transport.failures import Seen, absent
from vfl.transport.hello import Hello, Reason
from vfl.transport.link import Link, NotOpenError
from vfl.transport.peers import Peer, show_address
from vfl.transport.ports import Port
from vfl.transport.tls import LINGER
from vfl.transport.wire import Mailroom

log = logging.getLogger("vfl.transport")

GREETING = 5.0  # seconds for the TLS handshake and both hellos
LAST_WORDS = 2.0  # seconds for which a party that was not agreed with one peer still meets the others, to say so
DISAGREE = (Reason.COMMAND.value, Reason.SESSION.value, Reason.RELEASE.value)
MAX_STRANGERS = 32
NODE_AGAIN = 0.3  # seconds between two attempts to reach this party's node


@dataclass(frozen=True)
class Timing:
    """All in seconds."""

    connect_timeout: float
    heartbeat: float
    dead_after: float


class Switchboard:
    """See the module.  `meet`, then `send`; `farewell` or `stop` at the end."""

    def __init__(
        self,
        greeting: Hello,
        certificate: bytes,
        peers: dict[str, Peer],
        contexts: tuple[ssl.SSLContext, ssl.SSLContext],
        mailroom: Mailroom,
        listener: Port | None,
        timing: Timing,
        met: Callable[[str], None],
        declared: Collection[str] = (),
        may_leave: Collection[str] = (),
        named: str = "",
    ) -> None:
        """declared: the names that a cause may be about, next to the reasons of a greeting; may_leave: peers without
        which the run continues, once all have met; named: as of TlsNetwork."""
        self._named = named
        self._declared, self._may_leave = {*declared, *Reason}, frozenset(may_leave)
        self.greeting, self.certificate, self._peers, self._mailroom, self._listener = (
            greeting,
            certificate,
            peers,
            mailroom,
            listener,
        )
        (self._as_caller, self._as_called), self._timing = contexts, timing
        self._listening, self._told_of = False, met
        self._by_pin = {der: p for p in peers.values() for der in p.pins}
        self._links: dict[str, Link] = {}  # the one link of each party, from the moment its hello was accepted
        self._all: set[Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._callers: dict[asyncio.Task[None], Link] = {}  # in order of arrival
        self._heard: set[str] = set()  # peers that are greeted, or have refused or been refused
        self._troubles: dict[str, str] = {}  # why the last attempt to dial a party failed
        self._unpinned: list[str] = []  # strangers with a certificate that is not pinned, by address
        self.strangers = 0
        self._met: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().set_exception_handler(lambda _, context: self._bug(context.get("exception")))

    # -- meeting

    async def meet(self) -> None:
        """Returns when every peer is open; raises what makes that impossible."""
        try:
            if any(p.dialled is None for p in self._peers.values()):
                self._listen()
            dials = [self._spawn(self._dial(p, p.dialled)) for p in self._peers.values() if p.dialled]
            self._spawn(self._pulse())
            try:
                async with asyncio.timeout(self._timing.connect_timeout):
                    await self._met
            except TimeoutError:
                absent = self._absent()
                self.failed(absent)
                raise absent from None
            except HandshakeFailed as error:
                if error.about in DISAGREE:
                    await self._last_words()
                raise
            finally:
                for task in [*dials, *self._callers]:
                    task.cancel()
        finally:
            self.close_port()

    async def _last_words(self) -> None:
        """Meets the peers that have not been met yet, for a moment: without this party they would wait for it."""
        deadline = asyncio.get_running_loop().time() + LAST_WORDS
        while not self._heard.issuperset(self._peers) and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.05)

    def close_port(self) -> None:
        """Nobody can call any more."""
        if self._listener is not None:
            if self._listening:
                asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()
            self._listener = None

    async def _dial(self, peer: Peer, address: tuple[str, int]) -> None:
        delay = 0.05
        keys = [hello.name_key(self.certificate, pin, self._named) for pin in peer.pins] if self._named else []
        names, key = itertools.cycle(keys), None
        while True:
            try:
                return await self._attempt(peer, address, key)
            except VFLError as error:
                self._heard.add(peer.name)
                return self.failed(error)
            except NotOpenError as error:  # at once by the job's name: there may be another file of it
                trouble = str(error)
                if key is None and (key := next(names, None)) is not None:
                    self._troubles[peer.name] = trouble
                    continue
            except TimeoutError:
                trouble = "no answer"
            except socket.gaierror:
                trouble = "the name is not known here"
            except ConnectionRefusedError:
                trouble = "nobody listens there"
            except OSError as error:
                trouble = error.strerror or (
                    str(error) if isinstance(error, ConnectionResetError) else "nobody answers"
                )
            self._troubles[peer.name] = trouble
            key = None
            await asyncio.sleep(delay)
            delay = min(1.6 * delay, 1.0)

    async def _attempt(self, peer: Peer, address: tuple[str, int], by_name: bytes | None) -> None:
        async with asyncio.timeout(GREETING):
            _, link = await asyncio.get_running_loop().create_connection(
                lambda: self._link(peer.address, peer, by_name), *address
            )
            try:
                await link.greeted
            finally:
                link.drop_unless_settled()

    def _listen(self) -> None:
        if self._listener is None:
            return
        try:
            self._listener.open()
        except OSError:  # this party's node is being restarted
            asyncio.get_running_loop().call_later(NODE_AGAIN, self._listen)
            return
        asyncio.get_running_loop().add_reader(self._listener, self._called)
        self._listening = True

    def _called(self) -> None:
        """Somebody calls.  (Not by asyncio's `sock_accept`: it fails if the port is closed in the very turn of the loop in which somebody calls.)"""  # noqa: E501
        if self._listener is None:
            return
        try:
            sock, address = self._listener.accept()
        except BlockingIOError:
            return
        except OSError:  # such as: too many open files
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listening = False
            asyncio.get_running_loop().call_later(0.1, self._listen)
            return
        sock.setblocking(False)
        if len(self._callers) >= MAX_STRANGERS:
            self._make_room()
        link = self._link(show_address(address), None)
        task = self._spawn(self._greet(link, sock))
        self._callers[task] = link
        task.add_done_callback(functools.partial(self._hung_up, link, sock))

    def _make_room(self) -> None:
        """Drops the oldest caller that does not even knock, or else the oldest that has proved nothing; a party that is
        being greeted is never dropped."""
        silent = (task for task, link in self._callers.items() if link.claimed is None)
        unproved = (task for task, link in self._callers.items() if link.peer is None)
        if task := next(itertools.chain(silent, unproved), None):
            del self._callers[task]
            task.cancel()

    def _hung_up(self, link: Link, sock: socket.socket, task: asyncio.Task[None]) -> None:
        self._callers.pop(task, None)
        link.drop_unless_settled()
        if not link.connected:
            sock.close()
            self._all.discard(link)

    async def _greet(self, link: Link, sock: socket.socket) -> None:
        try:
            async with asyncio.timeout(GREETING):
                await asyncio.get_running_loop().connect_accepted_socket(lambda: link, sock)
                await link.greeted
        except VFLError as error:
            if link.claimed is not None and self._links.get(link.claimed, link) is link:
                self._heard.add(link.claimed)
                self.failed(error)
            else:
                self._stranger(link.where, link.why or error.what, link.unpinned)
        except (OSError, TimeoutError) as error:
            if link.claimed is not None:
                self._troubles[link.claimed] = f"called from {link.where} and hung up before it was greeted"
            self._stranger(link.where, str(error) or "it was silent")

    def _stranger(self, where: str, why: str, unpinned: bool = False) -> None:
        self.strangers += 1
        if unpinned:
            self._unpinned.append(where)
        if self.strangers <= 100:
            log.warning("a caller at %s was rejected: %s", where, why)

    def _link(self, where: str, dialled: Peer | None, by_name: bytes | None = None) -> Link:
        link = Link(self, self._as_caller if dialled else self._as_called, where, dialled=dialled, by_name=by_name)
        self._all.add(link)
        link.gone.add_done_callback(lambda _: self._all.discard(link))
        return link

    def _absent(self) -> VFLError:
        missing = [p for p in self._peers.values() if p.name not in self._links or not self._links[p.name].open]
        return absent(missing, self._timing.connect_timeout, Seen(self._troubles, self._unpinned, self.strangers))

    # -- what links tell

    def peer_of(self, certificate: bytes) -> Peer | None:
        return self._by_pin.get(certificate)

    def called_itself(self, knock: str | None) -> bool:
        return any(link.knock == knock for link in self._all if link.knock is not None)

    def claims(self, knock: str | None) -> str | None:
        return hello.who_knocks(
            knock, [p.name for p in self._peers.values() if p.dialled is None], self.greeting.session
        )

    def reserve(self, link: Link) -> bool:
        assert link.peer is not None
        held = self._links.get(link.peer.name)
        if held is not None and not held.finished:
            return False
        self._links[link.peer.name] = link
        return True

    def opened(self, link: Link) -> None:
        self._heard.add(link.name)
        if self._mailroom.failure is not None:
            link.abort(self.known(cause_of(self._mailroom.failure, self.greeting.name)))
            return
        self._told_of(link.name)
        if all(p in self._links and self._links[p].open for p in self._peers) and not self._met.done():
            self._met.set_result(None)

    def arrived(self, name: str, message: bytes) -> None:
        self._mailroom.deliver(name, message)

    def ended(self, name: str) -> None:
        self._mailroom.end(name)

    def lost(self, name: str, error: VFLError) -> None:
        """The open link to `name` broke: the run is over, unless that peer may leave."""
        if name in self._may_leave and self._met.done():
            self._mailroom.lose(name, error)
            log.info("%s; the run continues without it", error)
        else:
            self.failed(error)

    def failed(self, error: VFLError) -> None:
        """The run is over: wakes this party's readers and tells every other party, at once."""
        if self._mailroom.fail(error):
            log.info("%s", error)  # whoever waits raises it
            if not self._met.done():
                self._met.set_exception(error)
                self._met.exception()  # `meet` may be over
            cause = self.known(cause_of(error, self.greeting.name))
            for link in list(self._all):
                if link.open or error.about not in DISAGREE:  # those that still greet hear more (`_last_words`)
                    link.abort(cause)

    def known(self, cause: Cause) -> Cause:
        return cause if cause.about in self._declared else dataclasses.replace(cause, about=None)

    def abort(self, cause: Cause) -> None:
        """Tells every party that is connected."""
        for link in list(self._all):
            link.abort(self.known(cause))

    def send(self, name: str, message: bytes) -> None:
        """Queues `message` for `name`."""
        self._links[name].send(message)

    def took(self, name: str, size: int) -> None:
        """A message of `size` bytes from `name` was read."""
        self._links[name].took(size)

    # -- life and end

    async def _pulse(self) -> None:
        loop, beat = asyncio.get_running_loop(), self._timing.heartbeat
        last = loop.time()
        while True:
            await asyncio.sleep(beat)
            now = loop.time()
            elapsed, last = min(now - last, 2 * beat), now  # if this process slept, that was not the peers' silence
            for link in list(self._links.values()):
                link.tick(elapsed, self._timing.dead_after)

    async def farewell(self) -> None:
        """Ends normally: returns when every peer has everything that was sent to it, or the run has failed."""
        waiting = {link for link in self._links.values() if link.open and not link.ended}
        for link in waiting:
            link.bye()
        patience, before = 3 * self._timing.dead_after, dict[Link, object]()
        while waiting and self._mailroom.failure is None:
            await asyncio.wait([link.acknowledged for link in waiting], timeout=patience)
            waiting = {link for link in waiting if not link.acknowledged.done()}
            for link in waiting:
                if before.get(link) == link.progress():
                    error = PeerTimeout(f"{link.name} did not take the last messages", party=link.name)
                    self.lost(link.name, error)
                    link.drop()
                before[link] = link.progress()

    async def stop(self) -> None:
        """Closes every connection; what was written last may still be read by the peers for a moment."""
        self.close_port()
        for link in list(self._all):
            link.finish()
        gone = [link.gone for link in self._all]
        if gone:
            await asyncio.wait(gone, timeout=LINGER + 1)
        for link in list(self._all):
            link.drop()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            self._bug(task.exception())

    def _bug(self, error: BaseException | None) -> None:
        if error is not None:
            log.error("the transport failed", exc_info=error)
            remedy = "This is a bug: please report it with the log"
            self.failed(LocalProtocolError(f"The transport failed with {type(error).__name__}", remedy=remedy))
