"""The jobs of a node and who approved them: `node.sqlite` in the node's folder (mode 0600), next to each job's file.

        submit             approve              a process runs it
 (file) ------> waiting --------> approved <------------------------> running ------> done | failed
                   ^                            killed, or a partner is gone
                   +------------------ cancel (from any state)

A prediction that is over can be given again, and waits again.  Every change is one transaction, so the node and
commands change it at once.  A decision is added, never changed.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from protocols.errors import ConfigError
from vfl.job import Agreement, AlignmentJob, MembersJob
from vfl.ledger import Approval
from vfl.node.batch import Batch, digest_of
from vfl.storage.files import write_private

FILE, FORMAT = "node.sqlite", 2
TABLES = """
CREATE TABLE jobs (digest TEXT PRIMARY KEY, name TEXT, command TEXT, parties TEXT, submitted TEXT, submitted_by TEXT, state TEXT, changed REAL, approved_by TEXT, approved_at TEXT, approved_how TEXT, approved_time REAL, due REAL, tries INTEGER, resumes INTEGER, code TEXT, message TEXT, called REAL, job_digest TEXT, model TEXT, data TEXT, out TEXT);
CREATE TABLE decisions (number INTEGER PRIMARY KEY AUTOINCREMENT, digest TEXT, at TEXT, what TEXT, who TEXT, how TEXT);
"""  # noqa: E501
State = Literal["waiting", "approved", "running", "cancelling", "cancelled", "done", "failed"]
STATES: tuple[State, ...] = get_args(State)
ANOTHER_FILE = "another-file"
How = Literal["command", "http", "party file"]


@dataclass(frozen=True)
class Entry:
    """One job.  digest: what is approved (`digest_of`); command: run, align or predict; parties: their names, a comma
    between two; changed, approved_time, due, called: seconds since 1970; tries: processes that have ended since its
    approval; resumes: whether an interrupted run of it resumes; code, message: of the last error; called: when a
    partner last called for it in vain; model, data, out: of a prediction, as of `Batch`."""

    digest: str
    name: str
    command: str
    parties: str
    submitted: str
    submitted_by: str
    state: State
    changed: float
    approved_by: str | None
    approved_at: str | None
    approved_how: str | None
    approved_time: float | None
    due: float
    tries: int
    resumes: bool
    code: str | None
    message: str | None
    called: float | None
    job_digest: str
    model: str | None
    data: str | None
    out: str | None

    @property
    def batch(self) -> Batch | None:
        """What this party brings to it, of a prediction."""
        return Batch(self.model, self.data, self.out) if self.command == "predict" else None

    @property
    def words(self) -> str:
        """What it is called in a sentence."""
        return self.name if self.batch is None else f"the prediction of {self.name}"

    @property
    def session(self) -> tuple[str, str]:
        """Of several jobs with the same one, no two can run at once."""
        return self.command, self.job_digest

    @property
    def approval(self) -> Approval | None:
        """Who let it start, if anybody did."""
        if self.approved_by is None:
            return None
        return Approval(self.approved_by, str(self.approved_at), str(self.approved_how))


def now_text() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


class JobTable:
    """The table in a node's folder, which is made (mode 0700) where there is none.  Raises ConfigError."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._path = folder, folder / FILE
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for name in ("inbox", "jobs", "processes"):
                (folder / name).mkdir(mode=0o700, exist_ok=True)
            with contextlib.suppress(FileExistsError):
                os.close(os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except OSError as error:
            raise self._wrong(error.strerror) from None
        with self._open() as db:
            (version,) = db.execute("PRAGMA user_version").fetchone()
            if version == 0:
                for table in TABLES.strip().splitlines():
                    db.execute(table)
                db.execute(f"PRAGMA user_version = {FORMAT}")
            elif version != FORMAT:
                raise sqlite3.DatabaseError(f"format {version}")

    def job_file(self, digest: str) -> Path:
        """The job as it was submitted."""
        return self.folder / "jobs" / f"{digest}.toml"

    def entries(self) -> list[Entry]:
        """All jobs, the latest change first."""
        with self._open() as db:
            return [Entry(*row) for row in db.execute("SELECT * FROM jobs ORDER BY changed DESC, digest")]

    def get(self, digest: str) -> Entry:
        """Raises ConfigError where there is no such job."""
        with self._open() as db:
            row = db.execute("SELECT * FROM jobs WHERE digest = ?", (digest,)).fetchone()
        if row is None:
            raise ConfigError("this node has no job of this digest", remedy="vfl node status lists the jobs")
        return Entry(*row)

    def submit(self, job: Agreement, text: bytes, who: str, batch: Batch | None = None) -> Entry:
        """Adds a job that waits for its approval, or with a `batch` a prediction; one that is here already stays as it
        is, but for a prediction that is over: it waits for another approval."""
        digest, names = digest_of(job, batch), ", ".join(job.parties.names)
        resumes = not isinstance(job, MembersJob)
        command = "predict" if batch is not None else "align" if isinstance(job, AlignmentJob) else "run"
        try:
            if not self.job_file(digest).exists():
                write_private(self.job_file(digest), text)
        except OSError as error:
            raise self._wrong(error.strerror) from None
        now, at = time.time(), now_text()
        own = (None, None, None) if batch is None else (batch.model, batch.data, batch.out)
        row = (digest, job.name, command, names, at, who, "waiting", now, 0.0, 0, resumes, job.digest.hex(), *own)
        columns = (
            "digest, name, command, parties, submitted, submitted_by, state, changed, due, tries, resumes, job_digest, "
            "model, data, out"
        )
        again = """UPDATE jobs SET state = 'waiting', submitted = ?, submitted_by = ?, changed = ?, approved_by = NULL,
        approved_at = NULL, approved_how = NULL, approved_time = NULL, due = 0, tries = 0, code = NULL, message = NULL,
        called = NULL WHERE digest = ? AND command = 'predict' AND state IN ('done', 'failed', 'cancelled')"""
        with self._open() as db:
            db.execute(f"INSERT OR IGNORE INTO jobs ({columns}) VALUES ({', '.join('?' * len(row))})", row)  # noqa: S608  constants
            db.execute(again, (at, who, now, digest))
        return self.get(digest)

    def approve(self, digest: str, who: str, how: How) -> Entry:
        """Lets the node start the job, or start it again after it has failed or was cancelled.  Raises ConfigError."""
        entry, now = self.get(digest), time.time()
        if entry.state not in ("waiting", "cancelled", "failed"):
            raise ConfigError(
                f"the job {entry.name} is {entry.state}",
                remedy="Only a job that waits, was cancelled or has failed can be approved",
            )
        query = """UPDATE jobs SET state = 'approved', changed = ?, approved_by = ?, approved_at = ?, approved_how = ?,
        approved_time = ?, due = ?, tries = 0, code = NULL, message = NULL WHERE digest = ? AND state = ?"""
        at = now_text()
        with self._open() as db:
            changed = db.execute(query, (now, who, at, how, now, now, digest, entry.state)).rowcount
            if changed:
                _decided(db, digest, at, "approved", who, how)
        return self.get(digest)

    def cancel(self, digest: str, who: str, how: How) -> Entry:
        """Withdraws the approval; the node stops a process that runs the job.  Raises ConfigError."""
        entry = self.get(digest)
        if entry.state == "done":
            raise ConfigError(f"the job {entry.name} is done", remedy="What it has disclosed cannot be withdrawn")
        query = """UPDATE jobs SET state = CASE state WHEN 'running' THEN 'cancelling' WHEN 'cancelling' THEN state
        ELSE 'cancelled' END, changed = ? WHERE digest = ? AND state != 'done'"""
        with self._open() as db:
            if db.execute(query, (time.time(), digest)).rowcount:
                _decided(db, digest, now_text(), "cancelled", who, how)
        return self.get(digest)

    def move(self, digest: str, before: State, after: State, **what: object) -> bool:
        """Changes a job's state, and the columns `what`, if it is still in the state `before`."""
        names = ", ".join(f"{name} = ?" for name in what)
        query = f"UPDATE jobs SET state = ?, changed = ?{', ' if what else ''}{names} WHERE digest = ? AND state = ?"  # noqa: S608  names of columns
        with self._open() as db:
            return db.execute(query, (after, time.time(), *what.values(), digest, before)).rowcount == 1

    def called(self, digest: str) -> None:
        """A caller that knows the job called for it, and nothing here waits for it."""
        with self._open() as db:
            db.execute("UPDATE jobs SET called = ? WHERE digest = ?", (time.time(), digest))
            query = "UPDATE jobs SET code = NULL, message = NULL WHERE digest = ? AND state = 'waiting' AND code = ?"
            db.execute(query, (digest, ANOTHER_FILE))

    def called_with_another_file(self, digest: str, partner: str) -> None:
        """A partner called for a job of this name, of which it has another file, and this one waits for approval."""
        message = (
            f"{partner}, or someone who has its certificate and knows the name of this job, called with another file: "
            f"compare vfl job digest with {partner}"
        )
        with self._open() as db:
            query = "UPDATE jobs SET code = ?, message = ? WHERE digest = ? AND state = 'waiting'"
            db.execute(query, (ANOTHER_FILE, message, digest))

    def decisions(self, digest: str) -> list[tuple[str, str, str, str]]:
        """(when, what, who, how) of each, the oldest first."""
        with self._open() as db:
            query = "SELECT at, what, who, how FROM decisions WHERE digest = ? ORDER BY number"
            return [tuple(row) for row in db.execute(query, (digest,))]

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            with contextlib.closing(sqlite3.connect(self._path, timeout=5, isolation_level=None)) as db:
                db.execute("PRAGMA trusted_schema = OFF")
                db.execute("BEGIN IMMEDIATE")
                yield db
                db.execute("COMMIT")
        except sqlite3.Error as error:
            raise self._wrong(str(error)) from None

    def _wrong(self, why: str | None) -> ConfigError:
        return ConfigError(
            f"the node's list of jobs {self._path} cannot be read or written ({why})",
            remedy="Make room there, or correct [node] directory in the party file",
        )


def _decided(db: sqlite3.Connection, digest: str, at: str, what: str, who: str, how: str) -> None:
    db.execute(
        "INSERT INTO decisions (digest, at, what, who, how) VALUES (?, ?, ?, ?, ?)", (digest, at, what, who, how)
    )
