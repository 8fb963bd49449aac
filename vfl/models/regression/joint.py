"""A regression of a local federation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from vfl.data.arrow import AnyFrame
from vfl.models.joint import Joint, spread
from vfl.models.regression.base import Regression
from vfl.models.regression.part import GlmPart
from vfl.models.shared_weights import SharedWeights


class FederatedModel(Joint[Regression, GlmPart]):
    """A regression of a local federation, its parts side by side; `Federation.fit` makes it.

    Parameters
    ----------
    learned : Learned
        What stays of a training.

    Attributes
    ----------
    roles : Roles
        Who takes part: guest, hosts and arbiter.
    estimator : Regression
        What was trained.
    parts : dict
        By party, its part of the model. Between institutions the parts are never joined.
    reports_ : dict of Evaluation
        By party, where `Federation.fit` held rows out.
    feature_names_in_ : dict of ndarray
        By party, the names of its columns.
    n_features_in_ : int
        The number of columns of all parties together.
    intersection_ : int
        The number of rows that all parties know.
    sizes_ : dict of int
        By party, the number of its rows.
    classes_ : ndarray
        The values of the label, sorted.
    coef_, coef_raw_ : dict of Series
        By party, the weights per standard deviation and per unit of each column. Only where `Federation.local(reveal=...)` revealed all.
    intercept_ : float or ndarray
        The guest's, on the standardised scale.
    n_iter_ : int or ndarray
        The number of iterations that were made.
    label_scale_ : float
        The standard deviation of a numeric label.

    Notes
    -----
    What each party learns when rows are scored: the guest learns the scores, rounded to the grid of `score_bits`; hosts and arbiter
    learn how many rows are scored.

    Cost: an alignment, and arithmetic on shares of the rows that are scored.

    Examples
    --------
    >>> model = known.fit(vfl.LogisticRegression())
    >>> model.coef_["telecom"].index.tolist()
    ['bill', 'late']
    >>> model.predict_proba(bank.drop(columns="default"), {"telecom": telecom}).columns.tolist()
    [False, True]
    """  # noqa: E501

    @property
    def shared_weights(self) -> SharedWeights | None:
        """What the arbiter keeps, without which a shared model scores no row."""
        return self._kept  # type: ignore[no-any-return]

    @property
    def intercept_(self) -> float | np.ndarray[Any, Any]:
        """On the standardised scale; held by the guest.  One-vs-rest: (classes,).  Raises ModelError unless the guest's
        weights were revealed."""
        assert self._own.intercept is not None
        return self._own.intercept[0] if len(self._own.intercept) == 1 else np.array(self._own.intercept)

    @property
    def n_iter_(self) -> int | np.ndarray[Any, Any]:
        """The number of iterations that were made.  One-vs-rest: (classes,)."""
        made = self._learned.summaries[self.roles.guest]["passes_made"]
        return int(made[0]) if len(made) == 1 else np.array(made)

    @property
    def coef_(self) -> dict[str, Any]:
        """By party, on the standardised scale: a Series by column; one-vs-rest, a frame with a column for each class.

        Of a linear regression in standard deviations of the label (`label_scale_`).  Raises ModelError unless all
        weights were revealed: `reveal` of `Federation.local`; those of one party alone: `parts[party].coef`.
        """
        return {party: self._by_class(part.coef) for party, part in self.parts.items()}

    @property
    def coef_raw_(self) -> dict[str, Any]:
        """The same, per unit of each original column.  Raises ModelError unless all weights were revealed."""
        return {party: self._by_class(part.coef_raw) for party, part in self.parts.items()}

    @property
    def label_scale_(self) -> float:
        """The standard deviation of a numeric label, which only the guest knows; 1 for classes and counts."""
        return self._own.label_scale

    def _by_class(self, coef: Any) -> Any:
        return coef.set_axis(list(self.classes_), axis=1) if isinstance(coef, pd.DataFrame) else coef

    def decision_function(self, guest: AnyFrame, hosts: Mapping[str, AnyFrame]) -> Any:
        """Joint linear predictors of new rows, by id, in the guest's order; NaN where not all parties know the id.
        One-vs-rest: a frame, columns `classes_`."""
        rows, index, scores = self._score(guest, hosts)
        every = spread(scores, rows, len(index))
        if every.shape[1] == 1:
            return pd.Series(every[:, 0], index=index, name="score")
        return pd.DataFrame(every, index=index, columns=self.classes_)
