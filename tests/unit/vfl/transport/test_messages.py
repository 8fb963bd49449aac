"""Whole messages of any size, in order, in both directions; and an end that loses nothing."""

from __future__ import annotations

import gc
import hashlib
import threading
import time

import pytest

from protocols.errors import LocalProtocolError, PeerClosed, PeerTimeout
from tests.unit.vfl.transport.world import World, at_once, meet, under
from vfl.transport import frames
from vfl.transport.link import Link

MIB = 1 << 20


def test_three_parties_meet_and_talk(world: World) -> None:
    bank, telecom, trustco = meet(*world.trio())
    assert set(bank) == {"telecom", "trustco"}
    assert set(telecom) == {"bank", "trustco"}
    for mine, name in ((bank, "bank"), (telecom, "telecom"), (trustco, "trustco")):
        for peer, wire in mine.items():
            assert (wire.me, wire.peer) == (name, peer)
            wire.send(f"{name} to {peer}".encode())
    for mine, name in ((bank, "bank"), (telecom, "telecom"), (trustco, "trustco")):
        for peer, wire in mine.items():
            assert wire.recv(5) == f"{peer} to {name}".encode()


@pytest.mark.parametrize("first", [0, 1, 2])
def test_order_of_starting_does_not_matter(world: World, first: int) -> None:
    networks = world.trio()
    order = [networks[first], *(n for n in networks if n is not networks[first])]

    def late(place: int) -> object:
        time.sleep(0.15 * place)
        return order[place].connect()

    assert all(isinstance(r, dict) for r in at_once(*(lambda p=p: late(p) for p in range(3))))


def test_messages_keep_order_and_content(world: World) -> None:
    bank, telecom = meet(*world.pair())
    sizes = [0, 1, 5, 16384, frames.MAX_PAYLOAD, frames.MAX_PAYLOAD + 1, 3 * MIB, 2, 0]
    for place, size in enumerate(sizes):
        bank["telecom"].send(bytes([place]) * size)
    for place, size in enumerate(sizes):
        assert telecom["bank"].recv(10) == bytes([place]) * size
    assert bank["telecom"].bytes_sent == telecom["bank"].bytes_received == sum(map(frames.wire_size, sizes))
    assert bank["telecom"].bytes_received == telecom["bank"].bytes_sent == 0


def test_both_send_fifty_megabytes_first(world: World) -> None:
    bank, telecom = meet(*world.pair())
    one, other = b"a" * 50_000_000, b"b" * 50_000_000
    with under(20):
        bank["telecom"].send(one)
        telecom["bank"].send(other)
        assert bank["telecom"].recv(20) == other
        assert telecom["bank"].recv(20) == one


@pytest.mark.slow
def test_a_hundred_megabytes_cross_quickly(world: World) -> None:
    bank, telecom = meet(*world.pair())
    message = bytes(range(250)) * 400_000
    start = time.perf_counter()
    bank["telecom"].send(message)
    assert time.perf_counter() - start < 0.5, "send must not wait"
    received = telecom["bank"].recv(30)
    speed = 100 / (time.perf_counter() - start)
    assert hashlib.sha256(received).digest() == hashlib.sha256(message).digest()
    print(f"{speed:.0f} MB/s")
    assert speed > 40


def test_recv_has_a_deadline_that_names_the_peer(world: World) -> None:
    bank, telecom = meet(*world.pair())
    with under(2), pytest.raises(PeerTimeout, match="telecom sent nothing") as caught:
        bank["telecom"].recv(0.2)
    assert caught.value.party == "telecom"
    telecom["bank"].send(b"late")  # a deadline that has passed does not end the connection
    assert bank["telecom"].recv(5) == b"late"


def test_a_peer_may_finish_early(world: World) -> None:
    """What it sent stays readable, the others go on, and whoever still needs it is told."""
    networks = world.trio()
    bank, telecom, trustco = meet(*networks)
    trustco["bank"].send(b"x" * 3 * MIB)
    trustco["bank"].send(b"last")
    networks[2].close()
    time.sleep(0.1)
    bank["telecom"].send(b"still here")
    assert telecom["bank"].recv(5) == b"still here"
    assert bank["trustco"].recv(5) == b"x" * 3 * MIB
    assert bank["trustco"].recv(5) == b"last"
    with pytest.raises(PeerClosed, match="trustco has finished"):
        bank["trustco"].recv(5)
    with pytest.raises(PeerClosed, match="trustco has finished"):
        bank["trustco"].send(b"too late")
    assert at_once(*(n.close for n in networks[:2])) == [None, None]


def test_close_delivers_what_is_queued(world: World) -> None:
    networks = world.pair()
    bank, telecom = meet(*networks)
    for _ in range(20):
        bank["telecom"].send(b"q" * MIB)
    networks[0].close()
    assert [len(telecom["bank"].recv(5)) for _ in range(20)] == [MIB] * 20
    networks[1].close()


def test_all_may_close_at_once_and_again(world: World) -> None:
    networks = world.trio()
    meet(*networks)
    with under(3):
        assert at_once(*(n.close for n in networks)) == [None] * 3
        assert at_once(*(n.close for n in networks)) == [None] * 3


def test_nothing_is_left_behind(world: World) -> None:
    before = threading.active_count()
    networks = world.trio()
    meet(*networks)
    at_once(*(n.close for n in networks))
    gc.collect()
    assert threading.active_count() == before


def test_after_close_nothing_can_be_sent_and_nobody_waits(world: World) -> None:
    network, other = world.pair()
    bank, _ = meet(network, other)

    def soon() -> None:
        time.sleep(0.2)
        network.close()

    waiting, _ = at_once(lambda: bank["telecom"].recv(10), soon)
    assert isinstance(waiting, LocalProtocolError)
    with pytest.raises(LocalProtocolError, match="closed"):
        bank["telecom"].send(b"x")
    with pytest.raises(LocalProtocolError, match="connects once"):
        network.connect()


def test_with_block_closes_in_good_order(world: World) -> None:
    bank, telecom = world.pair()

    def guest() -> bytes:
        with bank:
            return bank.connect()["telecom"].recv(5)

    def host() -> None:
        with telecom:
            telecom.connect()["bank"].send(b"done")

    assert at_once(guest, host) == [b"done", None]


def test_a_message_that_no_peer_would_take_is_not_sent(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    bank, _ = meet(*world.pair())
    monkeypatch.setattr("vfl.transport.wire.MAX_MESSAGE_BYTES", 10)
    with pytest.raises(LocalProtocolError, match="larger than it may be"):
        bank["telecom"].send(b"x" * 11)


def test_planted_fault_a_close_without_bye_is_noticed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Link, "bye", lambda self: self.finish())
    networks = world.pair()
    _, telecom = meet(*networks)
    networks[0].close()
    with pytest.raises(PeerClosed, match="bank's connection broke"):
        telecom["bank"].recv(5)
