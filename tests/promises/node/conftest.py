"""Institutions with nodes."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.promises.processes.institutions import Institutions, Process
from vfl.ledger import read_ledger
from vfl.node.processes import is_locked


class Nodes(Institutions):
    """Each party file has a section [node]."""

    def lay_out(self, *given: Any, **settings: Any) -> Nodes:
        super().lay_out(*given, **settings)
        for name in self.roles:
            self.file(name).write_text(self.file(name).read_text() + "\n[node]\n")
        return self

    def another(self, name: str) -> Path:
        """A job like the first, under another name."""
        path = self.folder / f"{name}.toml"
        path.write_text(self.job.read_text().replace('name = "credit-risk', f'name = "{name}'))
        return path

    def node(self, name: str) -> Process:
        """Starts the node of a party."""
        return self.run(["-m", "vfl", "node", str(self.file(name))], f"node-{name}")

    def tell(self, *words: object) -> dict[str, Any]:
        """What a command about a node answers."""
        ended = self.here("node", *words, "--json")
        assert ended.code == 0, ended.err
        found: dict[str, Any] = json.loads(ended.out)
        return found

    def submit(self, name: str, job: Path, *, approve: bool = True) -> str:
        """Gives a job to a party's node; returns its digest."""
        digest = str(self.tell("submit", job, self.file(name))["job"]["job_digest"])
        if approve:
            self.tell("approve", digest, self.file(name))
        return digest

    def jobs(self, name: str) -> dict[str, dict[str, Any]]:
        """By digest, what a party's node says of its jobs."""
        return {job["job_digest"]: job for job in self.tell("status", self.file(name))["jobs"]}

    def until(self, true: Callable[[], bool], seconds: float = 90) -> None:
        deadline = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < deadline, [self.jobs(name) for name in self.roles]
            time.sleep(0.1)

    def pid(self, name: str, digest: str) -> int:
        """Of the process that runs a job."""
        return int((self.folder / name / "node" / "processes" / f"{digest}.lock").read_text())

    def ledgers(self, name: str) -> dict[str, list[dict[str, Any]]]:
        """By the folder of a run, its lines."""
        found = sorted((self.folder / name / "runs").glob("*/ledger.jsonl"))
        return {path.parent.name: list(read_ledger(path)) for path in found}

    def close(self) -> None:
        """Also ends the processes of jobs, which outlive their nodes."""
        for lock in self.folder.glob("*/node/processes/*.lock"):
            if is_locked(lock):
                os.kill(int(lock.read_text()), signal.SIGKILL)
        super().close()


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    made = Nodes(tmp_path)
    yield made
    made.close()
