"""Where numbers that serve once are drawn again, a ledger goes back to what was sent before them; what came before is
compared as ever."""

from __future__ import annotations

from pathlib import Path

import pytest

from protocols.channel import Count
from protocols.errors import LocalProtocolError, RemoteProtocolError
from protocols.glm.training import Columns
from vfl.ledger import LedgerBroken, LedgerTap, LedgerWriter, continued, read_ledger, reconcile, verify_ledger
from vfl.ledger.writing import encode

SAID = {"job": "j", "job_digest": bytes(32), "sign": None}
ONE, THREE = Count(1, 1, bytes(32)), Count(3, 2, bytes(32))


def speak(tap: LedgerTap, texts: tuple[bytes, ...], *, bank: bool) -> None:
    """Three messages of the bank's and two of the telecom's, in turn."""
    for k, text in enumerate(texts):
        act = tap.sent if (k % 2 == 0) == bank else tap.received
        act("telecom" if bank else "bank", Columns, text)


def begun(path: Path, party: str) -> Path:
    """Stopped after three and two messages."""
    tap = LedgerTap(LedgerWriter(path, party=party, **SAID))
    speak(tap, (b"a", b"b", b"c", b"d", b"e"), bank=party == "bank")
    return path


def resumed(path: Path, party: str, texts: tuple[bytes, ...], renews: bool = True) -> None:
    """Another attempt after the first message of each."""
    peer = "telecom" if party == "bank" else "bank"
    with continued(path, party=party, **SAID) as writer:
        tap = LedgerTap(writer)
        tap.moved(peer, ONE)
        if renews:
            tap.renewed(peer, ONE)
        speak(tap, texts, bank=party == "bank")


def test_other_messages_take_the_numbers_of_the_attempt_before(tmp_path: Path) -> None:
    paths = [begun(tmp_path / party, party) for party in ("bank", "telecom")]
    for path in paths:
        resumed(path, path.name, (b"C", b"D", b"E", b"F"))
        assert verify_ledger(path).outcome == "done"
        kinds = [line["type"] for line in read_ledger(path)]
        assert kinds.count("renewed") == 1
        assert kinds.index("renewed") == kinds.index("resumed") + 1
    found = reconcile(*paths)
    assert found.messages == {("bank", "telecom"): 3, ("telecom", "bank"): 3}
    again = [line["seq"] for line in read_ledger(paths[0]) if line["type"] == "message"]
    assert again == [1, 2, 3, 2, 3]


def test_a_third_attempt_goes_back_too(tmp_path: Path) -> None:
    path = begun(tmp_path / "bank", "bank")
    resumed(path, "bank", (b"C", b"D"))
    resumed(path, "bank", (b"X", b"D", b"E"))
    assert verify_ledger(path).messages == 6
    with pytest.raises(LocalProtocolError, match="message 2 to telecom is not the one"):
        resumed(path, "bank", (b"Y",), renews=False)  # of the last attempt, which nobody renewed


def test_what_was_sent_before_is_compared_and_nothing_is_written_where_nothing_was_repeated(tmp_path: Path) -> None:
    path = begun(tmp_path / "bank", "bank")
    with continued(path, party="bank", **SAID) as writer:
        tap = LedgerTap(writer)
        tap.moved("telecom", Count())
        tap.renewed("telecom", THREE)  # an attempt that begins where the ledger ends
        assert not any(line["type"] == "renewed" for line in read_ledger(path))
        with pytest.raises(LocalProtocolError, match="message 1"):
            tap.sent("telecom", Columns, b"other")
        with pytest.raises(RemoteProtocolError, match="another message 1"):
            tap.received("telecom", Columns, b"other")
        tap.renewed("host", ONE)  # of another peer
        with pytest.raises(LocalProtocolError):
            tap.sent("telecom", Columns, b"other")


@pytest.mark.parametrize("change", [{"sent": 4}, {"received": -1}, {"peer": "host"}, {"sent": True}])
def test_planted_lines_that_go_back_to_messages_that_there_were_not_are_found(tmp_path: Path, change: dict) -> None:
    path = begun(tmp_path / "bank", "bank")
    writer = continued(path, party="bank", **SAID)
    line = {"type": "renewed", "time": "now", "peer": "telecom", "sent": 1, "received": 1} | change
    writer._append(line)
    writer.close()
    with pytest.raises(LedgerBroken, match=r"goes back to messages|is not a line"):
        verify_ledger(path)
    assert encode(line)


def test_a_message_that_one_side_alone_lists_again_is_found(tmp_path: Path) -> None:
    """The telecom says that it received another message in the second attempt."""
    paths = [begun(tmp_path / party, party) for party in ("bank", "telecom")]
    resumed(paths[0], "bank", (b"C", b"D", b"E", b"F"))
    resumed(paths[1], "telecom", (b"C", b"D", b"other", b"F"))
    with pytest.raises(LedgerBroken, match="differs from what telecom received"):
        reconcile(*paths)
