"""The two files that an institution reads: the job, the same at every party, and the party's own."""

from vfl.config.alignment_job import AlignmentJob, load_agreement
from vfl.config.cautions import cautions
from vfl.config.job import Agreement, Job, job_from, load_job, needed_permits
from vfl.config.party import Party, check_files, cross_check, load_party, split_address
from vfl.config.permits import PERMITS
from vfl.config.starter import starter_job, starter_party, with_peer

__all__ = [
    "PERMITS",
    "Agreement",
    "AlignmentJob",
    "Job",
    "Party",
    "cautions",
    "check_files",
    "cross_check",
    "job_from",
    "load_agreement",
    "load_job",
    "load_party",
    "needed_permits",
    "split_address",
    "starter_job",
    "starter_party",
    "with_peer",
]
