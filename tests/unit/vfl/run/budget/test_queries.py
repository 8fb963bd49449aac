"""Budgets of online queries: charged before anything is asked, and on the disk before an answer leaves."""

from __future__ import annotations

import datetime
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from protocols.errors import ConfigError
from tests.places import ROOT
from vfl.run.budget.queries import FILE, PER_DAY, PER_ID, Queries, Refused

NOON = datetime.datetime(2026, 12, 1, 12, 30, tzinfo=datetime.UTC)
NEXT = NOON + datetime.timedelta(days=1)


def test_a_host_charges_queries_until_the_day_is_used_up(tmp_path: Path) -> None:
    queries = Queries(tmp_path)
    assert queries.charge(["bank"], 4, 10, NOON) == 6
    assert queries.charge(["bank"], 7, 10, NOON) == -1, "refused, and nothing is charged"
    assert queries.charge(["bank"], 6, 10, NOON) == 0
    assert queries.charge(["bank"], 1, 10, NOON) == -1
    assert queries.charge(["other"], 1, 10, NOON) == 9, "each partner has a budget of its own"
    assert queries.charge(["bank"], 1, 10, NEXT) == 9, "a new day"
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600


def test_a_guest_charges_each_customer_too(tmp_path: Path) -> None:
    queries = Queries(tmp_path)
    asked = [queries.ask(["telecom"], b"anna", 100, 2, NOON) for _ in range(3)]
    assert asked == [None, None, Refused(PER_ID, 2_633_401)]
    assert queries.ask(["telecom"], b"bert", 100, 2, NOON) is None
    assert queries.ask(["telecom"], None, 100, 2, NOON) is None, "nobody has no budget of an own"
    assert queries.today("telecom", NOON) == 4
    assert queries.ask(["telecom"], b"carl", 4, 2, NOON) == Refused(PER_DAY, 41_400)
    later = NOON.replace(year=2027, month=1)
    assert queries.ask(["telecom"], b"anna", 100, 2, later) is None, "a new month"
    assert b"anna" not in (tmp_path / FILE).read_bytes()


def test_hours_are_counted_until_they_stand_in_a_ledger(tmp_path: Path) -> None:
    queries, later = Queries(tmp_path), NOON + datetime.timedelta(hours=1)
    queries.charge(["bank", "other"], 3, 10, NOON)
    queries.charge(["bank"], 2, 10, later)
    assert queries.unwritten("2026-12-01T13") == {"2026-12-01T12": {"bank": 3, "other": 3}}
    queries.wrote("2026-12-01T12", {"bank": 3, "other": 3})
    assert queries.unwritten("2026-12-01T14") == {"2026-12-01T13": {"bank": 2}}


def test_no_charge_is_lost_when_the_process_is_killed(tmp_path: Path) -> None:
    """Each number is printed after it was charged: whatever was printed is in the file."""
    program = f"""
import datetime
from pathlib import Path
from vfl.run.budget.queries import Queries
queries, now = Queries(Path({str(tmp_path)!r})), datetime.datetime(2026, 12, 1, 12, tzinfo=datetime.UTC)
for i in range(1, 10**6):
    queries.charge(["bank"], 1, 10**7, now)
    print(i, flush=True)
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, env=environment, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if int(line) == 40:
            break
    process.send_signal(signal.SIGKILL)
    last = max([40, *map(int, process.stdout.read().split()[:-1])])
    process.wait()
    process.stdout.close()
    assert last <= Queries(tmp_path).today("bank", NOON) <= last + 2


def test_what_is_settled_is_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Charges that come while the disk works are brought there together, and nobody waits for less.  A disk that fails
    lets nothing pass any more."""
    working, go = threading.Event(), threading.Event()
    synced = list[str]()

    def slow(handle: int) -> None:
        working.set()
        assert go.wait(10)
        synced.append(os.readlink(f"/proc/self/fd/{handle}"))

    monkeypatch.setattr(os, "fdatasync", slow)
    queries = Queries(tmp_path)
    queries.settle()  # of nothing
    queries.charge(["bank"], 1, 100, NOON)
    assert working.wait(10)
    for _ in range(3):
        assert queries.ask(["bank"], b"anna", 100, 9, NOON) is None
    waiting = threading.Thread(target=queries.settle)
    waiting.start()
    waiting.join(0.05)
    assert waiting.is_alive()
    go.set()
    waiting.join(10)
    assert synced == [str(tmp_path / f"{FILE}-wal")] * 2
    go.clear()
    monkeypatch.setattr(os, "fdatasync", fails)
    queries.charge(["bank"], 1, 100, NOON)
    for _ in range(2):
        with pytest.raises(ConfigError, match="budget of queries"):
            queries.settle()
    queries.close()


def fails(handle: int) -> None:
    raise OSError(5, "Input/output error")


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"x" * 4096)
    with pytest.raises(ConfigError, match="budget of queries"):
        Queries(tmp_path)
