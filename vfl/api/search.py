"""Cross-validation and grid search in a local federation, in scikit-learn's shape."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar

import numpy as np
import pandas as pd
from pydantic import BeforeValidator, Field

from protocols.errors import ConfigError
from vfl.data import Objective
from vfl.data.arrow import AnyFrame
from vfl.job.search import Search
from vfl.metrics.scorers import NAMES, default_scorer
from vfl.models.joint import Joint
from vfl.schema.declared import plain
from vfl.schema.described import Values
from vfl.schema.section import choose
from vfl.schema.spec import Spec
from vfl.screen import html
from vfl.steps.grid import FIXED, combinations
from vfl.steps.search import J, Searched
from vfl.steps.search import Search as SearchSpec

Model = TypeVar("Model", bound=Joint[Any, Any])


def _own_names(grid: Mapping[str, Any]) -> dict[str, Any]:
    """`estimator__C` as C.  Raises ConfigError where both are there."""
    own = {name.removeprefix("estimator__") if isinstance(name, str) else name: values for name, values in grid.items()}
    if len(own) < len(grid):
        raise ConfigError(
            "param_grid names a parameter twice, with and without estimator__", remedy="Name each parameter once"
        )
    return own


def _scoring(value: object) -> object:
    known = {name for names in NAMES.values() for name in names}
    return value if value is None else choose(sorted(known))(value)


class GridSearchCV(Search):
    """Compares every combination of `param_grid` by cross-validation, as scikit-learn's GridSearchCV does;
    `Federation.fit` runs it.

    The best candidate is fitted once more on all rows.

    See Also
    --------
    FederatedSearch : What `Federation.fit` returns.

    Notes
    -----
    A row gets its fold by a hash of its id keyed by `random_state`, the same at every party. Without `scoring` the measure is "roc_auc" for two
    classes, "neg_log_loss" for several, "r2" for numbers and "neg_mean_poisson_deviance" for counts. A name in `param_grid` may be written as
    `estimator__C` too.

    What each party learns: of a regression nobody learns the weights of a fold; the guest gets the rounded scores of
    the rows left out, and all parties learn which candidate is best. From every fold's model of trees, hosts and guest
    learn what they learn from a model.

    Cost: folds times candidates trainings, and one more.

    Examples
    --------
    >>> grid = vfl.GridSearchCV(vfl.LogisticRegression(link="taylor"), {"C": np.logspace(-2, 0, 2)}, cv=2)
    >>> fed.fit(grid).best_params_
    {'C': 1.0}
    >>> grid.set_params(estimator__max_iter=10).get_params()["estimator__max_iter"]
    10
    """  # noqa: E501

    estimator: Spec = Field(description="a regression of vfl, or vfl.BoostedTrees")
    scoring: Annotated[str | None, BeforeValidator(_scoring), Values('a measure, such as "roc_auc"')] = Field(
        default=None, description="the measure that decides; None: that of the kind of label"
    )
    random_state: int = Field(default=0, ge=0, lt=2**63, description="the seed of the folds")

    def __init__(
        self,
        /,
        estimator: object = None,
        param_grid: Mapping[str, Any] | None = None,
        *positional: object,
        **params: Any,
    ) -> None:
        estimates = isinstance(estimator, Spec)
        if not isinstance(estimator, Spec) or estimator.bins_by_label:
            what = type(estimator).__name__
            why = (
                "bins that folds share would reveal sums over fewer rows than min_bin_rows"
                if estimates
                else "it is no estimator"
            )
            raise ConfigError(
                f"a {what} cannot be cross-validated: {why}", remedy="Pass a regression of vfl, or vfl.BoostedTrees"
            )
        given = plain(param_grid) if param_grid is not None else {}
        grid = _own_names(given) if isinstance(given, Mapping) else given
        for name in sorted(set(grid) & set(FIXED)) if isinstance(grid, Mapping) else ():
            remedy = f"Take {name} out of param_grid, and set it on the estimator"
            raise ConfigError(f"{name} cannot be searched: {FIXED[name]}", remedy=remedy)
        super().__init__(*positional, **{"estimator": estimator, "param_grid": grid, **params})
        self.candidates()

    @classmethod
    def parameters(cls) -> tuple[str, ...]:
        """Names of the parameters, in scikit-learn's order."""
        return ("estimator", *(name for name in super().parameters() if name != "estimator"))

    def __sklearn_tags__(self) -> Any:
        return self.estimator.__sklearn_tags__()

    def candidates(self) -> list[Any]:
        """The estimators that are compared.  Raises ConfigError for an unknown parameter or an impossible value."""
        return [self.estimator.__sklearn_clone__().set_params(**changes) for changes in combinations(self.param_grid)]

    def search_of(self, jobs: Sequence[J], outcome: Objective) -> SearchSpec[J]:
        """What the parties search; jobs: of the candidates.  Raises ConfigError for a measure of another outcome."""
        scoring = self.scoring or default_scorer(outcome)
        if scoring not in NAMES[outcome]:
            remedy = f"Use one of {', '.join(NAMES[outcome])}"
            raise ConfigError(f"GridSearchCV: {scoring} does not measure a label like this ({outcome})", remedy=remedy)
        return SearchSpec(tuple(jobs), outcome, self.cv, scoring, self.random_state)


@dataclass(frozen=True, repr=False)
class FederatedSearch(Generic[Model]):
    """A finished search, in a local federation: between institutions the guest alone has the scores.

    Parameters
    ----------
    search : GridSearchCV
        What was searched.
    best_estimator_ : FederatedModel or FederatedTrees
        The best candidate's model, fitted on all common rows.

    Attributes
    ----------
    best_params_ : dict
        The best candidate's values of `param_grid`.
    best_score_ : float
        Its mean score over the folds; the greater the better.
    best_index_ : int
        Its place among the candidates, from 0.
    cv_results_ : dict
        One entry per candidate and column, as scikit-learn has them.
    scorer_ : str
        The measure that decided.
    n_splits_ : int
        The number of folds.

    Notes
    -----
    What each party learns is said at `GridSearchCV`. Cost: folds times candidates trainings, and one more. `predict` and its variants
    are those of `best_estimator_`.

    Examples
    --------
    >>> found = fed.fit(vfl.GridSearchCV(vfl.LogisticRegression(link="taylor"), {"C": [0.01, 1.0]}, cv=2))
    >>> found.scorer_, found.n_splits_, len(found.cv_results_["params"])
    ('roc_auc', 2, 2)
    >>> found.predict_score(bank, {"telecom": telecom}).shape
    (200,)
    """  # noqa: E501

    search: GridSearchCV
    best_estimator_: Model
    _found: Searched = field(repr=False)

    def __post_init__(self) -> None:
        given = ((self.search, GridSearchCV), (self.best_estimator_, Joint), (self._found, Searched))
        if not all(isinstance(value, kind) for value, kind in given):
            raise ConfigError(
                "a FederatedSearch is what a search found", remedy="Use Federation.fit with a GridSearchCV"
            )

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
        return combinations(self.search.param_grid)[self.best_index_]

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
        """By column, one entry per candidate: params, param_NAME, split0_test_score ..., mean_test_score,
        std_test_score (ddof 0), rank_test_score."""
        scores, params = self._found.scores, combinations(self.search.param_grid)
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

    @property
    def classes_(self) -> np.ndarray[Any, Any]:
        """The classes of the best candidate's model.  Raises ConfigError where there are none."""
        return self.best_estimator_.classes_

    @property
    def feature_names_in_(self) -> dict[str, np.ndarray[Any, Any]]:
        """By party, the names of the columns that a table to be scored must have."""
        return self.best_estimator_.feature_names_in_

    @property
    def n_features_in_(self) -> int:
        """The number of columns of all parties together."""
        return self.best_estimator_.n_features_in_

    def predict(self, guest: AnyFrame, hosts: Mapping[str, AnyFrame]) -> pd.Series:
        """`predict` of the best candidate's model."""
        return self.best_estimator_.predict(guest, hosts)

    def predict_proba(self, guest: AnyFrame, hosts: Mapping[str, AnyFrame]) -> pd.DataFrame:
        """`predict_proba` of the best candidate's model."""
        return self.best_estimator_.predict_proba(guest, hosts)

    def predict_log_proba(self, guest: AnyFrame, hosts: Mapping[str, AnyFrame]) -> pd.DataFrame:
        """`predict_log_proba` of the best candidate's model."""
        return self.best_estimator_.predict_log_proba(guest, hosts)

    def predict_score(self, guest: AnyFrame, hosts: Mapping[str, AnyFrame]) -> pd.Series:
        """`predict_score` of the best candidate's model."""
        return self.best_estimator_.predict_score(guest, hosts)

    def score(self, guest: AnyFrame, hosts: Mapping[str, AnyFrame]) -> float:
        """`score` of the best candidate's model: not the measure that decided."""
        return self.best_estimator_.score(guest, hosts)

    def save(self, folder: str | os.PathLike[str], *, passphrase: str | None = None) -> Path:
        """`save` of the best candidate's model; the scores of the candidates are not saved."""
        return self.best_estimator_.save(folder, passphrase=passphrase)

    def _repr_html_(self) -> str:
        """The candidates, the best first."""
        found = self.cv_results_
        order = np.argsort(found["rank_test_score"], kind="stable")
        names, measured = sorted(found["params"][0]), (found["mean_test_score"], found["std_test_score"])
        lines = (
            (
                str(found["rank_test_score"][k]),
                *(repr(found["params"][k][name]) for name in names),
                *(f"{v[k]:.4f}" for v in measured),
            )
            for k in order
        )
        table = html.table(("rank", *names, f"mean {self.scorer_}", "standard deviation"), lines, numbers=2)
        return html.card("FederatedSearch", f"{self.search.estimator}, {self.n_splits_} folds", table)

    def __repr__(self) -> str:
        chosen = f"best of {len(self.cv_results_['params'])}: {self.best_params_}, " if self.best_params_ else ""
        return f"FederatedSearch({chosen}{self.scorer_} {self.best_score_:.4f} over {self.n_splits_} folds)"
