"""Cross-validation and grid search: what scikit-learn finds on the joined table with the same folds, without a weight
of a fold opened to anybody."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, PredefinedSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

import vfl
from protocols.cipher import Identity, Keyring, Paillier
from protocols.errors import ConfigError, DataError, RemoteProtocolError
from protocols.glm import scoring, training
from protocols.local import run_local
from protocols.scored_folds import BestCandidate
from protocols.session import Roles, Session
from tests.harness import KNOWN, TOY, ContextFree, Escrow, Recording, Sent
from tests.promises.leakage import audit
from tests.unit.vfl.steps.world import federation, frames, joined
from tools.leakage_page import declared
from vfl.data import split_folds
from vfl.models.regression.part import GlmPart
from vfl.steps.grid import FIXED, combinations


def pipeline(model: Any) -> Any:
    return make_pipeline(StandardScaler(), FunctionTransformer(partial(np.clip, a_min=-6, a_max=6)), model)


def oracle(x: Any, y: Any, folds: Any, model: Any, name: str, values: list[float], scoring: str) -> GridSearchCV:
    grid = {f"{type(model).__name__.lower()}__{name}": values}
    return GridSearchCV(pipeline(model), grid, cv=PredefinedSplit(folds), scoring=scoring).fit(x, y)


def splits(results: Any, cv: int = 5) -> Any:
    return np.array([results[f"split{k}_test_score"] for k in range(cv)])


def test_a_logistic_search_is_scikit_learns_on_the_joined_table() -> None:
    data, cv, values = frames(120, hosts=2), 2, [0.003, 1.0]
    x, y, folds = joined(data, cv)
    grid = vfl.GridSearchCV(vfl.LogisticRegression(max_iter=25), {"C": values}, cv=cv, scoring="neg_log_loss")
    found = federation(data, cipher=Identity(), reveal=KNOWN).fit(grid)
    best = oracle(x, y, folds, LogisticRegression(tol=1e-9, max_iter=5000), "C", values, "neg_log_loss")
    assert np.abs(splits(found.cv_results_, cv) - splits(best.cv_results_, cv)).max() < 5e-4
    assert found.best_params_ == {"C": best.best_params_["logisticregression__C"]}
    assert found.best_index_ == best.best_index_
    assert found.best_score_ == pytest.approx(best.best_score_, abs=5e-4)
    assert found.cv_results_["std_test_score"] == pytest.approx(best.cv_results_["std_test_score"], abs=5e-4)
    assert found.cv_results_["rank_test_score"].tolist() == best.cv_results_["rank_test_score"].tolist()
    assert list(pd.DataFrame(found.cv_results_)["param_C"]) == values
    coef = np.concatenate([c.to_numpy() for c in found.best_estimator_.coef_.values()])
    assert coef == pytest.approx(best.best_estimator_[-1].coef_[0], abs=2e-2)  # the best one is fitted on all rows
    assert found.best_params_["C"] == found.best_estimator_.estimator.C


@pytest.mark.parametrize(
    ("label", "estimator"),
    [("numeric", vfl.LinearRegression(max_iter=25)), ("count", vfl.PoissonRegression(max_iter=10))],
)
def test_every_family_is_measured_by_its_own_kind_of_score(label: str, estimator: Any) -> None:
    data = frames(150, label=label)
    found = federation(data, cipher=Identity()).fit(vfl.GridSearchCV(estimator, {"alpha": [1.0, 300.0]}, cv=3))
    assert found.scorer_ == {"numeric": "r2", "count": "neg_mean_poisson_deviance"}[label]
    assert found.best_params_ == {"alpha": 1.0}
    if label == "numeric":
        x, y, folds = joined(data, 3)
        best = oracle(x, y, folds, Ridge(), "alpha", [1.0, 300.0], "r2")
        assert np.abs(splits(found.cv_results_, 3) - splits(best.cv_results_, 3)).max() < 2e-3


def test_classes_are_cross_validated_one_against_the_rest() -> None:
    data = frames(200, label="multiclass")
    found = federation(data, cipher=Identity()).fit(
        vfl.GridSearchCV(vfl.LogisticRegression(max_iter=20, link="taylor"), cv=2, scoring="accuracy")
    )
    assert 0.5 < found.best_score_ <= 1.0
    assert found.best_params_ == {}
    assert found.n_splits_ == 2


def test_the_folds_of_trees_are_models_that_were_never_shown_their_rows() -> None:
    data = frames(240)
    trees = vfl.BoostedTrees(
        n_estimators=4, max_depth=2, membership="open", min_bin_rows=1, gradient_bits=16
    )  # rounding is keyed by places that differ
    found = federation(data, cipher=Identity()).fit(
        vfl.GridSearchCV(trees, {"max_depth": [1, 2], "learning_rate": [0.3]}, cv=3)
    )
    _, y, _ = joined(data)
    ids = federation(data)._tables["guest"].ids
    folds = split_folds(ids, 3, 0)
    for c, params in enumerate(found.cv_results_["params"]):
        for k in range(3):
            outside = set(data[0]["id"][folds == k])
            apart = [frame[frame["id"].isin(outside)] for frame in (data[0], *data[1].values())]
            inside = [frame[~frame["id"].isin(outside)] for frame in (data[0], *data[1].values())]
            one = federation((inside[0], {"host1": inside[1]}), cipher=Identity()).fit(
                clone(trees).set_params(**params)
            )
            score = one.predict_score(apart[0].drop(columns="y"), {"host1": apart[1]})
            assert found.cv_results_[f"split{k}_test_score"][c] == pytest.approx(
                roc_auc_score(y[folds == k], score), abs=1e-12
            )


@pytest.fixture(scope="module")
def recorded() -> tuple[list[Sent], Keyring, Any]:
    transcript, scheme = list[Sent](), Escrow(TOY)
    parties = federation(frames(60, hosts=2), cipher=scheme)
    taps = {p: [Recording(p, transcript)] for p in parties.roles.all}
    found = parties.fit(
        vfl.GridSearchCV(vfl.LogisticRegression(max_iter=5), {"C": [0.1, 1.0]}, cv=2, scoring="neg_log_loss"), taps=taps
    )
    keys = Keyring()
    (key,) = scheme.keys
    keys.add(key.public)
    return transcript, keys, found


def test_no_weight_of_a_fold_is_revealed_and_every_opening_is_counted(recorded: Any) -> None:
    transcript, keys, found = recorded
    count = Counter((s.kind, s.receiver) for s in transcript)
    assert not {training.GuestWeights, training.HostWeights} & {kind for kind, _ in count}
    assert count[scoring.ArbiterScores, "guest"] == count[scoring.ScoresAdded, "host1"] == 4
    assert count[scoring.MaskedProducts, "arbiter"] == 3 * 4
    assert {r for (kind, r) in count if kind is BestCandidate} == {"host1", "host2", "arbiter"}
    opened = [s.message(keys).masked for s in transcript if s.kind is scoring.ArbiterScores]
    assert sum(map(len, opened)) == 2 * 60  # each row once a candidate
    assert audit.undeclared(transcript, declared()) == []
    assert audit.unrandomised(transcript, keys) == []
    assert audit.repeated(transcript, keys) == []
    assert found.best_index_ in (0, 1)


def test_the_arbiter_opens_uniform_numbers_only(recorded: Any) -> None:
    """Planted fault: scores that are not masked are found."""
    transcript, keys, _ = recorded
    values = [int(v) for s in transcript if s.kind is scoring.ArbiterScores for v in s.message(keys).masked]
    assert audit.not_uniform(values, 64) == []
    assert audit.not_uniform([v >> 12 for v in values], 64) != []


def masked(scheme: Any, preparation: str) -> Any:
    data = frames(40)
    parties = federation(data, cipher=scheme, reveal=KNOWN, preparation=preparation)
    randomness = {p: ContextFree(p) for p in parties.roles.all}
    grid = vfl.GridSearchCV(vfl.LogisticRegression(max_iter=5), {"C": [0.1, 1.0]}, cv=2, scoring="neg_log_loss")
    return parties.fit(grid, randomness=randomness)


@pytest.mark.parametrize("preparation", ["none", "batched"])
def test_under_paillier_and_in_the_clear_every_score_is_nearly_the_same_number(preparation: str) -> None:
    """Masks are uniform modulo the key, so they and what is cut off differ: up to a unit in which weights are told."""
    error = 1e-3
    clear, sealed = masked(Identity(512), preparation), masked(Paillier(512), preparation)
    assert np.abs(splits(clear.cv_results_, 2) - splits(sealed.cv_results_, 2)).max() <= error
    assert clear.best_index_ == sealed.best_index_
    for party, coef in clear.best_estimator_.coef_.items():
        assert np.abs(coef - sealed.best_estimator_.coef_[party]).max() <= error


def moved(frame: pd.DataFrame, rows: Any, column: str) -> pd.DataFrame:
    return frame.assign(**{column: frame[column].where(~frame["id"].isin(rows), 1e3)})


def test_what_stands_in_a_fold_changes_nothing_that_is_fitted_without_it() -> None:
    """One row of a fold gets an absurd value in a host's column: of that fold the scores of all other rows stay, to the
    last bit of the grid."""
    data = frames(60)
    _, _, folds = joined(data)
    host = data[1]["host1"].set_index("id")
    victim = host.loc[data[0]["id"][folds == 0], "h10"].idxmin()
    changed = (data[0], {"host1": moved(data[1]["host1"], [victim], "h10")})

    def scores(given: Any, preprocess: vfl.Preprocessing) -> dict[int, Any]:
        seen: list[Any] = []
        inner = GlmPart.means

        def means(self: GlmPart, predictors: Any) -> Any:
            seen.append(predictors)
            return inner(self, predictors)

        parties = federation(given, cipher=Identity())
        randomness = {p: ContextFree(p) for p in parties.roles.all}
        grid = vfl.GridSearchCV(vfl.LogisticRegression(max_iter=5, score_bits=20), cv=5)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(GlmPart, "means", means)
            parties.fit(grid, preprocess=preprocess, randomness=randomness)
        return dict(enumerate(seen))

    for preprocess in (vfl.Preprocessing(clip_quantiles=(0.05, 0.95)), vfl.Preprocessing(encode="quantile", n_bins=3)):
        before, after = scores(data, preprocess), scores(changed, preprocess)
        same = np.isclose(before[0], after[0], rtol=0, atol=2**-19).all(axis=1)
        assert (~same).sum() <= 1  # the victim's own
        assert not np.isclose(
            before[1], after[1], rtol=0, atol=2**-19
        ).all()  # the fault is there to be found: where the row is trained on, it shows


def test_a_row_is_in_one_fold_and_folds_are_keyed() -> None:
    ids = [b"id %d" % i for i in range(5000)]
    folds = split_folds(ids, 5, 7)
    assert np.bincount(folds).min() > 900
    assert (split_folds(ids[::-1], 5, 7) == folds[::-1]).all()
    assert 0.15 < (split_folds(ids, 5, 8) == folds).mean() < 0.25


def test_candidates_stand_in_the_order_of_names_and_the_last_changes_fastest() -> None:
    grid = {"max_iter": [10, 20], "C": [1.0, 2.0, 3.0]}
    assert combinations(grid) == [{"C": C, "max_iter": m} for C in (1.0, 2.0, 3.0) for m in (10, 20)]
    assert combinations({}) == [{}]


LR = vfl.LogisticRegression()


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: vfl.GridSearchCV(LR, {"C": []}), "param_grid"),
        (lambda: vfl.GridSearchCV(LR, {"C": "1"}), "param_grid"),
        (lambda: vfl.GridSearchCV(LR, {"C": [-1.0]}), "C = -1.0 is not possible"),
        (lambda: vfl.GridSearchCV(LR, {"depth": [1]}), "has no parameter depth"),
        (lambda: vfl.GridSearchCV(LR, cv=1), "cv = 1"),
        (lambda: vfl.GridSearchCV(LR, cv=21), "cv = 21"),
        (lambda: vfl.GridSearchCV(LR, scoring="auc"), 'scoring is "auc", which is not known'),
        (lambda: vfl.GridSearchCV(LR, {"C": [float(i) for i in range(1, 102)]}), "101 candidates"),
        (lambda: vfl.GridSearchCV(vfl.Scorecard()), "a Scorecard cannot be cross-validated"),
        (lambda: vfl.GridSearchCV("model"), "a str cannot"),
        *(
            (lambda name=name: vfl.GridSearchCV(LR, {name: [1]}), f"{name} cannot be searched")
            for name in sorted(FIXED)
        ),
    ],
)
def test_what_cannot_be_searched_is_refused_with_its_reason(make: Any, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        make()


def test_what_does_not_fit_the_table_is_refused_before_anything_is_sent() -> None:
    parties = federation(frames(40), cipher=Identity())
    with pytest.raises(ConfigError, match="r2 does not measure a label like this"):
        parties.fit(vfl.GridSearchCV(LR, scoring="r2"))
    with pytest.raises(ConfigError, match="cannot bin columns by the label"):
        parties.fit(vfl.GridSearchCV(LR), preprocess=vfl.Preprocessing(encode="woe"))
    with pytest.raises(ConfigError, match="a search does not go with tol or early_stopping"):
        parties.fit(vfl.GridSearchCV(vfl.LogisticRegression(tol=1e-3)))
    with pytest.raises(ConfigError, match="init_model is an object"):
        parties.fit(vfl.GridSearchCV(LR), init_model=object())
    with pytest.raises(ConfigError, match="cannot continue a model"):
        parties.fit(vfl.GridSearchCV(LR), init_model=object.__new__(vfl.FederatedTrees))


def test_a_fold_without_a_row_or_with_one_class_only_is_named() -> None:
    few = frames(40)
    with pytest.raises(DataError, match="a fold has no row"):
        federation((few[0].head(12), few[1]), cipher=Identity()).fit(vfl.GridSearchCV(LR, cv=20))
    _, _, folds = joined(few)
    one_class = (few[0].assign(y=np.where(folds == 1, 0, few[0]["y"])), few[1])
    with pytest.raises(DataError, match="roc_auc is not defined on the rows of a fold"):
        federation(one_class, cipher=Identity()).fit(vfl.GridSearchCV(vfl.LogisticRegression(max_iter=5), cv=5))


def test_a_search_is_cloned_and_shown() -> None:
    grid = vfl.GridSearchCV(LR, {"C": [1.0]}, cv=3)
    assert clone(grid).get_params() == grid.get_params()
    assert repr(grid) == "GridSearchCV(estimator=LogisticRegression(), param_grid={'C': (1.0,)}, cv=3)"


def test_a_candidate_that_the_job_does_not_have_is_refused() -> None:
    from protocols.scored_folds import hear_best, tell_best

    def guest(session: Session) -> None:
        tell_best(session.hosts, 3)

    with pytest.raises(RemoteProtocolError, match="a candidate that the job does not have"):
        run_local(Roles("guest", ("host",), ""), {"guest": guest, "host": partial(hear_best, candidates=3)}, Identity())
