"""What a run's report.json says at every role, whatever was trained."""

from __future__ import annotations

import datetime
import json
from collections.abc import Collection, Mapping
from dataclasses import asdict
from typing import Any

from protocols.cipher import CipherVec
from protocols.message import registry
from vfl.job import Job, Party, needed_permits, searched
from vfl.job.meanings import meanings
from vfl.job.permits import DEALER, SCORING
from vfl.job.plan import plan_of, roles_of
from vfl.models import accounting, label_privacy
from vfl.models.accounting import Spent
from vfl.models.registry import kind_of
from vfl.models.results import Measuring, environment
from vfl.taps.counting import CountingTap, pace


def measuring_of(job: Job) -> Measuring:
    """What a report needs to know of a run; job: of a search, the best candidate's."""
    return Measuring(kind_of(job.model), plan_of(job), job.model.label, roles_of(job), job.split.seed, job.align.keys)


def result_frame(job: Job, party: Party, started: datetime.datetime, purpose: str) -> dict[str, Any]:
    """The part that every role has; phases and disclosure are filled in when the run is over.  purpose: "run" or
    "predict"."""
    return {
        "format": 1,
        "purpose": purpose,
        "job": job.name,
        "job_digest": job.digest.hex(),
        "role": party.role,
        "party": party.name,
        "parties": {
            "guest": job.parties.guest,
            "hosts": list(job.parties.hosts),
            "arbiter": job.parties.arbiter or None,
        },
        "outcome": job.model.label,
        **({"outcome_column": party.data.label} if purpose == "run" and party.role == "guest" and party.data else {}),
        "started": started.isoformat(timespec="seconds"),
        "alignment": {},
        "metrics": {},
        "phases": [],
        "disclosure": [],
        "permits": meanings(job, _needed(job, purpose)),
        "model": {"kind": job.model.kind, **settled(job), "key_bits": job.crypto.key_bits},
        "environment": environment(),
        "job_file": json.loads(job.canonical),
        "plots": {},
        **({} if job.privacy is None or purpose != "run" else {"privacy": promised(job)}),
        **searched.summary(job),
    }


def promised(job: Job) -> dict[str, Any]:
    """What noise on labels, or on events of bins, costs."""
    assert job.privacy is not None
    of, delta = label_privacy.releases(job.privacy, plan_of(job), len(job.parties.hosts)), job.privacy.delta
    found = accounting.epsilon([(of.multiplier, of.times)], delta)
    return asdict(Spent(job.privacy.unit, found, delta, float(of.multiplier), of.times)) | {"on": of.what}


def _needed(job: Job, purpose: str) -> Collection[str]:
    """The permissions of the job that messages of such a run can need."""
    if purpose == "run":
        return needed_permits(job)
    by_table = {DEALER, "edge-count-to-arbiter"} if job.model.scores_by_table else set[str]()
    return (SCORING | by_table).intersection(needed_permits(job))


def settled(job: Job) -> dict[str, Any]:
    """What the job says of its model: without what a search decides."""
    open_ones = job.search.param_grid if job.search is not None else {}
    return {
        k: v
        for k, v in kind_of(job.model).summary(job.model).items()
        if {"passes": "max_iter"}.get(k, k) not in open_ones
    }


def encryption(counting: CountingTap, told: Mapping[str, Any]) -> dict[str, Any]:
    """What encryption was made of at this party: `products` modulo n^2 (counted), `product_s` (measured now, on one
    core), `cpu_s` (the two multiplied), and how many `ciphertext_bytes` it sent, which are left out of a run that was
    resumed: products are those since then.  Empty where it computed under no key.

    `told`: the run's disclosure, and whether the run was resumed.
    """
    products = counting.products
    if not products:
        return {}
    kinds = registry()
    sent = sum(
        row["bytes"]
        for row in told["disclosure"]
        if any(kind is CipherVec for _, kind in kinds[row["message"]].schema())
    )
    each = pace(counting.keys[0])
    whole = {} if told.get("resumed") else {"ciphertext_bytes": sent}
    return {"encryption": {"products": products, "product_s": each, "cpu_s": products * each, **whole}}
