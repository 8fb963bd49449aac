"""What a run's report says: the content of report.json, as `docs/file-formats.md` lists its keys."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import os
import platform
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols.cipher import backend
from vfl.config import PERMITS, Job, Party
from vfl.evaluation import measured
from vfl.kinds import Fitted, kind_of
from vfl.stability import Baseline, compare, describe

VERSIONS = ("vfl", "numpy", "pandas", "cryptography")


def result_frame(job: Job, party: Party, started: datetime.datetime, purpose: str) -> dict[str, Any]:
    """The part that every role has; phases and disclosure are filled in when the run is over.  purpose: "run" or "predict"."""
    return {
        "format": 1,
        "purpose": purpose,
        "job": job.name,
        "job_digest": job.digest.hex(),
        "role": party.role,
        "party": party.name,
        "parties": {"guest": job.parties.guest, "hosts": list(job.parties.hosts), "arbiter": job.parties.arbiter or None},
        "outcome": job.model.label,
        "started": started.isoformat(timespec="seconds"),
        "alignment": {},
        "metrics": {},
        "phases": [],
        "disclosure": [],
        "permits": {p: PERMITS[p] for p in job.disclosure.allow},
        "model": {"kind": job.model.kind, **kind_of(job).summary(job), "key_bits": job.crypto.key_bits},
        "environment": environment(),
        "job_file": json.loads(job.canonical),
        "plots": {},
    }


def environment() -> dict[str, Any]:
    """Versions and machine, as far as they decide a number."""
    return {
        "python": platform.python_version(),
        "platform": platform.system(),
        "processor": platform.machine(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "backend": backend(),
        "versions": {name: importlib.metadata.version(name) for name in VERSIONS},
    }


def data_party_result(result: dict[str, Any], job: Job, fitted: Fitted, before: Baseline) -> dict[str, Any]:
    """Adds alignment, this party's own columns and part of the model and, at the guest, what the held-out part says.  before: of the training rows."""
    hosts = {h: fitted.sizes[h] for h in job.parties.hosts}
    result["alignment"] = {
        "guest_rows": fitted.sizes[job.parties.guest],
        "host_rows": hosts if len(hosts) > 1 else next(iter(hosts.values())),
        "intersection": len(fitted.aligned.ids),
        "train_rows": int((~fitted.held_out).sum()),
        "test_rows": int(fitted.held_out.sum()),
    }
    result["model"] |= {"model_id": fitted.part.model_id.hex(), **kind_of(job).fitted_summary(fitted)}
    result["columns"] = describe(fitted.aligned.features[~fitted.held_out])
    if fitted.held_out.any():
        scored = fitted.scores if fitted.train_scores is not None else None  # against held-out scores there is nothing to compare
        result["stability"] = compare(before, fitted.aligned.features[fitted.held_out], single(job, fitted, scored))
    if job.parties.guest == result["party"]:
        result["classes"] = fitted.aligned.classes
        evaluate(result, job, fitted)
    return result


def baseline(job: Job, fitted: Fitted) -> Baseline:
    """The party's columns on the training rows, and at the guest the scores of these, or else of the held-out rows: what later tables are held against."""
    scores = fitted.scores if fitted.train_scores is None else fitted.train_scores
    return Baseline.of(fitted.part.party, fitted.part.model_id, fitted.aligned.features[~fitted.held_out], single(job, fitted, scores))


def single(job: Job, fitted: Fitted, scores: NDArray[np.float64] | None) -> NDArray[np.float64] | None:
    """The predictions (n,) that belong to scores; None where there are none, or several a row."""
    found = None if scores is None or not len(scores) else kind_of(job).predictions(fitted.part, scores)
    return found if found is not None and found.ndim == 1 else None


def evaluate(result: dict[str, Any], job: Job, fitted: Fitted) -> None:
    """Joint and guest-alone predictions of each part that was scored: metrics, plots, and of held-out rows how sure the difference is."""
    assert fitted.aligned.label is not None
    kind, label = kind_of(job), fitted.aligned.label.to_numpy(np.float64)
    for part, rows, scores in (("test", fitted.held_out, fitted.scores), ("train", ~fitted.held_out, fitted.train_scores)):
        if scores is None or not rows.any():
            continue
        found = {"joint": kind.predictions(fitted.part, scores), "guest_alone": kind.guest_alone(job, fitted, rows)}
        told = measured(label[rows], found, job.model.label, fitted.aligned.classes, job.split.seed, part=part)
        result |= {name: result.get(name, {}) | numbers for name, numbers in told.items()}
