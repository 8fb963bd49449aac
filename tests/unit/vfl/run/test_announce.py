"""What a party that cannot take part says, and to whom; the error that it ends with stays the one that it found."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from protocols.errors import ConfigError, DataError, DisclosureRefused, PeerAborted, PeerUnreachable, VFLError
from tests.unit.vfl.job.samples import MINIMAL
from vfl.job import Job, Party, cross_check, load_job, load_party
from vfl.job.setup import init_party, trust_peer
from vfl.models.plan import Role
from vfl.run import announce
from vfl.run.announce import announced
from vfl.run.session import Ready, network_of
from vfl.transport.identity import Identity

ROLES: dict[str, Role] = {"bank": "guest", "telecom": "host", "trustco": "arbiter"}


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """Of three parties, each of whom has an identity and pins nobody."""
    for name, role in ROLES.items():
        init_party(tmp_path / name, role, name)
    (tmp_path / "job.toml").write_text(MINIMAL)
    return load_job(tmp_path / "job.toml")


def party(folder: Path, name: str, port: int, *pinned: str, nowhere: Sequence[str] = ()) -> Party:
    """A party that pins these and dials them at the port, or listens there; nowhere: pinned without an address."""
    for peer in (*pinned, *nowhere):
        address = None if peer in nowhere else f"127.0.0.1:{port}"
        trust_peer(folder / name, folder / peer / "identity" / "cert.pem", address)
    file = folder / name / "party.toml"
    file.write_text(file.read_text().replace("0.0.0.0:7443", f"127.0.0.1:{port}"))
    return load_party(file)


def waiting(job: Job, own: Party, peer: str, heard: list[str], seconds: float = 20.0) -> threading.Thread:
    """A party that connects to a peer, until it knows why that is gone."""
    identity = Identity.load(own.identity.key, own.identity.certificate, own.name)
    network = network_of(Ready(job, own, identity, None), [peer], "run", seconds)

    def wait() -> None:
        try:
            network.connect()[peer].recv(seconds)
        except PeerAborted as error:
            heard.append(error.peer_code)
        except PeerUnreachable:
            return

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


@pytest.mark.parametrize(
    ("name", "peer", "nowhere", "missing"),
    [
        ("bank", "telecom", [], "peers.trustco is"),
        ("telecom", "bank", [], "peers.trustco is"),
        ("trustco", "bank", [], "peers.telecom is"),
        ("telecom", "bank", ["trustco"], "peers.trustco.address is"),
    ],
)
def test_a_missing_pin_is_what_the_party_ends_with_and_the_others_hear_of_it(
    name: str, peer: str, nowhere: list[str], missing: str, job: Job, tmp_path: Path
) -> None:
    port, heard = free_port(), list[str]()
    own = party(tmp_path, name, port, peer, nowhere=nowhere)
    thread = waiting(job, party(tmp_path, peer, port, name), name, heard)
    with pytest.raises(ConfigError, match=f"{missing} missing"), announced(job, own, "run"):
        cross_check(job, own)
    thread.join()
    assert heard == [ConfigError.code]


def test_who_pins_nobody_tells_nobody(job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(announce, "network_of", lambda *_: pytest.fail("a port was opened"))
    own = party(tmp_path, "bank", free_port())
    with pytest.raises(ConfigError, match=r"peers\.telecom is missing"), announced(job, own, "run"):
        cross_check(job, own)


@pytest.mark.parametrize("fault", [KeyError("trustco"), ValueError("a pin"), AssertionError(), OSError()])
def test_an_announcement_that_fails_replaces_no_error(
    fault: Exception, job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise fault

    monkeypatch.setattr(announce, "network_of", fails)
    own = party(tmp_path, "bank", free_port(), "telecom", "trustco")
    with pytest.raises(DataError, match="the true one"), announced(job, own, "run"):
        raise DataError("the true one", remedy="Repair it")


def refused() -> DisclosureRefused:
    return DisclosureRefused("bank refuses", about="policy.at_least.key_bits", party="bank")


@pytest.mark.parametrize(
    ("error", "wait", "told"),
    [
        (refused(), 20.0, [DisclosureRefused.code]),
        (refused(), 0.0, []),
        (DataError("its table", remedy="Repair it"), 20.0, []),  # is repaired, and the command given again
    ],
)
def test_a_refusal_waits_for_who_begins_later(
    error: VFLError, wait: float, told: list[str], job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else that party would wait for its connect timeout, which is 2 seconds here."""
    monkeypatch.setattr(announce, "SECONDS", 0.2)
    monkeypatch.setattr(announce, "RELAYED", 0.1)  # nobody else comes
    port, heard = free_port(), list[str]()
    own, other = party(tmp_path, "bank", port, "telecom"), party(tmp_path, "telecom", port, "bank")
    later = threading.Timer(0.6, lambda: waiting(job, other, "bank", heard, 2.0).join())
    later.start()
    with pytest.raises(type(error)) as raised, announced(job, own, "run", wait):
        raise error
    later.join()
    assert (raised.value, heard) == (error, told)


def test_who_waits_with_a_refusal_sees_it_at_once_and_may_stop(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(announce, "SECONDS", 0.1)
    own = party(tmp_path, "bank", free_port(), "telecom", "trustco")
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    (stop := threading.Timer(1.0, lambda: os.kill(os.getpid(), signal.SIGINT))).start()
    began = time.monotonic()
    try:
        with pytest.raises(DisclosureRefused), announced(job, own, "run", 60.0):
            raise refused()
        stop.join()
    finally:
        signal.signal(signal.SIGINT, before)
    assert time.monotonic() - began < 30
    assert caplog.messages == [
        "bank refuses",
        "bank waits up to 60 s to say so to telecom and trustco; Ctrl-C ends this",
    ]


def test_a_refusal_waits_no_longer_than_it_is_told(job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(announce, "SECONDS", 0.1)
    own, began = party(tmp_path, "bank", free_port(), "telecom"), time.monotonic()
    with pytest.raises(DisclosureRefused), announced(job, own, "run", 0.5):
        raise refused()
    assert 0.5 < time.monotonic() - began < 10
