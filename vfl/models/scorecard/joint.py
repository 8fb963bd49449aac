"""A scorecard of a local federation."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from vfl.data.arrow import AnyFrame
from vfl.models.joint import Joint
from vfl.models.new_rows import NewRows
from vfl.models.scorecard.part import ScorecardPart
from vfl.models.scorecard.spec import Scorecard
from vfl.models.shared_weights import SharedWeights
from vfl.schema.arguments import whole


class FederatedScorecard(Joint[Scorecard, ScorecardPart]):
    """A scorecard of a local federation, its parts side by side; `Federation.fit` makes it.

    Parameters
    ----------
    learned : Learned
        What stays of a training.

    Attributes
    ----------
    roles : Roles
        Who takes part: guest, hosts and arbiter.
    estimator : Scorecard
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
        The two values of the label, sorted; the second is the event.
    base_points_ : int
        The points that every row starts with, held by the guest.
    n_iter_ : int
        The number of iterations that were made.
    coef_ : dict of Series
        By party, log-odds of the event per unit of weight of evidence. Points and weights need `Federation.local(reveal=...)`.

    Notes
    -----
    What each party learns when rows are scored: the guest learns the scores or the points; hosts and arbiter learn how many rows are
    scored.

    Cost: an alignment, and arithmetic on shares of the rows that are scored.

    Examples
    --------
    >>> card = known.fit(vfl.Scorecard(max_n_bins=3, min_bin_rows=10))
    >>> card.points()["telecom"]["column"].unique().tolist()
    ['bill', 'late']
    >>> reasons = card.reasons(bank.drop(columns="default"), {"telecom": telecom}, most=1)
    >>> len(reasons["guest"])
    200
    """  # noqa: E501

    @property
    def shared_weights(self) -> SharedWeights | None:
        """What the arbiter keeps, without which a shared model scores no row."""
        return self._kept  # type: ignore[no-any-return]

    @property
    def n_iter_(self) -> int:
        """The number of iterations that were made."""
        return int(self._learned.summaries[self.roles.guest]["passes_made"][0])

    @property
    def base_points_(self) -> int:
        """What every row starts with; held by the guest.  Raises ModelError unless the guest's weights were
        revealed."""
        return int(self.parts[self.roles.guest].base or 0)

    @property
    def coef_(self) -> dict[str, pd.Series]:
        """By party: log-odds of the event per unit of WOE.  Raises ModelError unless all weights were revealed:
        `reveal` of `Federation.local`."""
        return {party: part.coef for party, part in self.parts.items()}

    def points(self) -> dict[str, pd.DataFrame]:
        """By party: its points table, one row per bin.  The score of a row is exactly the sum of the base points and of
        the points of its bins at every party.

        Unless all weights were revealed (`reveal` of `Federation.local`), the table has its bins but no `points`."""
        return {party: pd.DataFrame(part.table()) for party, part in self.parts.items()}

    def iv(self) -> dict[str, pd.DataFrame]:
        """By party: IV of each column, as that party's own report tells it."""
        return {party: pd.DataFrame(summary["iv"]) for party, summary in self._learned.summaries.items()}

    def reasons(self, guest: AnyFrame, hosts: Mapping[str, AnyFrame], most: int = 4) -> dict[str, pd.Series]:
        """By party, for each row of its own table, (column, bin, points lost) worst first: each party names its own
        columns.

        Raises ModelError unless all weights were revealed."""
        most, new = whole("most", most, 1), self._read(guest, hosts)

        def of(rows: NewRows, part: ScorecardPart) -> pd.Series:
            assert isinstance(rows.features, pd.DataFrame)
            return pd.Series(part.reasons(rows.features, most), index=rows.index, name="reasons")

        return {party: of(new[party], part) for party, part in self.parts.items()}

    def predict_points(self, guest: AnyFrame, hosts: Mapping[str, AnyFrame]) -> pd.Series:
        """Points of new rows by id, in the guest's order, missing where not all parties know the id.  More points: less
        likely the event.

        The exact sum of all parties' points where all weights were revealed, else within (1 + hosts) / 2 points of what
        unrounded points add up to.
        """
        rows, index, scores = self._score(guest, hosts)
        result = pd.Series(pd.NA, index=index, name="points", dtype="Int64")
        result.iloc[rows] = scores.astype(np.int64)
        return result
