"""Pads that `vfl prepare` left for a later `vfl run`: `pads/` in the run's folder, a file (mode 0600) per chunk; and
`spent.sqlite` in the run directory, a random id and the names of those that were used.

A file is encrypted with AES-256-GCM under a key of its own, which lies in its header, sealed for this party's identity.
Header and frames are bound to the job, this party's table, the run, the rows in their order, the arbiter's key and the
chunk: a file of anything else, or one with a changed byte, is as good as lost.  It expires after seven days, and is
erased when it is used.  `spent.sqlite` outlives the run's folder, so that a copy of the folder that is put back brings
no pads back.  Its id is in each file's header: where the list was lost, or is another one, files that were made with it
are worthless.  Names are never deleted from it, since a clock may be wrong.

    file    header | frame 0 | frame 1 | ..               frame   16 MiB of the tensors (safetensors), and 16 bytes of GCM
    header  "vfl pads 2" | when (8) | name (32) | id of the list (32) | key, sealed (48)      nonce of a frame: its number; its associated data: header, binding, number, whether it is the last
"""  # noqa: E501

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from safetensors import SafetensorError
from safetensors.numpy import load, save

from protocols.errors import ConfigError
from protocols.randomness import run_seed, salt
from protocols.recovery.checkpoint import Arrays
from vfl.screen.sentences import listed
from vfl.storage.files import sync_folder, written

log = logging.getLogger("vfl.storage.pad_store")
PADS, SPENT, SUFFIX = "pads", "spent.sqlite", ".pads"
MAGIC, NAME, LIST, SEALED, TAG, FRAME = b"vfl pads 2", 32, 32, 48, 16, 16 << 20
HEADER = len(MAGIC) + 8 + NAME + LIST + SEALED
DAYS = 7  # for which pads are valid
DAY = 86_400


@dataclass(frozen=True)
class Sealing:
    """How a key is sealed for this party's own disk: `vfl.transport.identity.Identity`."""

    seal: Callable[[bytes, str], bytes]
    unseal: Callable[[bytes, str], bytes | None]


class PadFolder:
    """A `PadStore` on disk.  folder: the run's; directory: this party's run directory; binding: what all its pads are
    of.  Raises ConfigError where it cannot be read or written."""

    def __init__(
        self,
        folder: Path,
        directory: Path,
        binding: bytes,
        sealing: Sealing,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._folder, self._spent, self._now = folder / PADS, directory / SPENT, now
        self._binding, self._sealing, self._said, self._said_of = binding, sealing, False, set[str]()

    # -- as a PadStore

    def put(self, name: bytes, belongs: bytes, pads: Arrays) -> None:
        key = run_seed()
        with self._names() as (_, own):
            header = MAGIC + int(self._now()).to_bytes(8, "big") + name + own + self._sealing.seal(key, PADS)
        bound, cipher, data = self._bound(header, belongs), AESGCM(key), memoryview(save(pads))
        path = self._path(name)
        draft = path.with_name(f".{path.name}.part")
        with written(self._folder):
            self._folder.mkdir(mode=0o700, exist_ok=True)
            draft.unlink(missing_ok=True)
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(header)
                for number, first in enumerate(range(0, max(len(data), 1), FRAME)):
                    last = first + FRAME >= len(data)
                    frame = bytes(data[first : first + FRAME])
                    file.write(cipher.encrypt(_nonce(number), frame, _associated(bound, number, last=last)))
                file.flush()
                os.fsync(file.fileno())
            os.replace(draft, path)
            sync_folder(self._folder)
            sync_folder(self._folder.parent)

    def get(self, name: bytes, belongs: bytes) -> Arrays | None:
        found = self._read(name, belongs) if self.holds(name) else None
        if found is None and not self._said:
            self._said = True
            log.warning(
                "this party can no longer use all pads that vfl prepare left (lost, expired, damaged, or made with "
                "another list of spent pads): their iterations are prepared again while this run trains"
            )
        return found

    def lacking(self, parties: Sequence[str]) -> None:
        if not self._said_of >= {*parties}:
            self._said_of |= {*parties}
            log.warning(
                "%s cannot use the pads that vfl prepare left, and so nobody does: their iterations are prepared again "
                "while this run trains. If no attempt of this run was interrupted, ask there whether the list of spent "
                "pads (spent.sqlite) or the run's folder was lost or put back from a copy",
                listed(parties, "and"),
            )

    def _read(self, name: bytes, belongs: bytes) -> Arrays | None:
        try:
            with self._path(name).open("rb") as file:
                header, found = file.read(HEADER), bytearray()
                key = self._sealing.unseal(header[-SEALED:], PADS)
                if key is None:
                    return None
                bound, cipher, frame = self._bound(header, belongs), AESGCM(key), file.read(FRAME + TAG)
                for number in range(1 << 32):
                    following = file.read(FRAME + TAG)
                    associated = _associated(bound, number, last=not following)
                    found += cipher.decrypt(_nonce(number), frame, associated)
                    if not following:
                        break
                    frame = following
            arrays: Arrays = load(bytes(found))
        except (OSError, InvalidTag, ValueError, SafetensorError):
            return None
        return arrays

    def holds(self, name: bytes) -> bool:
        made = made_at(self._path(name))
        if made is None or made.name != name or not self._valid(made.at):
            return False
        with self._names() as (store, own):
            spent = store.execute("SELECT 1 FROM spent WHERE name = ?", (name,)).fetchone() is not None
        return made.list_id == own and not spent

    def spend(self, name: bytes) -> bool:
        with self._names() as (store, _):
            new = store.execute("INSERT OR IGNORE INTO spent VALUES (?, ?)", (name, int(self._now()))).rowcount == 1
        with written(self._folder):
            self._path(name).unlink(missing_ok=True)
            if self._folder.is_dir():
                sync_folder(self._folder)
        return new

    # -- of all pads

    def total(self) -> tuple[int, float]:
        """How many bytes valid pads take, and when the first of them expire."""
        with written(self._folder):
            found = [(path.stat().st_size, made_at(path)) for path in _files(self._folder)]
        valid = [size for size, made in found if made is not None and self._valid(made.at)]
        return sum(valid), valid_until(self._folder, self._now())

    def drop_expired(self) -> int:
        """Erases pads that nobody may use any more; returns how many chunks."""
        dropped = 0
        with written(self._folder):
            for path in expired(self._folder, self._now()):
                path.unlink(missing_ok=True)
                dropped += 1
        return dropped

    def _valid(self, made: float) -> bool:
        return made <= self._now() < made + DAYS * DAY

    def _path(self, name: bytes) -> Path:
        return self._folder / (name.hex() + SUFFIX)

    def _bound(self, header: bytes, belongs: bytes) -> bytes:
        return hashlib.sha256(header + hashlib.sha256(self._binding).digest() + belongs).digest()

    @contextlib.contextmanager
    def _names(self) -> Iterator[tuple[sqlite3.Connection, bytes]]:
        """The names of spent pads, in one transaction, and the id of their list, which is new if the list is."""
        try:
            self._spent.touch(mode=0o600)
            with contextlib.closing(sqlite3.connect(self._spent, timeout=10, isolation_level=None)) as store:
                for setting in ("synchronous = EXTRA", "trusted_schema = OFF"):
                    store.execute(f"PRAGMA {setting}")
                store.execute("BEGIN IMMEDIATE")
                store.execute("CREATE TABLE IF NOT EXISTS spent (name BLOB PRIMARY KEY, at INTEGER NOT NULL)")
                store.execute("CREATE TABLE IF NOT EXISTS list (number INTEGER PRIMARY KEY, id BLOB NOT NULL)")
                store.execute("INSERT OR IGNORE INTO list VALUES (0, ?)", (salt(),))
                (own,) = store.execute("SELECT id FROM list").fetchone()
                yield store, own
                store.execute("COMMIT")
        except (sqlite3.Error, OSError) as error:
            raise ConfigError(
                f"the names of spent pads in {self._spent} cannot be read or written ({error})",
                remedy="Make room there. If the file is damaged, move it away: all stored pads are then prepared again",
            ) from None


class Made(NamedTuple):
    """When a file of pads was written, their name, and the id of the list that will say when they are spent."""

    at: float
    name: bytes
    list_id: bytes


def made_at(path: Path) -> Made | None:
    """What the header of a file of pads says; None for anything else."""
    try:
        with path.open("rb") as file:
            header = file.read(HEADER)
    except OSError:
        return None
    if len(header) != HEADER or not header.startswith(MAGIC):
        return None
    rest = header[len(MAGIC) :]
    return Made(float(int.from_bytes(rest[:8], "big")), rest[8 : 8 + NAME], rest[8 + NAME : 8 + NAME + LIST])


def expired(folder: Path, now: float) -> list[Path]:
    """The files of `pads/` that no run may use any more, and what is none."""
    found = [(path, made_at(path)) for path in _files(folder)]
    return [path for path, made in found if made is None or not made.at <= now < made.at + DAYS * DAY]


def valid_until(folder: Path, now: float) -> float:
    """When the first pads in `pads/` expire that are valid now; 0 where none are."""
    made = [one.at for one in map(made_at, _files(folder)) if one is not None]
    return min((at + DAYS * DAY for at in made if at <= now < at + DAYS * DAY), default=0.0)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []


def _nonce(number: int) -> bytes:
    return number.to_bytes(12, "big")


def _associated(bound: bytes, number: int, *, last: bool) -> bytes:
    return bound + number.to_bytes(8, "big") + bytes([last])
