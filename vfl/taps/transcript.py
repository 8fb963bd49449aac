"""The transcript of a run, which a party records if its party file says so: what it received, whole, and of what it
sent the kind and the size alone.

What a party sends can hold a secret of its own: a key for one partner, or a share.  So nothing that it sends is in the
file.  It is the input of `vfl audit`.
docs/file-formats.md describes the file.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import msgspec

from protocols.channel import Count, Tap
from protocols.errors import ConfigError
from protocols.message import Message

FILE = "transcript.bin"
MAGIC = b"vfl transcript 1\n"
SENT, RECEIVED, RENEWED = "to", "from", "renewed"
LENGTH = 8  # bytes of a record's length, little-endian


class Entry(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One message.  seq: its number on the way from or to `peer`, 0 before the run; at: milliseconds since 1970; size:
    of the message in bytes; data: the message, if it was received."""

    way: str
    peer: str
    seq: int
    message: str
    at: int
    size: int
    data: bytes = b""

    def __repr__(self) -> str:
        return f"<{self.message} {self.way} {self.peer}: contents not shown>"


@dataclass(frozen=True)
class Transcript:
    """A recorded run at one party."""

    party: str
    entries: Sequence[Entry] = field(repr=False)

    def received(self) -> list[Entry]:
        return [entry for entry in self.entries if entry.way == RECEIVED]

    def totals(self) -> dict[tuple[str, str], int]:
        """Bytes by direction and peer."""
        found = dict[tuple[str, str], int]()
        for entry in self.entries:
            if entry.way != RENEWED:
                found[entry.way, entry.peer] = found.get((entry.way, entry.peer), 0) + entry.size
        return found


class TranscriptTap(Tap):
    """Gives every message to `write`, once: what a resumed run sends or receives again is there already.

    known: what an earlier process of the run recorded.
    """

    def __init__(self, write: Callable[[Entry], None], known: Sequence[Entry] = ()) -> None:
        self._write, self._counts = write, dict[str, Count]()
        self._known = set[tuple[str, str, int]]()
        for entry in known:
            if entry.way == RENEWED:
                self._forget(entry.peer, entry.seq, entry.size)
            elif entry.seq:
                self._known.add((entry.way, entry.peer, entry.seq))

    def before(self, way: str, peer: str, kind: type[Message], data: bytes) -> None:
        """A message by which the parties agreed on the run."""
        self._add(way, peer, 0, kind, data)

    def sent(self, peer: str, kind: type[Message], data: bytes) -> None:
        count = self._counts.get(peer, Count())
        self._counts[peer] = count._replace(sent=count.sent + 1)
        self._add(SENT, peer, count.sent + 1, kind, data)

    def received(self, peer: str, kind: type[Message], data: bytes) -> None:
        count = self._counts.get(peer, Count())
        self._counts[peer] = count._replace(received=count.received + 1)
        self._add(RECEIVED, peer, count.received + 1, kind, data)

    def moved(self, peer: str, count: Count) -> None:
        self._counts[peer] = count

    def renewed(self, peer: str, count: Count) -> None:
        if self._forget(peer, count.sent, count.received):
            self._write(Entry(RENEWED, peer, count.sent, "", _now(), count.received))

    def _add(self, way: str, peer: str, seq: int, kind: type[Message], data: bytes) -> None:
        if seq and (way, peer, seq) in self._known:
            return
        self._known.add((way, peer, seq))
        self._write(Entry(way, peer, seq, kind.kind, _now(), len(data), data if way == RECEIVED else b""))

    def _forget(self, peer: str, sent: int, received: int) -> bool:
        """Messages after these may be others; whether there were any."""
        most = {SENT: sent, RECEIVED: received}
        later = {key for key in self._known if key[1] == peer and key[2] > most[key[0]]}
        self._known -= later
        return bool(later)


def _now() -> int:
    return time.time_ns() // 1_000_000


class TranscriptFile:
    """The file in a run's folder, which only this account can read; an interrupted run adds to it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        try:
            data = self.path.read_bytes() if self.path.exists() else b""
            known, whole = _parsed(self.path, data) if data else ([], 0)
            self._file = os.open(
                self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0), 0o600
            )
            os.fchmod(self._file, 0o600)
            os.ftruncate(self._file, whole)  # without a record that a dying process tore
            if not whole:
                _write(self._file, MAGIC)
        except OSError as error:
            raise self._unwritable(error) from None
        self.tap = TranscriptTap(self._add, known)

    def sync(self) -> None:
        """Returns when every record is on the disk."""
        try:
            os.fsync(self._file)
        except OSError as error:
            raise self._unwritable(error) from None

    def close(self) -> None:
        os.close(self._file)

    def __enter__(self) -> TranscriptFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    def _add(self, entry: Entry) -> None:
        data = msgspec.msgpack.encode(entry)
        try:
            _write(self._file, len(data).to_bytes(LENGTH, "little") + data)
        except OSError as error:
            raise self._unwritable(error) from None

    def _unwritable(self, error: OSError) -> ConfigError:
        return ConfigError(
            f"the transcript {self.path} cannot be written ({error.strerror})",
            remedy="Make room on the disk, or remove transcript = true from [run] in the party file",
        )


@contextmanager
def recording(folder: Path, on: bool) -> Iterator[TranscriptFile | None]:
    """The transcript of the run in `folder`, if this party records it."""
    if not on:
        yield None
        return
    with TranscriptFile(folder) as file:
        yield file


def read_transcript(folder: Path, party: str) -> Transcript:
    """The transcript in a run's folder.  Raises ConfigError if there is none, or it is damaged."""
    path = folder / FILE
    try:
        data = path.read_bytes()
    except OSError:
        raise ConfigError(
            f"{folder} has no transcript",
            remedy="Add transcript = true to [run] in the party file before the next run; vfl purge removes it again",
        ) from None
    entries, whole = _parsed(path, data)
    if whole != len(data):
        raise _damaged(path)
    return Transcript(party, entries)


def _parsed(path: Path, data: bytes) -> tuple[list[Entry], int]:
    """The whole records, and how many bytes they take with the first line."""
    if not data.startswith(MAGIC):
        raise _damaged(path)
    found, at, decoder = list[Entry](), len(MAGIC), msgspec.msgpack.Decoder(Entry)
    while at + LENGTH <= len(data):
        end = at + LENGTH + int.from_bytes(data[at : at + LENGTH], "little")
        if end > len(data):
            break
        try:
            entry = decoder.decode(memoryview(data)[at + LENGTH : end])
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise _damaged(path) from None
        if entry.way not in (SENT, RECEIVED, RENEWED) or (entry.way == RECEIVED and len(entry.data) != entry.size):
            raise _damaged(path)
        found.append(entry)
        at = end
    return found, at


def _damaged(path: Path) -> ConfigError:
    return ConfigError(f"the transcript {path} is not what a run wrote", remedy="Use an unchanged copy of the folder")


def _write(file: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]
