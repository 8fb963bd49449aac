"""`budget.sqlite` in a party's run directory (mode 0600): what has been disclosed so far, one row per kind of budget,
partner and period.

`budget(kind, partner, period, used, limit)`: kind is the policy's key; period a month (UTC), or the name of a set of
labels or columns; limit the policy's limit when the row was last changed.  `labels` and `columns` say what these names
stand for, and how many score vectors the columns allow (`most`), `charged` what has been counted already, `scored` how
often each row was scored, under a keyed hash of its id, `sums` of which members a sum of an averaging was opened, by
set of columns, and on which day at the latest, and `member_rows` a keyed hash of each row of this party that such sums
were of.  No id and no label is stored; but whoever can read the file, with its key, can test a guess of one.

A file of an earlier release (tables `runs`, `models`, `counted`) is converted when it is opened first.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from protocols.errors import ConfigError
from protocols.randomness import run_seed
from vfl.data import Table
from vfl.run.budget.labels import overlaps, paired, sketches_of

FORMAT = 6
TABLES = (
    "CREATE TABLE budget (kind TEXT, partner TEXT, period TEXT, used INTEGER NOT NULL CHECK (typeof(used) = "
    "'integer'), \"limit\" INTEGER, PRIMARY KEY (kind, partner, period))",
    "CREATE TABLE charged (item BLOB, kind TEXT, partner TEXT, PRIMARY KEY (item, kind, partner)) WITHOUT ROWID",
    "CREATE TABLE labels (period TEXT, sketch BLOB NOT NULL, PRIMARY KEY (period, sketch))",
    "CREATE TABLE columns (period TEXT PRIMARY KEY, names TEXT NOT NULL, most INTEGER)",
    "CREATE TABLE scored (scope TEXT, row INTEGER, used INTEGER NOT NULL, PRIMARY KEY (scope, row)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS salt (value TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS sums (period TEXT, members TEXT, day TEXT NOT NULL, PRIMARY KEY (period, members))",
    "CREATE TABLE IF NOT EXISTS member_rows (period TEXT, part TEXT, rows BLOB, day TEXT NOT NULL, "
    "PRIMARY KEY (period, part, rows))",
)
RUNS, PREDICTIONS, MODELS = "runs_per_partner_per_month", "predictions_per_partner_per_month", "models_per_label"
EVER = "lifetime"  # the period of what is never forgotten; sorts behind every month
NUMBERS, VECTORS, SCORES = "rows_per_label_number", "score_vectors", "scores_per_row"
EPSILON = "epsilon"  # used: as noise.py has it; limit: in thousandths


class BudgetFile:
    """The file; each use is one transaction.  Raises ConfigError where it cannot be read or written: then nothing is
    disclosed."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "budget.sqlite"

    @contextlib.contextmanager
    def opened(self, *, reading: bool = False) -> Iterator[Counts]:
        """The counts; what the body changes is kept unless it raises.  reading: where there is no file, none is
        made."""
        try:
            made = self.path.exists() or not reading
            if made:
                self.path.touch(mode=0o600)
            with contextlib.closing(
                sqlite3.connect(self.path if made else ":memory:", timeout=10, isolation_level=None)
            ) as store:
                store.execute("PRAGMA trusted_schema = OFF")
                store.execute("BEGIN IMMEDIATE")
                _make(store)
                yield Counts(store)
                store.execute("COMMIT")
        except (sqlite3.Error, OSError, ValueError, TypeError, OverflowError) as error:
            raise ConfigError(
                f"the budget {self.path} cannot be read or written ({error})",
                remedy="Make room there, or put back the file of this party; without it nothing is counted, so "
                "no run is begun",
            ) from None


class Counts:
    """The content of the file within a transaction."""

    def __init__(self, store: sqlite3.Connection) -> None:
        self._store = store

    def used(self, kind: str, period: str, partner: str | None = None) -> int:
        """What was used in the period, with one partner or with all together."""
        query = "SELECT sum(used) FROM budget WHERE kind = ? AND period = ? AND partner = coalesce(?, partner)"
        (found,) = self._store.execute(query, (kind, period, partner)).fetchone()
        return int(found or 0)

    def rows(self) -> list[tuple[str, str, str, int, int | None]]:
        """Everything that was counted: kind, partner, period, used, and the limit of that time."""
        query = 'SELECT kind, partner, period, used, "limit" FROM budget ORDER BY kind, partner, period'
        return list(self._store.execute(query))

    def forget(self, period: str) -> int:
        """Drops what months before this one counted, which limits nothing any more; returns how many counts."""
        old = "DELETE FROM budget WHERE kind IN (?, ?, ?) AND period < ?"
        dropped = self._store.execute(old, (RUNS, PREDICTIONS, SCORES, period)).rowcount
        return dropped + self._store.execute("DELETE FROM scored WHERE substr(scope, 1, 7) < ?", (period,)).rowcount

    def add(self, kind: str, partner: str, period: str, amount: int, limit: int) -> None:
        """Uses `amount` more."""
        self._store.execute(
            "INSERT INTO budget VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET used = used + "
            'excluded.used, "limit" = excluded."limit"',
            (kind, partner, period, amount, limit),
        )

    def reached(self, kind: str, partner: str, period: str, used: int, limit: int) -> None:
        """What was used is at least `used`."""
        self._store.execute(
            "INSERT INTO budget VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET used = max(used, "
            'excluded.used), "limit" = excluded."limit"',
            (kind, partner, period, used, limit),
        )

    def charged(self, item: bytes, kind: str, partner: str) -> bool:
        """Whether this was counted before."""
        query = "SELECT 1 FROM charged WHERE item = ? AND kind = ? AND partner = ?"
        return self._store.execute(query, (item, kind, partner)).fetchone() is not None

    def charge(self, item: bytes, kind: str, partner: str) -> None:
        """From now on it was."""
        self._store.execute("INSERT INTO charged VALUES (?, ?, ?)", (item, kind, partner))

    @property
    def key(self) -> bytes:
        """Under which ids are hashed: drawn once, and in this file alone."""
        found = self._store.execute("SELECT value FROM salt").fetchone()
        if found is None:
            found = (run_seed().hex(),)
            self._store.execute("INSERT INTO salt VALUES (?)", found)
        return bytes.fromhex(found[0])

    def same_labels(self, table: Table) -> list[str]:
        """The periods of all tables that hold labels of the same customers."""
        own = (*sketches_of(table, self.key), paired(table, self.key))
        found = self._store.execute("SELECT period, sketch FROM labels ORDER BY period").fetchall()
        return list(dict.fromkeys(name for name, other in found if any(overlaps(sketch, other) for sketch in own)))

    def labels(self, table: Table) -> str:
        """The period of the labels of this table."""
        return self.add_labels(*sketches_of(table, self.key))

    def add_labels(self, *sketches: bytes) -> str:
        """The period of the labels that these sketches are of."""
        name = f"labels {hashlib.sha256(sketches[0]).hexdigest()[:16]}"
        self._store.executemany("INSERT OR IGNORE INTO labels VALUES (?, ?)", [(name, sketch) for sketch in sketches])
        return name

    def same_columns(self, names: Sequence[str]) -> list[str]:
        """The periods of all sets of columns that have a column in common with these."""
        found = self._store.execute("SELECT period, names FROM columns")
        return [period for period, others in found if not set(names).isdisjoint(json.loads(others))]

    def columns(self, names: Sequence[str], most: int | None = None) -> str:
        """The period of this set of columns; most: how many score vectors they allow, where that is known."""
        content = json.dumps(sorted(names))
        name = f"columns {hashlib.sha256(content.encode()).hexdigest()[:16]}"
        add = "INSERT INTO columns VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET most = coalesce(excluded.most, most)"
        self._store.execute(add, (name, content, most))
        return name

    def most(self, names: Sequence[str]) -> int | None:
        """How many score vectors were last found to be allowed of a set that holds these columns, the fewest if there
        are several; None if nobody knows."""
        found = self._store.execute("SELECT names, most FROM columns WHERE most IS NOT NULL")
        return min((int(most) for others, most in found if set(names) <= set(json.loads(others))), default=None)

    def sums(self, names: Sequence[str], since: str) -> list[frozenset[str]]:
        """The members of each sum of an averaging that was opened on this day (ISO 8601) or later, of any of these
        columns, the latest last."""
        periods = self.same_columns(names)
        query = "SELECT period, members FROM sums WHERE day >= ? ORDER BY day, rowid"
        found = self._store.execute(query, (since,)).fetchall()
        return list(dict.fromkeys(frozenset(json.loads(who)) for period, who in found if period in periods))

    def add_sum(self, names: Sequence[str], members: Iterable[str], day: str) -> None:
        """A sum over these members is opened, of these columns."""
        add = "INSERT OR REPLACE INTO sums VALUES (?, ?, ?)"  # with a new rowid: the latest one is last
        self._store.execute(add, (self.columns(names), json.dumps(sorted(members)), day))

    def tables(self, names: Sequence[str], part: str, since: str) -> dict[tuple[str, ...], list[bytes]]:
        """By set of columns that has one of these: the hashed rows of this part of each table of this party of which
        sums were opened on this day or later."""
        query = "SELECT columns.names, rows FROM member_rows JOIN columns USING (period) WHERE part = ? AND day >= ?"
        found = dict[tuple[str, ...], list[bytes]]()
        for others, rows in self._store.execute(query + " ORDER BY day", (part, since)):
            if not set(names).isdisjoint(columns := tuple(json.loads(others))):
                found.setdefault(columns, []).append(rows)
        return found

    def add_table(self, names: Sequence[str], part: str, rows: bytes, day: str) -> None:
        """Sums are opened of a part of a table, of these hashed rows."""
        add = "INSERT OR REPLACE INTO member_rows VALUES (?, ?, ?, ?)"
        self._store.execute(add, (self.columns(names), part, rows, day))

    def score(self, model: bytes, partner: str, period: str, ids: Iterable[bytes], limit: int) -> tuple[int, int]:
        """Counts one more score of each of these rows by a model in a month, or EVER, unless some were scored `limit`
        times already.

        Returns how many were, and how often the row was scored that has most.  A month's counts replace those of other
        months.
        """
        key, scope = self.key, f"{period} {partner} {model.hex()}"
        hashes = (hmac.digest(key, b"row " + name, "sha256")[:8] for name in ids)
        self._store.execute("CREATE TEMP TABLE batch (row INTEGER PRIMARY KEY)")
        self._store.executemany(
            "INSERT OR IGNORE INTO batch VALUES (?)", ((int.from_bytes(h, "big", signed=True),) for h in hashes)
        )
        both = "FROM scored JOIN batch USING (row) WHERE scope = ?"
        most, beyond = self._store.execute(
            f"SELECT max(used), count(*) FILTER (WHERE used >= ?) {both}", (limit, scope)
        ).fetchone()
        if not beyond:
            if period != EVER:
                others = "DELETE FROM scored WHERE scope NOT LIKE ? AND scope NOT LIKE ?"
                self._store.execute(others, (f"{period} %", f"{EVER} %"))
            add = "INSERT INTO scored SELECT ?, row, 1 FROM batch WHERE true ON CONFLICT DO UPDATE SET used = used + 1"
            self._store.execute(add, (scope,))
        self._store.execute("DROP TABLE batch")
        return int(beyond), int(most or 0) + (not beyond)


def _make(store: sqlite3.Connection) -> None:
    (format_,) = store.execute("PRAGMA user_version").fetchone()
    if not 0 <= format_ <= FORMAT or format_ == 1:
        raise sqlite3.DatabaseError(f"format {format_} is of a later release")
    if format_ == FORMAT:
        return
    if format_ == 2:
        store.execute("ALTER TABLE columns ADD COLUMN most INTEGER")
    if format_:
        for table in TABLES:
            if "IF NOT EXISTS" in table and "salt" not in table:
                store.execute(table)
    if format_ in (2, 3):
        store.execute("ALTER TABLE labels RENAME TO earlier")
        store.execute(next(table for table in TABLES if "TABLE labels" in table))
        store.execute("INSERT INTO labels SELECT period, sketch FROM earlier")
        store.execute("DROP TABLE earlier")
    if format_:
        store.execute(f"PRAGMA user_version = {FORMAT}")
        return
    names = {name for (name,) in store.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    for table in TABLES:
        store.execute(table)
    if "runs" in names:
        _convert(store, names)
    store.execute(f"PRAGMA user_version = {FORMAT}")


def _convert(store: sqlite3.Connection, names: set[str]) -> None:
    """What an earlier release counted: its tables go when their counts are in the new one."""
    counts = Counts(store)
    partners = set()
    for time, partner, purpose in store.execute("SELECT time, partner, purpose FROM runs").fetchall():
        counts.add(PREDICTIONS if purpose == "predict" else RUNS, partner, time[:7], 1, 0)
        partners.add(partner)
    for partner, sketch in store.execute("SELECT partner, sketch FROM models").fetchall() if "models" in names else ():
        counts.add(MODELS, partner, counts.add_labels(sketch), 1, 0)
    for (run,) in store.execute("SELECT run FROM counted").fetchall() if "counted" in names else ():
        for partner in partners:
            for kind in (RUNS, PREDICTIONS, MODELS):
                counts.charge(run, kind, partner)
    for table in {"runs", "models", "counted"} & names:
        store.execute(f"DROP TABLE {table}")
