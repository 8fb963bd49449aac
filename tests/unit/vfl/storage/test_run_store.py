"""The store of a run: what it gives back after a kill, what it forgets, and what it says when the disk is full or
another process holds it."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from protocols.channel import Count
from protocols.errors import ConfigError
from protocols.recovery.checkpoint import END, START, Checkpoint, Position
from vfl.storage.run_store import FILE, RunFacts, RunStore, unfinished

FACTS = RunFacts("0.1.0", "run", b"job", b"input", bytes(16), b"s" * 32, "2026-01-01T00:00:00+00:00")


def mark(stage: int, item: int, messages: int, last: bool = False) -> Checkpoint:
    counts = {"telecom": Count(messages, 1, bytes([item]) * 32)}
    return Checkpoint(
        Position(stage, item), item, counts, {"weights": np.arange(item), "name": np.frombuffer(b"x", np.uint8)}, last
    )


def test_a_mark_comes_back_as_it_was(tmp_path: Path) -> None:
    store = RunStore(tmp_path, FACTS)
    store.keep(mark(1, 0, 5), {"telecom": [b"first", b"second"]})
    store.keep(mark(1, 1, 7), {})
    store.close()
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600
    again = RunStore(tmp_path)
    assert again.facts == FACTS
    assert again.checkpoints == [(1, 0), (1, 1)]
    found, kept = again.at(Position(1, 1)), mark(1, 1, 7)
    assert (found.position, found.draws, found.counts, found.last) == (kept.position, 1, kept.counts, False)
    assert found.arrays.keys() == kept.arrays.keys()
    assert all(np.array_equal(found.arrays[k], kept.arrays[k]) for k in kept.arrays)
    assert again.heard(1) == {"telecom": [b"first", b"second"]}
    assert again.heard(2) == {}
    assert "s" * 32 not in repr(again.facts)


def test_a_number_comes_back_as_a_number(tmp_path: Path) -> None:
    """Not as an array of one, which `int` refuses: a run that was killed while it aligned could not resume."""
    store = RunStore(tmp_path, FACTS)
    arrays = {"left": np.array(3), "columns": np.arange(6).reshape(2, 3).T}
    store.keep(Checkpoint(Position(1, 0), 0, {}, arrays, False), {})
    found = store.at(Position(1, 0)).arrays
    assert int(found["left"]) == 3
    assert found["columns"].tolist() == arrays["columns"].tolist()
    store.close()


def test_it_keeps_the_last_mark_of_each_stage_and_those_of_the_last_two_counts(tmp_path: Path) -> None:
    store = RunStore(tmp_path, FACTS)
    for stage, item, messages, last in [
        (0, 0, 0, False),
        (0, 1, 4, True),
        (1, 0, 6, False),
        (1, 1, 9, False),
        (1, 2, 9, False),
        (1, 3, 12, False),
    ]:
        store.keep(mark(stage, item, messages, last), {})
    assert store.checkpoints == [(0, 1), (1, 1), (1, 2), (1, 3)]
    assert [store.repeats(Position(*p)) for p in ((1, 3), (1, 2), (1, 1), (0, 1), START)] == [0, 1, 1, 2, 3]
    store.keep(Checkpoint(END, 3, {}, {"result": np.zeros(1)}, last=True), {})
    assert store.checkpoints == [(0, 1), (1, 1), (1, 2), (1, 3), END]
    store.keeps()
    assert store.checkpoints == [END]
    store.close()
    assert RunStore(tmp_path).facts.seed == bytes(32)  # and with it the secrets


def test_the_latest_unfinished_run_of_the_job_is_found(tmp_path: Path) -> None:
    for name, purpose, job in (
        ("risk-20260101-000000", "run", b"job"),
        ("risk-20260101-000000+", "run", b"job"),
        ("risk-20260102-000000", "run", b"other"),
        ("predict-risk-20260103-000000", "predict", b"job"),
        ("predict-risk-20260104-000000", "run", b"third"),  # of a job of this name
    ):
        (tmp_path / name).mkdir()
        RunStore(tmp_path / name, RunFacts("0.1.0", purpose, job, b"", bytes(16), bytes(32), "")).close()
    for expected in ("risk-20260101-000000+", "risk-20260101-000000"):
        found = unfinished(tmp_path, "run", "risk", b"job")
        assert found is not None
        assert found.folder.name == expected
        found.remove()
    assert unfinished(tmp_path, "run", "risk", b"job") is None
    found = unfinished(tmp_path, "predict", "risk", b"job")
    assert found is not None
    assert found.folder.name == "predict-risk-20260103-000000"
    assert unfinished(tmp_path, "run", "predict-risk", b"third") is not None


KILLED = """
import sys, pathlib, os, sqlite3
from vfl.storage import run_store as runstore
from tests.unit.vfl.storage.test_run_store import FACTS
number = int(sys.argv[2])
class Killed(sqlite3.Connection):
    def execute(self, *what):
        global number
        number -= 1
        if not number:
            os._exit(9)
        return super().execute(*what)
connect = sqlite3.connect
sqlite3.connect = lambda *a, **o: connect(*a, factory=Killed, **o)
runstore.RunStore(pathlib.Path(sys.argv[1]), FACTS)
"""


@pytest.mark.parametrize("statement", [1, 8, 9])
def test_a_party_that_dies_while_it_makes_its_store_has_begun_no_run(tmp_path: Path, statement: int) -> None:
    """Before the store has its name nothing is left of it; after that it can be gone on from."""
    folder = tmp_path / "risk-20260101-000000"
    folder.mkdir()
    ended = subprocess.run([sys.executable, "-c", KILLED, str(folder), str(statement)], check=False)
    assert ended.returncode == 9
    assert list(folder.iterdir())
    found = unfinished(tmp_path, "run", "risk", b"job")
    assert (found is None) == (statement < 9) == (not folder.exists())


DIES = """
import sys, pathlib, os
from tests.unit.vfl.storage.test_run_store import FACTS, RunStore
store = RunStore(pathlib.Path(sys.argv[1]), FACTS)
store.keeps()
os._exit(9)
"""


def test_nothing_is_left_of_a_run_whose_party_was_killed_when_it_was_over(tmp_path: Path) -> None:
    """SQLite's journal, with the seed that the store itself has no more, outlives the process that is killed."""
    assert subprocess.run([sys.executable, "-c", DIES, str(tmp_path)], check=False).returncode == 9
    assert FACTS.seed in (tmp_path / f"{FILE}-journal").read_bytes()
    again = RunStore(tmp_path)
    assert again.kept
    again.remove()
    assert not list(tmp_path.iterdir())


def test_a_run_of_another_job_may_be_under_way(tmp_path: Path) -> None:
    """Its store is held by its process; one of the same name is not passed over."""
    (tmp_path / "churn-20260101-000000").mkdir()
    holder = RunStore(tmp_path / "churn-20260101-000000", FACTS)
    assert unfinished(tmp_path, "run", "risk", b"job") is None
    with pytest.raises(ConfigError, match="Another process runs this job"):
        unfinished(tmp_path, "run", "churn", b"job")
    holder.close()


def test_a_second_process_is_told(tmp_path: Path) -> None:
    holder = RunStore(tmp_path, FACTS)
    with pytest.raises(
        ConfigError, match=r"run\.sqlite cannot be read or written .*locked.*Another process runs this job"
    ):
        RunStore(tmp_path)
    holder.close()


def test_a_full_disk_is_told_and_the_run_goes_on_when_there_is_room(tmp_path: Path) -> None:
    store = RunStore(tmp_path, FACTS)
    store.keep(mark(1, 0, 5), {})
    (pages,) = store._db.execute("PRAGMA page_count").fetchone()
    store._db.execute(f"PRAGMA max_page_count = {pages}")
    large = Checkpoint(Position(1, 1), 1, {}, {"weights": np.zeros(1 << 16)})
    with pytest.raises(ConfigError, match=r"full.*Make room there") as caught:
        store.keep(large, {})
    assert caught.value.exit_code == 2
    store.close()
    again = RunStore(tmp_path)
    assert again.checkpoints == [(1, 0)]
    again.keep(large, {})
    assert again.checkpoints == [(1, 0), (1, 1)]


@pytest.mark.parametrize("damage", [b"", b"not a database" * 100])
def test_a_damaged_store_is_told(tmp_path: Path, damage: bytes) -> None:
    RunStore(tmp_path, FACTS).close()
    (tmp_path / FILE).write_bytes(damage)
    with pytest.raises(ConfigError, match="cannot be read or written"):
        RunStore(tmp_path)


def test_a_damaged_mark_is_told_and_nothing_in_it_is_run(tmp_path: Path) -> None:
    RunStore(tmp_path, FACTS).close()
    with sqlite3.connect(tmp_path / FILE) as db:
        for item, (counts, arrays) in enumerate([("{}", b"junk"), ("[]", b""), ('{"a": 1}', b"PK")]):
            db.execute("INSERT INTO marks VALUES (0, ?, 0, 0, 0, ?, ?)", (item, counts, arrays))
    db.close()
    store = RunStore(tmp_path)
    for item in range(3):
        with pytest.raises(ConfigError, match="a checkpoint is damaged"):
            store.at(Position(0, item))
