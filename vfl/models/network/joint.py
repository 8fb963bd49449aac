"""A sealed network of a local federation."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from vfl.data.arrow import AnyFrame
from vfl.models.joint import Joint, spread
from vfl.models.network.part import NetworkPart
from vfl.models.network.shares import NetworkShares
from vfl.models.network.spec import Network


class FederatedNetwork(Joint[Network, NetworkPart]):
    """A sealed network of a local federation, its parts side by side; `Federation.fit` makes it.

    Parameters
    ----------
    learned : Learned
        What stays of a training.

    Attributes
    ----------
    roles : Roles
        Who takes part: guest, host and arbiter.
    estimator : Network
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
    n_iter_ : int
        The number of epochs that were made.
    best_epoch_ : int
        After which of them the weights were kept: the last one, without `early_stopping`.
    label_scale_ : float
        The standard deviation of a numeric label.

    Notes
    -----
    What each party learns when rows are scored: the guest learns the scores, with an error of half a step of
    `score_bits`; the arbiter learns how many rows are scored, and which of them were scored before.

    Cost: an alignment, encrypted products for each unit of the first layer, and look-ups.

    Examples
    --------
    >>> model = fed.fit(vfl.MLPClassifier(hidden_layer_sizes=2, max_iter=2))
    >>> model.n_iter_
    2
    """

    @property
    def shared_weights(self) -> NetworkShares | None:
        """What the arbiter keeps, without which no row can be scored."""
        return self._kept  # type: ignore[no-any-return]

    @property
    def n_iter_(self) -> int:
        """The number of epochs that were made."""
        made = self._learned.summaries[self.roles.guest].get("passes_made", [self.estimator.max_iter])
        return int(made[0])

    @property
    def best_epoch_(self) -> int:
        """After which of them the weights were kept."""
        return int(self._learned.summaries[self.roles.guest].get("best_epoch", self.n_iter_))

    @property
    def label_scale_(self) -> float:
        """The standard deviation of a numeric label, which only the guest knows; 1 for classes."""
        return self._own.label_scale

    def decision_function(self, guest: AnyFrame, hosts: Mapping[str, AnyFrame]) -> pd.Series:
        """The last layer's sums of new rows, by id, in the guest's order; NaN where not all parties know the id."""
        rows, index, scores = self._score(guest, hosts)
        return pd.Series(spread(scores, rows, len(index))[:, 0], index=index, name="score")
