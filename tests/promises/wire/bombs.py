"""`python -m tests.promises.wire.bombs`: feeds every bad vector and every oversize frame to its reader in a process
with little memory left, and prints how much it took.

With `--planted` the frames' reader believes their headers.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
from pathlib import Path

from tests.promises.wire.make_bad import FILE, unfold
from tests.promises.wire.readers import outcome, readers
from tests.promises.wire.test_bad import sound
from vfl.transport import frames
from vfl.transport.frames import FrameReader, Kind

LEFT = 256 << 20  # bytes of address space


def believing(kind: int, length: int) -> tuple[Kind, int]:
    """A header's check that takes the memory it announces."""
    bytearray(length)
    return honest(kind, length)


honest = frames._checked


def main() -> None:
    """Prints kilobytes of growth."""
    folder, known = Path(tempfile.mkdtemp()), readers()
    sound(folder)
    vectors = [(v["reader"], unfold(v["bytes"]), v["error"]) for v in json.loads(FILE.read_text(encoding="utf-8"))]
    for reader, data, error in vectors:  # imports what is slow to import, and starts the core's threads
        if error == "accepted":
            outcome(known[reader], data, folder)
    if "--planted" in sys.argv:
        frames._checked = believing
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + LEFT, size + LEFT))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for reader, data, error in vectors:
        if error != "accepted" and reader not in ("manifest", "weights"):
            assert outcome(known[reader], data, folder) == error
    for kind in Kind:
        for length in (1 << 20, 1 << 31, (1 << 32) - 1):
            try:
                list(FrameReader().feed(memoryview(frames.HEADER.pack(kind, length))))
            except frames.BadFrameError:
                continue
            raise AssertionError(f"{kind.name} of {length} bytes was not refused")
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)


if __name__ == "__main__":
    main()
