"""A party that dies, stops or misbehaves ends all others within seconds, with an error that names it."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from protocols.errors import (
    Cause,
    DataError,
    LocalProtocolError,
    PeerAborted,
    PeerClosed,
    PeerTimeout,
    RemoteProtocolError,
    VFLError,
)
from tests.unit.vfl.transport.world import World, at_once, ends, meet, under
from vfl.transport import TlsWire, frames
from vfl.transport.frames import HEADER, Kind
from vfl.transport.link import Link
from vfl.transport.switchboard import Switchboard

QUICK = {"heartbeat": 0.1, "dead_after": 0.6}


def cut(sock: socket.socket) -> None:
    """Ends the connection as a crash does."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


@contextlib.contextmanager
def with_raw_host(world: World, **changes: Any) -> Iterator[tuple[dict[str, TlsWire], dict[str, TlsWire], Any]]:
    """Guest and arbiter as real networks, and a host "telecom" that is a bare socket to the guest alone."""
    bank = world.network("bank", {"telecom": None, "trustco": None}, **changes)
    trustco = world.network("trustco", {"bank": bank.bound_port}, **changes)
    at_bank, at_trustco, sock = at_once(bank.connect, trustco.connect, lambda: world.greeted(bank.bound_port or 0))
    try:
        yield at_bank, at_trustco, sock
    finally:
        sock.close()


def test_a_death_wakes_every_wait_and_reaches_who_has_no_connection_to_the_dead(world: World) -> None:
    """The arbiter here never had a connection with the host, and the guest is not even looking at its wires."""
    with with_raw_host(world) as (at_bank, at_trustco, sock):
        cut(sock)
        told = ends(at_trustco["bank"])
        assert isinstance(told, PeerAborted)
        assert (told.party, told.cause) == ("telecom", Cause("peer-closed", "bank", "telecom"))
        for wire in at_bank.values():
            error = ends(wire)
            assert isinstance(error, PeerClosed)
            assert error.party == "telecom"
            assert "telecom" in str(error)
        with pytest.raises(PeerClosed, match="telecom"):
            at_bank["trustco"].send(b"x")


def test_planted_fault_a_death_that_is_not_passed_on_is_noticed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with with_raw_host(world) as (_, at_trustco, sock):
        monkeypatch.setattr(Link, "abort", lambda *_: None)
        cut(sock)
        with pytest.raises(PeerTimeout, match="bank sent nothing"):
            at_trustco["bank"].recv(0.7)
        monkeypatch.undo()


def test_what_arrived_before_a_death_can_be_read(world: World) -> None:
    with with_raw_host(world) as (at_bank, _, sock):
        sock.sendall(b"".join(part for parts in frames.cut(b"last", world.seal) for part in parts))
        time.sleep(0.1)
        cut(sock)
        time.sleep(0.1)
        assert at_bank["telecom"].recv(5) == b"last"
        assert isinstance(ends(at_bank["telecom"]), PeerClosed)


def test_silence_is_death(world: World) -> None:
    """A connection that stays open, as after a power cut, and says nothing."""
    with with_raw_host(world, **QUICK) as (at_bank, at_trustco, _):
        error = ends(at_bank["trustco"], 3)
        assert isinstance(error, PeerTimeout)
        assert error.party == "telecom"
        assert ends(at_trustco["bank"]).party == "telecom"


def test_planted_fault_no_heartbeat_no_detection(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Link, "tick", lambda *_: None)
    with with_raw_host(world, **QUICK) as (at_bank, _, _sock), pytest.raises(PeerTimeout, match="sent nothing"):
        at_bank["telecom"].recv(1.0)


def test_idle_parties_stay_alive(world: World) -> None:
    bank, telecom, _ = meet(*world.trio(**QUICK))
    time.sleep(1.1)
    telecom["bank"].send(b"still here")
    assert bank["telecom"].recv(5) == b"still here"


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (HEADER.pack(Kind.LAST, frames.MAX_PAYLOAD + 1), "LAST frame larger"),
        (HEADER.pack(Kind.PART, 0xFFFFFFFF), "PART frame larger"),
        (HEADER.pack(99, 1), "unknown kind"),
        (HEADER.pack(Kind.HELLO, 0), "HELLO frame where none belongs"),
        (HEADER.pack(Kind.ABORT, 9) + b"../etc/pw", "an ABORT that is no cause"),
        (HEADER.pack(Kind.PART, 0), "empty piece"),
        (HEADER.pack(Kind.LAST, 4) + b"last", "without its authentication code"),
        (HEADER.pack(Kind.LAST, 20) + bytes(20), "does not belong to this connection and place"),
        (HEADER.pack(Kind.ROOM, 3) + b"abc", "ROOM frame of another length"),
        (HEADER.pack(Kind.ROOM, 8) + bytes(7) + b"\1", "ROOM for more than was sent"),
    ],
)
def test_a_peer_that_breaks_the_format(world: World, sent: bytes, words: str) -> None:
    with with_raw_host(world) as (at_bank, at_trustco, sock):
        sock.sendall(sent)
        error = ends(at_bank["telecom"])
        assert isinstance(error, RemoteProtocolError)
        assert error.party == "telecom"
        assert words in str(error)
        assert ends(at_trustco["bank"]).party == "telecom"


def test_a_message_without_end_is_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "MAX_MESSAGE_BYTES", 3 << 20)
    with with_raw_host(world) as (at_bank, _, sock):
        with contextlib.suppress(OSError):
            for _ in range(4):
                sock.sendall(frames.header(Kind.PART, frames.MAX_PAYLOAD) + bytes(frames.MAX_PAYLOAD))
        error = ends(at_bank["telecom"])
        assert isinstance(error, RemoteProtocolError)
        assert "message larger" in str(error)


def test_abort_tells_code_and_culprit_even_in_the_middle_of_a_message(world: World) -> None:
    networks = world.trio()
    bank, telecom, trustco = meet(*networks)
    bank["telecom"].send(b"a" * 30_000_000)
    telecom["bank"].send(b"b" * 30_000_000)
    networks[0].abort(Cause("data", "bank"))
    for wire in (telecom["bank"], telecom["trustco"], trustco["bank"]):
        error = ends(wire)
        assert isinstance(error, PeerAborted), error
        assert error.peer_code == "data"
        assert error.party == "bank"
    with pytest.raises(LocalProtocolError):
        bank["telecom"].send(b"x")


def test_an_exception_in_the_block_is_told_by_its_code_only(world: World) -> None:
    bank, telecom = world.pair()

    def guest() -> None:
        with bank:
            bank.connect()
            raise DataError("customer 4711 has limit 20000", party="bank")

    def host() -> VFLError:
        return ends(telecom.connect()["bank"])

    at_bank, at_telecom = at_once(guest, host)
    assert isinstance(at_bank, DataError)
    assert isinstance(at_telecom, PeerAborted)
    assert at_telecom.cause == Cause("data", "bank", "bank")
    assert "4711" not in repr(vars(at_telecom))


def test_close_says_if_the_last_messages_were_not_taken(world: World) -> None:
    bank = world.network("bank", {"telecom": None}, **QUICK)
    wires, sock = at_once(bank.connect, lambda: world.greeted(bank.bound_port or 0))
    wires["telecom"].send(b"x" * 50_000_000)
    with sock, under(3), pytest.raises(PeerTimeout, match="telecom"):
        bank.close()


def test_close_is_not_kept_by_a_peer_that_beats_and_never_reads(world: World) -> None:
    bank = world.network("bank", {"telecom": None}, heartbeat=0.05, dead_after=0.25)
    wires, sock = at_once(bank.connect, lambda: world.greeted(bank.bound_port or 0))
    wires["telecom"].send(b"x" * 50_000_000)

    def beat() -> None:
        with contextlib.suppress(OSError):
            while True:
                sock.sendall(frames.header(Kind.BEAT))
                time.sleep(0.05)

    with under(6):
        at_bank, _ = at_once(bank.close, beat)
    sock.close()
    assert isinstance(at_bank, PeerTimeout)
    assert "did not take the last messages" in str(at_bank)


def test_a_bug_in_the_transport_is_an_error_and_no_hang(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    bank, telecom = meet(*world.pair())
    monkeypatch.setattr(Switchboard, "arrived", lambda *_: 1 / 0)
    telecom["bank"].send(b"x")
    error = ends(bank["telecom"])
    assert isinstance(error, LocalProtocolError)
    assert isinstance(ends(telecom["bank"]), PeerAborted)
    monkeypatch.undo()


class StoppedOnce(threading.Event):
    """The first one to wait is stopped by its user."""

    stopped = False

    def wait(self, timeout: float | None = None) -> bool:
        if not self.stopped:
            self.stopped = True
            raise KeyboardInterrupt
        return super().wait(timeout)


def test_a_user_who_stops_while_the_loop_starts_is_told_of_no_bug(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank, _ = world.pair()
    first = Switchboard.__init__

    def slow(*given: Any) -> None:
        time.sleep(0.2)
        first(*given)

    monkeypatch.setattr(Switchboard, "__init__", slow)
    monkeypatch.setattr(bank, "_ready", StoppedOnce())
    with pytest.raises(KeyboardInterrupt):
        bank.connect()
