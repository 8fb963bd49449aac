"""What was captured in one run is worth nothing in another: neither the bytes on the cable nor the messages inside
TLS."""

from __future__ import annotations

import socket
import time

import pytest

from protocols.errors import RemoteProtocolError
from tests.unit.vfl.transport.test_strangers import dropped, waiting
from tests.unit.vfl.transport.test_tls_only import recorder
from tests.unit.vfl.transport.world import LOCAL, World, at_once, ends, meet, under
from vfl.transport import hello
from vfl.transport.frames import Assembler, BadFrameError, FrameReader
from vfl.transport.link import Link
from vfl.transport.seal import Seal
from vfl.transport.window import Outbox

CAPTURED = 1000


def capture(world: World, monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """A thousand messages of a run, frame by frame as they went into TLS."""
    captured: list[bytes] = []
    honest = Outbox.take

    def take(self: Outbox) -> tuple[bytes | memoryview, ...] | None:
        parts = honest(self)
        if parts is not None and len(parts) == 3:
            captured.append(b"".join(parts))
        return parts

    with monkeypatch.context() as patch:
        patch.setattr(Outbox, "take", take)
        networks = world.pair()
        bank, telecom = meet(*networks)
        for place in range(CAPTURED):
            telecom["bank"].send(b"message %d" % place)
        assert [bank["telecom"].recv(5) for _ in range(CAPTURED)][-1] == b"message 999"
        at_once(*(n.close for n in networks))
    assert len(captured) == CAPTURED
    return captured


def accepted(captured: list[bytes], seals: list[Seal]) -> int:
    """How many of the messages pass as a peer's, each as the next one after its seal's state."""
    count = 0
    for data, seal in zip(captured, seals, strict=True):
        assembler = Assembler(seal)
        ((kind, payload),) = FrameReader().feed(memoryview(data))
        try:
            count += assembler.add(kind, payload) is not None
        except BadFrameError as error:
            assert "does not belong" in str(error)  # noqa: PT017  (all thousand are tried)
    return count


def at_place(key: bytes, place: int) -> Seal:
    """The seal of a direction in which `place` messages have passed."""
    seal = Seal(key)
    for _ in range(place):
        seal.mark()
    return seal


def test_a_thousand_captured_messages_are_refused_in_another_session(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    captured = capture(world, monkeypatch)
    seen: list[Seal] = []
    honest = Link._check_hello
    monkeypatch.setattr(Link, "_check_hello", lambda self, *a: (honest(self, *a), seen.append(self._assembler._seal)))
    bank = world.network("bank", {"telecom": None})
    wires, sock = at_once(bank.connect, lambda: world.greeted(bank.bound_port or 0))
    (seal,) = seen
    assert accepted(captured, [at_place(seal._key, 0) for _ in captured]) == 0
    assert accepted(captured[::40], [at_place(seal._key, place) for place in range(0, CAPTURED, 40)]) == 0
    with sock:  # the same party, authentic, with a message of its earlier run
        sock.sendall(captured[0])
        error = ends(wires["telecom"])
    assert isinstance(error, RemoteProtocolError)
    assert "does not belong to this connection and place" in str(error)
    assert error.party == "telecom"


def test_planted_fault_with_a_key_that_no_nonce_enters_all_are_accepted(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vfl.transport.link.direction", lambda *_: Seal(bytes(32)))
    captured = capture(world, monkeypatch)
    assert accepted(captured[::40], [at_place(bytes(32), place) for place in range(0, CAPTURED, 40)]) == CAPTURED // 40


def test_a_captured_connection_opens_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Byte by byte what a real party has sent, through a new connection to the same party in a later run of the same
    job."""
    guest = world.network("bank", {"telecom": None})
    with recorder(guest.bound_port) as between:
        host = world.network("telecom", {"bank": between.port})
        at_bank, at_telecom = meet(guest, host)
        at_telecom["bank"].send(b"secret")
        assert at_bank["telecom"].recv(5) == b"secret"
        at_once(guest.close, host.close)
    ((captured, _),) = between.seen
    now = hello._period()
    monkeypatch.setattr(hello, "_period", lambda: now + 2)
    again = world.network("bank", {"telecom": None})
    with under(8), waiting(again) as results:
        with socket.create_connection((LOCAL, again.bound_port or 0)) as sock:
            sock.sendall(captured)
            dropped(sock, 6)
        time.sleep(0.1)
        assert not results
        assert again._board is not None
        assert again._board.strangers == 1
        world.network("telecom", {"bank": again.bound_port}).connect()
    assert isinstance(results[0], dict)
