"""Scorecards in a local federation: all parties in this process, the parts side by side."""

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
from protocols.glm import Kept
from protocols.local import run_local
from protocols.randomness import Randomness
from protocols.session import Observer, Roles, Session
from vfl.data import KeyLists, Table
from vfl.models.evaluation import Evaluation
from vfl.models.part import SharedWeights
from vfl.models.regression.joint import score
from vfl.models.scorecard import program as scorecard
from vfl.models.scorecard.estimator import Scorecard
from vfl.models.scorecard.part import ScorecardPart
from vfl.models.splitting import Split, reports
from vfl.steps.feature_tables import iv_table

ReadTable = Callable[[pd.DataFrame, str, Sequence[str], Sequence[str]], Table]  # frame, party, columns, those of texts


def fit(
    tables: Mapping[str, Table],
    roles: Roles,
    estimator: Scorecard,
    scheme: Scheme,
    read: ReadTable,
    *,
    min_intersection: int,
    keys: KeyLists,
    taps: Mapping[str, Sequence[Tap]] | None = None,
    observers: Mapping[str, Observer] | None = None,
    randomness: Mapping[str, Randomness] | None = None,
    split: Split | None = None,
    reveal: tuple[str, ...] = (),
) -> FederatedScorecard:
    """Aligns, bins, trains on the common rows that `split` does not hold out and returns the model; read: makes a party's table of new rows; reveal: whose
    weights their owner learns."""
    job = estimator.job(min_intersection=min_intersection, keys=len(keys), reveal=reveal, **(split.job() if split else {}))
    programs: dict[str, Callable[[Session], Any]] = {roles.guest: partial(scorecard.guest, table=tables[roles.guest], job=job)}
    programs |= {h: partial(scorecard.host, table=tables[h], job=job) for h in roles.hosts}
    programs[roles.arbiter] = partial(scorecard.arbiter, job=job)
    inputs = {p: hashlib.sha256(t.digest() + repr(job).encode()).digest() for p, t in tables.items()}
    results = run_local(roles, programs, scheme, inputs=inputs, taps=taps, observers=observers, randomness=randomness)
    fitted = {p: results[p] for p in roles.data_parties}
    told = reports(estimator, job, "binary", roles, fitted, keys) if split else {}
    kept: Kept = results[roles.arbiter]
    held = SharedWeights(roles.arbiter, kept.model_id, "Scorecard", kept.shares) if kept.shares else None
    return FederatedScorecard(fitted, held, roles, estimator, scheme, read, len(keys), told)


class FederatedScorecard:
    """A scorecard, its parts side by side (local federations only: between institutions each party holds its own points)."""

    def __init__(
        self,
        fitted: dict[str, scorecard.Fitted],
        held: SharedWeights | None,
        roles: Roles,
        estimator: Scorecard,
        scheme: Scheme,
        read: ReadTable,
        keys: int,
        reports: dict[str, Evaluation],
    ) -> None:
        self.reports_ = reports  # by party, where rows were held out
        self._fitted, self.roles, self.estimator = fitted, roles, estimator
        self._scheme, self._read, self._keys = scheme, read, keys
        self.parts: dict[str, ScorecardPart] = {p: f.part for p, f in fitted.items()}
        self.shared_weights = held  # what the arbiter keeps, without which a shared model scores no row
        self.intersection_ = len(fitted[roles.guest].aligned)

    @property
    def classes_(self) -> np.ndarray[Any, Any]:
        """The two values of the label, sorted; the second is the event."""
        return np.asarray(self.parts[self.roles.guest].classes)

    @property
    def base_points_(self) -> int:
        """What every row starts with; held by the guest.  Raises ModelError unless the guest's weights were revealed."""
        return int(self.parts[self.roles.guest].base or 0)

    @property
    def coef_(self) -> dict[str, pd.Series]:
        """By party: log-odds of the event a unit of WOE.  Raises ModelError unless all weights were revealed: `reveal` of `Federation.local`."""
        return {party: part.coef for party, part in self.parts.items()}

    def points(self) -> dict[str, pd.DataFrame]:
        """By party: its points table, one row per bin.  The score of a row is exactly the sum of the base points and of the points of its bins at every party.

        Raises ModelError unless all weights were revealed: `reveal` of `Federation.local`."""
        return {party: pd.DataFrame(part.table()) for party, part in self.parts.items()}

    def iv(self) -> dict[str, pd.DataFrame]:
        """By party: IV of each column, as that party's own report tells it."""
        return {
            party: pd.DataFrame(iv_table(fitted.preprocessor.woe, fitted.preprocessor.dropped)) for party, fitted in self._fitted.items()
        }

    def reasons(self, guest: pd.DataFrame, hosts: Mapping[str, pd.DataFrame], most: int = 4) -> dict[str, pd.Series]:
        """By party, for each row of its own table, (column, bin, points lost) worst first: each party names its own columns.

        Raises ModelError unless all weights were revealed."""
        tables = self._tables(guest, hosts)
        return {
            p: pd.Series(part.reasons(tables[p].features, most), index=tables[p].index, name="reasons") for p, part in self.parts.items()
        }

    def predict_points(self, guest: pd.DataFrame, hosts: Mapping[str, pd.DataFrame]) -> pd.Series:
        """Points of new rows by id, in the guest's order, missing where not all parties know the id.  More points: less likely the event.

        The exact sum of all parties' points where all weights were revealed, else within (1 + hosts) / 2 points of what unrounded points add up to.
        """
        tables = self._tables(guest, hosts)
        rows, scores, self.parts, self.shared_weights = score(self.parts, self.shared_weights, tables, self.roles, self._scheme, self._keys)
        result = pd.Series(pd.NA, index=tables[self.roles.guest].index, name="points", dtype="Int64")
        result.iloc[rows] = scores.astype(np.int64)
        return result

    def predict_score(self, guest: pd.DataFrame, hosts: Mapping[str, pd.DataFrame]) -> pd.Series:
        """Probability of the event, from the points, by id; NaN where not all parties know the id."""
        points = self.predict_points(guest, hosts).astype("Float64").to_numpy(np.float64, na_value=np.nan)
        log_odds = self.estimator.scale.log_odds(points)
        return pd.Series(
            0.5 * (1 + np.tanh(log_odds / 2)), index=pd.Index(self._tables(guest, hosts)[self.roles.guest].index), name="score"
        )

    def predict_proba(self, guest: pd.DataFrame, hosts: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
        """Probabilities by id, columns `classes_`."""
        event = self.predict_score(guest, hosts)
        return pd.DataFrame({self.classes_[0]: 1.0 - event, self.classes_[1]: event})

    def predict(self, guest: pd.DataFrame, hosts: Mapping[str, pd.DataFrame]) -> pd.Series:
        """The more probable class, by id; missing where not all parties know the id."""
        score = self.predict_score(guest, hosts)
        labels = pd.Series(np.where(score > 0.5, self.classes_[1], self.classes_[0]), index=score.index, name="class")
        return pd.Series(labels.where(score.notna()))

    def _tables(self, guest: pd.DataFrame, hosts: Mapping[str, pd.DataFrame]) -> dict[str, Table]:
        if set(hosts) != set(self.roles.hosts):
            raise ConfigError("the model needs a table of each of its hosts", expected=", ".join(self.roles.hosts), found=", ".join(hosts))
        frames = {self.roles.guest: guest, **hosts}
        return {p: self._read(frames[p], p, part.columns, part.texts) for p, part in self.parts.items()}

    def __repr__(self) -> str:
        widths = ", ".join(f"{p}: {len(part.columns)}" for p, part in self.parts.items())
        return f"FederatedScorecard({self.estimator}, columns {widths}, trained on {self.intersection_} common rows)"
