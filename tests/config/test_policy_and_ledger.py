"""What leaves is allowed first, counted and recorded; a ledger that was touched is found out."""

import base64
import hashlib
import importlib
import json
import os
import pkgutil
import stat
from pathlib import Path

import pytest

import protocols
from protocols.alignment.psi import BlindedIds, IntersectionSize
from protocols.channel import Channel, MemoryNetwork, Tap
from protocols.cipher import Keyring
from protocols.errors import ConfigError, DisclosureRefused
from protocols.logistic.scoring import Scores
from protocols.logistic.training import Columns, FinalShare
from protocols.message import _KINDS, BLINDED, PUBLIC, REVEALED, Message, registry
from vfl.config import PERMITS
from vfl.counting import CountingTap, Traffic
from vfl.identity import create_identity
from vfl.ledger import LedgerBroken, LedgerTap, LedgerWriter, read_ledger, summarise, verify_ledger
from vfl.policy import PolicyTap

ALL = tuple(PERMITS)


def test_the_permissions_are_those_of_the_declared_messages():
    for module in pkgutil.walk_packages(protocols.__path__, "protocols."):
        importlib.import_module(module.name)
    ours = [kind for kind in registry().values() if kind.__module__.startswith("protocols.")]
    assert {kind.permit for kind in ours if kind.permit} == set(PERMITS)


# --- policy


class Recorder(Tap):
    def __init__(self) -> None:
        self.seen: list[tuple[str, bytes]] = []

    def sent(self, peer, kind, data):
        self.seen.append((peer, data))


def channels(*taps: Tap) -> tuple[Channel, Channel]:
    network = MemoryNetwork(["bank", "telecom"])
    here = Channel(network.wires("bank")["telecom"], Keyring(), taps, 5.0)
    return here, Channel(network.wires("telecom")["bank"], Keyring(), (), 5.0)


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


@pytest.mark.parametrize("kind", [IntersectionSize, FinalShare, Scores])
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


def test_a_kind_above_what_was_declared_stays():
    tap = PolicyTap(ALL, ALL, {"Columns": PUBLIC, "IntersectionSize": BLINDED})
    tap.check("telecom", Columns)
    with pytest.raises(DisclosureRefused, match="its class is REVEALED, and it is declared as BLINDED only"):
        tap.check("telecom", IntersectionSize)
    with pytest.raises(DisclosureRefused, match=r"BlindedIds .* its class is BLINDED, and it is not among what"):
        tap.check("telecom", BlindedIds)


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


# --- ledger


@pytest.fixture(scope="module")
def identity(tmp_path_factory):
    return create_identity(tmp_path_factory.mktemp("bank"), "bank")


@pytest.fixture(scope="module")
def other_identity(tmp_path_factory):
    return create_identity(tmp_path_factory.mktemp("telecom"), "telecom")


@pytest.fixture
def ledger(tmp_path: Path, identity) -> Path:
    path = tmp_path / "ledger.jsonl"
    with LedgerWriter(path, job="credit-risk", job_digest=bytes(32), party="bank", sign=identity.sign) as writer:
        tap = LedgerTap(writer)
        for peer, kind, data in [
            ("telecom", BlindedIds, b"x" * 100),
            ("trustco", Columns, b"yy"),
            ("telecom", IntersectionSize, b"z"),
            ("telecom", BlindedIds, b"w" * 50),
        ]:
            tap.sent(peer, kind, data)
    return path


def test_a_line_says_everything_but_the_content(ledger):
    lines = list(read_ledger(ledger))
    assert [line["type"] for line in lines] == ["start", *["message"] * 4, "end"]
    assert lines[0] | {"time": ""} == {
        "type": "start",
        "format": 1,
        "job": "credit-risk",
        "job_digest": "00" * 32,
        "party": "bank",
        "time": "",
        "previous": "0" * 64,
    }
    assert lines[4] | {"time": "", "previous": ""} == {
        "type": "message",
        "number": 4,
        "time": "",
        "to": "telecom",
        "message": "BlindedIds",
        "class": "BLINDED",
        "permit": None,
        "learns": BlindedIds.learns,
        "count": 2,
        "bytes": 50,
        "sha256": hashlib.sha256(b"w" * 50).hexdigest(),
        "previous": "",
    }
    assert lines[3]["permit"] == "intersection-to-parties"
    assert (lines[5]["messages"], lines[5]["bytes"], lines[5]["outcome"]) == (4, 153, "done")
    raw = ledger.read_bytes().split(b"\n")
    for before, line in zip(raw, lines[1:], strict=False):
        assert line["previous"] == hashlib.sha256(before).hexdigest()
    for line in lines:
        assert line["time"].endswith("Z")


def test_only_the_owner_may_read_it(ledger):
    assert stat.S_IMODE(ledger.stat().st_mode) == 0o600


def test_a_whole_ledger_verifies(ledger, identity):
    check = verify_ledger(ledger, identity.certificate_pem)
    assert (check.job, check.party, check.outcome, check.messages, check.bytes) == (
        "credit-risk",
        "bank",
        "done",
        4,
        153,
    )
    assert check.signed
    assert not verify_ledger(ledger).signed


def test_the_summary_is_what_the_report_shows(ledger, tmp_path):
    expected = [
        {"message": "BlindedIds", "class": "BLINDED", "to": "telecom", "count": 2, "bytes": 150},
        {"message": "Columns", "class": "PUBLIC", "to": "trustco", "count": 1, "bytes": 2},
        {"message": "IntersectionSize", "class": "REVEALED", "to": "telecom", "count": 1, "bytes": 1},
    ]
    for row, kind in zip(expected, (BlindedIds, Columns, IntersectionSize), strict=True):
        row["learns"] = kind.learns
    assert summarise(ledger) == expected
    assert summarise(read_ledger(ledger)) == expected
    with LedgerWriter(None, job="j", job_digest=b"", party="bank") as writer:
        for line in read_ledger(ledger):
            if line["type"] == "message":
                writer.record(line["to"], registry()[line["message"]], bytes(line["bytes"]))
    assert writer.summary() == expected


def test_ledger_bytes_are_channel_bytes(tmp_path):
    recorder = Recorder()
    with LedgerWriter(tmp_path / "l", job="j", job_digest=bytes(32), party="bank") as writer:
        here, there = channels(PolicyTap(ALL, ALL), recorder, LedgerTap(writer))
        for count in range(5):
            here.send(Columns(count))
            there.recv(Columns)
        with pytest.raises(DisclosureRefused):
            channels(PolicyTap((), ()), LedgerTap(writer))[0].send(IntersectionSize(1))
    lines = [line for line in read_ledger(tmp_path / "l") if line["type"] == "message"]
    assert [(line["to"], line["bytes"], line["sha256"]) for line in lines] == [
        (peer, len(data), hashlib.sha256(data).hexdigest()) for peer, data in recorder.seen
    ]


def test_lines_are_in_the_file_before_the_message_leaves(tmp_path):
    writer = LedgerWriter(tmp_path / "l", job="j", job_digest=bytes(32), party="bank")
    for number in range(1, 4):
        writer.record("telecom", Columns, b"x")
        assert [line.get("number") for line in read_ledger(tmp_path / "l")][-1] == number
    with pytest.raises(LedgerBroken, match="line 5 is missing: the ledger ends before its last line"):
        verify_ledger(tmp_path / "l")
    writer.close()
    writer.close()
    verify_ledger(tmp_path / "l")
    with pytest.raises(ConfigError, match="the ledger is closed"):
        writer.record("telecom", Columns, b"x")


def test_a_run_that_fails_says_so(tmp_path):
    def run(error: Exception, name: str) -> str:
        with (
            pytest.raises(type(error)),
            LedgerWriter(tmp_path / name, job="j", job_digest=bytes(32), party="bank"),
        ):
            raise error
        return verify_ledger(tmp_path / name).outcome

    assert run(DisclosureRefused("no"), "a") == "disclosure-refused"
    assert run(ValueError("no"), "b") == "internal"


def test_a_ledger_is_never_written_over(ledger, tmp_path):
    def make(path: Path) -> str:
        with pytest.raises(ConfigError) as caught:
            LedgerWriter(path, job="j", job_digest=bytes(32), party="bank")
        return str(caught.value)

    before = ledger.read_bytes()
    assert "exists already" in make(ledger)
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    make(tmp_path / "link")
    assert "No such file or directory" in make(tmp_path / "no" / "l")
    assert ledger.read_bytes() == before


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_keeps_the_message_here(tmp_path):
    writer = LedgerWriter(tmp_path / "l", job="j", job_digest=bytes(32), party="bank")
    os.close(writer._file)
    writer._file = os.open("/dev/full", os.O_WRONLY)
    here, there = channels(LedgerTap(writer))
    with pytest.raises(ConfigError, match=r"No space left on device.*so nothing more is sent. Make room"):
        here.send(Columns(1))
    assert there.wire._inbox.empty()
    assert writer.messages == 0
    with pytest.raises(ConfigError):
        writer.close()


# --- planted faults


def broken(path: Path, identity=None) -> str:
    with pytest.raises(LedgerBroken) as caught:
        verify_ledger(path, identity.certificate_pem if identity else None)
    assert caught.value.exit_code == 5
    assert "do not rely on it" in str(caught.value)
    return str(caught.value)


def rows(ledger: Path) -> list[bytes]:
    return ledger.read_bytes().split(b"\n")[:-1]


def write(ledger: Path, lines: list[bytes]) -> None:
    ledger.chmod(0o600)
    ledger.write_bytes(b"".join(line + b"\n" for line in lines))


@pytest.mark.parametrize("number", range(6))
def test_a_removed_line_is_found(ledger, number):
    lines = rows(ledger)
    write(ledger, lines[:number] + lines[number + 1 :])
    assert f"line {number + 1} " in broken(ledger)


@pytest.mark.parametrize(("a", "b"), [(0, 1), (1, 2), (2, 4), (4, 5)])
def test_moved_lines_are_found(ledger, a, b):
    lines = rows(ledger)
    lines[a], lines[b] = lines[b], lines[a]
    write(ledger, lines)
    assert f"line {a + 1} " in broken(ledger)


@pytest.mark.parametrize(
    ("number", "key", "value"),
    [
        (0, "party", "shop"),
        (1, "bytes", 99),
        (1, "message", "Columns"),
        (2, "to", "telecom"),
        (3, "class", "SEALED"),
        (3, "permit", None),
        (4, "sha256", "0" * 64),
        (4, "time", "2020-01-01T00:00:00.000Z"),
    ],
)
def test_an_edited_line_is_found(ledger, number, key, value):
    lines = rows(ledger)
    line = json.loads(lines[number]) | {key: value}
    lines[number] = json.dumps(line, sort_keys=True, separators=(",", ":")).encode()
    write(ledger, lines)
    assert f"line {number + 2} does not follow" in broken(ledger)


@pytest.mark.parametrize(("key", "value"), [("messages", 3), ("bytes", 1), ("outcome", "stopped"), ("signature", None)])
def test_an_edited_last_line_is_found(ledger, identity, key, value):
    lines = rows(ledger)
    line = json.loads(lines[-1]) | {key: value}
    lines[-1] = json.dumps(line, sort_keys=True, separators=(",", ":")).encode()
    write(ledger, lines)
    assert "line 6 " in broken(ledger, identity)


def test_every_flipped_byte_is_found(ledger, identity):
    data = ledger.read_bytes()
    for position in range(0, len(data), 7):
        ledger.write_bytes(data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :])
        broken(ledger, identity)


def test_every_truncation_is_found(ledger):
    data = ledger.read_bytes()
    for length in range(0, len(data), 11):
        ledger.write_bytes(data[:length])
        broken(ledger)


def test_anything_appended_is_found(ledger):
    lines = rows(ledger)
    for extra in (lines[-1], lines[1], b"{}", b"x", b"", b"[]", b"\xff"):
        write(ledger, [*lines, extra])
        assert "line 7 " in broken(ledger)
    write(ledger, [lines[0], *lines])
    assert "line 2 " in broken(ledger)


def test_other_white_space_is_found(ledger):
    lines = rows(ledger)
    write(ledger, [lines[0].replace(b":", b": ", 1), *lines[1:]])
    assert "line 1 is not a line as the ledger writes it" in broken(ledger)


def test_a_chain_written_anew_is_found_by_the_signature_only(ledger, identity, other_identity, tmp_path):
    forged = tmp_path / "forged"
    old = list(read_ledger(ledger))
    with LedgerWriter(forged, job="credit-risk", job_digest=bytes(32), party="bank", sign=other_identity.sign) as writer:
        writer.record("telecom", BlindedIds, b"less")
    assert verify_ledger(forged).messages == 1
    assert "line 3 is not signed by the owner" in broken(forged, identity)
    lines = list(read_ledger(forged))
    lines[-1]["signature"] = old[-1]["signature"]
    write(forged, [json.dumps(line, sort_keys=True, separators=(",", ":")).encode() for line in lines])
    assert "line 3 is not signed by the owner" in broken(forged, identity)
    lines[-1]["signature"] = "no base64!"
    write(forged, [json.dumps(line, sort_keys=True, separators=(",", ":")).encode() for line in lines])
    assert "line 3 is not signed by the owner" in broken(forged, identity)


def test_an_unsigned_ledger_is_told_from_a_signed_one(tmp_path, identity):
    with LedgerWriter(tmp_path / "l", job="j", job_digest=bytes(32), party="bank"):
        pass
    assert verify_ledger(tmp_path / "l").messages == 0
    assert "bears no signature" in broken(tmp_path / "l", identity)


def test_another_format_and_no_file(ledger, tmp_path):
    lines = rows(ledger)
    write(ledger, [lines[0].replace(b'"format":1', b'"format":2'), *lines[1:]])
    assert "not of format 1" in broken(ledger)
    with pytest.raises(ConfigError, match="cannot be read"):
        verify_ledger(tmp_path / "none")


def test_the_signature_can_be_checked_without_our_code(ledger, identity):
    """As docs/file-formats.md says: `openssl dgst -sha256 -verify` over these bytes."""
    last = json.loads(rows(ledger)[-1])
    signature = base64.b64decode(last.pop("signature"))
    signed = b"vfl ledger 1\n" + json.dumps(last, sort_keys=True, separators=(",", ":")).encode()
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    key = x509.load_pem_x509_certificate(identity.certificate_pem).public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    key.verify(signature, signed, ec.ECDSA(hashes.SHA256()))


# --- counting


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
