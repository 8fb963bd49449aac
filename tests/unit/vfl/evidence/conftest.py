"""A party's folder of a run as `vfl run` leaves it, made without a run: with canaries wherever values can stand."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from protocols.alignment.ecdh import BlindedIds, GuestRows
from protocols.channel import Count, chained
from protocols.message import Message
from tests.unit.vfl.report.conftest import frame, sent
from vfl.evidence.recorded import agreed
from vfl.job import job_from
from vfl.job.setup import init_party
from vfl.ledger import LedgerTap, LedgerWriter, Witness
from vfl.report import write_report
from vfl.run.budget.table import RUNS, BudgetFile
from vfl.transport.identity import Identity, create_identity

CANARY, VALUE = "CANARY", 7777.1234567  # a text, and a number that single rows decide
STAMP = "20261120-114207"
RUN = bytes(range(16))
METRICS = {"auc": 0.81, "ks": 0.48, "log_loss": 0.45, "n": 300, "base_rate": 0.2}
ALONE = {"auc": 0.74, "ks": 0.39, "log_loss": 0.49, "n": 300, "base_rate": 0.2}


def the_job() -> Any:
    return job_from(
        {
            "version": 1,
            "name": "credit-risk",
            "parties": {"guest": "bank", "hosts": ["telecom"], "arbiter": "trustco"},
            "align": {"keys": [["id"]], "normalise": {"id": "text"}},
            "split": {"test": 0.25, "seed": 7},
            "model": {"kind": "logistic-regression", "link": "taylor", "max_iter": 30},
            "disclosure": {"allow": ["intersection-to-parties", "scores-to-guest", "convergence-to-parties"]},
        }
    )


def calibration(least: int) -> dict[str, list[float]]:
    """Ten groups; least: rows of the smallest."""
    rates = [0.05 + 0.09 * k for k in range(10)]
    return {
        "predicted": rates,
        "observed": rates,
        "count": [least, *[40] * 9],
        "low": [rate / 2 for rate in rates],
        "high": [rate + 0.1 for rate in rates],
    }


def the_report() -> dict[str, Any]:
    """The guest's, with canaries in what must not leave."""
    job, result = the_job(), frame("guest", "bank")
    moved = {"rows": 300, "missing_before": 0.0, "missing": 0.0, "bins": [f"{CANARY} bin"], "before": [9], "now": [3]}
    interval = {"change": 0.07, "low": 0.01, "high": 0.13}
    quantiles = {"p5": VALUE, "median": VALUE, "p95": VALUE}
    woe = {"bin": f"up to {VALUE} {CANARY}", "rows": 3, "events": 1, "event_rate": 0.3, "woe": 0.1, "iv": 0.1}
    return result | {
        "purpose": "run",
        "job_digest": job.digest.hex(),
        "run": RUN.hex(),
        "job_file": json.loads(job.canonical),
        "classes": [f"{CANARY} good", f"{CANARY} bad"],
        "alignment": {"guest_rows": 1000, "host_rows": 1200, "intersection": 900, "train_rows": 600, "test_rows": 300},
        "metrics": {"test": {"joint": METRICS, "guest_alone": ALONE}},
        "uplift": {"test": {"measures": {"auc": interval}, "level": 0.95, "draws": 1000, "seed": 7}},
        "columns": [
            {"column": "age", "type": "number", "rows": 600, "missing": 0.01, "distinct": 60, "mean": 40.5, "sd": 9.0}
            | {"histogram": [1, 2]}
            | quantiles
        ],
        "stability": {"columns": [{"column": "age", "psi": 0.02, "expected": 0.03, "mark": "stable"} | moved]},
        "cautions": [f"the value of row 5 lies far from the others {CANARY}"],
        "permits": {"intersection-to-parties": "each party learns which of its ids are common"},
        "model": result["model"]
        | {
            "coefficients": [{"column": "age", "coef": 0.9, "coef_raw": 0.03}],
            "woe": [{"column": "age"} | woe],
            "iv": [{"column": "age", "iv": 0.2, "strength": "medium", "bins": 4, "dropped": None}],
            "host_columns": [
                {"host": "telecom", "column": f"{CANARY}bill", "iv": 0.3, "strength": "x", "table": [woe]}
            ],
            "label_mean": VALUE,
            "caution": "the training ended early",
        },
        "plots": {
            "test": {
                "joint": {"names": [CANARY, VALUE], "calibration": calibration(30)},
                "guest_alone": {"calibration": calibration(30) | {"observed": [0.25] * 10}},
            },
            "train": {"joint": {"calibration": calibration(29)}},
        },
        "disclosure": [
            sent("BlindedIds", "BLINDED", "telecom", BlindedIds.learns, 1, 6),
            sent("GuestRows", "REVEALED", "telecom", GuestRows.learns, 1, 6),
        ],
        "inputs": {"own table": "cd" * 32},
    }


def recorded_messages(writer: LedgerWriter) -> Count:
    """Three messages to and from the telecom; what both count of them."""
    tap, consumed, produced = LedgerTap(writer), bytes(32), bytes(32)
    messages: list[tuple[str, type[Message], bytes]] = [
        ("to", BlindedIds, b"first."), ("from", BlindedIds, b"second"), ("to", GuestRows, b"third."),
    ]  # fmt: skip
    for way, kind, data in messages:
        digest = hashlib.sha256(data).digest()
        if way == "to":
            tap.sent("telecom", kind, data)
            produced = chained(produced, digest)
        else:
            tap.received("telecom", kind, data)
            consumed = chained(consumed, digest)
    return Count(2, 1, consumed, produced)


@pytest.fixture(scope="session")
def institution(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the bank: bank/party.toml, and bank/runs/RUN with a report, a ledger and a partner's signature."""
    home = tmp_path_factory.mktemp("parties")
    init_party(home / "bank", "guest", "bank", label="default", listen="127.0.0.1:7443")
    own = Identity.load(home / "bank" / "identity" / "key.pem", home / "bank" / "identity" / "cert.pem")
    telecom = create_identity(home / "telecom", "telecom")
    folder = home / "bank" / "runs" / f"credit-risk-{STAMP}"
    write_report(folder, the_report())
    said: dict[str, Any] = {"job": "credit-risk", "job_digest": the_job().digest, "party": "bank"}
    path = folder / "ledger.jsonl"
    with LedgerWriter(path, **said, sign=own.sign, run=RUN, approved_by="Jane Doe", who=lambda: "batch") as writer:
        count = recorded_messages(writer)
    pinned = {"telecom": (telecom.certificate_pem,)}
    mine = Witness(folder, the_job().digest, RUN, "bank", own.sign, pinned)
    theirs = Witness(home, the_job().digest, RUN, "telecom", telecom.sign, {"bank": (own.certificate_pem,)})
    mine.accept("telecom", count.mirrored(), theirs.sign("bank", count.mirrored()))
    with BudgetFile(folder.parent).opened() as counts:
        counts.add(RUNS, "telecom", "2026-11", 1, 20)
    for name, text in (("scores.csv", f"id,score\n{CANARY}-1,{VALUE}\n"), ("events.jsonl", f'{{"id":"{CANARY}"}}\n')):
        (folder / name).write_text(text)
    assert hashlib.sha256(agreed(the_report()) or b"").digest() == the_job().digest
    return home / "bank"


@pytest.fixture(scope="session")
def run(institution: Path) -> Path:
    return institution / "runs" / f"credit-risk-{STAMP}"
