"""What the parties of a run tell each other of its end: the first cause, whoever relays it."""

from __future__ import annotations

import ast
import threading

import pytest

from protocols.errors import Cause, HandshakeFailed, PeerAborted
from tests.places import ROOT
from tests.unit.vfl.transport.world import World, at_once, ends, free_port, meet
from vfl.job.policy import DECLARED
from vfl.run.budget import table


def test_who_is_neither_of_two_that_do_not_agree_hears_what_differs(world: World) -> None:
    """The arbiter has met the guest when the host comes, with another job; host and guest do not meet."""
    met = threading.Event()
    bank = world.network("bank", {"telecom": None, "trustco": None}, met=lambda _: met.set())
    trustco = world.network("trustco", {"bank": bank.bound_port, "telecom": None})
    telecom = world.network("telecom", {"bank": free_port(), "trustco": trustco.bound_port}, session=b"o" * 32)
    at_bank, at_trustco, at_telecom = at_once(bank.connect, trustco.connect, lambda: met.wait(5) and telecom.connect())
    for error in (at_trustco, at_telecom):
        assert isinstance(error, HandshakeFailed)
        assert error.about == "session"
    assert isinstance(at_bank, PeerAborted)
    assert str(at_bank).startswith("telecom and trustco did not connect: the job differs ('handshake-failed'). Compare")


@pytest.mark.parametrize("declared", [(), ("policy.scores_per_row",)])
def test_a_cause_is_about_what_both_sides_have_declared(world: World, declared: tuple[str, ...]) -> None:
    bank, telecom = world.pair({"declared": declared}, {"declared": ("policy.scores_per_row", "row-17")})
    wires, _ = meet(bank, telecom)
    telecom.abort(Cause("disclosure-refused", "telecom", about="policy.scores_per_row"))
    error = ends(wires["telecom"])
    assert error.about == (declared[0] if declared else None)
    assert ("policy.scores_per_row" in str(error)) == bool(declared)


def test_a_sender_names_nothing_that_is_not_declared(world: World) -> None:
    bank, telecom = world.pair({"declared": ("row-17",)})
    wires, _ = meet(bank, telecom)
    telecom.abort(Cause("disclosure-refused", "telecom", about="row-17"))
    assert ends(wires["telecom"]).about is None


def test_every_refusal_is_about_a_declared_name() -> None:
    found = set[str]()
    for path in [*(ROOT / "vfl").rglob("*.py"), *(ROOT / "protocols").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(
                ("DisclosureRefused", "_refused", "_refuse")
            ):
                given = [*node.args, *(k.value for k in node.keywords if k.arg == "about")]
                found |= {str(a.value) for a in given if isinstance(a, ast.Constant) and "." in str(a.value)[:9]}
    assert {"policy.at_most.columns", "policy.partners.key_bits", "data.columns"} <= found <= DECLARED
    assert {f"policy.{key}" for key in (table.NUMBERS, table.VECTORS, table.SCORES, table.MODELS)} <= DECLARED
