"""Who has called for a job that does not run here: a partner that knows it, or one that has another file of it.

The router passes on the knocks of callers that no process waits for.  A partner's process knocks under the session,
and at once again by the job's name: so whoever knocks by the name alone has another file.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

from protocols.errors import ConfigError
from vfl.job import Party, load_agreement
from vfl.node.table import Entry, JobTable
from vfl.run.session import by_name, session_digest
from vfl.transport.hello import Command, who_knocks

MOST_KNOWN = 64  # jobs that a caller in vain is compared with
MOST_CHECKS = 20  # of such callers between two rounds
PAIR = 10.0  # seconds within which both knocks of one attempt come


@dataclass(frozen=True)
class _Job:
    digest: str
    session: bytes
    names: list[str]
    keys: dict[str, list[bytes]]  # by the name of a partner, under which it knocks by the job's name


class Calls:
    """Of one node.  `heard` is called in the loop's thread, the rest in that of the rounds."""

    def __init__(self, party: Party, table: JobTable) -> None:
        self._party, self._table = party, table
        self._read, self._known = dict[str, _Job | None](), list[_Job]()
        self._same, self._other = set[str](), set[tuple[str, str]]()
        self._last: dict[tuple[str, str], float] = {}  # by job and partner, when it last knocked under the session
        self._missed = 0.0  # when a knock was last left out
        self._checks = 0

    def compare_with(self, entries: Iterable[Entry]) -> None:
        """From now on, with those of these jobs that do not run and are not done."""
        wanted = [entry for entry in entries if entry.state not in ("running", "cancelling", "done")][:MOST_KNOWN]
        self._known = [job for entry in wanted if (job := self._job(entry)) is not None]
        self._checks = 0

    def heard(self, knock: str) -> None:
        """Remembers who knocked for what; what it costs is bounded."""
        now = time.monotonic()
        self._checks += 1
        if self._checks > MOST_CHECKS:
            self._missed = now
            return
        for job in self._known:
            if (name := who_knocks(knock, job.names, job.session)) is not None:
                for one in (one for one in self._known if one.session == job.session):
                    self._same.add(one.digest)
                    self._last[one.digest, name] = now
                return
        if now - self._missed < PAIR:  # the other knock of this attempt may be what was left out
            return
        for job in self._known:
            for name, keys in job.keys.items():
                if any(who_knocks(knock, [name], key) is not None for key in keys):
                    if now - self._last.get((job.digest, name), -PAIR) >= PAIR:
                        self._other.add((job.digest, name))
                    return

    def write(self) -> None:
        """Puts into the table what was heard."""
        while self._same:
            self._table.called(self._same.pop())
        while self._other:
            self._table.called_with_another_file(*self._other.pop())

    def _job(self, entry: Entry) -> _Job | None:
        """None for one whose file cannot be read."""
        if entry.digest not in self._read:
            try:
                job = load_agreement(self._table.job_file(entry.digest))
                command = cast("Command", entry.command)
                names = [name for name in job.parties.names if name in self._party.peers]
                keys = by_name(self._party, names, command, job.name)
                found = _Job(entry.digest, session_digest(job, command), list(job.parties.names), keys)
            except (ConfigError, OSError):
                found = None
            self._read[entry.digest] = found
        return self._read[entry.digest]
