"""Whoever is not who, or does not run what, was agreed: both sides end with a typed error that says what differs,
within seconds."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from protocols.errors import (
    Cause,
    ConfigError,
    HandshakeFailed,
    ListenFailed,
    LocalProtocolError,
    PeerAborted,
    PeerUnreachable,
    VFLError,
)
from tests.unit.vfl.transport.certificates import authority, expired, of_tomorrow, signed_by
from tests.unit.vfl.transport.world import LOCAL, SESSION, World, at_once, free_port, meet, under
from vfl.transport import PeerAddress, TlsNetwork, hello
from vfl.transport.identity import Identity
from vfl.transport.switchboard import Switchboard


def refused(*networks: Any, seconds: float = 4.0) -> list[HandshakeFailed]:
    """Connects, and gives what every party raised; each must be a HandshakeFailed with a remedy, soon."""
    with under(seconds):
        errors = at_once(*(n.connect for n in networks))
    for error in errors:
        assert isinstance(error, HandshakeFailed), error
        assert error.remedy
    return errors


def test_wrong_certificate_of_the_one_who_dials(world: World) -> None:
    """The dialled side cannot see who it is, but the knock tells: both end at once."""
    at_bank, at_telecom = refused(*world.pair(host={"identity": world.identity("telecom", "other")}))
    assert at_bank.party == "telecom"
    assert "its certificate is not pinned here" in str(at_bank)
    assert at_telecom.party == "bank"
    assert "refuses this party's certificate" in str(at_telecom)


def test_wrong_certificate_of_the_one_who_is_dialled(world: World) -> None:
    at_bank, at_telecom = refused(*world.pair(guest={"identity": world.identity("bank", "other")}))
    assert at_telecom.party == "bank"
    assert "its certificate is not pinned here" in str(at_telecom)
    assert at_bank.party == "telecom"
    assert "refuses this party's certificate" in str(at_bank)


def test_wrong_certificate_and_another_job(world: World) -> None:
    """No knock can tell who it was: the one who dials ends at once, the other when its time is over, and says what it
    saw."""
    changes = {"identity": world.identity("telecom", "other"), "session": b"o" * 32}
    at_bank, at_telecom = refused(*world.pair({"connect_timeout": 0.6}, changes))
    assert at_bank.party == "telecom"
    assert "presented a certificate that is not pinned" in str(at_bank)
    assert f"at {LOCAL}:" in str(at_bank)
    assert at_telecom.party == "bank"


def test_while_a_certificate_is_renewed_both_are_accepted(world: World, tmp_path: Path) -> None:
    """One that has ended stands beside the one that is used; a third one is a stranger's as ever."""
    both = (world.identity("telecom").certificate_pem, world.identity("telecom", "new").certificate_pem)
    for which in ("real", "new"):
        used = world.identity("telecom", which)
        bank, telecom = world.pair({"pins": {"telecom": both}}, {"identity": used})
        wires = meet(bank, telecom)
        wires[1]["bank"].send(b"hello")
        assert wires[0]["telecom"].recv(5.0) == b"hello"
    bank, telecom = world.pair({"pins": {"telecom": (expired(tmp_path).certificate_pem, both[0])}})
    meet(bank, telecom)
    other = {"identity": world.identity("telecom", "other")}
    at_bank, _ = refused(*world.pair({"pins": {"telecom": both}}, other))
    assert "its certificate is not pinned here" in str(at_bank)


def test_planted_fault_without_the_knock_the_dialled_side_would_wait(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hello, "who_knocks", lambda *_: None)
    networks = world.pair({"connect_timeout": 1.2}, {"identity": world.identity("telecom", "other")})
    with pytest.raises(AssertionError, match="took"):
        refused(*networks, seconds=0.9)


@pytest.mark.parametrize(
    ("change", "words"),
    [({"session": b"o" * 32}, "the job differs"), ({"role": "arbiter"}, "the role differs")],
)
@pytest.mark.parametrize("side", ["guest", "host"])
def test_another_job_or_role(world: World, change: dict[str, Any], words: str, side: str) -> None:
    for error, other in zip(refused(*world.pair(**{side: change})), ("telecom", "bank"), strict=True):
        assert error.party == other
        assert words in str(error)
        assert "job" in error.remedy


def test_roles_swapped(world: World) -> None:
    roles = {"bank": "host", "telecom": "guest"}
    for error in refused(*world.pair(guest={"roles": roles, "role": "guest"}, host={"role": "host"})):
        assert "the role differs" in str(error)


@pytest.mark.parametrize("side", [0, 1])
def test_another_version(world: World, side: int) -> None:
    networks = world.pair()
    networks[side]._greeting = msgspec.structs.replace(networks[side]._greeting, version=hello.VERSION + 1)
    for error in refused(*networks):
        assert "version differs" in str(error)
        assert "same version" in error.remedy


@pytest.mark.parametrize("side", [0, 1])
def test_another_job_of_another_release(world: World, side: int) -> None:
    """Both sides name both releases; of one job, two releases are no reason to refuse."""
    networks = world.pair(host={"session": b"o" * 32})
    networks[side]._greeting = msgspec.structs.replace(networks[side]._greeting, release="9.0.1")
    for error, other, found in zip(refused(*networks), ("telecom", "bank"), (1, 0), strict=True):
        releases = {side: "9.0.1", 1 - side: hello.__version__}
        assert (
            f"the job differs, and so does the release: {other} runs release {releases[found]}, this party "
            f"runs {releases[1 - found]}" in str(error)
        )
        assert "same release" in error.remedy
    networks = world.pair()
    networks[side]._greeting = msgspec.structs.replace(networks[side]._greeting, release="9.0.1")
    meet(*networks)


def test_planted_fault_an_unchecked_hello_lets_another_job_in(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hello, "compare", lambda *_: None)
    assert len(meet(*world.pair(host={"session": b"o" * 32}))) == 2


def test_the_address_leads_to_another_party(world: World) -> None:
    """Both certificates are pinned, but the host dials the arbiter where it thinks that the guest is."""
    trustco = world.network("trustco", {"telecom": None})
    telecom = world.network("telecom", {"bank": trustco.bound_port, "trustco": free_port()})
    at_trustco, at_telecom = refused(trustco, telecom)
    assert (at_telecom.party, at_telecom.expected, at_telecom.found) == ("bank", "bank", "trustco")
    assert at_trustco.party == "telecom"


def forged(world: World, folder: Path) -> tuple[Any, Any]:
    root = authority(folder / "root", "telecom-root")
    forger = signed_by(root, folder / "leaf", "telecom")
    return world.pair(guest={"pins": {"telecom": root.certificate_pem}}, host={"identity": forger})


def test_a_certificate_signed_by_a_pinned_one_is_not_pinned(world: World, tmp_path: Path) -> None:
    bank, telecom = forged(world, tmp_path)
    bank._timing = type(bank._timing)(0.6, 2.0, 10.0)
    at_bank, at_telecom = at_once(bank.connect, telecom.connect)
    assert isinstance(at_bank, VFLError)
    assert isinstance(at_telecom, HandshakeFailed)
    assert "not the one that was pinned" in str(at_telecom)
    assert at_telecom.party == "bank"


def test_planted_fault_trust_without_the_pin_lets_the_forger_in(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Switchboard, "peer_of", lambda self, _: next(iter(self._peers.values())))
    assert len(meet(*forged(world, tmp_path))) == 2


def test_an_expired_pin_is_found_before_anything_is_sent(world: World, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"certificate of telecom expired on .* Ask telecom for a new one"):
        world.network("bank", {"telecom": None}, pins={"telecom": expired(tmp_path).certificate_pem})


def test_a_certificate_that_expires_before_the_handshake(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vfl.transport.peers.check_validity", lambda *_: None)
    old = expired(tmp_path)
    networks = world.pair(guest={"pins": {"telecom": old.certificate_pem}}, host={"identity": old})
    at_bank, at_telecom = refused(*networks)
    assert "its certificate has expired" in str(at_bank)
    assert "ask telecom for a new certificate" in at_bank.remedy
    assert "this party's certificate has expired" in str(at_telecom)


def test_a_clock_that_is_a_day_off(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Found at home, before anything is sent; where only the peer's clock is right, in the handshake."""
    early = of_tomorrow(tmp_path)
    with pytest.raises(ConfigError, match=r"own certificate .* is valid only from .* Check this machine's clock"):
        Identity.load(early.key_path, early.certificate_path)
    with pytest.raises(ConfigError, match=r"certificate of telecom is valid only from .* Check this machine's clock"):
        world.network("bank", {"telecom": None}, pins={"telecom": early.certificate_pem})
    monkeypatch.setattr("vfl.transport.peers.check_validity", lambda *_: None)
    networks = world.pair(guest={"pins": {"telecom": early.certificate_pem}}, host={"identity": early})
    at_bank, at_telecom = refused(*networks)
    assert "its certificate is not valid yet" in str(at_bank)
    assert "Compare the clocks" in at_bank.remedy
    assert "refuses this party's certificate" in str(at_telecom)
    assert "compare the clocks" in at_telecom.remedy.lower()


def test_nobody_there(world: World) -> None:
    port = free_port()
    network = world.network("telecom", {"bank": port}, connect_timeout=0.5)
    with under(3), pytest.raises(PeerUnreachable, match=f"bank was not reached at {LOCAL}:{port} in 0.5 s") as caught:
        network.connect()
    assert caught.value.party == "bank"
    assert "Start bank" in caught.value.remedy


def test_nobody_comes(world: World) -> None:
    network = world.network("bank", {"telecom": None, "trustco": None}, connect_timeout=0.3)
    with (
        under(3),
        pytest.raises(PeerUnreachable, match=r"telecom did not call .*trustco did not come either") as caught,
    ):
        network.connect()
    assert caught.value.party == "telecom"


def test_who_waits_hears_that_another_failed(world: World) -> None:
    """Guest and host have met; the arbiter does not come; whoever gives up first says so to the other."""
    bank = world.network("bank", {"telecom": None, "trustco": None}, connect_timeout=0.6)
    telecom = world.network("telecom", {"bank": bank.bound_port, "trustco": free_port()}, connect_timeout=30)
    with under(4):
        at_bank, at_telecom = at_once(bank.connect, telecom.connect)
    assert isinstance(at_bank, PeerUnreachable)
    assert isinstance(at_telecom, PeerAborted)
    assert at_telecom.cause == Cause("peer-absent", "bank", "trustco")


def test_a_certificate_that_only_one_party_refuses_ends_all_three(world: World) -> None:
    pins = {"telecom": world.identity("telecom", "other").certificate_pem}
    bank = world.network("bank", {"telecom": None, "trustco": None}, pins=pins)
    trustco = world.network("trustco", {"bank": bank.bound_port, "telecom": None}, connect_timeout=2.0)
    telecom = world.network("telecom", {"bank": bank.bound_port, "trustco": trustco.bound_port})
    with under(5):
        at_bank, at_trustco, at_telecom = at_once(
            bank.connect, lambda: trustco.connect()["bank"].recv(10), telecom.connect
        )
    assert isinstance(at_bank, HandshakeFailed)
    assert at_bank.party == "telecom"
    assert isinstance(at_telecom, HandshakeFailed | PeerAborted)
    assert isinstance(at_trustco, VFLError)
    assert at_trustco.party in {"bank", "telecom"}


def test_second_process_of_one_party_is_refused_and_harms_nobody(world: World) -> None:
    bank = world.network("bank", {"telecom": None, "shop": None})
    first = world.network("telecom", {"bank": bank.bound_port})
    shop = world.network("shop", {"bank": bank.bound_port})

    def second() -> None:
        first_wires = first.connect()
        twin = world.network("telecom", {"bank": bank.bound_port})
        with pytest.raises(HandshakeFailed, match="already connected"):
            twin.connect()
        assert len(shop.connect()) == len(first_wires) == 1

    assert [type(r) for r in at_once(bank.connect, second)] == [dict, type(None)]


@pytest.mark.parametrize("listen", ["taken", "203.0.113.7:7443"])
def test_port_taken_or_address_of_another_machine(world: World, listen: str) -> None:
    with socket.create_server((LOCAL, 0)) as other:
        if listen == "taken":
            listen = f"{LOCAL}:{other.getsockname()[1]}"
        with pytest.raises(ListenFailed, match=r"cannot listen at .*free port"):
            world.network("bank", {"telecom": None}, listen=listen)


def test_internet_protocol_six(world: World) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    bank = world.network("bank", {"telecom": None}, listen="[::1]:0")
    there = PeerAddress("bank", "guest", (world.identity("bank").certificate_pem,), f"[::1]:{bank.bound_port}")
    with TlsNetwork("telecom", "host", world.identity("telecom"), [there], listen=None, session=SESSION) as telecom:
        wires = meet(bank, telecom)
        at_once(bank.close, telecom.close)
    assert wires[1]["bank"].peer == "bank"


WRONG: list[tuple[Callable[[World], object], str]] = [
    (lambda w: w.network("bank", {"telecom": None}, listen=None), "does not listen"),
    (lambda w: w.network("bank", {"telecom": None}, listen="here"), "not an address"),
    (lambda w: w.network("bank", {"telecom": None}, listen="x:99999"), "not an address"),
    (lambda w: w.network("bank", {}), "at least one other party"),
    (lambda w: w.network("bank", {"bank": None}), "same name"),
    (
        lambda w: w.network("bank", {"telecom": None}, pins={"telecom": w.identity("bank").certificate_pem}),
        "two parties",
    ),
    (lambda w: w.network("bank", {"telecom": None}, pins={"telecom": b"junk"}), "exactly one certificate"),
    (lambda w: w.network("bank", {"telecom": None}, heartbeat=5.0, dead_after=6.0), "two heartbeats"),
]


@pytest.mark.parametrize(("make", "words"), WRONG, ids=[words for _, words in WRONG])
def test_wrong_configuration(world: World, make: Callable[[World], object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        make(world)


def test_a_session_has_thirty_two_bytes(world: World) -> None:
    with pytest.raises(LocalProtocolError):
        world.network("bank", {"telecom": None}, session=SESSION[:31])


def test_older_tls_is_refused(world: World) -> None:
    bank = world.network("bank", {"telecom": None}, connect_timeout=0.5)
    mine = world.identity("telecom")

    def old() -> str:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(mine.certificate_path, mine.key_path)
        with socket.create_connection((LOCAL, bank.bound_port or 0), 5) as sock, pytest.raises(ssl.SSLError) as caught:
            context.wrap_socket(sock)
        return caught.value.reason

    at_bank, reason = at_once(bank.connect, old)
    assert reason == "TLSV1_ALERT_PROTOCOL_VERSION"
    assert isinstance(at_bank, PeerUnreachable)
