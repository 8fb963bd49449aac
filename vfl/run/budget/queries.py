"""`queries.sqlite` in a party's run directory (mode 0600): how often customers were asked about online, one row per
partner and hour (UTC), and at the guest how often about each, under a keyed hash of the id, one row per month and id.

A query is charged before anything is asked or answered: whatever ends the process loses none.  `settle` waits until the
disk has it, which a thread sees to meanwhile, of many at once: so no answer leaves that a power failure could uncount.
`written` says how many queries of an hour stand in a ledger.  No id is stored; but whoever can read the file, with its
key, can test a guess of one.
"""

from __future__ import annotations

import contextlib
import datetime
import hmac
import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from protocols.errors import ConfigError
from protocols.randomness import run_seed

FORMAT, FILE = 1, "queries.sqlite"
PER_DAY, PER_ID = "queries_per_partner_per_day", "queries_per_id_per_month"
KEPT_DAYS = 40  # for which hours that stand in a ledger are kept
TABLES = (
    "CREATE TABLE hours (partner TEXT, hour TEXT, used INTEGER NOT NULL, written INTEGER NOT NULL DEFAULT 0, "
    "PRIMARY KEY (partner, hour)) WITHOUT ROWID",
    "CREATE TABLE ids (month TEXT, row INTEGER, used INTEGER NOT NULL, PRIMARY KEY (month, row)) WITHOUT ROWID",
    "CREATE TABLE salt (value TEXT NOT NULL)",
)


def utc_now() -> datetime.datetime:
    """The current time."""
    return datetime.datetime.now(datetime.UTC)


@dataclass(frozen=True)
class Refused:
    """Why a query is not asked: the policy's key, and in how many seconds it can be asked again."""

    key: str
    seconds: int


class Queries:
    """The file.  Safe to use from every thread.  Raises ConfigError where it cannot be read or written: then nothing
    is asked or answered."""

    def __init__(self, directory: Path) -> None:
        self._path, self._lock = directory / FILE, threading.Lock()
        self._settling = Settling(directory / f"{FILE}-wal")
        self._month = ""  # of the newest row of `ids`
        with self._errors():
            directory.mkdir(parents=True, exist_ok=True)
            self._path.touch(mode=0o600)
            self._store = sqlite3.connect(self._path, timeout=10, isolation_level=None, check_same_thread=False)
            self._store.execute("PRAGMA trusted_schema = OFF")
            self._store.execute("PRAGMA journal_mode = WAL")
            self._store.execute("PRAGMA synchronous = NORMAL")  # `_settling` is what waits for the disk
        with self._changing() as store:
            (version,) = store.execute("PRAGMA user_version").fetchone()
            if version == 0:
                for table in TABLES:
                    store.execute(table)
                store.execute("INSERT INTO salt VALUES (?)", (run_seed().hex(),))
                store.execute(f"PRAGMA user_version = {FORMAT}")
            elif version != FORMAT:
                raise sqlite3.DatabaseError(f"format {version} is of a later release")
            (self._key,) = (bytes.fromhex(value) for (value,) in store.execute("SELECT value FROM salt"))

    def close(self) -> None:
        """Nothing is counted any more."""
        with self._lock:
            self._store.close()
        self._settling.close()

    def settle(self) -> None:
        """Returns when everything that was charged before is on the disk."""
        with self._errors():
            self._settling.wait()

    def charge(self, partners: Sequence[str], count: int, limit: int, now: datetime.datetime) -> int:
        """Charges this number of queries with each partner; how many more are left today with the one that has
        fewest, or -1 where they are too many, and nothing is charged."""
        with self._changing() as store:
            left = min((limit - self._today(store, p, now) for p in partners), default=limit) - count
            if left < 0:
                return -1
            self._add(store, partners, count, now)
        self._settling.begin()
        return left

    def count(self, partner: str, count: int, now: datetime.datetime) -> None:
        """Counts queries that no budget limits: no answer waits until the disk has them."""
        with self._changing() as store:
            self._add(store, [partner], count, now)

    def ask(
        self, partners: Sequence[str], name: bytes | None, limit: int, per_id: int, now: datetime.datetime
    ) -> Refused | None:
        """Charges one query about the customer `name` (canonical; None: nobody), or says why it is refused, and charges
        nothing."""
        month = f"{now:%Y-%m}"
        with self._changing() as store:
            if any(self._today(store, p, now) >= limit for p in partners):
                return Refused(PER_DAY, until_tomorrow(now))
            if name is not None:
                row = int.from_bytes(hmac.digest(self._key, name, "sha256")[:8], "big", signed=True)
                found = store.execute("SELECT used FROM ids WHERE month = ? AND row = ?", (month, row)).fetchone()
                if found is not None and found[0] >= per_id:
                    return Refused(PER_ID, until_next_month(now))
                if month != self._month:
                    store.execute("DELETE FROM ids WHERE month != ?", (month,))
                    self._month = month
                add = "INSERT INTO ids VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET used = used + 1"
                store.execute(add, (month, row))
            self._add(store, partners, 1, now)
        self._settling.begin()
        return None

    def today(self, partner: str, now: datetime.datetime) -> int:
        """How many were charged today."""
        with self._changing() as store:
            return self._today(store, partner, now)

    def every(self, now: datetime.datetime) -> dict[str, int]:
        """By partner, how many were charged today."""
        with self._changing() as store:
            found = store.execute("SELECT DISTINCT partner FROM hours ORDER BY partner").fetchall()
            return {p: count for (p,) in found if (count := self._today(store, p, now))}

    def unwritten(self, before: str) -> dict[str, dict[str, int]]:
        """By hour before this one, and partner, how many queries stand in no ledger."""
        query = "SELECT hour, partner, used - written FROM hours WHERE hour < ? AND used > written ORDER BY hour"
        found = dict[str, dict[str, int]]()
        with self._changing() as store:
            for hour, partner, count in store.execute(query, (before,)):
                found.setdefault(hour, {})[partner] = count
        return found

    def wrote(self, hour: str, counts: dict[str, int]) -> None:
        """They stand in a ledger now."""
        with self._changing() as store:
            for partner, count in counts.items():
                change = "UPDATE hours SET written = written + ? WHERE partner = ? AND hour = ?"
                store.execute(change, (count, partner, hour))
            old = hour_of(utc_now() - datetime.timedelta(days=KEPT_DAYS))
            store.execute("DELETE FROM hours WHERE hour < ? AND used = written", (old,))

    def _add(self, store: sqlite3.Connection, partners: Sequence[str], count: int, now: datetime.datetime) -> None:
        for partner in partners:
            add = "INSERT INTO hours VALUES (?, ?, ?, 0) ON CONFLICT DO UPDATE SET used = used + excluded.used"
            store.execute(add, (partner, hour_of(now), count))

    def _today(self, store: sqlite3.Connection, partner: str, now: datetime.datetime) -> int:
        query = "SELECT sum(used) FROM hours WHERE partner = ? AND hour >= ? AND hour < ?"
        first, last = f"{now:%Y-%m-%d}T00", f"{now:%Y-%m-%d}T24"
        (used,) = store.execute(query, (partner, first, last)).fetchone()
        return int(used or 0)

    @contextlib.contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        """One transaction: what the body changes is kept unless it raises."""
        with self._lock, self._errors():
            self._store.execute("BEGIN IMMEDIATE")
            try:
                yield self._store
                self._store.execute("COMMIT")
            except BaseException:
                self._store.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError, ValueError) as error:
            raise ConfigError(
                f"the budget of queries {self._path} cannot be read or written ({error})",
                remedy="Make room there, or put back the file of this party; without it nothing is counted, so no "
                "query is asked or answered",
            ) from None


class Settling:
    """Waits for the disk in a thread of its own, once for all that was written to a file meanwhile."""

    def __init__(self, path: Path) -> None:
        self._path, self._changed = path, threading.Condition()
        self._begun = self._settled = 0  # how many were written, and are on the disk
        self._error: OSError | None = None
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """Something was written."""
        with self._changed:
            self._begun += 1
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="vfl online, disk", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def wait(self) -> None:
        """Until it is on the disk.  Raises OSError where it cannot be brought there."""
        with self._changed:
            due = self._begun
            self._changed.wait_for(lambda: self._settled >= due or self._error is not None or self._begun < 0)
            if self._error is not None:
                raise self._error

    def close(self) -> None:
        """Nothing is written any more."""
        with self._changed:
            self._begun = -1
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        try:
            with self._path.open("rb") as file:  # of sqlite's, which takes its locks on others
                while (due := self._due()) >= 0:
                    os.fdatasync(file.fileno())
                    with self._changed:
                        self._settled = due
                        self._changed.notify_all()
        except OSError as error:  # after which nobody knows what the disk has
            with self._changed:
                self._error = error
                self._changed.notify_all()

    def _due(self) -> int:
        with self._changed:
            self._changed.wait_for(lambda: self._begun != self._settled)
            return self._begun


def hour_of(now: datetime.datetime) -> str:
    """An hour's name."""
    return f"{now:%Y-%m-%dT%H}"


def until_tomorrow(now: datetime.datetime) -> int:
    """Seconds until the next day."""
    return 86_400 - (now.hour * 3600 + now.minute * 60 + now.second)


def until_next_month(now: datetime.datetime) -> int:
    """Seconds until the next month."""
    following = (now.replace(day=1) + datetime.timedelta(days=32)).replace(
        day=1, hour=0, minute=0, second=0, microsecond=0
    )
    return int((following - now).total_seconds()) + 1
