"""All parties in one process, for notebooks and tests: the same role functions, messages and encryption as between institutions."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, overload

import numpy as np
import pandas as pd

from protocols.channel import Tap
from protocols.cipher import Scheme
from protocols.errors import ConfigError
from protocols.randomness import Randomness
from protocols.session import Observer, Roles, Session
from vfl import trees
from vfl.data import KeyLists, Table, key_lists, rules, table_from_frame
from vfl.engine import run_local
from vfl.estimators import BoostedTrees, LogisticRegression, paillier
from vfl.model import LogisticPart
from vfl.programs import logistic
from vfl.scorecard import federated
from vfl.scorecard.estimator import Scorecard
from vfl.scorecard.federated import FederatedScorecard
from vfl.trees import FederatedTrees

GUEST, ARBITER = "guest", "arbiter"


class Federation:
    """The parties of a joint model and their tables; make one with `Federation.local`."""

    def __init__(
        self,
        tables: dict[str, Table],
        keys: KeyLists,
        label: str,
        normalise: Mapping[str, str],
        min_intersection: int,
        cipher: Scheme | None,
    ) -> None:
        self._tables, self._keys, self._label, self._normalise = tables, keys, label, normalise
        self._min_intersection, self._cipher = min_intersection, cipher
        self.roles = Roles(GUEST, tuple(p for p in tables if p != GUEST), ARBITER)

    @classmethod
    def local(
        cls,
        guest: pd.DataFrame,
        hosts: Mapping[str, pd.DataFrame],
        on: str | Sequence[str] | Sequence[Sequence[str]],
        label: str,
        *,
        normalise: str | Mapping[str, str] = "text",
        min_intersection: int = 1,
        cipher: Scheme | None = None,
    ) -> Federation:
        """guest: id column(s), label, own features; hosts: by name, id column(s) and features.  All other columns are features.

        on: the id column, several that make one key, or a list of such lists: keys that are tried in order.  normalise: how ids are compared, one
        normaliser for all columns or one by column ("text", "digits", "exact", "email", "date", "date:%d/%m/%Y", "e164:GB").
        cipher: replaces Paillier (`protocols.cipher.Identity()` measures a run without encryption).
        Raises ConfigError, and DataError for what is wrong in a table whatever is fitted; what the label must hold, and whether columns may miss values,
        depends on the estimator, so `fit` checks it, before anything is sent.
        """
        keys = key_lists((on,) if isinstance(on, str) else on)
        by_column = rules(keys, normalise)
        if not hosts:
            raise ConfigError("a federation needs at least one host", remedy='Pass hosts={"name": frame}')
        if reserved := {GUEST, ARBITER} & set(hosts):
            raise ConfigError(f"no host can be called {', '.join(sorted(reserved))}", remedy="Choose another name")
        tables = {GUEST: _table(guest, GUEST, keys, by_column, label, missing=True, texts=None)}
        tables |= {name: _table(frame, name, keys, by_column, None, missing=True, texts=None) for name, frame in hosts.items()}
        return cls(tables, keys, label, by_column, min_intersection, cipher)

    @overload
    def fit(
        self,
        estimator: LogisticRegression,
        *,
        taps: Mapping[str, Sequence[Tap]] | None = ...,
        observers: Mapping[str, Observer] | None = ...,
        randomness: Mapping[str, Randomness] | None = ...,
    ) -> FederatedModel: ...
    @overload
    def fit(
        self,
        estimator: BoostedTrees,
        *,
        taps: Mapping[str, Sequence[Tap]] | None = ...,
        observers: Mapping[str, Observer] | None = ...,
        randomness: Mapping[str, Randomness] | None = ...,
    ) -> FederatedTrees: ...
    @overload
    def fit(
        self,
        estimator: Scorecard,
        *,
        taps: Mapping[str, Sequence[Tap]] | None = ...,
        observers: Mapping[str, Observer] | None = ...,
        randomness: Mapping[str, Randomness] | None = ...,
    ) -> FederatedScorecard: ...
    def fit(
        self,
        estimator: LogisticRegression | BoostedTrees | Scorecard,
        *,
        taps: Mapping[str, Sequence[Tap]] | None = None,
        observers: Mapping[str, Observer] | None = None,
        randomness: Mapping[str, Randomness] | None = None,
    ) -> FederatedModel | FederatedTrees | FederatedScorecard:
        """Aligns, trains on all common rows and returns the model.  taps and observers watch a party's channels and progress."""
        if isinstance(estimator, Scorecard):
            return federated.fit(
                {party: table.for_model("binary", missing=True, texts=True) for party, table in self._tables.items()},
                self.roles,
                estimator,
                self._cipher or paillier(estimator.key_bits),
                lambda frame, party, columns, texts: _table(
                    frame, party, self._keys, self._normalise, None, columns, missing=True, texts=texts
                ),
                min_intersection=self._min_intersection,
                keys=len(self._keys),
                taps=taps,
                observers=observers,
                randomness=randomness,
            )
        if isinstance(estimator, BoostedTrees):
            return trees.fit(
                self._tables,
                self.roles,
                estimator,
                self._cipher or paillier(estimator.key_bits),
                lambda frame, party, columns, texts: _table(
                    frame, party, self._keys, self._normalise, None, columns, missing=True, texts=texts
                ),
                min_intersection=self._min_intersection,
                keys=len(self._keys),
                taps=taps,
                observers=observers,
                randomness=randomness,
            )
        tables = {party: table.for_model("binary") for party, table in self._tables.items()}
        job = logistic.LogisticJob(
            C=estimator.C,
            max_iter=estimator.max_iter,
            link=estimator.link,
            clip=estimator.clip,
            score_bits=estimator.score_bits,
            weight_bits=estimator.weight_bits,
            min_intersection=self._min_intersection,
            keys=len(self._keys),
        )
        programs: dict[str, Callable[[Session], Any]] = {GUEST: partial(logistic.guest, table=tables[GUEST], job=job)}
        programs |= {h: partial(logistic.host, table=tables[h], job=job) for h in self.roles.hosts}
        programs[ARBITER] = partial(logistic.arbiter, job=job)
        scheme = self._cipher or paillier(estimator.key_bits)
        inputs = {p: hashlib.sha256(t.digest() + repr(job).encode()).digest() for p, t in tables.items()}
        results = run_local(self.roles, programs, scheme, inputs=inputs, taps=taps, observers=observers, randomness=randomness)
        parts = {p: results[p].part for p in self.roles.data_parties}
        return FederatedModel(
            parts,
            self.roles,
            estimator,
            self._keys,
            self._label,
            self._normalise,
            scheme,
            results[GUEST].sizes,
            len(results[GUEST].aligned.ids),
        )

    def __repr__(self) -> str:
        return f"Federation(guest: {len(self._tables[GUEST].ids)} rows, hosts: {', '.join(self.roles.hosts)})"


class FederatedModel:
    """A trained joint model, its parts side by side (local federations only: between institutions the parts are never joined)."""

    def __init__(
        self,
        parts: dict[str, LogisticPart],
        roles: Roles,
        estimator: LogisticRegression,
        keys: KeyLists,
        label: str,
        normalise: Mapping[str, str],
        scheme: Scheme,
        sizes: dict[str, int],
        intersection: int,
    ) -> None:
        self.parts, self.roles, self.estimator = parts, roles, estimator
        self._keys, self._label, self._normalise, self._scheme = keys, label, normalise, scheme
        self.sizes_, self.intersection_ = sizes, intersection

    @property
    def classes_(self) -> np.ndarray[Any, Any]:
        """The two values of the label, sorted; the second is the positive class."""
        return np.asarray(self.parts[GUEST].classes)

    @property
    def intercept_(self) -> float:
        """On the standardised scale; held by the guest."""
        return float(self.parts[GUEST].intercept or 0.0)

    @property
    def coef_(self) -> dict[str, pd.Series]:
        """By party, on the standardised scale."""
        return {party: part.coef for party, part in self.parts.items()}

    @property
    def coef_raw_(self) -> dict[str, pd.Series]:
        """By party, a unit of each column as it came."""
        return {party: part.coef_raw for party, part in self.parts.items()}

    def decision_function(self, guest: pd.DataFrame, hosts: Mapping[str, pd.DataFrame]) -> pd.Series:
        """Linear predictors of new rows, by id, in the guest's order; NaN where not all parties know the id."""
        if set(hosts) != set(self.roles.hosts):
            raise ConfigError("the model needs a table of each of its hosts", expected=", ".join(self.roles.hosts), found=", ".join(hosts))
        frames = {GUEST: guest, **hosts}
        tables = {p: _table(frames[p], p, self._keys, self._normalise, None, part.standardiser.columns) for p, part in self.parts.items()}
        programs: dict[str, Callable[[Session], Any]] = {
            GUEST: partial(logistic.predict_guest, table=tables[GUEST], part=self.parts[GUEST], min_intersection=1)
        }
        programs |= {h: partial(logistic.predict_host, table=tables[h], part=self.parts[h], min_intersection=1) for h in self.roles.hosts}
        programs[ARBITER] = partial(logistic.predict_arbiter, min_intersection=1, keys=len(self._keys))
        inputs = {p: t.digest() for p, t in tables.items()}
        rows, scores = run_local(self.roles, programs, self._scheme, inputs=inputs)[GUEST]
        result = pd.Series(np.nan, index=tables[GUEST].index, name="score")
        result.iloc[rows] = scores
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
        widths = ", ".join(f"{p}: {len(part.weights)}" for p, part in self.parts.items())
        return f"FederatedModel({self.estimator}, columns {widths}, trained on {self.intersection_} common rows)"


def _table(
    frame: pd.DataFrame,
    party: str,
    keys: KeyLists,
    normalise: Mapping[str, str],
    label: str | None,
    columns: Sequence[str] | None = None,
    missing: bool = False,
    texts: Sequence[str] | None = (),
) -> Table:
    """A party's table with `columns`, or every column but keys and label, as features; missing: whether these may miss values; texts: those of categories."""
    return table_from_frame(
        frame,
        party=party,
        keys=keys,
        normalise=normalise,
        duplicates="error",
        label=label,
        columns=columns,
        need_label=label is not None,
        need_features=party != GUEST,
        objective=None,
        missing=missing,
        texts=texts,
    )
