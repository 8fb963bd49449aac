"""Boosted trees of a local federation."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from protocols.boosting.ensemble import Ensemble
from protocols.boosting.sealed_parts import GuestTrees
from protocols.errors import ConfigError
from vfl.data.arrow import AnyFrame
from vfl.models.joint import Joint, spread
from vfl.models.trees.leaf_values import LeafValues
from vfl.models.trees.part import TreesPart
from vfl.models.trees.spec import BoostedTrees
from vfl.schema.arguments import one_of


class FederatedTrees(Joint[BoostedTrees, TreesPart]):
    """Boosted trees of a local federation, the parties' parts side by side; `Federation.fit` makes them.

    Parameters
    ----------
    learned : Learned
        What stays of a training.

    Attributes
    ----------
    roles : Roles
        Who takes part: guest, hosts and arbiter.
    estimator : BoostedTrees
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
    rounds_ : int
        The number of rounds of the model.
    best_iteration : int
        The last of them, from 0.
    feature_importances_ : dict of Series
        By party, numbers of splits: the guest's by column, a host's as one sum.
    trees_ : Ensemble or GuestTrees
        What the guest knows of the trees.

    Notes
    -----
    What each party learns when rows are scored: the guest learns the scores, and of open trees which rows go left at every split of a
    host; hosts and arbiter learn how many rows are scored.

    Cost: an alignment, and one walk through the trees for all rows together.

    Examples
    --------
    >>> model = fed.fit(vfl.BoostedTrees(n_estimators=1, max_depth=2, max_bin=8))
    >>> more = fed.fit(vfl.BoostedTrees(n_estimators=2, max_depth=2, max_bin=8), init_model=model)
    >>> model.rounds_, more.rounds_
    (1, 2)
    """  # noqa: E501

    @property
    def leaf_values(self) -> LeafValues | None:
        """The arbiter's part, of sealed trees."""
        return self._kept  # type: ignore[no-any-return]

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

    @property
    def feature_importances_(self) -> dict[str, pd.Series]:
        """By party, numbers of splits: `feature_importances("split")`."""
        return self.feature_importances()

    def feature_importances(self, kind: str = "split") -> dict[str, pd.Series]:
        """By party: numbers of splits ("split") or, of open trees, summed gains ("gain"), as the guest's part tells
        them: its own by column, a host's as one sum.

        Raises ConfigError for the gains of sealed trees: they are computed from labels, and only the arbiter sees them.
        """
        one_of("kind", kind, ("gain", "split"))
        part, trees = self.parts[self.roles.guest], self.trees_
        if isinstance(trees, GuestTrees):
            if kind == "gain":
                raise ConfigError(
                    "gains of sealed trees are computed from labels: no party that holds data sees them",
                    remedy='Use "split"',
                )
            found: Mapping[tuple[int, int], float] = trees.importance()
        else:
            found = trees.importance(kind)
        own = pd.Series([found.get((0, k), 0.0) for k in range(len(part.columns))], index=list(part.columns), name=kind)
        hosts = {
            h: pd.Series([found.get((k, -1), 0.0)], index=["all columns"], name=kind)
            for k, h in enumerate(self.roles.hosts, 1)
        }
        return {self.roles.guest: own, **hosts}

    def decision_function(self, guest: AnyFrame, hosts: Mapping[str, AnyFrame]) -> pd.Series | pd.DataFrame:
        """Margins of new rows, by id, in the guest's order, NaN where not all parties know the id; of several classes a
        column each."""
        rows, index, scores = self._score(guest, hosts)
        margins = spread(scores, rows, len(index))
        if self.estimator.objective == "multi:softprob":
            return pd.DataFrame(margins, index=index, columns=list(self.classes_))
        return pd.Series(margins[:, 0], index=index, name="score")
