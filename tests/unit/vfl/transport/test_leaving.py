"""A peer that may leave: its death is raised where it is awaited, and nowhere else."""

from __future__ import annotations

import time
from typing import Any

import pytest

from protocols.errors import Cause, PeerAborted, PeerAbsent, VFLError
from tests.unit.vfl.transport.world import World, at_once, ends, meet
from vfl.transport import TlsNetwork, TlsWire

MEMBERS = ("m0", "m1", "m2")
ROLES = {"sum": "arbiter", **dict.fromkeys(MEMBERS, "host")}


@pytest.fixture
def star(world: World) -> tuple[dict[str, TlsNetwork], dict[str, dict[str, TlsWire]]]:
    """An aggregator whose members may leave, all connected."""
    timing: dict[str, Any] = {"roles": ROLES, "heartbeat": 0.1, "dead_after": 1.0}
    networks = {"sum": world.network("sum", dict.fromkeys(MEMBERS), may_leave=MEMBERS, **timing)}
    for name in MEMBERS:
        networks[name] = world.network(name, {"sum": networks["sum"].bound_port}, **timing)
    return networks, dict(zip(networks, meet(*networks.values()), strict=True))


def test_others_continue_after_one_has_aborted(star: Any) -> None:
    networks, wires = star
    wires["m1"]["sum"].send(b"last words")
    time.sleep(0.2)
    networks["m1"].abort(Cause("internal", "m1"))
    assert wires["sum"]["m1"].recv(5) == b"last words"  # what had arrived stays readable
    assert isinstance(ends(wires["sum"]["m1"]), PeerAborted)
    with pytest.raises(PeerAborted):
        wires["sum"]["m1"].send(b"more")
    for name in ("m0", "m2"):
        wires["sum"][name].send(b"ask")
        assert wires[name]["sum"].recv(5) == b"ask"
        wires[name]["sum"].send(b"answer")
        assert wires["sum"][name].recv(5) == b"answer"


def test_who_hangs_is_lost_after_the_silence_that_all_agreed_on(star: Any) -> None:
    networks, wires = star
    networks["m2"]._loop.call_soon_threadsafe(time.sleep, 3)
    error = ends(wires["sum"]["m2"], 4)
    assert error.party == "m2"
    wires["m0"]["sum"].send(b"here")
    assert wires["sum"]["m0"].recv(5) == b"here"


def test_the_network_closes_in_good_order_without_who_has_left(star: Any) -> None:
    networks, wires = star
    networks["m0"].abort(Cause("internal", "m0"))
    assert isinstance(ends(wires["sum"]["m0"]), PeerAborted)
    wires["sum"]["m1"].send(b"end")
    assert at_once(*(networks[name].close for name in ("sum", "m1", "m2"))) == [None] * 3
    assert wires["m1"]["sum"].recv(1) == b"end"


def test_the_aggregator_s_death_ends_every_member(star: Any) -> None:
    networks, wires = star
    networks["sum"].abort(Cause("internal", "sum"))
    for name in MEMBERS:
        assert isinstance(ends(wires[name]["sum"]), PeerAborted)


def test_planted_fault_a_peer_that_may_not_leave_ends_the_run(world: World) -> None:
    timing: dict[str, Any] = {"roles": ROLES, "heartbeat": 0.1, "dead_after": 1.0}
    aggregator = world.network("sum", dict.fromkeys(MEMBERS), may_leave=MEMBERS[:2], **timing)
    others = [world.network(name, {"sum": aggregator.bound_port}, **timing) for name in MEMBERS]
    wires = meet(aggregator, *others)
    others[2].abort(Cause("internal", "m2"))
    assert isinstance(ends(wires[0]["m0"]), PeerAborted)
    assert isinstance(ends(wires[1]["sum"]), VFLError)


def test_nobody_may_leave_before_all_have_met(world: World) -> None:
    aggregator = world.network("sum", dict.fromkeys(MEMBERS), may_leave=MEMBERS, roles=ROLES, connect_timeout=1.0)
    only = world.network("m0", {"sum": aggregator.bound_port}, roles=ROLES, connect_timeout=1.0)
    absent, wires = at_once(aggregator.connect, only.connect)
    assert isinstance(absent, PeerAbsent)
    assert isinstance(ends(wires["sum"]), PeerAborted)
