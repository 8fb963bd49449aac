"""Budgets of online queries: charged before anything is asked, and on the disk when they are."""

from __future__ import annotations

import datetime
import os
import signal
import subprocess
import sys
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
    """Each number is printed after it was charged: whatever was printed is on the disk."""
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


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"x" * 4096)
    with pytest.raises(ConfigError, match="budget of queries"):
        Queries(tmp_path)
