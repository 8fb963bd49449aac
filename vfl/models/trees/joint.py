"""Boosted trees in a local federation: training from an estimator, and the model with its parts side by side."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protocols.boosting import objective
from protocols.boosting.ensemble import Ensemble
from protocols.boosting.sealed_parts import GuestTrees
from protocols.channel import Tap
from protocols.cipher import Scheme
from protocols.errors import ConfigError
from protocols.local import run_local
from protocols.randomness import Randomness
from protocols.session import Observer, Roles, Session
from vfl.api.search import GridSearchCV
from vfl.data import KeyLists, Objective, Table
from vfl.models.estimators import BoostedTrees
from vfl.models.evaluation import Drawn, Evaluation, flatters
from vfl.models.part import LeafValues, TreesPart
from vfl.models.splitting import Split, reports
from vfl.models.trees import program as boosting
from vfl.steps.search import Searched

Margins = NDArray[np.float64]
ReadTable = Callable[[pd.DataFrame, str, Sequence[str], Sequence[str]], Table]  # frame, party, columns, those of texts
LABELS: dict[str, Objective] = {
    "binary:logistic": "binary",
    "reg:squarederror": "numeric",
    "count:poisson": "count",
    "multi:softprob": "multiclass",
}


def fit(
    tables: Mapping[str, Table],
    roles: Roles,
    estimator: BoostedTrees,
    scheme: Scheme,
    read: ReadTable,
    *,
    min_intersection: int,
    keys: KeyLists,
    taps: Mapping[str, Sequence[Tap]] | None = None,
    observers: Mapping[str, Observer] | None = None,
    randomness: Mapping[str, Randomness] | None = None,
    init_model: FederatedTrees | None = None,
    split: Split | None = None,
    grid: GridSearchCV | None = None,
) -> tuple[FederatedTrees, Searched | None]:
    """Aligns, trains on the common rows that `split` does not hold out and returns the model; read: makes a party's table of new rows; init_model: what it continues;
    grid: what is searched first, and found."""
    tables = {party: table.for_model(LABELS[estimator.objective], missing=True, texts=True) for party, table in tables.items()}
    candidates = [estimator] if grid is None else grid.candidates()
    params = estimator.params(len(tables[roles.guest].classes or ()))
    before: dict[str, Any] = dict(init_model.parts) if init_model else {}
    if init_model and tuple(before) != roles.data_parties:
        raise ConfigError(
            "the model to continue has other parties, or its hosts in another order",
            expected=", ".join(before),
            found=", ".join(roles.data_parties),
            remedy="Give the same tables under the same names, in the same order",
        )
    if init_model:
        params.check_continues(init_model.trees_.params, init_model.rounds_ * params.num_class)
        before[roles.arbiter] = init_model.leaf_values
    drawn = Drawn(split.test, split.seed, split.cut_off) if split else Drawn()
    caution = (flatters(drawn, init_model.drawn) or init_model.caution) if init_model and split else ""
    if caution:
        warnings.warn(caution, UserWarning, stacklevel=3)
    weighted = tables[roles.guest].weight is not None
    shared: dict[str, Any] = {"continues": bool(before), "weighted": weighted, **(split.job() if split else {})}
    jobs = [boosting.BoostingJob(one.params(params.num_class), one.validation, min_intersection, len(keys), **shared) for one in candidates]
    asked = None if grid is None else grid.asked(jobs, LABELS[estimator.objective])
    given: dict[str, Any] = {"job": jobs[0], "asked": asked}
    programs: dict[str, Callable[[Session], Any]] = {
        p: partial(boosting.guest if p == roles.guest else boosting.host, table=tables[p], before=before.get(p), **given)
        for p in roles.data_parties
    }
    programs[roles.arbiter] = partial(boosting.arbiter, before=before.get(roles.arbiter), **given)
    inputs = {p: hashlib.sha256(t.digest() + repr(asked or jobs[0]).encode()).digest() for p, t in tables.items()}
    results = run_local(roles, programs, scheme, inputs=inputs, taps=taps, observers=observers, randomness=randomness)
    fitted = {p: results[p] for p in roles.data_parties}
    own = fitted[roles.guest]
    best = own.searched.best if own.searched else 0
    told = reports(candidates[best], jobs[best], LABELS[estimator.objective], roles, fitted, keys) if split else {}
    parts = {p: f.part for p, f in fitted.items()}
    leaf_values = results[roles.arbiter]
    model = FederatedTrees(parts, leaf_values, roles, candidates[best], scheme, read, len(keys), len(own.aligned), told, drawn, caution)
    return model, own.searched


class FederatedTrees:
    """Trained trees, the parties' parts side by side (local federations only: between institutions the parts are never joined)."""

    def __init__(
        self,
        parts: dict[str, TreesPart],
        leaf_values: LeafValues | None,
        roles: Roles,
        estimator: BoostedTrees,
        scheme: Scheme,
        read: ReadTable,
        keys: int,
        intersection: int,
        reports: dict[str, Evaluation],
        drawn: Drawn,
        caution: str,
    ) -> None:
        self.reports_ = reports  # by party, where rows were held out
        self.drawn, self.caution = drawn, caution  # which rows were left out, and what is to be said of measures on them
        self.parts, self.roles, self.estimator, self.intersection_ = parts, roles, estimator, intersection
        self.leaf_values = leaf_values  # the arbiter's part, of sealed trees
        self._scheme, self._read, self._keys = scheme, read, keys

    @property
    def classes_(self) -> np.ndarray[Any, Any]:
        """The values of the label, sorted; of two the second is the positive class.  Raises ConfigError where the label is no class."""
        classes = self.parts[self.roles.guest].classes
        if classes is None:
            raise ConfigError(f"{self.estimator.objective} has no classes", remedy="Use predict")
        return np.asarray(classes)

    @property
    def best_iteration(self) -> int:
        """The last round that the model uses, from 0."""
        return self.rounds_ - 1

    @property
    def trees_(self) -> Ensemble | GuestTrees:
        """What the guest knows of the trees."""
        return self.parts[self.roles.guest].trees

    @property
    def rounds_(self) -> int:
        """How many rounds the model has."""
        trees = self.trees_
        return (trees.trees if isinstance(trees, GuestTrees) else len(trees.trees)) // trees.params.num_class

    def feature_importances(self, kind: str = "split") -> dict[str, pd.Series]:
        """By party: numbers of splits ("split") or, of open trees, summed gains ("gain"), as the guest's part tells them: its own by column, a host's as one sum.

        Raises ConfigError for the gains of sealed trees: they are computed from labels, and only the arbiter sees them.
        """
        if kind not in ("gain", "split"):
            raise ConfigError(f"importance {kind!r} is not known", remedy='Use "gain" or "split"')
        part, trees = self.parts[self.roles.guest], self.trees_
        if isinstance(trees, GuestTrees):
            if kind == "gain":
                raise ConfigError(
                    "gains of sealed trees are computed from labels: no party that holds data sees them", remedy='Use "split"'
                )
            found: Mapping[tuple[int, int], float] = trees.importance()
        else:
            found = trees.importance(kind)
        own = pd.Series([found.get((0, k), 0.0) for k in range(len(part.columns))], index=list(part.columns), name=kind)
        hosts = {h: pd.Series([found.get((k, -1), 0.0)], index=["all columns"], name=kind) for k, h in enumerate(self.roles.hosts, 1)}
        return {self.roles.guest: own, **hosts}

    def decision_function(self, guest: pd.DataFrame, hosts: Mapping[str, pd.DataFrame]) -> pd.Series | pd.DataFrame:
        """Margins of new rows, by id, in the guest's order, NaN where not all parties know the id; of several classes a column each."""
        margins, index = self._margins(guest, hosts)
        if self.estimator.objective == "multi:softprob":
            return pd.DataFrame(margins, index=index, columns=list(self.classes_))
        return pd.Series(margins[:, 0], index=index, name="score")

    def predict_score(self, guest: pd.DataFrame, hosts: Mapping[str, pd.DataFrame]) -> pd.Series:
        """Probability of the positive class, by id, in the guest's order; NaN where not all parties know the id."""
        if self.estimator.objective != "binary:logistic":
            raise ConfigError(f"{self.estimator.objective} has no positive class", remedy="Use predict or predict_proba")
        means, index = self._means(guest, hosts)
        return pd.Series(means[:, 0], index=index, name="score")

    def predict_proba(self, guest: pd.DataFrame, hosts: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
        """Probabilities by id, columns `classes_`."""
        classes = list(self.classes_)
        means, index = self._means(guest, hosts)
        if means.shape[1] == 1:
            means = np.hstack([1.0 - means, means])
        return pd.DataFrame(means, index=index, columns=classes)

    def predict(self, guest: pd.DataFrame, hosts: Mapping[str, pd.DataFrame]) -> pd.Series:
        """The most probable class, the value or the expected count, by id; missing where not all parties know the id."""
        if self.parts[self.roles.guest].classes is None:
            means, index = self._means(guest, hosts)
            return pd.Series(means[:, 0], index=index, name="value")
        proba = self.predict_proba(guest, hosts)
        labels = pd.Series(self.classes_[proba.to_numpy().argmax(axis=1)], index=proba.index, name="class")
        return pd.Series(labels.where(proba.notna().all(axis=1)))

    def _means(self, guest: pd.DataFrame, hosts: Mapping[str, pd.DataFrame]) -> tuple[Margins, pd.Index]:
        margins, index = self._margins(guest, hosts)
        return objective.predictions(self.trees_.params, margins), index

    def _margins(self, guest: pd.DataFrame, hosts: Mapping[str, pd.DataFrame]) -> tuple[Margins, pd.Index]:
        """(rows, outputs), NaN where not all parties know the id; and the guest's ids."""
        if set(hosts) != set(self.roles.hosts):
            raise ConfigError("the model needs a table of each of its hosts", expected=", ".join(self.roles.hosts), found=", ".join(hosts))
        frames = {self.roles.guest: guest, **hosts}
        tables = {p: self._read(frames[p], p, part.columns, part.texts) for p, part in self.parts.items()}
        programs: dict[str, Callable[[Session], Any]] = {
            p: partial(
                boosting.predict_guest if p == self.roles.guest else boosting.predict_host, table=tables[p], part=part, min_intersection=1
            )
            for p, part in self.parts.items()
        }
        programs[self.roles.arbiter] = partial(boosting.predict_arbiter, min_intersection=1, part=self.leaf_values, keys=self._keys)
        inputs = {p: t.digest() for p, t in tables.items()}
        rows, found = run_local(self.roles, programs, self._scheme, inputs=inputs)[self.roles.guest]
        margins = np.full((len(tables[self.roles.guest]), found.shape[1]), np.nan)
        margins[rows] = found
        return margins, tables[self.roles.guest].index

    def __repr__(self) -> str:
        widths = ", ".join(f"{p}: {len(part.columns)}" for p, part in self.parts.items())
        return f"FederatedTrees({self.estimator}, columns {widths}, trained on {self.intersection_} common rows)"
