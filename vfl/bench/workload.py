"""The jobs that are measured: seeded tables of any size, what is fitted on them, and one run of all parties with a meter each."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from protocols.cipher import Scheme
from protocols.randomness import Randomness
from vfl.bench.meter import Counted, Meter
from vfl.estimators import BoostedTrees, LogisticRegression
from vfl.federation import Federation

Kind = Literal["logistic", "trees"]
KEYS = (2048, 3072, 4096)


@dataclass(frozen=True)
class Workload:
    """rows: common to all parties; each holds a quarter more that no other knows.  host_columns: of all hosts together.

    passes, link: of the regression.  trees, depth, bins, membership: of the trees.
    """

    kind: Kind
    rows: int
    guest_columns: int = 5
    host_columns: int = 18
    hosts: int = 1
    passes: int = 20
    link: Literal["exact", "taylor"] = "exact"
    trees: int = 2
    depth: int = 4
    bins: int = 16
    membership: Literal["hidden", "shared"] = "hidden"

    def estimator(self) -> LogisticRegression | BoostedTrees:
        """What all modes fit; the key comes with the scheme."""
        if self.kind == "logistic":
            return LogisticRegression(max_iter=self.passes, link=self.link)
        return BoostedTrees(n_estimators=self.trees, max_depth=self.depth, max_bin=self.bins, membership=self.membership)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


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
    """Correlated normal columns and a label with about 22% events; `new`: other rows of the same kind, to judge a model on."""
    width = work.guest_columns + work.host_columns
    effects = np.random.default_rng(7).normal(size=width)
    rng = np.random.default_rng(12 if new else 11)
    common = min(work.rows, 4000) if new else work.rows
    extra = common // 4
    total = common + extra * (1 + work.hosts)
    x = rng.normal(size=(total, width)) + 0.5 * rng.normal(size=(total, 1))
    label = (rng.random(total) < 1 / (1 + np.exp(1.7 - x @ effects * 0.2))).astype(int)
    ids = np.array([f"{'n' if new else 'c'}{i:09d}" for i in range(total)])

    def of(party: int, columns: np.ndarray[Any, Any]) -> pd.DataFrame:
        own = np.concatenate([np.arange(common), common + party * extra + np.arange(extra)])
        own = rng.permutation(own)
        return pd.DataFrame({"id": ids[own]} | {f"x{c}": x[own, c] for c in columns})

    guest = of(0, np.arange(work.guest_columns))
    guest["label"] = pd.Series(label, index=ids).loc[guest["id"]].to_numpy()
    parts = np.array_split(np.arange(work.guest_columns, width), work.hosts)
    return Tables(guest, {f"host{k}": of(k, part) for k, part in enumerate(parts, 1)})


@dataclass(frozen=True)
class Run:
    """One run of all parties in this process."""

    model: Any
    meters: Mapping[str, Meter]
    wall_s: float
    cpu_s: float


def run(work: Workload, scheme: Scheme, *, repeatable: bool = False) -> Run:
    """Aligns and fits, metered.  repeatable: the parties' secrets are the same in every run, so that all counts are, too."""
    data = tables(work)
    federation = Federation.local(data.guest, data.hosts, on="id", label="label", cipher=Counted(scheme))
    meters = {party: Meter() for party in federation.roles.all}
    fixed = {p: Randomness(p, hashlib.sha256(p.encode()).digest(), b"") for p in meters} if repeatable else None
    wall, cpu = time.perf_counter(), time.process_time()
    model = federation.fit(work.estimator(), taps={p: [m] for p, m in meters.items()}, observers=meters, randomness=fixed)
    return Run(model, meters, time.perf_counter() - wall, time.process_time() - cpu)
