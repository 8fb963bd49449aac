"""The blocking side, for the threads of a run.  `Mailroom` is where the loop's thread hands them messages and the news
of a death."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable

from protocols.errors import LocalProtocolError, PeerClosed, PeerTimeout, VFLError
from vfl.transport.frames import MAX_MESSAGE_BYTES, wire_size
from vfl.transport.window import OVERHEAD

TOLD = 1 << 20  # bytes of messages that are read before the loop hears of it: each time wakes its thread


class Mailroom:
    """Messages that have arrived, by sender, and the one failure that ends the run for all.  Safe to use from every
    thread."""

    def __init__(self, peers: Iterable[str]) -> None:
        self._changed = threading.Condition()
        self._inboxes: dict[str, deque[bytes]] = {name: deque() for name in peers}
        self._ended: set[str] = set()
        self._lost: dict[str, VFLError] = {}
        self._failure: VFLError | None = None
        self._raised = False

    def deliver(self, peer: str, message: bytes) -> None:
        """Adds a message from `peer`."""
        with self._changed:
            self._inboxes[peer].append(message)
            self._changed.notify_all()

    def end(self, peer: str) -> None:
        """`peer` has closed in good order: what it sent stays readable."""
        with self._changed:
            self._ended.add(peer)
            self._changed.notify_all()

    def lose(self, peer: str, error: VFLError) -> None:
        """`peer` is gone, and the run continues without it: what it sent stays readable, and then `error` is raised."""
        with self._changed:
            self._lost.setdefault(peer, error)
            self._changed.notify_all()

    def fail(self, error: VFLError) -> bool:
        """Wakes every reader with `error`; the first one counts, and False says that this was a later one."""
        with self._changed:
            first = self._failure is None
            self._failure = self._failure or error
            self._changed.notify_all()
            return first

    def take(self, peer: str, timeout: float) -> bytes:
        """The next message from `peer`; those that arrived before a failure are read first."""
        inbox = self._inboxes[peer]
        with self._changed:
            self._changed.wait_for(lambda: inbox or self._failure or peer in self._ended or peer in self._lost, timeout)
            if inbox:
                return inbox.popleft()
            self._raise_if_over(peer)
        raise PeerTimeout(f"{peer} sent nothing for {timeout:g} s", remedy=f"Read {peer}'s log", party=peer)

    def check(self, peer: str) -> None:
        """Raises if nothing can be sent to `peer` any more."""
        with self._changed:
            self._raise_if_over(peer)

    def shut(self, me: str, quietly: bool = False) -> None:
        """This party is done: who still waits is woken.  Raises the failure that nobody has seen yet, unless
        `quietly`."""
        with self._changed:
            failure, seen = self._failure, self._raised
            self._failure = failure or LocalProtocolError("This party has closed its connections", party=me)
            self._raised = True
            self._changed.notify_all()
        if failure is not None and not seen and not quietly:
            raise failure.with_traceback(None)

    @property
    def failure(self) -> VFLError | None:
        """Why the run cannot continue, if it cannot."""
        return self._failure

    def _raise_if_over(self, peer: str) -> None:
        if self._failure is not None:
            self._raise(self._failure)
        if peer in self._lost:
            raise self._lost[peer].with_traceback(None)
        if peer in self._ended:
            raise PeerClosed(
                f"{peer} has finished and closed its connection, while this party still needs it",
                remedy="Check that all parties run the same version and job",
                party=peer,
            )

    def _raise(self, failure: VFLError) -> None:
        self._raised = True
        raise failure.with_traceback(None)


class TlsWire:
    """Whole messages to and from one peer over mutual TLS 1.3; `TlsNetwork.connect` makes it.

    `bytes_sent` and `bytes_received` count the messages that `send` took and `recv` gave, frame headers and codes
    included; heartbeats, ROOM and what TLS adds are left out, so that two runs of one job count the same.
    """

    def __init__(
        self,
        me: str,
        peer: str,
        mailroom: Mailroom,
        post: Callable[[str, bytes], None],
        took: Callable[[str, int], None],
    ) -> None:
        self._me, self._peer, self._mailroom, self._post, self._took = me, peer, mailroom, post, took
        self._sent = self._received = self._untold = 0

    @property
    def me(self) -> str:
        """This party."""
        return self._me

    @property
    def peer(self) -> str:
        """The party at the other end."""
        return self._peer

    @property
    def bytes_sent(self) -> int:
        """Bytes of the messages that were sent, with their frame headers."""
        return self._sent

    @property
    def bytes_received(self) -> int:
        """Bytes of the messages that were received, with their frame headers."""
        return self._received

    def send(self, data: bytes) -> None:
        """Queues `data` and returns.  Raises what ended the run, if it is over already."""
        if len(data) > MAX_MESSAGE_BYTES:
            raise LocalProtocolError(
                "A message is larger than it may be", remedy="Train on fewer rows at a time", party=self._me
            )
        self._mailroom.check(self._peer)
        self._post(self._peer, bytes(data))
        self._sent += wire_size(len(data))

    def recv(self, timeout: float) -> bytes:
        """The next message.  Raises PeerTimeout after `timeout` seconds, and at once what ended the run: the death of
        *any* peer (PeerClosed, PeerTimeout, RemoteProtocolError, each naming it), or PeerAborted.  Of a peer that may
        leave, its death is raised here alone."""
        data = self._mailroom.take(self._peer, timeout)
        self._untold += len(data) + OVERHEAD
        if self._untold >= TOLD:
            self._took(self._peer, self._untold - OVERHEAD)
            self._untold = 0
        self._received += wire_size(len(data))
        return data
