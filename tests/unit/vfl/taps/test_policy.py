"""What leaves is allowed first, and counted."""

import importlib
import pkgutil

import pytest

import protocols
from protocols.alignment.ecdh import IntersectionSize
from protocols.errors import DisclosureRefused
from protocols.glm.scoring import Scores
from protocols.glm.training import Columns, HostWeights
from protocols.message import _KINDS, PUBLIC, REVEALED, Message, registry
from tests.unit.vfl.job.samples import Recorder, channels
from vfl.job import PERMITS
from vfl.taps.counting import CountingTap, Traffic
from vfl.taps.policy import PolicyTap

ALL = tuple(PERMITS)


def test_the_permissions_are_those_of_the_declared_messages():
    for module in pkgutil.walk_packages(protocols.__path__, "protocols."):
        importlib.import_module(module.name)
    ours = [kind for kind in registry().values() if kind.__module__.startswith("protocols.")]
    assert {kind.permit for kind in ours if kind.permit} == set(PERMITS) - {
        "few-columns",
        "updates-to-other-member",
        "dealer-collusion",
    }  # which are asked before any message


def test_what_both_allow_leaves():
    here, there = channels(PolicyTap(ALL, ALL))
    here.send(IntersectionSize(7))
    here.send(Columns(3))
    assert there.recv(IntersectionSize).size == 7
    assert there.recv(Columns).count == 3


@pytest.mark.parametrize(
    ("job", "policy", "where"),
    [((), ALL, "the job's disclosure.allow"), (ALL, ("scores-to-guest",), "this party's policy.allow")],
)
def test_what_one_of_them_does_not_allow_stays(job, policy, where):
    recorder = Recorder()
    here, there = channels(PolicyTap(job, policy, party="bank"), recorder)
    with pytest.raises(DisclosureRefused) as caught:
        here.send(IntersectionSize(7))
    said = str(caught.value)
    assert "IntersectionSize was not sent to telecom" in said
    assert f"the permission 'intersection-to-parties', which {where} does not list" in said
    assert "telecom would learn how many ids all parties have in common" in said
    assert caught.value.party == "bank"
    assert caught.value.exit_code == 6
    assert recorder.seen == []
    assert there.wire._inbox.empty()


@pytest.mark.parametrize("kind", [IntersectionSize, HostWeights, Scores])
def test_every_revealed_kind_needs_its_own_permission(kind):
    others = tuple(p for p in ALL if p != kind.permit)
    for tap in (PolicyTap(others, ALL), PolicyTap(ALL, others)):
        with pytest.raises(DisclosureRefused, match=kind.permit):
            tap.check("telecom", kind)
        with pytest.raises(DisclosureRefused, match=kind.permit):
            tap.sent("telecom", kind, b"")
    PolicyTap(ALL, ALL).check("telecom", kind)


def test_sealed_blinded_and_public_kinds_need_none():
    for kind in registry().values():
        if kind.disclosure < REVEALED:
            PolicyTap((), ()).check("telecom", kind)


def test_a_kind_that_is_not_declared_stays():
    class Smuggled(Message, disclosure=PUBLIC, learns="nothing"):
        count: int

    del _KINDS["Smuggled"]
    with pytest.raises(DisclosureRefused, match="no message of this kind is declared"):
        PolicyTap(ALL, ALL).check("telecom", Smuggled)
    impostor = type("Impostor", (Columns,), {}, disclosure=PUBLIC, learns="nothing")
    del _KINDS["Impostor"]
    impostor.kind = "Columns"
    with pytest.raises(DisclosureRefused, match="no message of this kind is declared"):
        PolicyTap(ALL, ALL).check("telecom", impostor)


def test_traffic_is_counted_by_phase_and_peer():
    now = [0.0]
    tap = CountingTap(clock=lambda: now[0])
    tap.sent("telecom", Columns, b"12")
    tap.phase("align")
    tap.sent("telecom", Columns, b"123")
    now[0] = 2.0
    tap.phase("train")
    tap.received("telecom", Columns, b"1")
    tap.received("trustco", Columns, b"1234")
    now[0] = 5.0
    tap.phase("align")
    tap.sent("trustco", Columns, b"1")
    now[0] = 6.0
    tap.phase(None)
    now[0] = 9.0
    zero = {"bytes_sent": 0, "bytes_received": 0, "messages_sent": 0, "messages_received": 0}
    assert tap.phases() == [
        zero | {"name": "align", "seconds": 3.0, "bytes_sent": 4, "messages_sent": 2},
        zero | {"name": "train", "seconds": 3.0, "bytes_received": 5, "messages_received": 2},
        zero | {"name": "other", "seconds": 0.0, "bytes_sent": 2, "messages_sent": 1},
    ]
    assert tap.totals() == {"telecom": Traffic(2, 5, 1, 1), "trustco": Traffic(1, 1, 1, 4)}


def test_a_running_phase_is_counted_so_far():
    now = [0.0]
    tap = CountingTap(clock=lambda: now[0])
    tap.phase("align")
    now[0] = 1.5
    assert tap.phases()[0]["seconds"] == 1.5


def test_counted_bytes_are_channel_bytes():
    recorder, counting = Recorder(), CountingTap()
    here, _ = channels(recorder, counting)
    counting.phase("train")
    here.send(Columns(3))
    here.send(IntersectionSize(70_000))
    assert counting.phases()[0]["bytes_sent"] == sum(len(data) for _, data in recorder.seen)
