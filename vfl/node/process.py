"""The process of one job at a node: `python -m vfl.node.process PARTY.toml DIGEST LOCK`, which a node starts.

It does what `vfl run`, `vfl align` or `vfl predict` does, behind the node's port.  Before anything is sent it compares
the digest of the job file that it read, and of the files of a prediction, with the one that was approved: whatever
started it, an unapproved job sends nothing.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sys
from pathlib import Path

import msgspec

from protocols.errors import ConfigError, DisclosureRefused, PeerAborted, TransportError, VFLError
from vfl.job import Agreement, AlignmentJob, Job, MembersJob, Party, load_agreement, load_party
from vfl.job.node import Node
from vfl.ledger import Approval
from vfl.node.batch import Batch, digest_of
from vfl.node.processes import End
from vfl.node.table import JobTable
from vfl.run.announce import announced
from vfl.run.stored_run import ends_for_good
from vfl.screen.console import Console
from vfl.screen.errors import Stopped, ended, stoppable
from vfl.screen.progress import watching
from vfl.screen.tables import print_cautions
from vfl.storage.files import write_private

CONNECT_SECONDS = 600.0
ABOUT = "node.approved"


def approved_job(table: JobTable, digest: str) -> tuple[Job | AlignmentJob | MembersJob, Approval, Batch | None]:
    """The job of this digest, who approved it, and of a prediction what this party brings to it.  Raises
    DisclosureRefused if nobody approved just that."""
    entry = table.get(digest)
    approval = entry.approval
    if approval is None or entry.state not in ("approved", "running"):
        raise DisclosureRefused(f"the job {entry.name} is not approved", remedy="Give vfl node approve", about=ABOUT)
    job = load_agreement(table.job_file(digest))
    if digest_of(job, entry.batch) != digest:
        raise DisclosureRefused(
            f"the file of the job {entry.name} has changed since it was approved",
            remedy="Find out who changed it; submit and approve the job that was agreed on",
            about=ABOUT,
        )
    return job, approval, entry.batch


def take_part(
    job: Job | AlignmentJob | MembersJob, party: Party, node: Node, approval: Approval, batch: Batch | None = None
) -> None:
    """To the end of the run; batch: of a prediction.  Raises any VFLError."""
    console = Console(stderr=True)
    with stoppable(console):
        if batch is not None:
            assert isinstance(job, Job)
            _predict(job, party, approval, batch, console)
        elif isinstance(job, AlignmentJob):
            _align(job, party, approval, console)
        elif isinstance(job, MembersJob):
            _average(job, party, node, approval, console)
        else:
            _train(job, party, approval, console)


def _predict(job: Job, party: Party, approval: Approval, batch: Batch, console: Console) -> None:
    from vfl.run import predict, scoring
    from vfl.run.stored_run import begun_with_others

    with announced(job, party, "predict"):
        scores = scoring.prepare(job, party, batch.folder, batch.data, batch.file)
        ready = dataclasses.replace(scores.ready, approval=approval)
        fresh = begun_with_others(ready, "predict")  # such as yesterday's table: nobody is here to give --fresh
    print_cautions(console, scores.cautions)
    with watching("log", console) as watch:
        own = dataclasses.replace(scores, ready=ready)
        predict.predict(own, watch, connect_timeout=CONNECT_SECONDS, fresh=fresh)


def _align(job: AlignmentJob, party: Party, approval: Approval, console: Console) -> None:
    from vfl.run import align

    with contextlib.ExitStack() as stack:
        with announced(job, party, "align"):
            aligning = dataclasses.replace(align.prepare(job, party, stack=stack), approval=approval)
        print_cautions(console, aligning.cautions)
        with watching("log", console) as watch:
            align.align(aligning, watch, connect_timeout=CONNECT_SECONDS)


def _average(job: MembersJob, party: Party, node: Node, approval: Approval, console: Console) -> None:
    """Does not resume: it waits for all in this one process."""
    from vfl.run.members import ready as members
    from vfl.run.members import run as averaging

    with announced(job, party, "run"):
        member = dataclasses.replace(members.prepare(job, party), approval=approval)
    print_cautions(console, member.cautions)
    with watching("log", console) as watch:
        averaging.run(member, watch, connect_timeout=3600.0 * node.patience_hours)


def _train(job: Job, party: Party, approval: Approval, console: Console) -> None:
    from vfl.run import train

    with contextlib.ExitStack() as stack:
        with announced(job, party, "run"):
            ready = dataclasses.replace(train.prepare(job, party, stack=stack), approval=approval)
        print_cautions(console, ready.cautions)
        with watching("log", console) as watch:
            train.run(ready, watch, connect_timeout=CONNECT_SECONDS)


def main(party_file: str, digest: str, lock: str) -> int:
    """Runs a job, records how it ended, and returns the exit code."""
    os.set_inheritable(int(lock), False)  # of this process alone
    os.ftruncate(int(lock), 0)
    os.pwrite(int(lock), str(os.getpid()).encode(), 0)
    told, found = list[VFLError | Stopped](), list[Agreement]()

    def command() -> None:
        try:
            party = load_party(party_file)
            if party.node is None:
                raise ConfigError(f"{party_file} has no section [node] any more", remedy="Put it back")
            job, approval, batch = approved_job(JobTable(party.node.directory), digest)
            found.append(job)
            take_part(job, party, party.node, approval, batch)
        except (VFLError, Stopped) as error:
            told.append(error)
            raise

    code = ended(command)
    end = End(code) if not told else _end(code, told[0], resumes=not any(isinstance(job, MembersJob) for job in found))
    folder = Path(f"/proc/self/fd/{lock}").resolve().parent
    write_private(folder / f"{digest}.end", msgspec.json.encode(end))
    return code


def _end(code: int, error: VFLError | Stopped, *, resumes: bool) -> End:
    if isinstance(error, Stopped):
        return End(code, error.code, "it was stopped", again=resumes)
    again = resumes and isinstance(error, TransportError | PeerAborted) and not ends_for_good(error)
    return End(code, error.code, str(error), again)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
