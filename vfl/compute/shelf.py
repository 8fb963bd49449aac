"""Where a driver keeps the ciphertexts of its peers until a lost worker needs them again: a nameless file of the run's
folder, whose places are used again.  So its memory does not grow with a table."""

from __future__ import annotations

import os
import tempfile
import threading
import weakref
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from vfl.storage.files import written

IN_MEMORY = 1 << 20  # bytes: less is not worth a place in the file


class Stored:
    """Bytes in the file, read when called."""

    def __init__(self, shelf: Shelf, at: int, size: int) -> None:
        self._shelf, self._at, self._size = shelf, at, size

    def __call__(self) -> bytes:
        return os.pread(self._shelf.file.fileno(), self._size, self._at)


class Shelf:
    """Keeps bytes while somebody holds what reads them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  lives as long as the shelf; nothing is left of it
        weakref.finalize(self, self.file.close)
        self._free, self._end, self._lock = defaultdict[int, list[int]](list), 0, threading.Lock()

    def keep(self, data: bytes) -> Callable[[], bytes]:
        """What reads `data` again.  Raises ConfigError where the disk is full."""
        if len(data) < IN_MEMORY:
            return lambda: data
        size, rest = len(data), memoryview(data)
        free = self._free[size]
        with self._lock:
            at = free.pop() if free else self._end
            self._end = max(self._end, at + size)
        with written(self._folder):
            while rest:
                rest = rest[os.pwrite(self.file.fileno(), rest, at + size - len(rest)) :]
        stored = Stored(self, at, size)
        weakref.finalize(stored, free.append, at)
        return stored
