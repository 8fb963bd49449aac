"""What a peer has sent and nobody has read yet is bounded; nothing deadlocks, and a death is still noticed at once."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import pytest

from protocols.errors import Cause, PeerAborted, RemoteProtocolError
from tests.unit.vfl.transport.world import World, at_once, meet, under
from vfl.transport import TlsNetwork, frames, window
from vfl.transport.frames import BadFrameError
from vfl.transport.window import OVERHEAD, Window

MIB = 1 << 20


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> int:
    """A window of 4 MiB."""
    monkeypatch.setattr(window, "WINDOW", 4 * MIB)
    return 4 * MIB


def unread(network: TlsNetwork, peer: str) -> int:
    """Bytes that lie unread at `network`."""
    return sum(map(len, network._mailroom._inboxes[peer]))


def settled(network: TlsNetwork, peer: str) -> int:
    """As `unread`, once it has stopped to grow."""
    before = -1
    while (now := unread(network, peer)) != before or not now:
        before = now
        time.sleep(0.1)
    return now


def test_a_peer_cannot_send_on_while_nobody_reads(world: World, narrow: int) -> None:
    networks = world.pair()
    bank, telecom = meet(*networks)
    for place in range(40):
        bank["telecom"].send(bytes([place]) * MIB)
    assert narrow - MIB <= settled(networks[1], "bank") <= narrow + MIB
    telecom["bank"].send(b"meanwhile")
    assert bank["telecom"].recv(5) == b"meanwhile"
    for place in range(40):
        assert telecom["bank"].recv(5) == bytes([place]) * MIB
        assert unread(networks[1], "bank") <= narrow + MIB
    at_once(networks[0].close, networks[1].close)


def test_an_abort_passes_a_full_window(world: World, narrow: int) -> None:
    networks = world.pair()
    bank, _ = meet(*networks)
    for _ in range(20):
        bank["telecom"].send(bytes(MIB))
    settled(networks[1], "bank")
    networks[0].abort(Cause("data", "bank"))
    with under(5), pytest.raises(PeerAborted):
        drain(networks[1], "bank")


def test_a_full_window_is_no_silence(world: World, narrow: int) -> None:
    networks = world.pair({"heartbeat": 0.1, "dead_after": 0.6}, {"heartbeat": 0.1, "dead_after": 0.6})
    bank, telecom = meet(*networks)
    for _ in range(20):
        bank["telecom"].send(bytes(MIB))
    settled(networks[1], "bank")
    time.sleep(1.0)
    assert [len(telecom["bank"].recv(5)) for _ in range(20)] == [MIB] * 20


def test_all_send_first_and_nobody_deadlocks(world: World, narrow: int) -> None:
    """Each of three sends six windows to each other before it reads anything."""
    networks = world.trio()

    def party(network: TlsNetwork) -> int:
        wires = network.connect()
        for _ in range(24):
            for wire in wires.values():
                wire.send(bytes(MIB))
        got = sum(len(wire.recv(20)) for wire in wires.values() for _ in range(24))
        network.close()
        return got

    with under(40):
        assert at_once(*(lambda n=n: party(n) for n in networks)) == [48 * MIB] * 3


def drain(network: TlsNetwork, peer: str) -> None:
    """Reads until there is nothing more to be had, which raises why."""
    while True:
        network._mailroom.take(peer, 5)


@contextlib.contextmanager
def flooding(world: World, size: int, count: int) -> Iterator[TlsNetwork]:
    """A guest that reads nothing, and a party that sends without asking whether there is room."""
    bank = world.network("bank", {"telecom": None})
    _, sock = at_once(bank.connect, lambda: world.greeted(bank.bound_port or 0))
    with sock, contextlib.suppress(OSError):
        for _ in range(count):
            sock.sendall(b"".join(part for parts in frames.cut(bytes(size), world.seal) for part in parts))
        yield bank


@pytest.mark.parametrize(("size", "count"), [(MIB, 12), (0, 40_000)])
def test_a_peer_that_sends_without_room_is_refused(world: World, narrow: int, size: int, count: int) -> None:
    with (
        flooding(world, size, count) as bank,
        pytest.raises(RemoteProtocolError, match="while there was no room") as caught,
    ):
        drain(bank, "telecom")
    assert caught.value.party == "telecom"


def test_planted_fault_without_a_window_the_flood_is_stored(
    world: World, narrow: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Window, "begins", lambda _: None)
    with flooding(world, MIB, 12) as bank:
        assert settled(bank, "telecom") > narrow + MIB


def test_room_is_counted() -> None:
    both = Window()
    while both.open:
        both.sent(16 * MIB - OVERHEAD)
    both.room(16 * MIB)
    assert both.open
    for wrong in (1 << 40, 49 * MIB):
        with pytest.raises(BadFrameError, match="ROOM for more"):
            both.room(wrong)
    for _ in range(4):
        both.begins()
        both.arrived(16 * MIB - OVERHEAD)
    with pytest.raises(BadFrameError, match="no room"):
        both.begins()
    assert both.took(16 * MIB - OVERHEAD) == 16 * MIB
    both.begins()


def test_the_whole_window_is_given_back(world: World, narrow: int) -> None:
    """What was taken and not yet said is always less than the window, so that a sender never waits for ever."""
    networks = world.pair()
    bank, telecom = meet(*networks)
    sizes = [0, 1, MIB - 1, 5 * MIB, 100, 3 * MIB] * 6
    for size in sizes:
        bank["telecom"].send(bytes(size))
    assert [len(telecom["bank"].recv(5)) for _ in sizes] == sizes
    assert at_once(*(n.close for n in networks)) == [None, None]
