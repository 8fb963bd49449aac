"""How jobs come to a node: `vfl node submit`, a file that is put into `inbox/`, or for a prediction `vfl node predict`;
a partner can send none."""

from __future__ import annotations

import contextlib
import stat
from pathlib import Path

from protocols.errors import ConfigError, VFLError
from vfl.job import AlignmentJob, Job, MembersJob, Party, cross_check, load_agreement
from vfl.job.alignment_job import agreement_in
from vfl.ledger.account import account
from vfl.node.batch import Batch
from vfl.node.table import Entry, How, JobTable
from vfl.schema.section import read_toml


def submit(
    table: JobTable, party: Party, path: Path, *, batch: Batch | None = None, reads_table: bool = False
) -> Entry:
    """Adds the job in a file, or with a `batch` a prediction with its model, approved if the party file lists its
    digest.  reads_table: only if the party's table and budgets allow it too.

    Raises ConfigError for what is no job of this party, DisclosureRefused for one that its policy forbids, DataError,
    ModelError.
    """
    text, document = read_toml(path)
    job = agreement_in(text, document, str(path))
    cross_check(job, party)
    if batch is not None:
        check_batch(job, party, batch)
    elif reads_table:
        check_table(job, party)
    entry = table.submit(job, text.encode(), account(), batch)
    if entry.state == "waiting" and party.node is not None and entry.digest in party.node.approved:
        entry = table.approve(entry.digest, party.policy.approved_by or account(), "party file")
    return entry


def check_batch(job: Job | AlignmentJob | MembersJob, party: Party, batch: Batch) -> None:
    """As `check_table`, of a prediction; also ModelError."""
    from vfl.run import scoring
    from vfl.run.session import peers_for
    from vfl.run.stored_run import budget_of

    if not isinstance(job, Job):
        remedy = "Give vfl predict" if isinstance(job, MembersJob) else "Name the job of the model"
        what = "of members, each of whom scores alone" if isinstance(job, MembersJob) else "without a model"
        raise ConfigError(f"the job is one {what}", remedy=remedy)
    ready = scoring.prepare(job, party, batch.folder, batch.data, batch.file).ready
    budget_of(ready, "predict").check(peers_for(job, party.name, "predict"))


def check_table(job: Job | AlignmentJob | MembersJob, party: Party) -> None:
    """Raises what a run of the job would raise before it meets anybody, by this party's files, table and budgets:
    ConfigError, DataError, DisclosureRefused."""
    from vfl.run import align, train
    from vfl.run.members import ready as members
    from vfl.run.preflight import table_cautions
    from vfl.run.stored_run import budget_of

    if isinstance(job, MembersJob):
        members.prepare(job, party)  # its budgets too
        return
    with contextlib.ExitStack() as stack:
        if isinstance(job, AlignmentJob):
            aligning = align.prepare(job, party, stack=stack)
            budget_of(aligning, "align").check(aligning.peers)
            return
        ready = train.prepare(job, party)
        budget_of(ready, "run").check(job.parties.peers_of(party.name))
        if ready.table is not None:
            table_cautions(job, ready.table, len(ready.table))


def approve(table: JobTable, party: Party, digest: str, who: str, how: How) -> Entry:
    """Lets the node start a job that the policy still permits.  Raises ConfigError, DisclosureRefused."""
    table.get(digest)
    cross_check(load_agreement(table.job_file(digest)), party)
    return table.approve(digest, who, how)


class Inbox:
    """Takes what operators put into `inbox/`, once it has not changed from one call of `take` to the next."""

    def __init__(self, table: JobTable, party: Party) -> None:
        self._table, self._party, self._folder = table, party, table.folder / "inbox"
        self._before: dict[Path, tuple[int, int]] = {}
        self.refused: dict[str, str] = {}  # by file name, why it stays there

    def take(self) -> list[Entry]:
        """The jobs that were added."""
        added, seen = list[Entry](), dict[Path, tuple[int, int]]()
        for path in sorted(self._folder.glob("*.toml")):
            try:
                about = path.lstat()
            except OSError:
                continue
            seen[path] = about.st_mtime_ns, about.st_size
            unchanged = self._before.get(path) == seen[path]
            if not unchanged:
                self.refused.pop(path.name, None)
            elif path.name not in self.refused:
                try:
                    added.append(self._taken(path, about.st_mode))
                except VFLError as error:
                    self.refused[path.name] = str(error)
        names = {path.name for path in seen}
        self.refused = {name: why for name, why in self.refused.items() if name in names}
        self._before = seen
        return added

    def _taken(self, path: Path, mode: int) -> Entry:
        if not stat.S_ISREG(mode):
            raise ConfigError(f"{path} is no plain file", remedy="Put the job file itself there")
        entry = submit(self._table, self._party, path)
        path.unlink(missing_ok=True)
        return entry
