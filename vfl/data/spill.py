"""Where an alignment keeps what it hears: in memory while it is small, in a nameless file of the run's folder when it
grows."""

from __future__ import annotations

import mmap
import os
import tempfile
import weakref
from functools import partial
from pathlib import Path
from typing import IO

from protocols.alignment import Scratch

IN_MEMORY = 64 << 20


class Spill:
    """Bytes that are appended and then read as a whole."""

    def __init__(self, folder: Path, in_memory: int = IN_MEMORY) -> None:
        self._folder, self._limit = folder, in_memory
        self._data = bytearray()
        self._file: IO[bytes] | None = None

    def append(self, data: bytes) -> None:
        """Adds `data`."""
        if self._file is None and len(self._data) + len(data) > self._limit:
            self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115  lives as long as the spool; it has no name, so nothing is left of it
            weakref.finalize(self, self._file.close)
            self._file.write(self._data)
            self._data = bytearray()
        if self._file is None:
            self._data += data
        else:
            self._file.write(data)

    def between(self, start: int, stop: int) -> bytes:
        """As `Spool.between`."""
        if self._file is None:
            return bytes(self._data[start:stop])
        self._file.flush()
        return os.pread(self._file.fileno(), stop - start, start)

    def bytes(self) -> bytearray | memoryview:
        """All that was appended; from a file it is read as it is used."""
        if self._file is None:
            return self._data
        self._file.flush()
        return memoryview(mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ))


def scratch_in(folder: Path, in_memory: int = IN_MEMORY) -> Scratch:
    """Makes spools whose files lie in `folder`, of more than `in_memory` bytes."""
    return partial(Spill, folder, in_memory)
