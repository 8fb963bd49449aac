"""A transcript holds what a party received and nothing that it sent; its totals are the transport's."""

from __future__ import annotations

import datetime
import os
import stat
from pathlib import Path

import pytest

from protocols.channel import Channel, Count, MemoryNetwork
from protocols.cipher import Keyring
from protocols.errors import ConfigError
from protocols.message import PUBLIC, Message
from vfl.run.purge import purge_runs
from vfl.taps.counting import CountingTap
from vfl.taps.transcript import FILE, Entry, TranscriptFile, read_transcript, recording

OWN, THEIRS = b"a secret of this party", b"what the peer said"


class Note(Message, disclosure=PUBLIC, learns="nothing: a test"):
    data: bytes


def talk(folder: Path, rounds: int = 3, again: int = 0) -> CountingTap:
    """rounds: of messages in both directions; again: so many of them were sent by an earlier process."""
    network, counting = MemoryNetwork(["bank", "telecom"]), CountingTap()
    with TranscriptFile(folder) as file:
        mine = Channel(network.wires("bank")["telecom"], Keyring(), [counting, file.tap])
        other = Channel(network.wires("telecom")["bank"], Keyring())
        for k in range(rounds + again):
            other.send(Note(THEIRS + bytes([k])))
            mine.send(Note(OWN + bytes([k])))
            mine.recv(Note)
        file.sync()
    return counting


def test_totals_are_the_transports_and_nothing_sent_is_there(tmp_path: Path) -> None:
    counting, found = talk(tmp_path), read_transcript(tmp_path, "bank")
    sent, received = counting.total
    assert found.totals() == {("to", "telecom"): sent, ("from", "telecom"): received}
    assert [e.seq for e in found.received()] == [1, 2, 3]
    assert all(THEIRS in e.data and e.message == "Note" for e in found.received())
    data = (tmp_path / FILE).read_bytes()
    assert OWN not in data
    assert THEIRS in data  # the same search finds what is there
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600
    assert "contents not shown" in repr(found.entries[0])
    assert "secret" not in repr(found)


def test_a_resumed_run_adds_what_is_new_once(tmp_path: Path) -> None:
    talk(tmp_path)
    with (tmp_path / FILE).open("ab") as file:
        file.write((1 << 20).to_bytes(8, "little") + b"torn")  # as a dying process leaves it
    talk(tmp_path, again=2)
    found = read_transcript(tmp_path, "bank")
    assert [e.seq for e in found.received()] == [1, 2, 3, 4, 5]
    with TranscriptFile(tmp_path) as file:
        file.tap.renewed("telecom", Count(3, 3))
    talk(tmp_path, again=2)
    assert [e.seq for e in read_transcript(tmp_path, "bank").received()] == [1, 2, 3, 4, 5, 4, 5]


def test_off_there_is_no_file_and_reading_says_how_to_get_one(tmp_path: Path) -> None:
    with recording(tmp_path, on=False) as none:
        assert none is None
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ConfigError, match="has no transcript") as caught:
        read_transcript(tmp_path, "bank")
    assert "transcript = true" in caught.value.remedy


@pytest.mark.parametrize("damage", [b"x", b"\x02" + bytes(7) + b"\xc0\xc0"])
def test_a_damaged_transcript_is_refused(tmp_path: Path, damage: bytes) -> None:
    talk(tmp_path)
    path = tmp_path / FILE
    path.write_bytes(path.read_bytes() + damage)
    with pytest.raises(ConfigError, match="is not what a run wrote"):
        read_transcript(tmp_path, "bank")
    path.write_bytes(b"another file")
    for attempt in (lambda: read_transcript(tmp_path, "bank"), lambda: TranscriptFile(tmp_path)):
        with pytest.raises(ConfigError, match="is not what a run wrote"):
            attempt()


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    with TranscriptFile(tmp_path) as file:
        os.close(file._file)
        with pytest.raises(ConfigError, match="cannot be written"):
            file.tap.received("telecom", Note, b"x")
        file._file = os.open(file.path, os.O_RDONLY)


def test_purge_removes_it(tmp_path: Path) -> None:
    folder = tmp_path / "credit-20260101-090000"
    folder.mkdir()
    (folder / "ledger.jsonl").write_text("{}\n")
    talk(folder)
    done = purge_runs(tmp_path, datetime.date(2026, 3, 1), models=False, erase=True)
    assert str(folder / FILE) in done.erased
    assert [path.name for path in folder.iterdir()] == ["ledger.jsonl"]


def test_an_entry_shows_no_content() -> None:
    assert THEIRS.decode() not in repr(Entry("from", "telecom", 1, "Note", 0, 18, THEIRS))
