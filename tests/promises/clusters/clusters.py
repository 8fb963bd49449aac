"""Small clusters for tests: started as processes, ended with everything that they started."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.places import ROOT
from vfl.compute.cell import Cell
from vfl.job.compute import Compute

KEY = hashlib.sha256(b"a key for tests").digest()
# Ray's own token: every process of a cluster and everybody who connects has the same.
os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "7b" * 16, "RAY_USAGE_STATS_ENABLED": "0"}


@dataclass(frozen=True)
class Cluster:
    """engine, where it is, where it writes, a key file, and its first process."""

    engine: str
    address: str
    folder: Path
    key: Path
    pid: int

    def compute(self, workers: int) -> Compute:
        """[compute] of a party that uses it."""
        return Compute(engine=self.engine, address=self.address, workers=workers, key=self.key)  # type: ignore[arg-type]

    def section(self, workers: int) -> str:
        """The same in a party file."""
        return (
            f'\n[compute]\nengine = "{self.engine}"\naddress = "{self.address}"\nworkers = {workers}\n'
            f'key = "{self.key}"\n'
        )


class SlowCell(Cell):
    """A worker whose process takes long to be there."""

    def __init__(self, worker: int, key_file: str) -> None:
        time.sleep(8)
        super().__init__(worker, key_file)


def write_key(file: Path, digits: str = KEY.hex()) -> None:
    """A key file that only its owner can read."""
    file.touch(mode=0o600)
    file.write_text(digits)


def children(pid: int) -> list[int]:
    """Every process below one, with its children's."""
    told = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False).stdout
    direct = [int(line) for line in told.split()]
    return [*direct, *(one for child in direct for one in children(child))]


def name(pid: int) -> str:
    """A process's command line; "" of one that has ended."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    return ""


@contextlib.contextmanager
def started(engine: str, workers: int, folder: Path, path: Path = ROOT, key: bytes = KEY) -> Iterator[Cluster]:
    """A cluster whose workers find our packages in `path`."""
    file = folder / "compute.key"
    write_key(file, key.hex())
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("head.py")), engine, str(workers)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(path)},
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line, f"{engine} did not start: on a busy machine it takes longer than it waits for itself"
        address, its_own = json.loads(line)
        yield Cluster(engine, address, Path(its_own), file, process.pid)
    finally:
        process.stdin.close()
        process.stdout.close()
        process.wait(30)
