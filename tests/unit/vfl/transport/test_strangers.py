"""Anybody may reach the port: strangers are dropped and counted, and the honest run goes on."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from protocols.errors import HandshakeFailed
from tests.unit.vfl.transport.world import LOCAL, SESSION, World, meet, under
from vfl.transport import TlsNetwork, hello, switchboard


def dropped(sock: socket.socket, seconds: float) -> None:
    """The other side ends this connection within `seconds`."""
    sock.settimeout(seconds)
    with contextlib.suppress(ConnectionResetError, ssl.SSLError):
        while sock.recv(65536):
            pass


def garbage(world: World, port: int) -> None:
    with socket.create_connection((LOCAL, port)) as sock:
        sock.sendall(b"\x00\xff" * 5000)
        dropped(sock, 3)


def plaintext(world: World, port: int) -> None:
    with socket.create_connection((LOCAL, port)) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: bank\r\n\r\n")
        dropped(sock, 3)


def port_scan(world: World, port: int) -> None:
    socket.create_connection((LOCAL, port)).close()


def no_certificate(world: World, port: int) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection((LOCAL, port)) as raw, context.wrap_socket(raw) as sock:
        dropped(sock, 3)


def other_certificate(world: World, port: int) -> None:
    """Also with a knock of another session, such as one that was overheard."""
    for knock in (None, hello.knock("telecom", b"x" * 32), "k.k", "bank.example.org"):
        with world.raw(port, identity=world.identity("mallory"), knock=knock) as sock:
            dropped(sock, 3)


def half_handshake(world: World, port: int) -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing).do_handshake()
    with socket.create_connection((LOCAL, port)) as sock:
        sock.sendall(outgoing.read()[:-30])


STRANGERS = [garbage, plaintext, port_scan, no_certificate, other_certificate, half_handshake]


@contextlib.contextmanager
def waiting(network: TlsNetwork) -> Iterator[list[object]]:
    """`network` waits for its peers meanwhile; the list holds its result afterwards."""
    results: list[object] = []

    def run() -> None:
        try:
            results.append(network.connect())
        except Exception as error:
            results.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield results
    thread.join(30)
    assert results


@pytest.mark.parametrize("stranger", STRANGERS)
def test_a_stranger_does_not_end_the_run(world: World, stranger: Callable[[World, int], None]) -> None:
    bank = world.network("bank", {"telecom": None})
    with under(5), waiting(bank) as results:
        stranger(world, bank.bound_port or 0)
        time.sleep(0.1)
        assert not results
        assert bank._board is not None
        assert bank._board.strangers >= 1
        telecom = world.network("telecom", {"bank": bank.bound_port}).connect()
    assert isinstance(results[0], dict)
    results[0]["telecom"].send(b"still here")
    assert telecom["bank"].recv(5) == b"still here"


def test_planted_fault_a_stranger_who_knows_the_job_is_noticed(world: World) -> None:
    """The one exception, and so the proof that the test above can fail."""
    bank = world.network("bank", {"telecom": None})
    with under(3), waiting(bank) as results:
        knock = hello.knock("telecom", SESSION)
        with world.raw(bank.bound_port or 0, identity=world.identity("mallory"), knock=knock) as sock:
            dropped(sock, 3)
    assert isinstance(results[0], HandshakeFailed)
    assert results[0].party == "telecom"


def test_idle_strangers_are_dropped(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(switchboard, "GREETING", 0.4)
    bank = world.network("bank", {"telecom": None})
    with waiting(bank):
        with socket.create_connection((LOCAL, bank.bound_port or 0)) as silent, under(3):
            dropped(silent, 3)
        with world.raw(bank.bound_port or 0) as certified_but_silent, under(3):
            dropped(certified_but_silent, 3)
        world.network("telecom", {"bank": bank.bound_port}).connect()


def test_planted_fault_idle_strangers_stay_as_long_as_they_may(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(switchboard, "GREETING", 60.0)
    bank = world.network("bank", {"telecom": None})
    with waiting(bank):
        with socket.create_connection((LOCAL, bank.bound_port or 0)) as silent, pytest.raises(TimeoutError):
            dropped(silent, 0.6)
        world.network("telecom", {"bank": bank.bound_port}).connect()


def test_many_idle_strangers_keep_nobody_out(world: World) -> None:
    """The oldest makes room, and never more than the cap are kept."""
    bank = world.network("bank", {"telecom": None})
    with contextlib.ExitStack() as stack, under(5), waiting(bank) as results:
        for _ in range(100):
            stack.enter_context(socket.create_connection((LOCAL, bank.bound_port or 0)))
        time.sleep(0.2)
        assert bank._board is not None
        assert len(bank._board._callers) <= switchboard.MAX_STRANGERS
        world.network("telecom", {"bank": bank.bound_port}).connect()
    assert isinstance(results[0], dict)


def test_the_port_is_closed_once_all_have_met(world: World) -> None:
    networks = world.pair()
    meet(*networks)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((LOCAL, networks[0].bound_port or 0))


def test_strangers_learn_no_names_of_partners(world: World) -> None:
    """The server's request for a certificate lists no accepted authority, hence no party."""
    bank = world.network("bank", {"telecom": None})
    with waiting(bank):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        seen: list[bytes] = []
        context._msg_callback = lambda *a: seen.append(a[5])  # type: ignore[attr-defined]
        with socket.create_connection((LOCAL, bank.bound_port or 0)) as raw, context.wrap_socket(raw) as sock:
            dropped(sock, 3)
        assert any(b"bank" in part for part in seen), "the callback sees the server's certificate"
        assert not any(b"telecom" in part for part in seen)
        world.network("telecom", {"bank": bank.bound_port}).connect()
