"""What a run's report says: the content of report.json, as `docs/file-formats.md` lists its keys."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols.cipher import backend
from vfl import metrics
from vfl.config import Job, Party
from vfl.programs.logistic import Fitted
from vfl.stability import Baseline

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
        "parties": {"guest": job.parties.guest, "hosts": list(job.parties.hosts), "arbiter": job.parties.arbiter},
        "started": started.isoformat(timespec="seconds"),
        "alignment": {},
        "metrics": {},
        "phases": [],
        "disclosure": [],
        "model": {
            "kind": job.model.kind,
            "passes": job.model.max_iter,
            "link": job.model.link,
            "C": job.model.C,
            "key_bits": job.crypto.key_bits,
        },
        "environment": environment(),
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


def data_party_result(result: dict[str, Any], job: Job, party: Party, fitted: Fitted) -> dict[str, Any]:
    """Adds alignment, this party's own coefficients and, at the guest, the metrics of the held-out part."""
    hosts = {h: fitted.sizes[h] for h in job.parties.hosts}
    result["alignment"] = {
        "guest_rows": fitted.sizes[job.parties.guest],
        "host_rows": hosts if len(hosts) > 1 else next(iter(hosts.values())),
        "intersection": len(fitted.aligned.ids),
        "train_rows": int((~fitted.held_out).sum()),
        "test_rows": int(fitted.held_out.sum()),
    }
    part = fitted.part
    result["model"] |= {
        "model_id": part.model_id.hex(),
        "coefficients": [
            {"column": c, "coef": float(v), "coef_raw": float(raw)}
            for c, v, raw in zip(part.standardiser.columns, part.coef, part.coef_raw, strict=True)
        ],
        "intercept": part.intercept,
    }
    if fitted.scores is not None:
        evaluate(result, job, fitted, fitted.scores)
    return result


def baseline(fitted: Fitted) -> Baseline:
    """The party's columns on the training rows, and at the guest the scores of the held-out rows: what later tables are held against."""
    train = fitted.aligned.features[~fitted.held_out]
    return Baseline.of(fitted.part.party, fitted.part.model_id, train, None if fitted.scores is None else probability(fitted.scores))


def probability(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 / (1 + exp(-score)), which cannot overflow."""
    return np.asarray(0.5 * (1.0 + np.tanh(scores / 2)))


def evaluate(result: dict[str, Any], job: Job, fitted: Fitted, scores: NDArray[np.float64]) -> None:
    """Joint and guest-alone scores of the held-out rows: metrics and plots."""
    assert fitted.aligned.label is not None
    y = fitted.aligned.label.to_numpy(np.float64)[fitted.held_out].astype(int)
    probabilities = {"joint": probability(scores), "guest_alone": guest_alone(fitted, job.model.C)}
    result["metrics"]["test"] = {name: metrics.binary_metrics(y, p) for name, p in probabilities.items()}
    result["plots"]["test"] = {name: metrics.plot_series(y, p) for name, p in probabilities.items()}


def guest_alone(fitted: Fitted, C: float) -> NDArray[np.float64]:
    """Probabilities (test rows,) of the same model on the guest's own columns and the same training rows, in the clear.

    The minimiser of the same objective under the same link (by Newton's method, or the closed form); so that the difference to the joint model is the hosts' columns alone.
    """
    aligned, part, train = fitted.aligned, fitted.part, ~fitted.held_out
    assert aligned.label is not None
    x = np.column_stack([part.standardiser.transform(aligned.features, part.party), np.ones(len(train))])
    y = aligned.label.to_numpy(np.float64)
    weights: NDArray[np.float64]
    if part.link == "exact":
        weights = minimised(x[train], y[train], C)
    else:
        penalty = np.diag([1.0] * (x.shape[1] - 1) + [0.0])
        weights = np.asarray(np.linalg.solve(C * x[train].T @ x[train] / 4 + penalty, C * x[train].T @ (y[train] - 0.5)), np.float64)
    return np.asarray(1.0 / (1.0 + np.exp(-(x[fitted.held_out] @ weights))))


def minimised(x: NDArray[np.float64], y: NDArray[np.float64], C: float) -> NDArray[np.float64]:
    """The weights (d,) that minimise C * (logistic loss summed) + |w|^2 / 2, the last column's weight un-penalised, by Newton's method with halved steps."""
    penalty = np.r_[np.ones(x.shape[1] - 1), 0.0]
    w = np.zeros(x.shape[1])

    def loss(w: NDArray[np.float64]) -> float:
        return float(C * (np.logaddexp(0, x @ w) - y * (x @ w)).sum() + (penalty * w**2).sum() / 2)

    for _ in range(100):
        p = 0.5 * (1 + np.tanh(x @ w / 2))
        gradient = C * x.T @ (p - y) + penalty * w
        step = np.linalg.lstsq(C * (x.T * (p * (1 - p))) @ x + np.diag(penalty), gradient, rcond=None)[0]
        size, before = 1.0, loss(w)
        while loss(w - size * step) > before and size > 1e-9:
            size /= 2
        w = w - size * step
        if np.abs(size * step).max() <= 1e-10 * max(1.0, np.abs(w).max()):
            break
    return w
