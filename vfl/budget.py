"""How often this party has aligned with each partner this month: `[policy] runs_per_partner_per_month`.

Every alignment tells each side which of its ids the other holds, whatever is computed afterwards; who may align without end can ask about any id.  So each
run and each prediction counts, once the parties are connected and before anything is aligned, for every other party in it, also if it fails later.  The
count is kept in `budget.sqlite` in the run directory, by calendar month (UTC).
"""

from __future__ import annotations

import contextlib
import datetime
import sqlite3
from collections.abc import Iterator, Sequence

from protocols.errors import ConfigError, DisclosureRefused
from vfl.config import Party

TABLE = "CREATE TABLE IF NOT EXISTS runs (time TEXT NOT NULL, partner TEXT NOT NULL, job TEXT NOT NULL, purpose TEXT NOT NULL)"


class Budget:
    """The runs of one party; without a limit in its policy they are counted all the same, so that a limit set later begins with the truth."""

    def __init__(self, party: Party) -> None:
        self._party, self._limit = party.name, party.policy.runs_per_partner_per_month
        self._path = party.run.directory / "budget.sqlite"

    def check(self, partners: Sequence[str]) -> None:
        """Raises DisclosureRefused if no run is left with one of `partners` this month."""
        if self._limit is None:
            return
        if self._limit == 0:
            self._refuse(partners[0], 0)
        if self._path.exists():
            with self._open() as store:
                self._check(store, partners, datetime.datetime.now(datetime.UTC))

    def charge(self, partners: Sequence[str], job: str, purpose: str, now: datetime.datetime) -> None:
        """Counts one run with each of `partners`, or raises DisclosureRefused and counts none."""
        with self._open() as store:
            store.execute("BEGIN IMMEDIATE")
            self._check(store, partners, now)
            store.executemany(
                "INSERT INTO runs VALUES (?, ?, ?, ?)", [(now.isoformat(timespec="seconds"), p, job, purpose) for p in partners]
            )
            store.execute("COMMIT")

    def left(self, partner: str) -> int | None:
        """How many runs with `partner` are left this month; None: no limit."""
        if self._limit is None:
            return None
        if not self._path.exists():
            return self._limit
        with self._open() as store:
            return max(0, self._limit - self._used(store, partner, datetime.datetime.now(datetime.UTC)))

    def _check(self, store: sqlite3.Connection, partners: Sequence[str], now: datetime.datetime) -> None:
        for partner in partners:
            if self._limit is not None and (used := self._used(store, partner, now)) >= self._limit:
                self._refuse(partner, used)

    @staticmethod
    def _used(store: sqlite3.Connection, partner: str, now: datetime.datetime) -> int:
        (count,) = store.execute("SELECT count(*) FROM runs WHERE partner = ? AND time LIKE ?", (partner, f"{now:%Y-%m}-%")).fetchone()
        return int(count)

    def _refuse(self, partner: str, used: int) -> None:
        raise DisclosureRefused(
            f"{self._party}: {used} {'run' if used == 1 else 'runs'} with {partner} this month, and policy.runs_per_partner_per_month is {self._limit}",
            remedy="Wait for the next month, or, if whoever answers for this party's data agrees, raise the limit in [policy]",
            party=self._party,
        )

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            self._path.touch(mode=0o600)
            with contextlib.closing(sqlite3.connect(self._path, timeout=10, isolation_level=None)) as store:
                store.execute(TABLE)
                yield store
        except (sqlite3.Error, OSError) as error:
            raise ConfigError(
                f"the run budget {self._path} cannot be read or written ({error})",
                remedy="Make room there, or put back the file of this party; without it no run is counted, so none is begun",
            ) from None
