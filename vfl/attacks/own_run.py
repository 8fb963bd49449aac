"""`vfl audit RUN`: what one party can find out about its own run.

It has its transcript and not the truth about its partners: no attack on their columns or labels can be scored here.  So
the transcript gets the checks that need no truth, and the attacks run on a twin: generated tables with the shapes of
the run, trained by the same job in this process (docs/adr/0031-audit.md).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from protocols.errors import ConfigError, ModelError
from vfl.api.federation import Federation
from vfl.attacks.attack import SEEDS
from vfl.attacks.audit import MINUTES, Audit, about_of, attacked, one_thread
from vfl.attacks.own_alignment import audit_alignment
from vfl.attacks.own_checks import checked, named
from vfl.attacks.own_members import audit_members
from vfl.attacks.received import Floats, fields
from vfl.attacks.scene import EPOCHS, ROWS, TREES, Asked, key_for, record, repeated
from vfl.job import Job
from vfl.job.job import job_from
from vfl.job.members_job import is_of_members
from vfl.job.plan import plan_of
from vfl.report.page import ALIGNMENT, read_report
from vfl.taps.transcript import Transcript, read_transcript

COUNTED = {"Columns": "count", "SplitColumns": "count"}  # messages that say how many columns their sender has
COLUMNS = 5  # of a party of which this one does not know
NOTE = (
    f"The attacks ran on a twin: generated tables of at most {ROWS} rows, with as many columns as this party has and "
    f"as others said that they have (else {COLUMNS}), trained by the same job in one process; "
    f"of a network at most {EPOCHS} epochs, of trees at most {TREES}. "
    "A party does not have its partners' tables, so nothing could say whether an attack on the run itself was right."
)


def audit_run(folder: Path, seeds: int = SEEDS, minutes: int = MINUTES) -> Audit:
    """Checks a party's transcript, and attacks a twin of its run.  minutes: after which an attack is repeated no more
    than a few times.  Raises ConfigError, ModelError."""
    until = time.monotonic() + 60 * minutes
    if (folder / ALIGNMENT).exists():
        return audit_alignment(folder, seeds, minutes, until)
    report = read_report(folder)
    if is_of_members(report.get("job_file") or {}):
        return audit_members(folder, report, seeds, minutes, until)
    try:
        job = job_from(report["job_file"])
    except (ConfigError, KeyError):
        raise ModelError(
            f"{folder} is of no job that this release can read", remedy="Give the folder of vfl run"
        ) from None
    transcript = read_transcript(folder, str(report["party"]))
    checks = checked(folder, transcript, job)
    twin = federation_like(report, job, transcript)
    asked = Asked(twin, repeated(job.model, rows=0), {"preprocess": job.preprocess})
    with one_thread():
        scene = record(asked)
        tried, untried = attacked(scene, seeds, until=until)
    what = "this prediction’s model" if report.get("purpose") == "predict" else "this run"
    about = about_of(scene, seeds, f"a twin of {what}", minutes)
    return Audit(about | named(report) | {"note": NOTE}, tried, untried, checks)


# -- a twin


def federation_like(report: Mapping[str, Any], job: Job, transcript: Transcript) -> Federation:
    """Generated tables with the shapes of a run, and its agreement."""
    rng, alignment = np.random.default_rng(0), report.get("alignment") or {}
    rows = min(ROWS, int(alignment.get("train_rows") or alignment.get("intersection") or ROWS))
    counts, plan = columns_told(transcript) | own_columns(report), plan_of(job)
    causes = rng.normal(size=(rows, 3))
    frames = dict[str, pd.DataFrame]()
    for party in (job.parties.guest, *job.parties.hosts):
        width = counts.get(party, COLUMNS)
        x = causes @ rng.normal(size=(3, width)) + rng.normal(size=(rows, width))
        frames[party] = pd.DataFrame(x, columns=[f"x{k}" for k in range(width)]).assign(id=range(rows))
    score = sum(frame.drop(columns="id").to_numpy().sum(axis=1) for frame in frames.values())
    guest = frames.pop(job.parties.guest).assign(label=labels(job, np.asarray(score), rng))
    return Federation.local(
        guest,
        frames,
        on="id",
        label="label",
        cipher=key_for(job.model),
        reveal=plan.reveal,
        convergence=plan.convergence,
        preparation=job.crypto.preparation if job.model.prepares else None,
    )


def own_columns(report: Mapping[str, Any]) -> dict[str, int]:
    """How many columns this party has, by its own report; of an arbiter nothing."""
    columns = report.get("columns")
    return {str(report["party"]): len(columns)} if columns else {}


def columns_told(transcript: Transcript) -> dict[str, int]:
    """By peer, how many columns it said that it has."""
    found = dict[str, int]()
    for entry in transcript.received():
        if (name := COUNTED.get(entry.message)) is not None:
            told = [value for field, _, value in fields(entry) if field == name]
            found |= {entry.peer: max(1, int(told[0]))} if told else {}
    return found


def labels(job: Job, score: Floats, rng: np.random.Generator) -> Floats:
    """As the job's model takes them."""
    noisy: Floats = score / np.std(score) + rng.logistic(size=len(score))
    classes = 2 if job.model.label == "binary" else int(getattr(job.model, "num_class", None) or 2)
    if job.model.label in ("binary", "multiclass"):
        return np.searchsorted(np.quantile(noisy, np.arange(1, classes) / classes), noisy).astype(np.float64)
    if job.model.label == "count":
        return rng.poisson(np.exp(np.clip(noisy / 3, -3, 3))).astype(np.float64)
    return noisy
