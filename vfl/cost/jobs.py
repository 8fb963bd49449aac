"""The jobs that are measured: seeded tables of any size, what is fitted on them, and one run of all parties with a
meter each."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from protocols.cipher import Scheme
from protocols.randomness import Randomness
from vfl.api.align import align
from vfl.api.federation import Federation
from vfl.cost.meter import Counted, Meter
from vfl.models.regression.spec import LinearRegression, LogisticRegression, PoissonRegression
from vfl.models.scorecard.spec import Scorecard
from vfl.models.trees.spec import BoostedTrees
from vfl.models.workload import Workload
from vfl.schema.spec import Spec

Estimator = LogisticRegression | LinearRegression | PoissonRegression | Scorecard | BoostedTrees
KEYS = (2048, 3072, 4096)
OTHERS = 1 / 4  # rows that a party has in addition, for each row that all have


def estimator_of(work: Workload) -> Estimator:
    """What all modes fit; the key comes with the scheme.  An alignment fits nothing."""
    match work.kind:
        case "logistic":
            return LogisticRegression(max_iter=work.passes, link=work.link)
        case "linear":
            return LinearRegression(max_iter=work.passes)
        case "poisson":
            return PoissonRegression(max_iter=work.passes)
        case "scorecard":
            return Scorecard(max_iter=work.passes, link=work.link)
        case "trees":
            return BoostedTrees(
                n_estimators=work.trees, max_depth=work.depth, max_bin=work.bins, membership=work.membership
            )
        case "alignment" | "network":
            raise ValueError(f"a workload of kind {work.kind} does not say what is fitted")


@dataclass(frozen=True)
class Tables:
    """The guest's table with the column "label", and the hosts' by name; all with the column "id"."""

    guest: pd.DataFrame
    hosts: dict[str, pd.DataFrame]

    def joined(self) -> pd.DataFrame:
        """What no party holds: the rows that all know, with all columns."""
        frame = self.guest
        for host in self.hosts.values():
            frame = frame.merge(host, on="id")
        return frame


def tables(work: Workload, *, new: bool = False) -> Tables:
    """Correlated normal columns and a label, of two classes with about 22% events; `new`: other rows of the same kind,
    to judge a model on."""
    width = work.guest_columns + work.host_columns
    effects = np.random.default_rng(7).normal(size=width)
    rng = np.random.default_rng(12 if new else 11)
    common = min(work.rows, 4000) if new else work.rows
    extra = int(common * OTHERS)
    total = common + extra * (1 + work.hosts)
    x = rng.normal(size=(total, width)) + 0.5 * rng.normal(size=(total, 1))
    score = x @ effects * 0.2
    label = labels(work, score, (rng.random(total) < 1 / (1 + np.exp(1.7 - score))).astype(int))
    ids = np.array([f"{'n' if new else 'c'}{i:09d}" for i in range(total)])

    def of(party: int, columns: np.ndarray[Any, Any]) -> pd.DataFrame:
        own = np.concatenate([np.arange(common), common + party * extra + np.arange(extra)])
        own = rng.permutation(own)
        return pd.DataFrame({"id": ids[own]} | {f"x{c}": x[own, c] for c in columns})

    guest = of(0, np.arange(work.guest_columns))
    guest["label"] = pd.Series(label, index=ids).loc[guest["id"]].to_numpy()
    if work.weighted:
        guest["weight"] = np.random.default_rng(14).uniform(0.5, 2.0, len(guest))
    parts = np.array_split(np.arange(work.guest_columns, width), work.hosts)
    return Tables(guest, {f"host{k}": of(k, part) for k, part in enumerate(parts, 1)})


def labels(work: Workload, score: np.ndarray[Any, Any], event: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """What the kind of model takes for a label, from a score and the events drawn by it."""
    rng = np.random.default_rng(13)
    if work.kind == "linear":
        return np.asarray(score + rng.normal(size=len(score)))
    if work.kind == "poisson":
        return rng.poisson(np.exp(np.clip(0.2 * score, -3, 3)))
    if work.classes > 2:
        return np.asarray(np.digitize(score, np.quantile(score, np.linspace(0, 1, work.classes + 1)[1:-1])))
    return event


@dataclass(frozen=True)
class Run:
    """One run of all parties in this process."""

    model: Any
    meters: Mapping[str, Meter]
    wall_s: float
    cpu_s: float


def run(
    work: Workload,
    scheme: Scheme,
    *,
    repeatable: bool = False,
    spec: Spec | None = None,
    preparation: str | None = "none",
) -> Run:
    """Aligns and fits, metered.  spec: what is fitted instead of the workload's own.  repeatable: the parties' secrets
    are the same in every run, so that all counts are, too.  preparation: as of `Federation.local`; without one, which
    the formulas of cost.json are for."""
    data = tables(work)
    meters = {party: Meter() for party in ("guest", *data.hosts, "arbiter")}
    fixed = {p: Randomness(p, hashlib.sha256(p.encode()).digest(), b"") for p in meters} if repeatable else None
    watched: dict[str, Any] = {"taps": {p: [m] for p, m in meters.items()}, "observers": meters, "randomness": fixed}
    wall, cpu = time.perf_counter(), time.process_time()
    if work.kind == "alignment":
        model: Any = align(data.guest, data.hosts, "id", **watched)
    else:
        weight = "weight" if work.weighted else None
        federation = Federation.local(
            data.guest,
            data.hosts,
            on="id",
            label="label",
            sample_weight=weight,
            cipher=Counted(scheme),
            convergence=False,
            preparation=preparation,
        )
        model = federation.fit(spec or estimator_of(work), **watched)
    return Run(model, meters, time.perf_counter() - wall, time.process_time() - cpu)
