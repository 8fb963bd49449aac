"""Cross-validation and grid search in a local federation, in scikit-learn's shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np

from protocols.errors import ConfigError
from vfl.data import Objective
from vfl.metrics.scorers import NAMES, default_scorer
from vfl.schema.parameters import Parameters, whole
from vfl.schema.spec import Spec
from vfl.steps.grid import FIXED, MAX_CANDIDATES, MAX_FOLDS, MIN_FOLDS, combinations, count
from vfl.steps.search import Search, Searched

Model = TypeVar("Model")
J = TypeVar("J")


@dataclass(frozen=True, repr=False)
class GridSearchCV(Parameters):
    """Every combination of `param_grid`, cross-validated by `fed.fit`; the best is fitted once more on all rows, as scikit-learn's GridSearchCV does.

    estimator: a regression or `vfl.BoostedTrees`.  param_grid: lists of values by parameter; without one the estimator alone is cross-validated.
    cv: how many folds, 2 to 20; rows get theirs by a hash of their ids keyed by `random_state`, the same at every party.  scoring: one of scikit-learn's
    names, by default "roc_auc" of two classes, "neg_log_loss" of several, "r2" of numbers, "neg_mean_poisson_deviance" of counts.

    Of a regression nobody learns the weights of a fold: the guest gets the rounded scores of the rows left out, and all parties which candidate is best.  From
    every fold's model of trees, hosts and guest learn what they learn from a model.  Cost: folds times candidates, and one more training.
    """

    estimator: Spec
    param_grid: Mapping[str, Sequence[Any]] | None = None
    cv: int = 5
    scoring: str | None = None
    random_state: int = 0

    def __post_init__(self) -> None:
        estimates = isinstance(self.estimator, Spec)
        if not estimates or self.estimator.bins_by_label:
            what = type(self.estimator).__name__
            why = "bins that folds share would reveal sums over fewer rows than min_bin_rows" if estimates else "it is no estimator"
            raise ConfigError(f"a {what} cannot be cross-validated: {why}", remedy="Pass a regression of vfl, or vfl.BoostedTrees")
        grid = self.param_grid
        lists = grid is None or (
            isinstance(grid, Mapping) and all(isinstance(v, Sequence) and not isinstance(v, str) and len(v) for v in grid.values())
        )
        named = sorted({name for names in NAMES.values() for name in names})
        self.check(
            (
                ("param_grid", lists, "a list of values for each parameter"),
                ("cv", whole(self.cv, MIN_FOLDS, MAX_FOLDS), f"a whole number from {MIN_FOLDS} to {MAX_FOLDS}"),
                ("scoring", self.scoring is None or self.scoring in named, f"one of {', '.join(named)}, or None"),
                ("random_state", whole(self.random_state, 0, 2**63 - 1), "a whole number of at least 0"),
            )
        )
        for name in sorted(set(grid or ()) & set(FIXED)):
            raise ConfigError(
                f"{name} cannot be searched: {FIXED[name]}", remedy=f"Take {name} out of param_grid, and set it on the estimator"
            )
        if (found := count(grid or {})) > MAX_CANDIDATES:
            raise ConfigError(f"param_grid has {found} candidates", remedy="List fewer values", expected=f"at most {MAX_CANDIDATES}")
        self.candidates()

    def candidates(self) -> list[Any]:
        """The estimators that are compared.  Raises ConfigError for an unknown parameter or an impossible value."""
        given = self.estimator.get_params()
        return [type(self.estimator)(**given).set_params(**changes) for changes in combinations(self.param_grid or {})]

    def asked(self, jobs: Sequence[J], outcome: Objective) -> Search[J]:
        """What the parties search; jobs: of the candidates.  Raises ConfigError for a measure of another outcome."""
        scoring = self.scoring or default_scorer(outcome)
        if scoring not in NAMES[outcome]:
            remedy = f"Use one of {', '.join(NAMES[outcome])}"
            raise ConfigError(f"GridSearchCV: {scoring} does not measure a label like this ({outcome})", remedy=remedy)
        return Search(tuple(jobs), outcome, self.cv, scoring, self.random_state)


@dataclass(frozen=True, repr=False)
class FederatedSearch(Generic[Model]):
    """A finished search (local federations only: between institutions the guest alone has the scores).  best_estimator_: the best candidate's model, fitted on
    all common rows."""

    search: GridSearchCV
    best_estimator_: Model
    _found: Searched = field(repr=False)

    @property
    def scorer_(self) -> str:
        """The measure that decided."""
        return self._found.scoring

    @property
    def best_index_(self) -> int:
        """Which candidate is best, from 0: the first of several."""
        return self._found.best

    @property
    def best_params_(self) -> dict[str, Any]:
        """Its values of `param_grid`."""
        return combinations(self.search.param_grid or {})[self.best_index_]

    @property
    def best_score_(self) -> float:
        """Its mean score over the folds; larger is better."""
        return float(self.cv_results_["mean_test_score"][self.best_index_])

    @property
    def n_splits_(self) -> int:
        """How many folds there are."""
        return self.search.cv

    @property
    def cv_results_(self) -> dict[str, Any]:
        """By column, one entry per candidate: params, param_NAME, split0_test_score ..., mean_test_score, std_test_score (ddof 0), rank_test_score."""
        scores, params = self._found.scores, combinations(self.search.param_grid or {})
        assert scores is not None
        mean = scores.mean(axis=1)
        values = {f"param_{name}": np.array([p[name] for p in params], dtype=object) for name in params[0]}
        splits = {f"split{k}_test_score": scores[:, k] for k in range(self.search.cv)}
        rank = np.array([1 + int((mean > own).sum()) for own in mean], dtype=np.int32)
        return {
            **values,
            "params": params,
            **splits,
            "mean_test_score": mean,
            "std_test_score": scores.std(axis=1),
            "rank_test_score": rank,
        }

    def __repr__(self) -> str:
        chosen = f"best of {len(self.cv_results_['params'])}: {self.best_params_}, " if self.best_params_ else ""
        return f"FederatedSearch({chosen}{self.scorer_} {self.best_score_:.4f} over {self.n_splits_} folds)"
