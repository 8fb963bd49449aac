"""What this party agrees to in number: runs with a partner a month and, at the guest, models of the same labels.

`[policy] runs_per_partner_per_month`.  Every alignment tells each side which of its ids the other holds, whatever is computed afterwards; who may align
without end can ask about any id.  So each run and each prediction counts, once every party has it on its disk and before anything is aligned, for every other
party in it, also if it fails later, by calendar month (UTC); one that is interrupted and goes on counts once.

`[policy] models_per_label`.  Every model tells a host its final weights, and two models of nearly one problem tell it their difference, which singles out
what was changed: a row, a penalty, a pass.  So each run counts for every other party in it, for good, as one more look at its labels; a search of
trees as one for each of its models, of a regression as one, because nobody learns a weight of its folds.  Two runs look at the same
labels if at least half of the (id, label) pairs of their tables are the same, by an estimate from a sketch of each (Bar-Yossef et al. 2002: the least
hashes), of which 256 keyed hashes are kept.

Both counts are in `budget.sqlite` in the run directory.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import sqlite3
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from protocols.errors import ConfigError, DisclosureRefused
from protocols.randomness import run_seed
from vfl.config import Party
from vfl.data import Table

TABLES = (
    "CREATE TABLE IF NOT EXISTS runs (time TEXT NOT NULL, partner TEXT NOT NULL, job TEXT NOT NULL, purpose TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS models (time TEXT NOT NULL, partner TEXT NOT NULL, job TEXT NOT NULL, sketch BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS salt (value TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS counted (run BLOB PRIMARY KEY)",
)
SKETCH = 256  # hashes of 8 bytes; the estimate of an overlap of one half is then right to 6% (two standard deviations)
SAME = 0.5


class Budget:
    """The runs of one party; without a limit in its policy they are counted all the same, so that a limit set later begins with the truth.

    labels: the guest's table, where models of its labels are to be fitted; models: how many of them the partners learn something of.
    """

    def __init__(self, party: Party, labels: Table | None = None, models: int = 1) -> None:
        self._more, self._party, self._limit = models, party.name, party.policy.runs_per_partner_per_month
        self._labels, self._models = labels if labels is not None and labels.label is not None else None, party.policy.models_per_label
        self._path = party.run.directory / "budget.sqlite"

    def check(self, partners: Sequence[str]) -> None:
        """Raises DisclosureRefused if no run is left with one of `partners` this month, or no model of these labels."""
        if self._limit == 0:
            self._refuse(partners[0], 0)
        if self._labels is not None:
            self._check_models(partners[0], 0)
        if self._path.exists():
            with self._open() as store:
                self._check(store, partners, datetime.datetime.now(datetime.UTC))

    def charge(self, partners: Sequence[str], job: str, purpose: str, now: datetime.datetime, run: bytes) -> None:
        """Counts a run with each of `partners`, once for each name of a run (`run`); or raises DisclosureRefused and counts none."""
        time = now.isoformat(timespec="seconds")
        with self._open() as store:
            store.execute("BEGIN IMMEDIATE")
            if not store.execute("SELECT 1 FROM counted WHERE run = ?", (run,)).fetchone():
                self._check(store, partners, now)
                store.executemany("INSERT INTO runs VALUES (?, ?, ?, ?)", [(time, p, job, purpose) for p in partners])
                if self._labels is not None:
                    sketch = self._sketch(store, self._labels)
                    looks = [(time, p, job, sketch) for p in partners for _ in range(self._more)]
                    store.executemany("INSERT INTO models VALUES (?, ?, ?, ?)", looks)
                store.execute("INSERT INTO counted VALUES (?)", (run,))
            store.execute("COMMIT")

    def left(self, partner: str) -> int | None:
        """How many runs with `partner` are left this month; None: no limit."""
        return None if self._limit is None else max(0, self._limit - self.used(partner))

    def used(self, partner: str) -> int:
        """How many runs with `partner` were counted this month."""
        if not self._path.exists():
            return 0
        with self._open() as store:
            return self._used(store, partner, datetime.datetime.now(datetime.UTC))

    def _check(self, store: sqlite3.Connection, partners: Sequence[str], now: datetime.datetime) -> None:
        for partner in partners:
            if self._limit is not None and (used := self._used(store, partner, now)) >= self._limit:
                self._refuse(partner, used)
        if self._labels is None:
            return
        sketch = np.frombuffer(self._sketch(store, self._labels), np.uint64)
        for partner in partners:
            rows = store.execute("SELECT sketch FROM models WHERE partner = ?", (partner,))
            looks = sum(overlap(sketch, np.frombuffer(row, np.uint64)) >= SAME for (row,) in rows)
            self._check_models(partner, looks)

    def _check_models(self, partner: str, looks: int) -> None:
        if looks + self._more <= self._models:
            return
        several = self._more > 1
        raise DisclosureRefused(
            f"{self._party}: {looks} models of these labels were fitted with {partner}"
            + (f", this job fits {self._more} more" if several else "")
            + f", and policy.models_per_label is {self._models}",
            remedy=("Search fewer candidates or folds, use" if several else "Use")
            + " other rows, or, if whoever answers for this party's data agrees, raise the limit in [policy]",
            party=self._party,
        )

    @staticmethod
    def _sketch(store: sqlite3.Connection, table: Table) -> bytes:
        """The SKETCH least of the keyed hashes of all (id, label); the key is drawn once and stays in this file."""
        found = store.execute("SELECT value FROM salt").fetchone()
        if found is None:
            found = (run_seed().hex(),)
            store.execute("INSERT INTO salt VALUES (?)", found)
        key, label = bytes.fromhex(found[0]), table.label
        assert label is not None
        values = label.to_numpy("<f8").tobytes()
        pairs = ((name, values[8 * row : 8 * row + 8]) for row, name in enumerate(table.ids))
        hashes = b"".join(hashlib.blake2b(name, digest_size=8, key=key, salt=value).digest() for name, value in pairs)
        return np.unique(np.frombuffer(hashes, np.uint64))[:SKETCH].tobytes()

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
                for table in TABLES:
                    store.execute(table)
                yield store
        except (sqlite3.Error, OSError) as error:
            raise ConfigError(
                f"the run budget {self._path} cannot be read or written ({error})",
                remedy="Make room there, or put back the file of this party; without it no run is counted, so none is begun",
            ) from None


def overlap(first: NDArray[np.uint64], second: NDArray[np.uint64]) -> float:
    """The share of pairs that two sketches have in common, of all pairs in either: exact below SKETCH pairs, an estimate above."""
    least = np.union1d(first, second)[:SKETCH]
    return float(np.mean(np.isin(least, first) & np.isin(least, second))) if len(least) else 0.0
