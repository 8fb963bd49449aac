"""Results of a run as the programs hand them over, made from simulated customers without any cryptography."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.unit.vfl.report.searched import SCORED
from vfl import metrics
from vfl.metrics import binary_metrics, plot_series
from vfl.models.baseline import Baseline, compare, describe

MESSAGES = {"messages_sent": 3, "messages_received": 4}


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
            {"name": "align", "seconds": 0.4, "bytes_sent": 5000, "bytes_received": 7000, **MESSAGES},
            {"name": "train", "seconds": 75.2, "bytes_sent": 40_000_000, "bytes_received": 38_000_000, **MESSAGES},
        ],
        "disclosure": [sent("BlindedIds", "BLINDED", "telecom", "how many ids the sender has")],
        "model": {"kind": "logistic-regression", "passes": 30, "link": "taylor", "key_bits": 3072},
        "environment": {
            "python": "3.11.7",
            "platform": "Linux",
            "processor": "x86_64",
            "cores": 2,
            "backend": "serial",
            "versions": {"vfl": "0.1.0", "numpy": "2.0"},
        },
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
        "coefficients": [
            {"column": "limit", "coef": -0.2, "coef_raw": -1e-5},
            {"column": "age", "coef": 0.9, "coef_raw": 0.03},
        ],
        "intercept": -1.5,
    }
    result["disclosure"] += [
        sent("GuestRows", "REVEALED", "telecom", "which of its own ids are common to all parties"),
        sent("Residual", "SEALED", "telecom", "nothing: the residuals, encrypted", 30, 64_000_000),
        sent("PublicKeyOffer", "PUBLIC", "trustco", "the public key of this run"),
    ]
    return result


@pytest.fixture
def full_result(guest_result: dict[str, Any]) -> dict[str, Any]:
    """A guest's result with every section filled."""
    rng = np.random.default_rng(4)
    train = pd.DataFrame(
        {"limit": rng.normal(1000, 200, 600), "age": rng.integers(18, 80, 600), "region": rng.choice(["n", "s"], 600)}
    )
    test = train.sample(300, random_state=1).assign(
        limit=lambda t: t["limit"] + 150, age=lambda t: t["age"].mask(t["age"] > 70)
    )
    later = test.assign(age=lambda t: t["age"] + 40)
    before = Baseline.of("bank", b"m", train, 1 / (1 + np.exp(-rng.normal(size=600))))
    signal = rng.normal(size=300)
    y = (rng.random(300) < 1 / (1 + np.exp(-signal))).astype(int)
    joint = 1 / (1 + np.exp(-signal))
    scores = {"joint": joint, "guest_alone": 1 / (1 + np.exp(-signal - rng.normal(size=300)))}
    bins = [
        {"bin": name, "rows": 300, "events": e, "event_rate": e / 300, "woe": w, "iv": 0.08}
        for name, e, w in (("up to 900", 60, -0.4), ("above 900", 30, 0.4))
    ]
    return guest_result | {
        "purpose": "run",
        "outcome": "binary",
        "classes": ["good", "bad"],
        "alignment": guest_result["alignment"]
        | {
            "train_rows": 400,
            "test_rows": 300,
            "out_of_time_rows": 200,
            "repeated": 3,
            "by_key": {"national_id": 840, "phone + birth_date": 60},
        },
        "metrics": guest_result["metrics"] | {"out_of_time": {m: binary_metrics(y, p) for m, p in scores.items()}},
        "plots": guest_result["plots"] | {"out_of_time": {m: plot_series(y, p) for m, p in scores.items()}},
        "uplift": {part: metrics.uplift_interval(y, joint, np.full(300, 0.5)) for part in ("test", "out_of_time")},
        "columns": describe(train),
        "stability": compare(before, test, joint**2) | {"out_of_time": compare(before, later, joint**3)},
        "encryption": {"products": 98_412_345, "product_s": 8.4e-7, "cpu_s": 82.7, "ciphertext_bytes": 36_000_000},
        "model": guest_result["model"]
        | {
            "base_score": 600.0,
            "base_odds": 20.0,
            "pdo": 50.0,
            "base_points": 512,
            "iv": [
                {"column": "limit", "iv": 0.16, "strength": "medium", "bins": 2, "dropped": None},
                {"column": "age", "iv": None, "strength": None, "bins": 0, "dropped": "one value only"},
            ],
            "woe": [{"column": "limit"} | b for b in bins],
            "points": [{"column": "limit", "points": p} | b for b, p in zip(bins, (-29, 31), strict=True)],
            "host_columns": [
                {"host": "telecom", "column": "column 1", "iv": 0.35, "strength": "strong", "table": bins}
            ],
        },
        "search": SCORED | {"fold_rows": [290, 310]},
        "permits": {"scores-to-guest": "the guest learns the sum of the hosts’ parts of the score"},
        "inputs": {"own table": "cd" * 32},
        "job_file": {"name": "credit-risk", "split": {"test": 0.25, "seed": 7}},
    }


def other_kind(outcome: str) -> dict[str, Any]:
    """A guest's result of boosted trees for another kind of outcome."""
    rng = np.random.default_rng(9)
    if outcome == "multiclass":
        y = rng.integers(0, 3, 300)
        sure = (0.1 + np.eye(3)[y] + rng.random((300, 3))) ** 2
        predictions = {"joint": sure / sure.sum(axis=1, keepdims=True), "guest_alone": np.full((300, 3), 1 / 3)}
        found = {
            m: (metrics.class_metrics(y, p), metrics.class_series(y, p, ["van", "bus", "saab"]))
            for m, p in predictions.items()
        }
    else:
        mean = np.exp(rng.normal(1, 0.6, 300))
        y = rng.poisson(mean) if outcome == "count" else 1e5 * mean + rng.normal(0, 2e4, 300)
        predictions = {
            "joint": mean if outcome == "count" else 1e5 * mean,
            "guest_alone": np.full(300, float(y.mean())),
        }
        measure = metrics.count_metrics if outcome == "count" else metrics.numeric_metrics
        found = {m: (measure(y, p), metrics.numeric_series(y, p)) for m, p in predictions.items()}
    result = frame("guest", "bank") | {
        "purpose": "run",
        "outcome": outcome,
        "classes": ["van", "bus", "saab"] if outcome == "multiclass" else None,
    }
    result["metrics"]["test"] = {m: numbers for m, (numbers, _) in found.items()}
    result["plots"]["test"] = {m: series for m, (_, series) in found.items()}
    result["uplift"] = {"test": metrics.uplift_interval(y, predictions["joint"], predictions["guest_alone"], outcome)}
    result["alignment"] = {
        "guest_rows": 1500,
        "host_rows": 1300,
        "intersection": 1200,
        "train_rows": 900,
        "test_rows": 300,
    }
    result["model"] = {
        "kind": "boosted-trees", "membership": "sealed", "n_estimators": 20, "trees": 20, "key_bits": 3072,
        "importance": [
            {"party": 0, "column": "limit", "gain": 31.5, "splits": 44},
            {"party": 0, "column": "age", "gain": 3.5, "splits": 9},
            {"party": 1, "column": None, "gain": 52.0, "splits": 71},
        ],
    }  # fmt: skip
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
    result["disclosure"] = [
        sent(f"{kind}Weights", "REVEALED", p, "its own final weights")
        for kind, p in (("Guest", "bank"), ("Host", "telecom"))
    ]
    return result
