"""A small world of parties on loopback: a guest, hosts and an arbiter, their identities, and one thread a party."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from protocols.errors import Cause, VFLError
from vfl.transport import PeerAddress, TlsNetwork, TlsWire, frames, hello
from vfl.transport.frames import Kind
from vfl.transport.identity import Identity, create_identity
from vfl.transport.seal import End, Seal, direction
from vfl.transport.tls import make_context

ROLES = {"bank": "guest", "telecom": "host", "shop": "host", "trustco": "arbiter"}
SESSION = bytes(range(32))
LOCAL = "127.0.0.1"


class World:
    """Makes identities and networks, and closes every network at the end."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._identities, self._networks = folder, dict[str, Identity](), list[TlsNetwork]()
        self.seal = Seal(bytes(32))

    def identity(self, name: str, kind: str = "real") -> Identity:
        """The identity of `name`; another `kind` gives another key and certificate under the same name."""
        key = f"{name}-{kind}"
        if key not in self._identities:
            self._identities[key] = create_identity(self._folder / key, name)
        return self._identities[key]

    def network(self, me: str, peers: dict[str, int | None], **changes: Any) -> TlsNetwork:
        """The network of `me`; `peers` gives the port to dial, or None.  `changes`: any argument, `roles` and `pins` by
        name."""
        roles, pins = ROLES | changes.pop("roles", {}), changes.pop("pins", {})
        found = {n: pins.get(n, self.identity(n).certificate_pem) for n in peers}
        given = [
            PeerAddress(n, roles[n], pem if isinstance(pem, tuple) else (pem,), f"{LOCAL}:{p}" if p else None)
            for (n, pem), p in zip(found.items(), peers.values(), strict=True)
        ]
        listen = f"{LOCAL}:0" if None in peers.values() else None
        settings: dict[str, Any] = {"listen": listen, "session": SESSION, "connect_timeout": 10.0} | changes
        identity = settings.pop("identity", None) or self.identity(me)
        network = TlsNetwork(me, settings.pop("role", roles[me]), identity, given, **settings)
        self._networks.append(network)
        return network

    def pair(
        self, guest: dict[str, Any] | None = None, host: dict[str, Any] | None = None
    ) -> tuple[TlsNetwork, TlsNetwork]:
        """A guest and a host that have not met yet, each with its own changes."""
        bank = self.network("bank", {"telecom": None}, **(guest or {}))
        return bank, self.network("telecom", {"bank": bank.bound_port}, **(host or {}))

    def trio(self, **changes: Any) -> tuple[TlsNetwork, TlsNetwork, TlsNetwork]:
        """Guest, host and arbiter that have not met yet."""
        bank = self.network("bank", {"telecom": None, "trustco": None}, **changes)
        trustco = self.network("trustco", {"bank": bank.bound_port, "telecom": None}, **changes)
        host = self.network("telecom", {"bank": bank.bound_port, "trustco": trustco.bound_port}, **changes)
        return bank, host, trustco

    def close(self) -> None:
        """Ends whatever a test left open."""
        for network in self._networks:
            network.abort(Cause("test-over", "bank"))

    # -- callers that are no party of ours

    def raw(
        self, port: int, me: str = "telecom", identity: Identity | None = None, knock: str | None = None
    ) -> ssl.SSLSocket:
        """A bare TLS connection to `port` with the identity of `me`, before any greeting."""
        context = make_context(identity or self.identity(me), [self.identity("bank").certificate_pem], server=False)
        sock = socket.create_connection((LOCAL, port), timeout=10)
        try:
            return context.wrap_socket(sock, server_hostname=knock)
        except BaseException:
            sock.close()
            raise

    def greeted(self, port: int, me: str = "telecom") -> ssl.SSLSocket:
        """A bare connection that has greeted as the real `me`; what it does then is up to the test.  `seal` marks what
        it says."""
        sock = self.raw(port, me)
        nonce = hello.nonce()
        payload = hello.encode(hello.Hello(hello.VERSION, me, ROLES[me], SESSION, nonce))
        sock.sendall(frames.header(Kind.HELLO, len(payload)) + payload + frames.header(Kind.WELCOME))
        reader, seen = frames.FrameReader(), dict[Kind, bytearray]()
        while Kind.WELCOME not in seen:
            seen |= dict(reader.feed(memoryview(sock.recv(65536))))
        theirs = hello.read_hello(seen[Kind.HELLO], hello.VERSION)
        assert isinstance(theirs, hello.Hello)
        here, there = End(self.identity(me).certificate_der, nonce), End(sock.getpeercert(True) or b"", theirs.nonce)
        self.seal = direction(SESSION, here, there)
        return sock


def at_once(*works: Callable[[], Any]) -> list[Any]:
    """Runs every work in its own thread and returns results, or the VFLError that each raised."""
    results: list[Any] = [None] * len(works)

    def run(place: int, work: Callable[[], Any]) -> None:
        try:
            results[place] = work()
        except VFLError as error:
            results[place] = error

    threads = [threading.Thread(target=run, args=item, daemon=True) for item in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive(), "a party hangs"
    return results


def meet(*networks: TlsNetwork) -> list[dict[str, TlsWire]]:
    """Connects the networks with each other; all must succeed."""
    results = at_once(*(n.connect for n in networks))
    for result in results:
        if isinstance(result, VFLError):
            raise result
    return results


@contextlib.contextmanager
def under(seconds: float) -> Iterator[None]:
    """The block takes less than `seconds`."""
    start = time.monotonic()
    yield
    took = time.monotonic() - start
    assert took < seconds, f"took {took:.1f} s"


def ends(wire: TlsWire, seconds: float = 5.0) -> VFLError:
    """What a blocked `recv` raises, within `seconds`."""
    with under(seconds), pytest.raises(VFLError) as caught:
        wire.recv(60)
    return caught.value


def free_port() -> int:
    """A port at which nobody listens."""
    with socket.socket() as sock:
        sock.bind((LOCAL, 0))
        return int(sock.getsockname()[1])
