"""What a job and a party file may say, but what deserves a caution before the start."""

from __future__ import annotations

from vfl.job.agreement import Agreement, Matching
from vfl.job.job import Job
from vfl.job.members_job import MembersJob
from vfl.job.party import Party

FEW = 50  # rows: a smaller align.min_intersection is named


def cautions(job: Agreement, party: Party | None = None) -> list[str]:
    """A sentence each; empty if there is nothing to say."""
    found = []
    if isinstance(job, Matching) and job.align.min_intersection < FEW:
        found.append(
            f"align.min_intersection = {job.align.min_intersection}: a partner that aligns few ids, or "
            f"slightly different lists again and again,"
            f" learns about single customers; use {FEW} or more"
        )
    if isinstance(job, Job) and job.crypto.key_bits == 2048:
        found.append(
            "crypto.key_bits = 2048 gives 112-bit security (NIST SP 800-57: not for data that must stay secret after"
            " 2030); the default is 3072"
        )
    if party and isinstance(job, MembersJob) and party.compute.engine != "inline":
        found.append("[compute] is not used in this job: members average in the command's own process")
    for name, peer in (party.peers if party else {}).items():
        if party and name not in job.parties.pinned_by(party.name):
            why = "hosts do not talk to each other" if name in job.parties.names else "the job does not name it"
            found.append(f"[peers.{name}] is not used in this job: {why}")
        elif party and peer.address is not None and name not in job.parties.dials(party.name):
            dialled = party.name in job.parties.dials(name)
            why = f"{name} dials {party.name}" if dialled else "members do not talk to each other"
            found.append(f"peers.{name}.address is not used: {why}")
    return found
