"""The ledger says what left, before it leaves, and nothing of its content."""

import hashlib
import os
import pwd
import stat
from pathlib import Path

import pytest

from protocols.alignment.ecdh import BlindedIds, IntersectionSize
from protocols.errors import ConfigError, DisclosureRefused
from protocols.glm.training import Columns
from protocols.message import registry
from tests.unit.vfl.job.samples import Recorder, channels
from vfl.job import PERMITS
from vfl.ledger import LedgerBroken, LedgerTap, LedgerWriter, read_ledger, summarise, verify_ledger
from vfl.ledger.account import account
from vfl.taps.policy import PolicyTap

ALL = tuple(PERMITS)


def test_a_line_says_everything_but_the_content(ledger):
    lines = list(read_ledger(ledger))
    assert [line["type"] for line in lines] == ["start", *["message"] * 4, "end"]
    assert lines[0]["started_by"] == pwd.getpwuid(os.getuid()).pw_name
    assert lines[0] | {"time": "", "started_by": ""} == {
        "type": "start",
        "format": 2,
        "job": "credit-risk",
        "job_digest": "00" * 32,
        "party": "bank",
        "run": None,
        "time": "",
        "started_by": "",
        "approved_by": None,
        "previous": "0" * 64,
    }
    assert lines[4] | {"time": "", "previous": ""} == {
        "type": "message",
        "number": 4,
        "time": "",
        "to": "telecom",
        "seq": 3,
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

    assert run(DisclosureRefused("no", about="policy.allow"), "a") == "disclosure-refused"
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


def test_the_account_is_that_of_the_process_and_not_of_its_environment(tmp_path, monkeypatch):
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "mallory")
    with LedgerWriter(tmp_path / "l", job="j", job_digest=bytes(32), party="bank", approved_by="Jane Doe"):
        pass
    (first, _) = read_ledger(tmp_path / "l")
    assert first["started_by"] == pwd.getpwuid(os.getuid()).pw_name
    assert first["approved_by"] == "Jane Doe"
    monkeypatch.setattr(os, "getuid", lambda: 2**31 - 7)  # an account without a name, as in many containers
    assert account() == str(2**31 - 7)
