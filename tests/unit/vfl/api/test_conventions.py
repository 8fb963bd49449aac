"""scikit-learn's conventions: parameters, tags, names of columns, predictions of a search, and what a notebook
shows."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.utils import get_tags

import vfl
from protocols.cipher import Identity
from protocols.errors import ConfigError
from tests.harness import scores_some_rows
from vfl.models.registry import KINDS
from vfl.screen import html

Tables = tuple[pd.DataFrame, dict[str, pd.DataFrame]]
LR = vfl.LogisticRegression(max_iter=5, link="taylor")
DECLARED: tuple[Any, ...] = (
    vfl.LogisticRegression(C=2.0, class_weight={"a": 2.0}),
    vfl.LinearRegression(alpha=3.0),
    vfl.PoissonRegression(exposure=True),
    vfl.BoostedTrees(max_depth=2),
    vfl.Scorecard(pdo=40),
    vfl.Preprocessing(impute="mean"),
    vfl.Split(test=0.5, train=True),
    vfl.GridSearchCV(LR, {"C": [0.1, 1.0]}, cv=3),
)
TREES = vfl.BoostedTrees(n_estimators=1, max_depth=2, max_bin=4, min_bin_rows=2)


def local(tables: Tables) -> vfl.Federation:
    guest, hosts = tables
    return vfl.Federation.local(
        guest, {"telecom": hosts["telecom"]}, on="id", label="default", cipher=Identity(), convergence=False
    )


# -- parameters


@pytest.mark.parametrize("declared", DECLARED, ids=lambda d: type(d).__name__)
def test_a_clone_is_equal_and_independent(declared: Any) -> None:
    copy = clone(declared)
    assert copy == declared
    assert copy is not declared
    assert copy.get_params() == declared.get_params()
    name = next(iter(type(declared)().get_params())) if not isinstance(declared, vfl.GridSearchCV) else "cv"
    assert name in declared.get_params(deep=False)


def test_nested_parameters_are_read_and_set() -> None:
    grid = vfl.GridSearchCV(LR, {"C": [0.1, 1.0]})
    assert grid.get_params()["estimator__C"] == 1.0
    assert "estimator__C" not in grid.get_params(deep=False)
    assert grid.set_params(estimator__C=3.0, cv=3) is grid
    assert (grid.estimator.C, grid.cv, LR.C) == (3.0, 3, 1.0)  # the estimator that was passed is as it was
    assert clone(grid).estimator is not grid.estimator
    grid.set_params(
        estimator=vfl.LinearRegression(), param_grid=None, estimator__alpha=5.0
    )  # first the estimator, then what is inside
    assert grid.estimator == vfl.LinearRegression(alpha=5.0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"estimator__c": 1.0}, "LogisticRegression has no parameter c"),
        ({"estimator__C": -1.0}, "LogisticRegression: C = -1.0 is not possible"),
        ({"cv__C": 1.0}, "GridSearchCV has no parameter cv__C"),
        ({"nothing__C": 1.0}, "GridSearchCV has no parameter nothing__C"),
        ({"cv": 3, "estimator__key_bits": 7}, "key_bits"),
    ],
)
def test_impossible_nested_parameters_change_nothing(change: dict[str, Any], words: str) -> None:
    grid = vfl.GridSearchCV(LR, {"C": [0.1, 1.0]})
    with pytest.raises(ConfigError, match=words):
        grid.set_params(**change)
    assert grid == vfl.GridSearchCV(LR, {"C": [0.1, 1.0]})


@pytest.mark.parametrize(
    ("kind", "given", "words"),
    [
        (vfl.BoostedTrees, {"random_state": 2**70}, "Expected a whole number of at least 0, below 2^63 (default 0)"),
        (vfl.MLPClassifier, {"random_state": 2**63}, "Expected a whole number of at least 0, below 2^63 (default 0)"),
        (vfl.BoostedTrees, {"random_state": -1}, "Expected a whole number of at least 0 (default 0)"),
        (vfl.LogisticRegression, {"C": 1e13}, "Expected a number above 0, at most 1e12 (default 1)"),
        (vfl.LogisticRegression, {"C": 0.0}, "Expected a number above 0 (default 1)"),
        (vfl.BoostedTrees, {"warm_start": True}, "pass it to fit: init_model=model"),
        (
            vfl.MLPRegressor,
            {"warm_start": True},
            "each training begins from the start; for more iterations raise max_iter",
        ),
        (vfl.LogisticRegression, {"warm_start": True}, "Leave warm_start out"),
        (vfl.LogisticRegression, {"sample_weight": True}, 'Federation.local(sample_weight="weight")'),
        (vfl.MLPClassifier, {"sample_weight": [1.0, 2.0]}, 'Federation.local(sample_weight="weight")'),
        (vfl.LogisticRegression, {"max_itr": 3}, "Did you mean max_iter?"),
    ],
)
def test_what_other_libraries_take_and_what_is_too_large_is_answered(
    kind: type[Any], given: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        kind(**given)
    assert words in refused.value.remedy


def test_numbers_and_arrays_of_numpy_are_taken() -> None:
    given = vfl.GridSearchCV(
        vfl.LogisticRegression(
            C=np.float32(0.5), max_iter=np.int64(5), fit_intercept=np.bool_(True), link=np.str_("taylor")
        ),
        {"C": np.logspace(-1, 1, 3), "estimator__max_iter": [np.int32(5), 10], "clip": range(2, 4)},
        cv=np.uint8(3),
    )
    assert given.param_grid == {"C": (0.1, 1.0, 10.0), "max_iter": (5, 10), "clip": (2, 3)}
    values = [
        given.cv,
        given.estimator.C,
        given.estimator.max_iter,
        *given.param_grid["C"],
        *given.param_grid["max_iter"],
    ]
    assert {type(value) for value in values} == {int, float}
    assert [one.C for one in given.candidates()] == [v for v in (0.1, 1.0, 10.0) for _ in range(4)]
    assert vfl.Split(test=np.float64(0.5), out_of_time=np.datetime64("2026-01-31")) == vfl.Split(
        test=0.5, out_of_time="2026-01-31"
    )


def test_a_grid_names_each_parameter_and_value_once() -> None:
    with pytest.raises(ConfigError, match="names a parameter twice"):
        vfl.GridSearchCV(LR, {"C": [1.0], "estimator__C": [2.0]})
    with pytest.raises(ConfigError, match="lists a value twice for C"):
        vfl.GridSearchCV(LR, {"C": np.ones(2)})


@pytest.mark.parametrize(
    ("estimator", "kind", "several"),
    [
        (vfl.LogisticRegression(), "classifier", True),
        (vfl.Scorecard(), "classifier", False),
        (vfl.BoostedTrees(), "classifier", False),
        (vfl.BoostedTrees(objective="multi:softprob"), "classifier", True),
        (vfl.BoostedTrees(objective="count:poisson"), "regressor", None),
        (vfl.LinearRegression(), "regressor", None),
        (vfl.PoissonRegression(), "regressor", None),
        (vfl.GridSearchCV(LR), "classifier", True),
        (vfl.GridSearchCV(vfl.LinearRegression()), "regressor", None),
    ],
)
def test_tags_say_what_an_estimator_is(estimator: Any, kind: str, several: bool | None) -> None:
    tags = get_tags(estimator)
    assert (tags.estimator_type, is_classifier(estimator), is_regressor(estimator)) == (
        kind,
        kind == "classifier",
        kind == "regressor",
    )
    assert (None if tags.classifier_tags is None else tags.classifier_tags.multi_class) == several
    assert tags.input_tags.allow_nan == isinstance(estimator, vfl.BoostedTrees | vfl.Scorecard)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_every_registered_kind_follows_the_conventions(kind: Any) -> None:
    estimator = kind.spec()
    assert clone(estimator) == estimator
    assert is_classifier(estimator) != is_regressor(estimator)
    assert estimator.set_params(**estimator.get_params()) == kind.spec()
    assert texts_of(estimator._repr_html_())[0] == type(estimator).__name__


# -- models


@scores_some_rows
def test_a_model_names_its_columns_and_logarithms(small_tables: Tables) -> None:
    guest, hosts = small_tables
    model = local(small_tables).fit(LR)
    assert {p: names.tolist() for p, names in model.feature_names_in_.items()} == {
        "guest": ["age", "limit"],
        "telecom": ["bill", "late", "tenure"],
    }
    assert model.n_features_in_ == 5
    one = {"telecom": hosts["telecom"]}
    logs, shares = model.predict_log_proba(guest, one), model.predict_proba(guest, one)
    pd.testing.assert_frame_equal(np.exp(logs), shares)
    assert logs.isna().any().any()  # rows that the host does not know


@scores_some_rows
def test_a_finished_search_predicts_as_its_best_model(small_tables: Tables) -> None:
    guest, hosts = small_tables
    found = local(small_tables).fit(vfl.GridSearchCV(LR, {"C": [0.1, 1.0]}, cv=2))
    one, best = {"telecom": hosts["telecom"]}, found.best_estimator_
    for name in ("predict", "predict_proba", "predict_log_proba", "predict_score"):
        assert getattr(found, name)(guest, one).equals(getattr(best, name)(guest, one)), name
    assert found.classes_.tolist() == [0, 1]
    assert found.n_features_in_ == 5
    assert found.feature_names_in_.keys() == best.feature_names_in_.keys()
    assert texts_of(found._repr_html_()).count("mean roc_auc") == 1


@pytest.mark.parametrize("membership", ["sealed", "open"])
def test_importances_are_numbers_of_splits(small_tables: Tables, membership: str) -> None:
    model = local(small_tables).fit(clone(TREES).set_params(membership=membership))
    found = model.feature_importances_
    assert {p: s.index.tolist() for p, s in found.items()} == {"guest": ["age", "limit"], "telecom": ["all columns"]}
    assert {p: s.tolist() for p, s in found.items()} == {
        p: s.tolist() for p, s in model.feature_importances("split").items()
    }
    assert 1 <= sum(s.sum() for s in found.values()) <= 3


# -- notebooks


class Reader(HTMLParser):
    """Every text outside the style, and whether each element is closed in its turn."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)
        assert tag in {"style", "div", "table", "thead", "tbody", "tr", "th", "td", "details", "summary"}, tag
        assert not [name for name, _ in attrs if name != "class"]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.texts.append(data)


def texts_of(shown: str) -> list[str]:
    reader = Reader()
    reader.feed(shown)
    reader.close()
    assert not reader.open
    return reader.texts


@pytest.mark.parametrize("declared", DECLARED, ids=lambda d: type(d).__name__)
def test_estimators_are_shown_with_every_parameter(declared: Any) -> None:
    texts = texts_of(declared._repr_html_())
    assert texts[0] == type(declared).__name__
    for name, value in declared.get_params(deep=False).items():
        assert texts[texts.index(name) + 1] == repr(value)
    assert (
        f"{len(declared.get_params(deep=False)) - len(list(declared._changed()))} parameters at default values" in texts
    )


def test_models_and_evaluations_are_shown(small_tables: Tables) -> None:
    guest, hosts = small_tables
    named = (guest.rename(columns={"age": "<b>age</b>"}), hosts)
    model = local(named).fit(LR, split=vfl.Split(test=0.4))
    texts = texts_of(model._repr_html_())
    assert {"FederatedModel", "telecom", "<b>age</b>, limit", "60", "50"} <= set(texts)
    texts = texts_of(model.reports_["guest"]._repr_html_())
    assert {"Evaluation", "test rows", "joint", "guest alone", "roc auc" if "roc auc" in texts else "auc"} <= set(texts)
    assert texts_of(model.reports_["telecom"]._repr_html_())[0] == "Evaluation"
    trained = local(small_tables).fit(TREES)
    assert "FederatedTrees" in texts_of(trained._repr_html_())


def test_a_text_that_is_not_escaped_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = vfl.LogisticRegression(class_weight={"<script>": 1.0})
    assert "{'<script>': 1.0}" in texts_of(shown._repr_html_())
    monkeypatch.setattr(html, "escape", lambda text: text)
    with pytest.raises(AssertionError, match="script"):
        texts_of(shown._repr_html_())
