"""The two files that an institution reads: the job, the same at every party, and the party's own."""

from vfl.job.addresses import split_address
from vfl.job.agreement import Agreement
from vfl.job.alignment_job import AlignmentJob, load_agreement, load_training
from vfl.job.cautions import cautions
from vfl.job.job import Job, job_from, load_job, needed_permits
from vfl.job.joining import check_files, cross_check
from vfl.job.members_job import MembersJob
from vfl.job.party import Party, load_party
from vfl.job.party_starter import starter_party, with_peer, with_pins
from vfl.job.permits import PERMITS
from vfl.job.starter import starter_job

__all__ = [
    "PERMITS",
    "Agreement",
    "AlignmentJob",
    "Job",
    "MembersJob",
    "Party",
    "cautions",
    "check_files",
    "cross_check",
    "job_from",
    "load_agreement",
    "load_job",
    "load_party",
    "load_training",
    "needed_permits",
    "split_address",
    "starter_job",
    "starter_party",
    "with_peer",
    "with_pins",
]
