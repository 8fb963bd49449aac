"""The model that members have averaged."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from protocols.errors import DataError, ModelError
from vfl.models.accounting import Spent
from vfl.models.averaging.course import Course, Scaling
from vfl.models.averaging.families import Family, Floats
from vfl.models.averaging.spec import Averaging
from vfl.schema.arguments import path
from vfl.screen import html


def features(frame: pd.DataFrame, columns: tuple[str, ...], party: str, new: bool = False) -> Floats:
    """(n, columns) the columns of a table in this order, as numbers.  new: the model exists, and its columns are what
    they are.  Raises DataError, which names columns and no value."""
    missing = [name for name in columns if name not in frame.columns]
    if missing:
        raise DataError(
            f"{party}: the table has no column {', '.join(missing)}",
            remedy="The model was trained on it: add it, or use another model"
            if new
            else "All members have the same columns: add it, or take it out of the other tables",
            party=party,
        )
    for name in columns:
        column = frame[name]
        if not (pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column)):
            raise DataError(
                f"{party}: column '{name}' does not hold numbers",
                remedy="Encode it as in the table of the training"
                if new
                else "Encode categories as numbers, and take ids out of all tables",
                party=party,
            )
        if not np.isfinite(column.to_numpy(np.float64, na_value=np.nan)).all():
            raise DataError(
                f"{party}: column '{name}' misses values, or has infinite ones",
                remedy="Fill them, or take their rows out",
                party=party,
            )
    return frame[list(columns)].to_numpy(np.float64)


@dataclass(frozen=True, repr=False)
class AveragedModel:
    """A model that members have averaged; `Members.fit` makes it.

    Parameters
    ----------
    estimator : Averaging
        What was trained.
    feature_names_in_ : tuple of str
        The columns, in the order of the weights.
    weights_ : ndarray
        All weights, on the standardised scale.
    scaling : Scaling
        The means and standard deviations of all rows.
    rounds_ : DataFrame
        By round: how many members took part to the end, and how many rows they have (with noise where rows are private; absent
        where members are).
    by_member_ : DataFrame
        By member, its rows and what the model is worth on the rows that it held out; only where `Members.fit` held rows out.
    left_ : dict of str
        By member that did not take part to the end, why.
    privacy_ : Spent, default None
        What the run costs of differential privacy: `epsilon` and `delta` for one row or member (`unit`); None without noise.

    Attributes
    ----------
    coef_ : Series
        The weights of a regression by column, per standard deviation.
    intercept_ : float
        The intercept of the last layer, on the standardised scale.
    fairness_ : dict of float
        By measure of `by_member_`, the largest difference between two members.

    Notes
    -----
    What each party learns: all members have this model. In a local federation `by_member_` puts side by side what each member
    would know of its own rows alone.

    Cost: a prediction is the member's own, and sends nothing.

    Examples
    --------
    >>> cut = {f"hospital-{k}": bank.iloc[k::10].drop(columns="id") for k in range(10)}
    >>> model = vfl.Members.local(cut, label="default").fit(vfl.Averaging(rounds=10))
    >>> model.rounds_.index.tolist() == list(range(1, 11))
    True
    >>> bool(model.predict_score(bank).between(0, 1).all())
    True
    """  # noqa: E501

    estimator: Averaging
    feature_names_in_: tuple[str, ...]
    weights_: Floats
    scaling: Scaling
    rounds_: pd.DataFrame
    by_member_: pd.DataFrame
    left_: dict[str, str]
    privacy_: Spent | None = None

    @classmethod
    def of(
        cls,
        course: Course,
        columns: tuple[str, ...],
        by_member: pd.DataFrame,
        left: dict[str, str],
        privacy: Spent | None = None,
    ) -> AveragedModel:
        """The model at the end of a course."""
        assert course.scaling is not None
        rounds = pd.DataFrame(
            [(each.number, each.members, each.rows) for each in course.rounds],
            columns=["round", "members", "rows"],
        ).set_index("round")
        if any(each.rows is None for each in course.rounds):
            rounds = rounds.drop(columns="rows")
        return cls(course.spec, columns, course.weights, course.scaling, rounds, by_member, left, privacy)

    @property
    def _family(self) -> Family:
        return Family.of(self.estimator, len(self.feature_names_in_))

    @property
    def coef_(self) -> pd.Series:
        """The weights of a regression by column, per standard deviation.  Raises ModelError for a perceptron."""
        if self.estimator.estimator == "mlp":
            raise ModelError("a perceptron has no weight per column", remedy="Read weights_")
        return pd.Series(self.weights_[:-1], index=list(self.feature_names_in_), name="coef")

    @property
    def intercept_(self) -> float:
        """The intercept of the last layer, on the standardised scale."""
        return float(self.weights_[-1])

    @property
    def fairness_(self) -> dict[str, float]:
        """How far members are apart: by measure of `by_member_`, the largest difference between two of them."""
        measures = self.by_member_.drop(columns=["rows", "held_out"], errors="ignore")
        return {str(name): float(column.max() - column.min()) for name, column in measures.items()}

    def predict_score(self, table: pd.DataFrame) -> pd.Series:
        """Predictions of new rows, in their order: probabilities of the event, numbers, or counts.  Raises
        DataError."""
        x = self.scaling.columns(features(table, self.feature_names_in_, "new rows", new=True))
        means = self._family.mean(self.weights_, x)
        if self.estimator.label == "numeric":
            means = means * self.scaling.label_deviation + self.scaling.label_mean
        return pd.Series(means, index=table.index, name="score")

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Writes the model into a new folder, which `vfl.load_model` reads: plain numbers and texts, and no row of a
        table.  Returns the folder.

        model.json is what all members have; members.json holds `by_member_` and `left_`, and may be left out of copies.
        Raises ConfigError if the folder exists or cannot be written.
        """
        from vfl.models.averaging.files import save  # on use: it imports this module

        save(self, folder)
        return path("folder", folder)

    def _parts(self) -> str:
        members, spent = int(self.rounds_["members"].iloc[-1]), self.privacy_
        promised = "" if spent is None else f", epsilon {spent.epsilon:.3g} per {spent.unit}"
        return f"{len(self.rounds_)} rounds, {members} members in the last one{promised}"

    def __repr__(self) -> str:
        return f"AveragedModel({self.estimator.estimator}: {self._parts()})"

    def _repr_html_(self) -> str:
        """The members and what the model is worth to each."""
        rows = [(str(name), *(f"{value:.4g}" for value in row)) for name, row in self.by_member_.iterrows()]
        heads = ("member", *map(str, self.by_member_.columns))
        return html.card("AveragedModel", self._parts(), html.table(heads, rows) if rows else "")
