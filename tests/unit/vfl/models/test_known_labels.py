"""Labels that the model does not know are refused by `score`, and a rare third class is said at the training."""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest

import vfl
from protocols.cipher import Identity
from protocols.errors import DataError

N = 90
RNG = np.random.default_rng(5)
A, C = RNG.normal(size=(2, N))
RANK = (A + C).argsort().argsort()
HOSTS = {"h": pd.DataFrame({"id": range(N), "c": C})}
KINDS: dict[str, tuple[Any, int]] = {
    "regression": (vfl.LogisticRegression(max_iter=5, link="taylor"), 2),
    "multinomial": (vfl.LogisticRegression(max_iter=5, link="taylor"), 3),
    "trees": (vfl.BoostedTrees(n_estimators=1, max_depth=2, max_bin=4, min_bin_rows=4), 2),
    "scorecard": (vfl.Scorecard(max_iter=5, link="taylor", min_bin_rows=5), 2),
    "search": (vfl.GridSearchCV(vfl.LogisticRegression(max_iter=5, link="taylor"), {"C": [1.0]}, cv=2), 2),
}


def guest(y: Any) -> pd.DataFrame:
    return pd.DataFrame({"id": range(N), "y": y, "a": A})


def codes(classes: int) -> np.ndarray[Any, Any]:
    return RANK * classes // N


@cache
def model(kind: str) -> Any:
    estimator, classes = KINDS[kind]
    fed = vfl.Federation.local(guest(codes(classes)), HOSTS, "id", "y", cipher=Identity(), convergence=False)
    return fed.fit(estimator)


@pytest.mark.parametrize("kind", KINDS)
def test_labels_that_the_model_never_saw_are_refused(kind: str) -> None:
    y = codes(KINDS[kind][1])
    assert model(kind).score(guest(y), HOSTS) > 0.5
    for same in (y.astype(float), y.astype(object), pd.array(y, dtype="Int64")):
        assert model(kind).score(guest(same), HOSTS) == model(kind).score(guest(y), HOSTS)
    for wrong in (y.astype(str), y + 1, np.where(y == 0, "SECRET", "bad"), [[1]] * N, y + 0.5):
        with pytest.raises(DataError, match="guest: label column 'y' holds values that the model does not know") as got:
            model(kind).score(guest(wrong), HOSTS)
        assert "SECRET" not in str(got.value)


def test_the_rows_of_an_unknown_label_are_named() -> None:
    y = codes(2).astype(object)
    y[6] = "?"
    with pytest.raises(DataError, match="does not know in row 7"):
        model("regression").score(guest(y), HOSTS)


def said(y: Any, estimator: Any = KINDS["regression"][0]) -> list[str]:
    fed = vfl.Federation.local(guest(y), HOSTS, "id", "y", cipher=Identity(), convergence=False)
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        fed.fit(estimator)
    return [str(one.message) for one in found if "is this the label?" in str(one.message)]


def test_a_rare_third_class_that_nobody_asked_for_is_said() -> None:
    y = codes(2)
    y[:3] = 9
    for labels in (y, np.array(["no", "yes", *["?"] * 8])[y]):
        assert said(labels) == [
            "guest: label column 'y' has 3 values, so 3 classes are trained; the rarest has 3 of 90 rows: "
            "is this the label?"
        ]
    assert said(y, KINDS["search"][0]) != []


def test_classes_that_are_even_or_asked_for_are_not() -> None:
    rare = codes(2)
    assert said(rare) == []
    rare[:3] = 2
    for classes in (3, 10):
        assert said(codes(classes)) == []
    weights = {0: 1.0, 1: 1.0, 2: 1.0}
    assert said(rare, vfl.LogisticRegression(max_iter=5, link="taylor", class_weight=weights)) == []
    asked = vfl.BoostedTrees(n_estimators=1, max_depth=1, max_bin=4, min_bin_rows=4, objective="multi:softprob")
    assert said(rare, asked) == []
