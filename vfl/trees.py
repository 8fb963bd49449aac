"""Boosted trees in a local federation: training from an estimator, and the model with its parts side by side."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from protocols.channel import Tap
from protocols.cipher import Scheme
from protocols.errors import ConfigError
from protocols.randomness import Randomness
from protocols.session import Observer, Roles, Session
from vfl.data import Table
from vfl.engine import run_local
from vfl.estimators import BoostedTrees
from vfl.model import TreesPart
from vfl.programs import boosting

ReadTable = Callable[[pd.DataFrame, str, Sequence[str]], Table]  # frame, party, columns


def fit(
    tables: Mapping[str, Table],
    roles: Roles,
    estimator: BoostedTrees,
    scheme: Scheme,
    read: ReadTable,
    *,
    min_intersection: int,
    keys: int,
    taps: Mapping[str, Sequence[Tap]] | None = None,
    observers: Mapping[str, Observer] | None = None,
    randomness: Mapping[str, Randomness] | None = None,
) -> FederatedTrees:
    """Aligns, trains on all common rows and returns the model; read: makes a party's table of new rows."""
    job = boosting.BoostingJob(estimator.params(), estimator.validation, min_intersection, keys)
    programs: dict[str, Callable[[Session], Any]] = {roles.guest: partial(boosting.guest, table=tables[roles.guest], job=job)}
    programs |= {h: partial(boosting.host, table=tables[h], job=job) for h in roles.hosts}
    programs[roles.arbiter] = partial(boosting.arbiter, job=job)
    inputs = {p: hashlib.sha256(t.digest() + repr(job).encode()).digest() for p, t in tables.items()}
    results = run_local(roles, programs, scheme, inputs=inputs, taps=taps, observers=observers, randomness=randomness)
    return FederatedTrees(
        {p: results[p].part for p in roles.data_parties}, roles, estimator, scheme, read, keys, len(results[roles.guest].aligned)
    )


class FederatedTrees:
    """Trained trees, the parties' parts side by side (local federations only: between institutions the parts are never joined)."""

    def __init__(
        self,
        parts: dict[str, TreesPart],
        roles: Roles,
        estimator: BoostedTrees,
        scheme: Scheme,
        read: ReadTable,
        keys: int,
        intersection: int,
    ) -> None:
        self.parts, self.roles, self.estimator, self.intersection_ = parts, roles, estimator, intersection
        self._scheme, self._read, self._keys = scheme, read, keys

    @property
    def classes_(self) -> np.ndarray[Any, Any]:
        """The two values of the label, sorted; the second is the positive class."""
        return np.asarray(self.parts[self.roles.guest].classes)

    @property
    def best_iteration(self) -> int:
        """The last round that the model uses, from 0."""
        ensemble = self.parts[self.roles.guest].ensemble
        assert ensemble is not None
        return len(ensemble.trees) // ensemble.params.num_class - 1

    def feature_importances(self, kind: str = "gain") -> dict[str, pd.Series]:
        """By party: summed gains ("gain") or numbers of splits ("split"), as the guest's part tells them: its own by column, a host's as one sum."""
        if kind not in ("gain", "split"):
            raise ConfigError(f"importance {kind!r} is not known", remedy='Use "gain" or "split"')
        part = self.parts[self.roles.guest]
        assert part.ensemble is not None
        found = part.ensemble.importance(kind)
        own = pd.Series([found.get((0, k), 0.0) for k in range(len(part.columns))], index=list(part.columns), name=kind)
        hosts = {h: pd.Series([found.get((k, -1), 0.0)], index=["all columns"], name=kind) for k, h in enumerate(self.roles.hosts, 1)}
        return {self.roles.guest: own, **hosts}

    def decision_function(self, guest: pd.DataFrame, hosts: Mapping[str, pd.DataFrame]) -> pd.Series:
        """Margins of new rows, by id, in the guest's order; NaN where not all parties know the id."""
        if set(hosts) != set(self.roles.hosts):
            raise ConfigError("the model needs a table of each of its hosts", expected=", ".join(self.roles.hosts), found=", ".join(hosts))
        frames = {self.roles.guest: guest, **hosts}
        tables = {p: self._read(frames[p], p, part.columns) for p, part in self.parts.items()}
        programs: dict[str, Callable[[Session], Any]] = {
            p: partial(
                boosting.predict_guest if p == self.roles.guest else boosting.predict_host, table=tables[p], part=part, min_intersection=1
            )
            for p, part in self.parts.items()
        }
        deals = self.estimator.membership == "hidden"
        programs[self.roles.arbiter] = partial(boosting.predict_arbiter, min_intersection=1, deals=deals, keys=self._keys)
        inputs = {p: t.digest() for p, t in tables.items()}
        rows, margins = run_local(self.roles, programs, self._scheme, inputs=inputs)[self.roles.guest]
        result = pd.Series(np.nan, index=tables[self.roles.guest].index, name="score")
        result.iloc[rows] = margins[:, 0]
        return result

    def predict_score(self, guest: pd.DataFrame, hosts: Mapping[str, pd.DataFrame]) -> pd.Series:
        """Probability of the positive class, by id, in the guest's order; NaN where not all parties know the id."""
        return pd.Series(1.0 / (1.0 + np.exp(-self.decision_function(guest, hosts))))

    def predict_proba(self, guest: pd.DataFrame, hosts: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
        """Probabilities by id, columns `classes_`."""
        positive = self.predict_score(guest, hosts)
        return pd.DataFrame({self.classes_[0]: 1.0 - positive, self.classes_[1]: positive})

    def predict(self, guest: pd.DataFrame, hosts: Mapping[str, pd.DataFrame]) -> pd.Series:
        """The more probable class, by id; missing where not all parties know the id."""
        score = self.decision_function(guest, hosts)
        labels = pd.Series(np.where(score > 0, self.classes_[1], self.classes_[0]), index=score.index, name="class")
        return pd.Series(labels.where(score.notna()))

    def __repr__(self) -> str:
        widths = ", ".join(f"{p}: {len(part.columns)}" for p, part in self.parts.items())
        return f"FederatedTrees({self.estimator}, columns {widths}, trained on {self.intersection_} common rows)"
