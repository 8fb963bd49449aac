"""A recorder between the parties sees TLS 1.3 and nothing else, and none of what was said."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator

import pytest

from protocols.errors import Cause
from tests.unit.vfl.transport.world import LOCAL, World, at_once, meet
from vfl.transport import frames

CANARY = b"customer-4711-canary"
SUPPORTED_VERSIONS = 43


class Recorder:
    """A TCP proxy that keeps every byte of each connection: (to the dialled side, from the dialled side)."""

    def __init__(self, to_port: int) -> None:
        self._to, self.seen = to_port, list[tuple[bytearray, bytearray]]()
        self._listener = socket.create_server((LOCAL, 0))
        self.port = int(self._listener.getsockname()[1])
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                caller, _ = self._listener.accept()
                try:
                    called = socket.create_connection((LOCAL, self._to))
                except OSError:  # nobody listens there yet: the caller will come again
                    caller.close()
                    continue
                record = (bytearray(), bytearray())
                self.seen.append(record)
                self._sockets += [caller, called]
                for source, sink, kept in ((caller, called, record[0]), (called, caller, record[1])):
                    thread = threading.Thread(target=self._copy, args=(source, sink, kept), daemon=True)
                    self._threads.append(thread)
                    thread.start()

    @staticmethod
    def _copy(source: socket.socket, sink: socket.socket, kept: bytearray) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                kept += data
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(20)
        for sock in self._sockets:
            sock.close()


@contextlib.contextmanager
def recorder(to_port: int | None) -> Iterator[Recorder]:
    made = Recorder(to_port or 0)
    try:
        yield made
    finally:
        made.close()


def records(stream: bytes) -> list[tuple[int, bytes]]:
    """(type, body) of the TLS records that make up the whole of `stream`."""
    found, at = [], 0
    while at < len(stream):
        kind, major, length = stream[at], stream[at + 1], int.from_bytes(stream[at + 3 : at + 5], "big")
        assert kind in {20, 21, 22, 23}, "not a TLS record"
        assert major == 3, "not a TLS record"
        body = stream[at + 5 : at + 5 + length]
        assert len(body) == length <= (1 << 14) + 256, "not a whole TLS record"
        found.append((kind, bytes(body)))
        at += 5 + length
    return found


def extensions(body: bytes, server: bool) -> dict[int, bytes]:
    """The extensions of a ClientHello or a ServerHello."""
    assert body[0] == (2 if server else 1)
    assert body[4:6] == b"\x03\x03", "the legacy version of a hello is 0x0303"
    at = 38
    at += 1 + body[at]  # session id
    at += 3 if server else 2 + int.from_bytes(body[at : at + 2], "big")  # cipher suite(s)
    at += 0 if server else 1 + body[at]  # compression
    at += 2
    found = {}
    while at < len(body):
        kind, length = int.from_bytes(body[at : at + 2], "big"), int.from_bytes(body[at + 2 : at + 4], "big")
        found[kind] = body[at + 4 : at + 4 + length]
        at += 4 + length
    return found


def check_tls13_only(to_server: bytes, to_client: bytes) -> None:
    """The whole of both directions is TLS, the version is 1.3 without an alternative, and all after the hellos is
    encrypted."""
    for stream, server in ((to_server, False), (to_client, True)):
        found = records(stream)
        assert found[0][0] == 22
        offered = extensions(found[0][1], server).get(SUPPORTED_VERSIONS, b"")
        assert offered == (b"\x03\x04" if server else b"\x02\x03\x04"), "not TLS 1.3 alone"
        rest = [kind for kind, _ in found[1:]]
        assert set(rest) <= {20, 23}, "a record in the clear after the hello"
        assert rest.count(20) <= 1
        assert 23 in rest
    for stream in (to_server, to_client):
        assert CANARY not in stream


def test_only_tls_13_crosses_between_three_parties(world: World) -> None:
    bank = world.network("bank", {"telecom": None, "trustco": None})
    with recorder(bank.bound_port) as at_bank:
        trustco = world.network("trustco", {"bank": at_bank.port, "telecom": None})
        with recorder(trustco.bound_port) as at_trustco:
            telecom = world.network("telecom", {"bank": at_bank.port, "trustco": at_trustco.port})
            networks = (bank, telecom, trustco)
            wires = meet(*networks)
            for wire in (w for mine in wires for w in mine.values()):
                wire.send(CANARY * 2000)
            for mine in wires:
                for wire in mine.values():
                    assert wire.recv(5) == CANARY * 2000
            at_once(*(n.close for n in networks))
    connections = at_bank.seen + at_trustco.seen
    assert len(connections) == 3
    for to_server, to_client in connections:
        assert len(to_server) > 40_000
        assert len(to_client) > 40_000
        check_tls13_only(bytes(to_server), bytes(to_client))
        for name in (b"bank", b"telecom", b"trustco", b"guest", b"host", b"arbiter"):
            assert name not in to_server + to_client, "not even the names can be seen"


def test_an_abort_and_a_refusal_cross_in_tls_only(world: World) -> None:
    for changes in ({}, {"session": b"o" * 32}, {"identity": world.identity("telecom", "other")}):
        bank = world.network("bank", {"telecom": None})
        with recorder(bank.bound_port) as between:
            telecom = world.network("telecom", {"bank": between.port}, **changes)
            at_once(bank.connect, telecom.connect)
            bank.abort(Cause("data", "bank"))
            telecom.abort(Cause("data", "bank"))
        assert len(between.seen) == 1
        check_tls13_only(*map(bytes, between.seen[0]))


def test_two_runs_of_one_job_look_unrelated(world: World) -> None:
    """What is in the clear of the ClientHello (the knock) is different each time."""
    knocks = []
    for _ in range(2):
        bank = world.network("bank", {"telecom": None})
        with recorder(bank.bound_port) as between:
            meet(bank, world.network("telecom", {"bank": between.port}))
            bank.abort(Cause("x", "bank"))
        knocks.append(extensions(records(bytes(between.seen[0][0]))[0][1], server=False)[0])
    assert len(knocks[0]) > 60
    same = sum(a == b for a, b in zip(*knocks, strict=True))
    assert same < 40  # of 72 letters: a few by chance, and the frame of the field


def speak(version: ssl.TLSVersion | None, world: World) -> tuple[bytes, bytes]:
    """What a recorder sees of a canary over another TLS, or over none."""
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    mine = world.identity("bank")
    server.load_cert_chain(mine.certificate_path, mine.key_path)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    client.maximum_version = version or ssl.TLSVersion.MAXIMUM_SUPPORTED
    with socket.create_server((LOCAL, 0)) as listener, recorder(listener.getsockname()[1]) as between:

        def serve() -> None:
            sock, _ = listener.accept()
            with sock if version is None else server.wrap_socket(sock, server_side=True) as wrapped:
                wrapped.recv(100)
                wrapped.sendall(b"answer")

        def call() -> None:
            sock = socket.create_connection((LOCAL, between.port))
            with sock if version is None else client.wrap_socket(sock) as wrapped:
                wrapped.sendall(CANARY)
                wrapped.recv(100)

        at_once(serve, call)
    return bytes(between.seen[0][0]), bytes(between.seen[0][1])


@pytest.mark.parametrize("version", [None, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.MAXIMUM_SUPPORTED])
def test_planted_fault_other_bytes_are_noticed(world: World, version: ssl.TLSVersion | None) -> None:
    """Plaintext, TLS 1.2, and a client that would also speak 1.2."""
    with pytest.raises(AssertionError, match=r"TLS|clear"):
        check_tls13_only(*speak(version, world))


def test_planted_fault_a_canary_in_the_clear_is_noticed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    bank = world.network("bank", {"telecom": None})
    with recorder(bank.bound_port) as between:
        networks = (bank, world.network("telecom", {"bank": between.port}))
        wires = meet(*networks)
        wires[0]["telecom"].send(b"x")
        wires[1]["bank"].recv(5)
        at_once(*(n.close for n in networks))
    to_server, to_client = map(bytes, between.seen[0])
    check_tls13_only(to_server, to_client)
    fake = b"\x17\x03\x03" + len(CANARY).to_bytes(2, "big") + CANARY
    with pytest.raises(AssertionError):
        check_tls13_only(to_server, to_client + fake)
    with pytest.raises(AssertionError, match="not a TLS record"):
        check_tls13_only(to_server + frames.header(frames.Kind.LAST, 1) + b"x", to_client)
