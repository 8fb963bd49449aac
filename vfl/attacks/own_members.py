"""`vfl audit RUN` of an averaging: the checks of this party's transcript, and attacks on a twin of the run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from protocols.errors import ConfigError, ModelError
from vfl.api.members import Members
from vfl.attacks.audit import MINUTES, Audit, about_of, attacked, one_thread
from vfl.attacks.averages import Averaged, record_averaging
from vfl.attacks.own_checks import checked, named
from vfl.job.members_job import MembersJob
from vfl.schema.section import build
from vfl.taps.transcript import read_transcript

ROWS, ROUNDS = 40, 3  # of a member of the twin; of the twin
NOTE = (
    f"The attacks ran on a twin: generated tables of {ROWS} rows per member with the job's columns, averaged in "
    f"at most {ROUNDS} rounds by the same job, without noise, in one process. A party does not have its partners' "
    "tables, so nothing could say whether an attack on the run itself was right."
)


def audit_members(
    folder: Path, report: Mapping[str, Any], seeds: int, minutes: int = MINUTES, until: float = math.inf
) -> Audit:
    """As `audit_run`.  Raises ConfigError, ModelError."""
    try:
        job = build(MembersJob, report["job_file"], "job")
    except ConfigError:
        raise ModelError(f"{folder} is not of a job that this release can read", remedy="Audit a newer run") from None
    transcript = read_transcript(folder, str(report["party"]))
    checks = checked(folder, transcript, job)
    with one_thread():
        scene = twin_of(job)
        tried, untried = attacked(scene, seeds, until=until)
    about = about_of(scene, seeds, "a twin of this run", minutes)
    return Audit(about | named(report) | {"note": NOTE}, tried, untried, checks)


def twin_of(job: MembersJob) -> Averaged:
    """As many members, with the same columns.  Raises ConfigError."""
    if len(job.parties.members) < 3:
        raise ConfigError(
            "two members read each other's numbers from every sum, as the job says: nothing is left to attack",
            remedy="Audit a run of three members or more",
        )
    rng, tables = np.random.default_rng(0), dict[str, pd.DataFrame]()
    for name in job.parties.members:
        x = rng.normal(size=(ROWS, len(job.table.columns)))
        score = x.sum(axis=1) / np.sqrt(x.shape[1]) + rng.logistic(size=ROWS)
        tables[name] = pd.DataFrame(x, columns=list(job.table.columns))
        tables[name][job.table.label] = labels(job, score, rng)
    few = job.model.model_copy(update={"rounds": min(ROUNDS, job.model.rounds)})
    return record_averaging(Members.local(tables, job.table.label), few)


def labels(job: MembersJob, score: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """As the job's model takes them."""
    if job.model.estimator == "linear":
        return score
    return rng.poisson(np.exp(score / 3)) if job.model.estimator == "poisson" else (score > 0).astype(int)
