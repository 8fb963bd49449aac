"""Where a process keeps long vectors that it does not need at once: its shares of who is at which node of a tree, and
the ciphertexts of its peers until a lost worker needs them again.  It is a nameless file of the run's folder, whose
places are used again.  So its memory does not grow with a table.

What stands in the file is sealed by AES-256-GCM under a key that only this process has: who gets the disk, or a copy of
its blocks, reads nothing, also not the ciphertexts that a key's holder could open.  A nonce is the number of a write,
of which there is never a second.
"""

from __future__ import annotations

import itertools
import os
import tempfile
import threading
import weakref
from collections import defaultdict
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from protocols.errors import ComputeError
from protocols.kept import Kept
from protocols.randomness import run_seed
from vfl.storage.files import written

IN_MEMORY = 1 << 16  # bytes: less is not worth a place in the file; a block of a column of bins has twice as many
NONCE, TAG = 12, 16  # bytes


class Stored:
    """Bytes in the file, read when called.  Raises ComputeError where the file does not hold them any more."""

    def __init__(self, shelf: Shelf, at: int, size: int, number: int) -> None:
        """size: sealed; number: of the write."""
        self._shelf, self._at, self._size, self._number = shelf, at, size, number

    def __call__(self) -> bytes:
        sealed = os.pread(self._shelf.file.fileno(), self._size, self._at)
        try:
            return self._shelf.seal.decrypt(self._number.to_bytes(NONCE, "big"), sealed, None)
        except InvalidTag:
            raise ComputeError(
                "the file that keeps long vectors does not hold what was written",
                remedy="Check the disk of [run] directory, and give the command again: the run resumes",
            ) from None


class Shelf:
    """Keeps bytes while somebody holds what reads them."""

    def __init__(self, folder: Path) -> None:
        self._folder, self.seal, self._writes = folder, AESGCM(run_seed()), itertools.count()
        self.file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  lives as long as the shelf; nothing is left of it
        weakref.finalize(self, self.file.close)
        self._free, self._end, self._lock = defaultdict[int, list[int]](list), 0, threading.Lock()

    def keep(self, data: bytes) -> Kept:
        """What reads `data` again.  Raises ConfigError where the disk is full."""
        if len(data) < IN_MEMORY:
            return lambda: data
        size, number = len(data) + TAG, next(self._writes)
        rest, free = memoryview(self.seal.encrypt(number.to_bytes(NONCE, "big"), data, None)), self._free[size]
        with self._lock:
            at = free.pop() if free else self._end
            self._end = max(self._end, at + size)
        with written(self._folder):
            while rest:
                rest = rest[os.pwrite(self.file.fileno(), rest, at + size - len(rest)) :]
        stored = Stored(self, at, size, number)
        weakref.finalize(stored, free.append, at)
        return stored
