"""What a party stores of a run until it is over, so that the run can resume after a kill: `run.sqlite` in the run's
folder (mode 0600).

It holds the run's name, the party's run seed, which job and table they belong to, the checkpoints of
protocols/recovery/checkpoint.py and the messages that were received before a stage began, among them the keys that
sealed trees share with one other party; and the names of attempts whose pads are spent.  No label, feature, id or
other key; but the shares of weights are secrets of this party.  The run seed, from which the arbiter's key follows, is
sealed for this party's identity.  Each change is on disk before the run continues, or has not happened (SQLite's
transactions).  The file is removed when every party keeps its result, and with it the pads that were prepared for the
run (`pad_store`).
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from protocols.channel import Count
from protocols.errors import ConfigError
from protocols.recovery.checkpoint import END, Arrays, Checkpoint, Position
from vfl.storage.files import sync_folder
from vfl.storage.pad_store import PADS

FILE, FORMAT = "run.sqlite", 4
HALF = FILE + ".new"  # while it is made
TABLES = """
CREATE TABLE run (format INTEGER, version TEXT, purpose TEXT, job BLOB, input BLOB, id BLOB, seed BLOB, started TEXT, kept INTEGER, ledger TEXT);
CREATE TABLE marks (stage INTEGER, item INTEGER, last INTEGER, messages INTEGER, draws INTEGER, counts TEXT, arrays BLOB, PRIMARY KEY (stage, item));
CREATE TABLE heard (stage INTEGER, peer TEXT, number INTEGER, message BLOB, PRIMARY KEY (stage, peer, number));
CREATE TABLE spent (name BLOB PRIMARY KEY);
"""  # noqa: E501

# all but the last checkpoint of each stage and the parts of lists, and the checkpoints after the last two counts of
# messages (a step without messages repeats nothing)
FORGET = """
DELETE FROM marks WHERE NOT last
AND messages NOT IN (SELECT DISTINCT messages FROM marks WHERE stage < ? ORDER BY messages DESC LIMIT 2)
"""


@dataclass(frozen=True)
class RunFacts:
    """Which run this is.  version: of the engine; purpose: which command; job, input: digests of the job and of this
    party's table; seed: the run's, sealed; started: ISO 8601."""

    version: str
    purpose: str
    job: bytes
    input: bytes
    id: bytes
    seed: bytes = field(repr=False)
    started: str


class RunStore:
    """A `Keeper` on disk.  One process at a time holds it.  Raises ConfigError naming the file where it cannot be read
    or written."""

    def __init__(self, folder: Path, facts: RunFacts | None = None) -> None:
        """facts: of a new run, whose store is made; otherwise it must be there."""
        self.folder, self._path = folder, folder / FILE
        self.before: Callable[[], str] = lambda: (
            ""
        )  # what must be on disk before a checkpoint is: the ledger, whose head it returns
        with self._checked(), contextlib.ExitStack() as undo:
            if facts is not None:
                self._make(facts)
            self._db = sqlite3.connect(self._path, timeout=0, isolation_level=None, check_same_thread=False)
            undo.callback(self._db.close)
            for setting in ("locking_mode = EXCLUSIVE", "synchronous = EXTRA", "trusted_schema = OFF"):
                self._db.execute(f"PRAGMA {setting}")
            self._db.execute("BEGIN EXCLUSIVE")
            (row,) = self._db.execute("SELECT * FROM run")
            self._db.execute("COMMIT")
            if row[0] != FORMAT:
                raise sqlite3.DatabaseError(f"format {row[0]}")
            self.facts = facts or RunFacts(*row[1:8])
            self.kept = bool(row[8])  # every party has its result on its disk
            self.ledger = str(
                row[9]
            )  # the hash of a line that the ledger held: the latest known; "" before there is one
            undo.pop_all()

    def _make(self, facts: RunFacts) -> None:
        """A new store, under its name only when it is whole: a party that dies here has begun no run."""
        path = self.folder / HALF
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute("PRAGMA synchronous = EXTRA")
            db.execute("BEGIN")
            for table in TABLES.strip().splitlines():
                db.execute(table)
            row = (
                FORMAT,
                facts.version,
                facts.purpose,
                facts.job,
                facts.input,
                facts.id,
                facts.seed,
                facts.started,
                0,
                "",
            )
            db.execute("INSERT INTO run VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
            db.execute("COMMIT")
        path.rename(self._path)
        sync_folder(self.folder)

    # -- as a Keeper

    def keep(self, mark: Checkpoint, heard: Mapping[str, Sequence[bytes]]) -> None:
        self.ledger = self.before() or self.ledger
        packed = save({name: np.asarray(array, order="C") for name, array in mark.arrays.items()})
        counts = json.dumps(
            {peer: (c.sent, c.received, c.consumed.hex(), c.produced.hex()) for peer, c in mark.counts.items()}
        )
        row = (*mark.position, mark.last, mark.messages, mark.draws, counts, packed)
        again = [
            (mark.position.stage, peer, k, data) for peer, messages in heard.items() for k, data in enumerate(messages)
        ]
        with self._transaction():
            self._db.execute("INSERT OR REPLACE INTO marks VALUES (?, ?, ?, ?, ?, ?, ?)", row)
            self._db.executemany("INSERT OR REPLACE INTO heard VALUES (?, ?, ?, ?)", again)
            self._db.execute(FORGET, (END.stage,))
            self._db.execute("UPDATE run SET ledger = ?", (self.ledger,))

    def at(self, position: Position) -> Checkpoint:
        return self._mark("SELECT * FROM marks WHERE stage = ? AND item = ?", position)

    def last(self, stage: int) -> Checkpoint:
        return self._mark("SELECT * FROM marks WHERE stage = ? AND last ORDER BY item DESC LIMIT 1", (stage,))

    def heard(self, stage: int) -> dict[str, list[bytes]]:
        found = dict[str, list[bytes]]()
        with self._checked():
            for peer, message in self._db.execute(
                "SELECT peer, message FROM heard WHERE stage = ? ORDER BY peer, number", (stage,)
            ):
                found.setdefault(peer, []).append(message)
        return found

    def spend(self, name: bytes) -> bool:
        with self._transaction():
            return self._db.execute("INSERT OR IGNORE INTO spent VALUES (?)", (name,)).rowcount == 1

    def is_spent(self, name: bytes) -> bool:
        with self._checked():
            return self._db.execute("SELECT 1 FROM spent WHERE name = ?", (name,)).fetchone() is not None

    # -- of the whole run

    def listed(self, head: str) -> None:
        """The run has a ledger, which holds a line of this hash: from here on it does not resume without it."""
        with self._transaction():
            self._db.execute("UPDATE run SET ledger = ?", (head,))
        self.ledger = head

    @property
    def checkpoints(self) -> list[Position]:
        """Where this party can resume."""
        with self._checked():
            return [Position(*row) for row in self._db.execute("SELECT stage, item FROM marks ORDER BY stage, item")]

    def repeats(self, position: Position) -> int:
        """How many steps with messages this party has done after `position`, and repeats if it resumes from there."""
        query = (
            "SELECT count(DISTINCT messages) FROM marks WHERE messages > coalesce((SELECT messages FROM "
            "marks WHERE stage = ? AND item = ?), 0)"
        )
        with self._checked():
            (count,) = self._db.execute(query, position).fetchone()
        return int(count)

    def keeps(self) -> None:
        """Every party has its result on its disk: from here on this one needs nobody; its secrets go."""
        with self._transaction():
            self._db.execute("UPDATE run SET kept = 1, seed = zeroblob(32)")
            self._db.execute("DELETE FROM marks WHERE stage < ?", (END.stage,))
            self._db.execute("DELETE FROM heard")
        self.kept = True

    def close(self) -> None:
        """Another process may take it."""
        self._db.close()

    def remove(self) -> None:
        """The run is over, or given up.  A killed process leaves a journal, which holds pages as they were: it goes
        first."""
        self.close()
        with self._checked():
            self._path.with_name(f"{FILE}-journal").unlink(missing_ok=True)
            self._path.unlink(missing_ok=True)
            if (pads := self.folder / PADS).exists():
                shutil.rmtree(pads)

    def _mark(self, query: str, values: Sequence[int]) -> Checkpoint:
        with self._checked():
            rows = self._db.execute(query, tuple(values)).fetchall()
            if len(rows) != 1:
                raise sqlite3.DatabaseError("a checkpoint is missing")
            stage, item, last, _, draws, counts, packed = rows[0]
            try:
                arrays: Arrays = load(packed)
                peers = {
                    p: Count(sent, received, *map(bytes.fromhex, hashes))
                    for p, (sent, received, *hashes) in json.loads(counts).items()
                }
            except (SafetensorError, ValueError, TypeError, AttributeError, KeyError, RecursionError):
                raise sqlite3.DatabaseError("a checkpoint is damaged") from None
        return Checkpoint(Position(stage, item), draws, peers, arrays, bool(last))

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._checked():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def _checked(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else str(error)
            if "locked" in str(why):
                remedy = "Another process runs this job for this party: let it finish, or stop it first"
            else:
                remedy = "Make room there, or repair the disk"
            raise ConfigError(f"the run store {self._path} cannot be read or written ({why})", remedy=remedy) from None


def folder_name(purpose: str, job: str) -> str:
    """What the name of a run's folder begins with: nobody takes a prediction's for that of a training."""
    return f"{purpose}-{job}" if purpose in ("predict", "score") else job


def holds(folder: Path, purpose: str, job: bytes) -> bool:
    """Whether a folder has the store of a run of this job, which no process holds."""
    try:
        store = RunStore(folder)
    except ConfigError:
        return False
    store.close()
    return (store.facts.purpose, store.facts.job) == (purpose, job)


def unfinished(directory: Path, purpose: str, name: str, job: bytes) -> RunStore | None:
    """The store of the latest run of this job, by its name and digest, that is not over.  Runs of jobs of other names
    may be under way.

    Removes a half-created store: a run cannot resume from it.
    """
    runs = f"{folder_name(purpose, name)}-[0-9]*-[0-9]*"
    for path in directory.glob(f"{runs}/{HALF}*"):
        with contextlib.suppress(OSError):
            path.unlink()
            path.parent.rmdir()
    for path in sorted(directory.glob(f"{runs}/{FILE}"), reverse=True):
        store = RunStore(path.parent)
        if (store.facts.purpose, store.facts.job) == (purpose, job):
            return store
        store.close()
    return None
