"""A bank's folder with a node, without partners' processes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.promises.processes.institutions import Institutions
from vfl.node.service import Service

# A process of a job that takes no part in anything: it holds its lock until a file says how it is to end.
CHILD = """
import json, os, sys, time
from pathlib import Path
folder, digest, lock = sys.argv[1:]
os.ftruncate(int(lock), 0)
os.pwrite(int(lock), str(os.getpid()).encode(), 0)
told = Path(folder) / "end"
while not told.exists():
    time.sleep(0.02)
end = told.read_text()
(Path(folder) / "processes" / f"{digest}.end").write_text(end)
sys.exit(json.loads(end)["exit"] % 256)
"""


class Bank:
    """Its party file, its job, and services of which one follows another."""

    def __init__(self, folder: Path) -> None:
        self.parties = Institutions(folder)
        self.parties.lay_out()
        self.file = self.parties.file("bank")
        self.file.write_text(self.file.read_text() + "\n[node]\n")
        self.folder, self.job = folder / "bank" / "node", self.parties.job
        self._services = list[Service]()

    def service(self) -> Service:
        """A new node, whose jobs' processes are `CHILD`."""
        made = Service(self.file, command=[sys.executable, "-S", "-c", CHILD, str(self.folder)])
        self._services.append(made)
        return made

    def end(self, code: int, *, again: bool = False, error: str | None = None) -> None:
        """Lets the process of a job end like this."""
        said = {"exit": code, "code": error, "message": error, "again": again}
        (self.folder / "end.part").write_text(json.dumps(said))
        (self.folder / "end.part").rename(self.folder / "end")

    def close(self) -> None:
        for service in self._services:
            for process in service.processes._own.values():
                process.kill()
                process.wait()
        self.parties.close()


@pytest.fixture
def bank(tmp_path: Path):  # type: ignore[no-untyped-def]
    made = Bank(tmp_path)
    yield made
    made.close()
