"""Runs that the attacks are tried on."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pandas as pd

import vfl
from protocols.ids import Ids
from protocols.session import Roles
from vfl.attacks.alignments import Aligning, record_alignment
from vfl.attacks.audit import one_thread
from vfl.attacks.averages import Averaged, record_averaging
from vfl.attacks.scene import SHORT, Asked, Run, Scene, record
from vfl.schema.spec import Spec
from vfl.steps.alignment import AlignmentPlan

KINDS: dict[str, tuple[Spec, dict[str, Any]]] = {
    "regression": (vfl.LogisticRegression(), {}),
    "sealed trees": (vfl.BoostedTrees(n_estimators=10), {}),
    "open trees": (vfl.BoostedTrees(n_estimators=10, membership="open"), {}),
    "scorecard": (vfl.Scorecard(), {"reveal": ["guest"]}),
    "network": (vfl.MLPClassifier(hidden_layer_sizes=4, max_iter=5), {}),
}
OPEN = "open trees"  # which give away what their permissions say
MEMBERS = "an averaging"
SIZES = "an alignment of which the size alone is opened"

WIDE = "wide regression, strong penalty"
MANY = "40 sealed trees"


def federation(rows: int = 400, seed: int = 0, **more: Any) -> vfl.Federation:
    """Three columns of the guest and five of a host, some common causes, and labels that hang on all."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 3)) @ rng.normal(size=(3, 8)) + rng.normal(size=(rows, 8))
    y = (x @ np.linspace(0.9, 0.3, 8) + 1.5 * rng.logistic(size=rows) > 0).astype(int)
    ids = [f"customer-{k:05d}" for k in range(rows)]
    bank = pd.DataFrame(x[:, :3], columns=["age", "limit", "terms"]).assign(id=ids, default=y)
    telecom = pd.DataFrame(x[:, 3:], columns=["bill", "late", "calls", "data", "tenure"]).assign(id=ids)
    only = pd.DataFrame(0.0, index=range(20), columns=telecom.columns).assign(id=[f"stranger-{k}" for k in range(20)])
    telecom = pd.concat([telecom, only]).sample(frac=1, random_state=1)
    given = {"on": "id", "label": "default", "cipher": SHORT} | more
    return vfl.Federation.local(bank, {"telecom": telecom}, **given)


def wide(rows: int = 400, columns: int = 160) -> vfl.Federation:
    """Hardly more rows than columns once half are held out: only a strong penalty keeps a model from memorising."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(rows, columns))
    y = (x[:, :4].sum(axis=1) * 0.5 + rng.logistic(size=rows) > 0).astype(int)
    bank, telecom = (pd.DataFrame(part).add_prefix("x").assign(id=range(rows)) for part in np.hsplit(x, 2))
    return vfl.Federation.local(bank.assign(default=y), {"telecom": telecom}, on="id", label="default", cipher=SHORT)


def answers(rows: int = 800, usage: float | None = None) -> vfl.Federation:
    """A host with four 0/1 columns, and nothing else; or with a column of many values that moves labels by `usage`."""
    rng = np.random.default_rng(0)
    causes = rng.normal(size=(rows, 2))
    x = causes @ rng.normal(size=(2, 3)) + rng.normal(size=(rows, 3))
    bits = (causes @ rng.normal(size=(2, 4)) + rng.normal(size=(rows, 4)) > 0).astype(int)
    used, noise = causes.sum(axis=1) + rng.normal(size=rows), rng.logistic(size=rows)
    y = (x.sum(axis=1) + bits.sum(axis=1) + (usage or 0.0) * used + noise > 2).astype(int)
    bank = pd.DataFrame(x, columns=["age", "limit", "terms"]).assign(id=range(rows), default=y)
    telecom = pd.DataFrame(bits, columns=["a", "b", "c", "d"]).assign(id=range(rows))
    telecom = telecom if usage is None else telecom.assign(usage=used)
    return vfl.Federation.local(bank, {"telecom": telecom}, on="id", label="default", cipher=SHORT)


def aligned(*, size_only: bool = False) -> Aligning:
    """200 of 400 and 300 ids are common."""
    lists = {"bank": range(400), "telecom": range(200, 500)}
    keys = {party: (Ids.of([b"customer-%05d" % k for k in own]),) for party, own in lists.items()}
    return record_alignment(Roles("bank", ("telecom",), "trustco"), keys, AlignmentPlan(size_only=size_only))


def run_of(kind: str) -> Run:
    """A run of any kind."""
    if kind == MEMBERS:
        return averaged()
    return aligned(size_only=True) if kind == SIZES else scene(kind)


def averaged() -> Averaged:
    """Ten hospitals."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 3))
    whole = pd.DataFrame(x, columns=["age", "weight", "pulse"])
    whole["readmitted"] = (x.sum(axis=1) + rng.logistic(size=400) > 0).astype(int)
    members = vfl.Members.local({f"hospital-{k}": whole.iloc[k::10] for k in range(10)}, label="readmitted")
    return record_averaging(members, vfl.Averaging(rounds=3))


@cache
def scene(kind: str) -> Scene:
    with one_thread():
        if kind == WIDE:
            return record(Asked(wide(), vfl.LogisticRegression(C=0.001)))
        estimator, more = (vfl.BoostedTrees(n_estimators=40), {}) if kind == MANY else KINDS[kind]
        return record(Asked(federation(**more), estimator))
