"""Results of a run as the programs hand them over, made from simulated customers without any cryptography."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from vfl.metrics import binary_metrics, plot_series


def sent(message: str, class_: str, to: object, learns: str, count: int = 1, size: int = 1234) -> dict[str, Any]:
    return {"message": message, "class": class_, "to": to, "count": count, "bytes": size, "learns": learns}


def frame(role: str, party: str) -> dict[str, Any]:
    return {
        "format": 1,
        "job": "credit-risk",
        "job_digest": "ab" * 32,
        "role": role,
        "party": party,
        "parties": {"guest": "bank", "hosts": ["telecom"], "arbiter": "trustco"},
        "started": "2026-11-20T11:42:07+00:00",
        "alignment": {},
        "metrics": {},
        "plots": {},
        "phases": [
            {"name": "align", "seconds": 0.4, "bytes_sent": 5000, "bytes_received": 7000},
            {"name": "train", "seconds": 75.2, "bytes_sent": 40_000_000, "bytes_received": 38_000_000},
        ],
        "disclosure": [sent("BlindedIds", "BLINDED", "telecom", "how many ids the sender has")],
        "model": {"kind": "logistic-regression", "passes": 30, "link": "taylor", "key_bits": 3072},
        "environment": {"backend": "serial", "versions": {"vfl": "0.1.0", "numpy": "2.0"}},
    }


@pytest.fixture
def guest_result() -> dict[str, Any]:
    rng = np.random.default_rng(3)
    signal, more = rng.normal(size=(2, 900))
    y = (rng.random(900) < 1 / (1 + np.exp(1.6 - signal - more))).astype(int)
    scores = {"guest_alone": 1 / (1 + np.exp(1.4 - 0.9 * signal)), "joint": 1 / (1 + np.exp(1.6 - signal - more))}
    result = frame("guest", "bank")
    for part, rows in (("train", slice(0, 600)), ("test", slice(600, 900))):
        result["metrics"][part] = {m: binary_metrics(y[rows], p[rows]) for m, p in scores.items()}
        result["plots"][part] = {m: plot_series(y[rows], p[rows]) for m, p in scores.items()}
    result["alignment"] = {"guest_rows": 1000, "host_rows": 1200, "intersection": 900}
    result["model"] |= {
        "coefficients": [{"column": "limit", "coef": -0.2, "coef_raw": -1e-5}, {"column": "age", "coef": 0.9, "coef_raw": 0.03}],
        "intercept": -1.5,
    }
    result["disclosure"] += [
        sent("GuestRows", "REVEALED", "telecom", "which of its own ids are common to all parties"),
        sent("Residual", "SEALED", "telecom", "nothing: the residuals, encrypted", 30, 64_000_000),
        sent("PublicKeyOffer", "PUBLIC", ["telecom", "trustco"], "the public key of this run"),
    ]
    return result


@pytest.fixture
def host_result() -> dict[str, Any]:
    result = frame("host", "telecom")
    result["alignment"] = {"guest_rows": 1000, "host_rows": {"telecom": 1200}, "intersection": 900}
    result["model"]["coefficients"] = [{"column": "late_bills", "coef": 0.4, "coef_raw": 0.3}]
    result["disclosure"] = [sent("HostRows", "REVEALED", "bank", "which of its own ids are common to all parties")]
    return result


@pytest.fixture
def arbiter_result() -> dict[str, Any]:
    result = frame("arbiter", "trustco")
    result["disclosure"] = [sent("FinalShare", "REVEALED", p, "its own final weights") for p in ("bank", "telecom")]
    return result
