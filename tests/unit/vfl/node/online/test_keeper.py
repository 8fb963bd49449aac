"""The node keeps the process of each publication running, and ends those of models that are withdrawn."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from protocols.errors import ConfigError
from vfl.job import load_job, starter_job
from vfl.node.online.keeper import Keeper
from vfl.node.online.publications import Publications

PROGRAM = """
import os, sys, time
digest, lock = sys.argv[1], int(sys.argv[2])
os.ftruncate(lock, 0)
os.pwrite(lock, str(os.getpid()).encode(), 0)
{body}
"""


@pytest.fixture
def job(tmp_path: Path) -> Path:
    path = tmp_path / "job.toml"
    path.write_text(starter_job(guest="bank", hosts=["telecom"], arbiter="trustco", keys=["id"]))
    return path


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Callable[[str], Keeper]]:
    keepers = list[Keeper]()

    def make(body: str) -> Keeper:
        program = tmp_path / "program.py"
        program.write_text(PROGRAM.format(body=body))
        keepers.append(Keeper(tmp_path / "node", [sys.executable, "-S", str(program)]))
        return keepers[-1]

    yield make
    for keeper in keepers:
        for lock in keeper.publications.folder.glob("processes/*.lock"):
            if keeper.processes.lives(lock.stem):
                os.kill(int(number(keeper, lock.stem)), signal.SIGKILL)
        until(lambda: keeper.processes.reap() is None and not keeper.processes._own)  # noqa: B023


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def number(keeper: Keeper, digest: str) -> str:
    """Of the process, once it has written it."""
    path = keeper.publications.folder / "processes" / f"{digest}.lock"
    until(lambda: path.exists() and path.read_text() != "")
    return path.read_text()


def offer(keeper: Keeper, job: Path) -> str:
    return keeper.publications.offer(load_job(job), job.read_bytes(), None, None, "jane").digest


def test_a_process_that_was_killed_is_started_again_and_ends_when_withdrawn(
    made: Callable[[str], Keeper], job: Path
) -> None:
    keeper = made("time.sleep(60)")
    digest = offer(keeper, job)
    keeper.round()
    first = number(keeper, digest)
    os.kill(int(first), signal.SIGKILL)
    until(lambda: not keeper.processes.lives(digest))
    until(lambda: keeper.round() is None and keeper.processes.lives(digest) and number(keeper, digest) != first)
    assert [one.runs for one in keeper.told()] == [True]
    keeper.publications.withdraw(digest)
    keeper.round()
    until(lambda: not keeper.processes.lives(digest))
    assert keeper.told() == []
    with pytest.raises(ConfigError, match="publishes no model of this job"):
        keeper.publications.withdraw(digest)


def test_one_that_fails_for_good_waits_until_it_is_asked_for_again(made: Callable[[str], Keeper], job: Path) -> None:
    keeper = made(
        'open(os.path.dirname(os.readlink(f"/proc/self/fd/{lock}")) + f"/{digest}.end", "w")'
        '.write(\'{"exit": 2, "code": "config", "message": "wrong", "again": false}\')'
    )
    digest = offer(keeper, job)
    keeper.round()
    until(lambda: not keeper.processes.lives(digest) and keeper.processes.end(digest).exit == 2)
    for _ in range(3):
        keeper.round()
        assert not keeper.processes.lives(digest)
    log = keeper.publications.folder / "processes"
    before = (log / f"{digest}.lock").stat().st_mtime_ns
    offer(keeper, job)
    until(lambda: keeper.round() is None and (log / f"{digest}.lock").stat().st_mtime_ns > before)


def test_a_publication_that_is_being_written_loses_nothing(made: Callable[[str], Keeper], job: Path) -> None:
    """The node's round meets the job's file before the publication itself."""
    keeper = made("time.sleep(60)")
    agreed = load_job(job)
    digest = agreed.digest.hex()
    keeper.publications.job_file(digest).write_bytes(job.read_bytes())
    keeper.round()
    assert keeper.publications.job(digest).digest == agreed.digest
    assert not keeper.processes.lives(digest)


def test_a_job_file_that_has_changed_is_refused(made: Callable[[str], Keeper], job: Path) -> None:
    keeper = made("")
    digest = offer(keeper, job)
    file = keeper.publications.job_file(digest)
    file.write_text(file.read_text().replace('guest = "bank"', 'guest = "thief"'))
    with pytest.raises(ConfigError, match="has changed"):
        Publications(keeper.publications.folder.parent).job(digest)
