"""Whether a table is the one that a model was trained on."""

from __future__ import annotations

from pathlib import Path

from protocols.errors import VFLError
from vfl.job import Job, Party
from vfl.job.alignment_job import agreement_in
from vfl.job.members_job import MembersJob
from vfl.job.table import Data
from vfl.report.page import read_report
from vfl.run.members import tables
from vfl.run.own_table import read_table


def is_trained(party: Party, data: Data, run: Path) -> bool:
    """Whether the table behind `data` has the digest of this party's table in the report of the folder `run`; False
    where there is no such report, or the table lacks what a training needs."""
    try:
        report = read_report(run)
        known, job = str(report["inputs"]["own table"]), agreement_in("", report["job_file"], f"{run}: job_file")
        if isinstance(job, MembersJob):
            return tables.read(job, party, data).digest().hex() == known
        return isinstance(job, Job) and read_table(job, party, data)[1].digest().hex() == known
    except (VFLError, KeyError, TypeError):
        return False
