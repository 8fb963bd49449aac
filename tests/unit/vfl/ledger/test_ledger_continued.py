"""The ledger of a run that was interrupted goes on, and two parties' ledgers are held against each other."""

import hashlib
from pathlib import Path

import pytest

from protocols.alignment.ecdh import BlindedIds, IntersectionSize
from protocols.channel import Count
from protocols.errors import ConfigError, LocalProtocolError, RemoteProtocolError
from protocols.glm.training import Columns
from vfl.ledger import LedgerBroken, LedgerTap, LedgerWriter, continued, read_ledger, reconcile, verify_ledger

JOB = {"job": "j", "job_digest": bytes(32)}


def interrupted(path: Path) -> Path:
    """Two messages sent and one received; then the process is killed while it writes a line."""
    tap = LedgerTap(LedgerWriter(path, party="bank", **JOB))
    tap.sent("telecom", BlindedIds, b"one")
    tap.received("telecom", BlindedIds, b"two")
    tap.sent("telecom", Columns, b"three")
    with path.open("ab") as file:
        file.write(b'{"type":"mess')
    return path


def test_a_torn_line_is_cut_off_and_nothing_is_listed_twice(tmp_path, identity):
    path = interrupted(tmp_path / "l")
    with continued(path, party="bank", sign=identity.sign, **JOB) as writer:
        tap = LedgerTap(writer)
        tap.moved("telecom", Count(0, 0, bytes(32)))
        tap.sent("telecom", BlindedIds, b"one")
        tap.received("telecom", BlindedIds, b"two")
        tap.sent("telecom", Columns, b"three")
        tap.sent("telecom", IntersectionSize, b"four")
    lines = list(read_ledger(path))
    assert [line["type"] for line in lines] == ["start", "message", "received", "message", "resumed", "message", "end"]
    assert [line["seq"] for line in lines if "seq" in line] == [1, 1, 2, 3]
    assert lines[2]["sha256"] == hashlib.sha256(b"two").hexdigest()
    check = verify_ledger(path, identity.certificate_pem)
    assert (check.messages, check.bytes, check.outcome) == (3, 12, "done")


def test_a_run_that_said_its_end_goes_on_too(tmp_path):
    path = tmp_path / "l"
    writer = LedgerWriter(path, party="bank", **JOB)
    writer.record("telecom", Columns, b"x", 1)
    writer.close("peer-closed")
    continued(path, party="bank", sign=None, **JOB).close()
    assert [line["type"] for line in read_ledger(path)] == ["start", "message", "resumed", "end"]
    assert verify_ledger(path).outcome == "done"


def test_another_message_under_an_old_number_ends_the_run(tmp_path):
    tap = LedgerTap(continued(interrupted(tmp_path / "l"), party="bank", sign=None, **JOB))
    with pytest.raises(LocalProtocolError, match="message 1 to telecom is not the one that was sent"):
        tap.sent("telecom", BlindedIds, b"other")
    with pytest.raises(RemoteProtocolError, match="telecom sent another message 1") as caught:
        tap.received("telecom", BlindedIds, b"other")
    assert caught.value.party == "telecom"


def test_a_ledger_that_was_changed_does_not_go_on(tmp_path):
    path = interrupted(tmp_path / "l")
    path.write_bytes(path.read_bytes().replace(b'"bytes":3', b'"bytes":4', 1))
    with pytest.raises(LedgerBroken):
        continued(path, party="bank", sign=None, **JOB).record("telecom", Columns, b"x", 3)
    with pytest.raises(ConfigError, match="cannot be read"):
        continued(tmp_path / "none", party="bank", sign=None, **JOB)


def pair(folder: Path, *received: bytes, outcome: str = "done", job: bytes = bytes(32)) -> tuple[Path, Path]:
    """The bank sends "one" and "two" to the telecom, which lists what it received."""
    bank = LedgerWriter(folder / "bank", job="j", job_digest=bytes(32), party="bank")
    telecom = LedgerWriter(folder / "telecom", job="j", job_digest=job, party="telecom")
    for number, data in enumerate((b"one", b"two"), 1):
        bank.record("telecom", Columns, data, number)
    for number, data in enumerate(received, 1):
        telecom.received("bank", Columns, data, number)
    bank.close()
    telecom.close(outcome)
    return folder / "bank", folder / "telecom"


def test_two_ledgers_agree(tmp_path):
    found = reconcile(*pair(tmp_path, b"one", b"two"))
    assert found.messages == {("bank", "telecom"): 2, ("telecom", "bank"): 0}
    assert not any(found.underway.values())


def test_what_had_not_arrived_when_a_run_was_broken_off_is_underway(tmp_path):
    assert reconcile(*pair(tmp_path, b"one", outcome="peer-closed")).underway["bank", "telecom"] == 1


@pytest.mark.parametrize(
    ("received", "words"),
    [
        ((b"one", b"too"), "message 2 of bank differs"),
        ((b"one",), "1 messages of bank did not arrive at telecom"),
        ((b"one", b"two", b"three"), "telecom received 1 messages that bank did not send"),
    ],
)
def test_ledgers_that_disagree(tmp_path, received, words):
    with pytest.raises(LedgerBroken, match=words):
        reconcile(*pair(tmp_path, *received))


def test_ledgers_of_two_jobs_or_of_one_party(tmp_path):
    bank, telecom = pair(tmp_path, job=b"o" * 32)
    for one, other in ((bank, telecom), (bank, bank)):
        with pytest.raises(ConfigError, match="not the ledgers of two parties of one job"):
            reconcile(one, other)


def test_ledgers_of_two_runs_accuse_nobody(tmp_path):
    """The same job, run twice: the second run's ledger is not a changed one of the first."""
    for party, peer, run in (("bank", "telecom", b"1" * 16), ("telecom", "bank", b"2" * 16)):
        with LedgerWriter(tmp_path / party, job="j", job_digest=bytes(32), party=party, run=run) as writer:
            LedgerTap(writer).sent(peer, Columns, run)
    with pytest.raises(ConfigError, match="two different runs of one job"):
        reconcile(tmp_path / "bank", tmp_path / "telecom")
