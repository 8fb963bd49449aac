"""An address that leads elsewhere, and callers that are not let in: what is said, to whom, and how often."""

from __future__ import annotations

import logging
import ssl

import pytest

from protocols.errors import HandshakeFailed, PeerAbsent
from tests.unit.vfl.transport.world import LOCAL, SESSION, World, at_once, free_port, under
from vfl.transport import hello
from vfl.transport.failures import broken_handshake
from vfl.transport.switchboard import Switchboard


def itself(world: World) -> HandshakeFailed:
    """What an arbiter says that dials its own port for the guest."""
    port = free_port()
    trustco = world.network("trustco", {"bank": port, "telecom": None}, listen=f"{LOCAL}:{port}")
    with under(4), pytest.raises(HandshakeFailed) as caught:
        trustco.connect()
    return caught.value


def test_a_party_that_dials_itself_pins_nothing(world: World) -> None:
    error = itself(world)
    assert "is this party's own address, not that of bank. Correct the address in [peers.bank]" in str(error)
    assert "pin no other" in str(error)


def test_planted_fault_own_certificate_taken_for_a_new_one_of_the_peer(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Switchboard, "called_itself", lambda *_: False)
    assert "Check that this address leads to bank; then pin the certificate" in str(itself(world))


def test_a_party_that_called_and_hung_up_did_call(world: World) -> None:
    """As one does whose new identity another party refuses first."""
    bank = world.network("bank", {"telecom": None}, connect_timeout=1.0)

    def call() -> None:
        world.raw(bank.bound_port or 0, knock=hello.knock("telecom", SESSION)).close()

    at_bank, _ = at_once(bank.connect, call)
    assert isinstance(at_bank, PeerAbsent)
    assert "telecom called from 127.0.0.1:" in str(at_bank)
    assert "hung up before it was greeted. Ask telecom" in str(at_bank)


def test_a_caller_that_is_rejected_is_named_once(world: World, caplog: pytest.LogCaptureFixture) -> None:
    bank = world.network("bank", {"telecom": None}, connect_timeout=1.0)

    def call() -> None:
        with world.raw(bank.bound_port or 0, identity=world.identity("mallory")) as sock:
            sock.settimeout(2)
            with pytest.raises(OSError):
                sock.recv(10)

    with caplog.at_level(logging.WARNING, "vfl.transport"):
        at_once(bank.connect, call)
    (line,) = [r.getMessage() for r in caplog.records]
    assert line.startswith("a caller at 127.0.0.1:")
    assert line.endswith("was rejected: its certificate is not pinned here")
    assert line.count("127.0.0.1") == 1


@pytest.mark.parametrize(("code", "about"), [(9, None), (10, None), (18, "certificate")])
def test_a_certificate_that_has_ended_is_relayed_as_no_wrong_pin(code: int, about: str | None) -> None:
    error = ssl.SSLCertVerificationError()
    error.verify_code = code
    assert broken_handshake(error, "bank", "telecom", "h:1", dialled=True).about == about
