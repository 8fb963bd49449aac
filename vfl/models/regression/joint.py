"""Regressions in a local federation: training from an estimator, and the model with its parts side by side."""

from __future__ import annotations

import dataclasses
import hashlib
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from protocols.channel import Tap
from protocols.cipher import Scheme
from protocols.errors import ConfigError, DataError
from protocols.glm import Kept
from protocols.local import run_local
from protocols.randomness import Randomness
from protocols.session import Observer, Roles, Session
from vfl import metrics
from vfl.api.search import GridSearchCV
from vfl.data import KeyLists, Table
from vfl.models.estimators import Regression
from vfl.models.evaluation import Evaluation
from vfl.models.part import AdditivePart, GlmPart, SharedWeights
from vfl.models.regression import program as glm
from vfl.models.splitting import Split, reports
from vfl.preprocessing import Preprocessing
from vfl.steps.search import Searched

ReadTable = Callable[[pd.DataFrame, str, Sequence[str], Sequence[str]], Table]  # frame, party, columns, those of texts


def fit(
    tables: Mapping[str, Table],
    roles: Roles,
    estimator: Regression,
    scheme: Scheme,
    read: ReadTable,
    *,
    preprocess: Preprocessing | None = None,
    split: Split | None = None,
    label: str,
    min_intersection: int,
    keys: KeyLists,
    taps: Mapping[str, Sequence[Tap]] | None = None,
    observers: Mapping[str, Observer] | None = None,
    randomness: Mapping[str, Randomness] | None = None,
    grid: GridSearchCV | None = None,
    reveal: tuple[str, ...] = (),
) -> tuple[FederatedModel, Searched | None]:
    """Aligns, trains on the common rows that `split` does not hold out and returns the model; read: makes a party's table of new rows; grid: what is searched
    first, and found; reveal: whose weights their owner learns."""
    shared: dict[str, Any] = {"preprocess": preprocess, "min_intersection": min_intersection, "keys": len(keys), "reveal": reveal}
    weight = tables[roles.guest].weight
    exposed = bool(estimator.job().get("exposure"))
    if exposed and weight is None:
        raise ConfigError(
            "PoissonRegression: exposure = True needs exposures", remedy="Name their column: Federation.local(sample_weight=...)"
        )
    shared |= {"weighted": weight is not None, **(split.job() if split else {})}
    candidates = [estimator] if grid is None else grid.candidates()
    jobs = [glm.GlmJob(**one.job(), **shared) for one in candidates]
    classes = tables[roles.guest].classes
    asked = None if grid is None else grid.asked(jobs, "binary" if classes and len(classes) == 2 else estimator.objective)
    given: dict[str, Any] = {"job": jobs[0], "asked": asked}
    programs: dict[str, Callable[[Session], Any]] = {roles.guest: partial(glm.guest, table=tables[roles.guest], **given)}
    programs |= {h: partial(glm.host, table=tables[h], **given) for h in roles.hosts}
    programs[roles.arbiter] = partial(glm.arbiter, **given)
    inputs = {p: hashlib.sha256(t.digest() + repr(asked or jobs[0]).encode()).digest() for p, t in tables.items()}
    results = run_local(roles, programs, scheme, inputs=inputs, taps=taps, observers=observers, randomness=randomness)
    own = results[roles.guest]
    best = own.searched.best if own.searched else 0
    parts = {p: results[p].part for p in roles.data_parties}
    told = reports(candidates[best], jobs[best], estimator.objective, roles, {p: results[p] for p in parts}, keys) if split else {}
    if not own.settled:
        warnings.warn(
            f"all {max(own.passes)} iterations that max_iter allows were made: the loss had not settled", UserWarning, stacklevel=3
        )
    exposure = str(weight.name) if exposed and weight is not None else None
    kept: Kept = results[roles.arbiter]
    held = SharedWeights(roles.arbiter, kept.model_id, type(estimator).__name__, kept.shares) if kept.shares else None
    model = FederatedModel(
        parts, held, roles, candidates[best], scheme, read, label, len(keys), own.sizes, len(own.aligned), told, own.passes, exposure
    )
    return model, own.searched


P = TypeVar("P", bound=AdditivePart)


def score(
    parts: Mapping[str, P],
    held: SharedWeights | None,
    tables: Mapping[str, Table],
    roles: Roles,
    scheme: Scheme,
    keys: int,
    *,
    taps: Mapping[str, Sequence[Tap]] | None = None,
) -> tuple[Any, np.ndarray[Any, Any], dict[str, P], SharedWeights | None]:
    """Aligns new rows and scores what is common: rows of the guest's table, their scores, and all parts with the shares that they have from then on."""
    programs: dict[str, Callable[[Session], Any]] = {
        roles.guest: partial(glm.predict_guest, table=tables[roles.guest], part=parts[roles.guest], min_intersection=1)
    }
    programs |= {h: partial(glm.predict_host, table=tables[h], part=parts[h], min_intersection=1) for h in roles.hosts}
    programs[roles.arbiter] = partial(glm.predict_arbiter, part=held, min_intersection=1, keys=keys)
    inputs = {p: t.digest() for p, t in tables.items()}
    results = run_local(roles, programs, scheme, inputs=inputs, taps=taps)
    rows, scores, own = results[roles.guest]
    moved = {roles.guest: own} | {h: results[h] for h in roles.hosts}
    if held is not None:
        held = dataclasses.replace(held, shares={p: glm.latest(results[roles.arbiter].get(p), s) for p, s in held.shares.items()})
    return rows, scores, {p: glm.follow(part, moved[p]) for p, part in parts.items()}, held


class FederatedModel:
    """A trained joint regression, its parts side by side (local federations only: between institutions the parts are never joined)."""

    def __init__(
        self,
        parts: dict[str, GlmPart],
        held: SharedWeights | None,
        roles: Roles,
        estimator: Regression,
        scheme: Scheme,
        read: ReadTable,
        label: str,
        keys: int,
        sizes: dict[str, int],
        intersection: int,
        reports: dict[str, Evaluation],
        passes: tuple[int, ...],
        exposure: str | None,
    ) -> None:
        self._exposure = exposure  # its column, where predictions are a unit of it
        self._passes = passes
        self.reports_ = reports  # by party, where rows were held out
        self.parts, self.roles, self.estimator, self.sizes_, self.intersection_ = parts, roles, estimator, sizes, intersection
        self._scheme, self._read, self._label, self._keys = scheme, read, label, keys
        self._own, self.shared_weights = parts[roles.guest], held  # what the arbiter keeps, without which a shared model scores no row

    @property
    def classes_(self) -> np.ndarray[Any, Any]:
        """The values of the label, sorted; of two, the second is the positive class.  Raises ConfigError where there are none."""
        if self._own.classes is None:
            raise ConfigError(f"a {type(self.estimator).__name__} has no classes", remedy="Use predict, which gives expected values")
        return np.asarray(self._own.classes)

    @property
    def intercept_(self) -> float | np.ndarray[Any, Any]:
        """On the standardised scale; held by the guest.  One-vs-rest: (classes,).  Raises ModelError unless the guest's weights were revealed."""
        assert self._own.intercept is not None
        return self._own.intercept[0] if len(self._own.intercept) == 1 else np.array(self._own.intercept)

    @property
    def n_iter_(self) -> int | np.ndarray[Any, Any]:
        """The number of iterations that were made.  One-vs-rest: (classes,)."""
        return self._passes[0] if len(self._passes) == 1 else np.array(self._passes)

    @property
    def coef_(self) -> dict[str, Any]:
        """By party, on the standardised scale: a Series by column; one-vs-rest, a frame with a column for each class.

        Of a linear regression in standard deviations of the label (`label_scale_`).  Raises ModelError unless all weights were revealed: `reveal` of
        `Federation.local`; those of one party alone: `parts[party].coef`.
        """
        return {party: self._by_class(part.coef) for party, part in self.parts.items()}

    @property
    def coef_raw_(self) -> dict[str, Any]:
        """The same, a unit of each column as it came.  Raises ModelError unless all weights were revealed."""
        return {party: self._by_class(part.coef_raw) for party, part in self.parts.items()}

    @property
    def label_scale_(self) -> float:
        """The standard deviation of a numeric label, which only the guest knows; 1 for classes and counts."""
        return self._own.label_scale

    def _by_class(self, coef: Any) -> Any:
        return coef.set_axis(list(self.classes_), axis=1) if isinstance(coef, pd.DataFrame) else coef

    def decision_function(self, guest: pd.DataFrame, hosts: Mapping[str, pd.DataFrame]) -> Any:
        """Joint linear predictors of new rows, by id, in the guest's order; NaN where not all parties know the id.  One-vs-rest: a frame, columns `classes_`."""
        rows, index, scores = self._score(guest, hosts)
        return self._spread(rows, index, scores[:, 0] if scores.shape[1] == 1 else scores, "score")

    def predict_proba(self, guest: pd.DataFrame, hosts: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
        """Probabilities by id, columns `classes_`; one-vs-rest, each class's own divided by their sum."""
        self._check_classes("probabilities")
        rows, index, scores = self._score(guest, hosts)
        found = self._own.means(scores)
        each = np.column_stack([1.0 - found, found]) if found.ndim == 1 else found
        return pd.DataFrame(self._spread(rows, index, each, "score"))

    def predict_score(self, guest: pd.DataFrame, hosts: Mapping[str, pd.DataFrame]) -> pd.Series:
        """Probability of the positive one of two classes, by id, in the guest's order; NaN where not all parties know the id."""
        if self._own.classes is None or len(self._own.classes) > 2:
            remedy = "Use predict_proba" if self._own.classes else "Use predict, which gives expected values"
            raise ConfigError("predict_score is the probability of one of two classes, which this model does not have", remedy=remedy)
        return self._means(guest, hosts, "score")

    def predict(self, guest: pd.DataFrame, hosts: Mapping[str, pd.DataFrame]) -> pd.Series:
        """The most probable class, or the expected value, by id; missing where not all parties know the id."""
        if self._own.classes is None:
            return self._means(guest, hosts, self._label)
        shares = self.predict_proba(guest, hosts)
        known = shares.notna().all(axis=1)
        best = pd.Series(self.classes_[shares.fillna(0.0).to_numpy().argmax(axis=1)], index=shares.index, name="class")
        return pd.Series(best.where(known))

    def score(self, guest: pd.DataFrame, hosts: Mapping[str, pd.DataFrame]) -> float:
        """scikit-learn's: accuracy of classes, R^2 of numbers, the part of the deviance explained for counts; on the rows that all parties know.

        guest holds the label too, and exposures where there were any.  Raises DataError if it does not, or if no row is common.
        """
        for name in (self._label, *([self._exposure] if self._exposure else [])):
            if name not in guest.columns:
                raise DataError(f"the guest's table has no column '{name}' to score against", remedy="Pass a table with it")
        found = self.predict(guest, hosts)
        known = found.notna().to_numpy()
        if not known.any():
            raise DataError("no row is known to all parties", remedy="Compare the tables' ids")
        y, fitted = guest[self._label].to_numpy()[known], found.to_numpy()[known]
        if self._own.classes is not None:
            return float((y == fitted).mean())
        if self._exposure:
            exposure = guest[self._exposure].to_numpy(np.float64)[known]
            return metrics.explained_deviance(y / exposure, fitted, exposure)
        name, measure = ("d2", metrics.count_metrics) if self._own.family == "poisson" else ("r2", metrics.numeric_metrics)
        return float(measure(y, fitted)[name] or 0.0)

    def _check_classes(self, what: str) -> None:
        if self._own.classes is None:
            raise ConfigError(
                f"a {type(self.estimator).__name__} has no {what}: its label has no classes",
                remedy="Use predict, which gives expected values",
            )

    def _means(self, guest: pd.DataFrame, hosts: Mapping[str, pd.DataFrame], name: str) -> pd.Series:
        rows, index, scores = self._score(guest, hosts)
        return pd.Series(self._spread(rows, index, self._own.means(scores), name))

    def _spread(self, rows: Any, index: pd.Index, values: np.ndarray[Any, Any], name: str) -> Any:
        """values of `rows` by id, NaN elsewhere."""
        every = np.full((len(index), *values.shape[1:]), np.nan)
        every[rows] = values
        return pd.Series(every, index=index, name=name) if every.ndim == 1 else pd.DataFrame(every, index=index, columns=self.classes_)

    def _score(self, guest: pd.DataFrame, hosts: Mapping[str, pd.DataFrame]) -> tuple[Any, pd.Index, np.ndarray[Any, Any]]:
        """Aligns new rows and scores what is common: (rows of the guest's table, its ids, joint predictors (rows, models))."""
        if not isinstance(hosts, Mapping) or set(hosts) != set(self.roles.hosts):
            found = ", ".join(hosts) if isinstance(hosts, Mapping) else type(hosts).__name__
            raise ConfigError("the model needs a table of each of its hosts", expected=", ".join(self.roles.hosts), found=found)
        frames = {self.roles.guest: guest, **hosts}
        tables = {p: self._read(frames[p], p, part.inputs, part.texts) for p, part in self.parts.items()}
        rows, scores, self.parts, self.shared_weights = score(self.parts, self.shared_weights, tables, self.roles, self._scheme, self._keys)
        return rows, tables[self.roles.guest].index, scores

    def __repr__(self) -> str:
        widths = ", ".join(f"{p}: {len(part.columns)}" for p, part in self.parts.items())
        return f"FederatedModel({self.estimator}, columns {widths}, trained on {self.intersection_} common rows)"
