"""What the parties of a run tell each other of its end: the first cause, whoever relays it."""

from __future__ import annotations

import ast
import threading
import time
from typing import Any

import pytest

from protocols.errors import (
    Cause,
    HandshakeFailed,
    PeerAborted,
    PeerUnreachable,
    TooFewHeldOut,
    VFLError,
    cause_of,
)
from tests.places import ROOT
from tests.unit.vfl.transport.world import World, at_once, ends, free_port, meet, under
from vfl.job.policy import DECLARED
from vfl.run.budget import table
from vfl.transport import TlsNetwork, switchboard
from vfl.transport.switchboard import LAST_WORDS

THREE = ("bank", "telecom", "trustco")


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


def at_three(world: World, odd: str, late: str | None, timeout: float) -> dict[str, VFLError]:
    """What they hear if one gives another command, and one comes a second after the others."""
    run: dict[str, Any] = {"command": "run", "connect_timeout": timeout}
    given = {name: run | ({"session": b"p" * 32, "command": "prepare"} if name == odd else {}) for name in THREE}
    bank = world.network("bank", {"telecom": None, "trustco": None}, **given["bank"])
    trustco = world.network("trustco", {"bank": bank.bound_port, "telecom": None}, **given["trustco"])
    telecom = world.network("telecom", {"bank": bank.bound_port, "trustco": trustco.bound_port}, **given["telecom"])

    def connect(network: TlsNetwork, name: str) -> object:
        time.sleep(name == late)
        return network.connect()

    networks = dict(zip(THREE, (bank, telecom, trustco), strict=True))
    return dict(zip(THREE, at_once(*(lambda n=n: connect(networks[n], n) for n in THREE)), strict=True))


@pytest.mark.parametrize("odd", THREE)
@pytest.mark.parametrize("late", [None, *THREE])
def test_all_three_hear_that_one_gave_another_command(world: World, odd: str, late: str | None) -> None:
    """Within seconds, whoever it is and whoever comes a second after the others."""
    with under(6):
        found = at_three(world, odd, late, 30)
    errors = {name: str(error) for name, error in found.items()}
    assert all(isinstance(error, HandshakeFailed | PeerAborted) for error in found.values()), errors
    assert all("the commands differ" in error and "Give the same command" in error for error in errors.values()), errors
    told = {f"{odd} gave vfl prepare, this party vfl run" in error for name, error in errors.items() if name != odd}
    assert True in told


@pytest.mark.parametrize("seconds", [0.0, LAST_WORDS])
def test_planted_a_party_that_leaves_at_once_lets_others_wait(
    world: World, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    monkeypatch.setattr(switchboard, "LAST_WORDS", seconds)
    found = at_three(world, "bank", "telecom", 3)
    assert any(isinstance(error, PeerUnreachable) for error in found.values()) == (not seconds)


@pytest.mark.parametrize("declared", [(), ("policy.scores_per_row",)])
def test_a_cause_is_about_what_both_sides_have_declared(world: World, declared: tuple[str, ...]) -> None:
    bank, telecom = world.pair({"declared": declared}, {"declared": ("policy.scores_per_row", "row-17")})
    wires, _ = meet(bank, telecom)
    telecom.abort(Cause("disclosure-refused", "telecom", about="policy.scores_per_row"))
    error = ends(wires["telecom"])
    assert error.about == (declared[0] if declared else None)
    assert ("policy.scores_per_row" in str(error)) == bool(declared)


def test_a_party_without_rows_hears_that_too_few_would_decide_when_training_ends() -> None:
    told = str(PeerAborted(cause_of(TooFewHeldOut("few rows", party="bank"), "bank"), me="trustco"))
    assert "validation_fraction" in told
    assert "its own table" not in told


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
