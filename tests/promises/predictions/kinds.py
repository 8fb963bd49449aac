"""A small model of every kind, on tables whose ids and texts are canaries."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest

import vfl
from protocols.cipher import Identity

ROWS = 120
SHORT = {"max_iter": 5, "link": "taylor"}
BINS = {"max_iter": 5, "link": "taylor", "min_bin_rows": 10, "min_bin_size": 0.05}
TREES = {"n_estimators": 2, "max_depth": 2, "max_bin": 8, "min_bin_rows": 4}
UNITS: dict[str, Any] = {"hidden_layer_sizes": (3,), "max_iter": 2}
STOPS = {"max_iter": 6, "early_stopping": True, "validation_fraction": 0.4, "n_iter_no_change": 1, "tol": 1.0}


@dataclass(frozen=True)
class Case:
    """label: of what kind; texts: whether the tables have a column of texts; takes_missing: whether every row is
    scored, whatever it misses."""

    estimator: Any
    label: str = "binary"
    texts: bool = False
    takes_missing: bool = False
    preprocess: Any = None
    reveal: tuple[str, ...] = ()


CASES = {
    "logistic": Case(vfl.LogisticRegression(**SHORT)),
    "known weights": Case(vfl.LogisticRegression(**SHORT), reveal=("guest", "hosts")),
    "classes": Case(vfl.LogisticRegression(**SHORT), "classes"),
    "linear": Case(vfl.LinearRegression(max_iter=5), "number"),
    "poisson": Case(vfl.PoissonRegression(max_iter=5), "count"),
    "one-hot": Case(vfl.LogisticRegression(**SHORT), texts=True, preprocess=vfl.Preprocessing(encode="onehot")),
    "imputed": Case(
        vfl.LogisticRegression(**SHORT), "binary", True, True, vfl.Preprocessing(impute="mean", encode="onehot")
    ),
    "quantile": Case(vfl.LogisticRegression(**SHORT), texts=True, preprocess=vfl.Preprocessing(encode="quantile")),
    "scorecard": Case(vfl.Scorecard(**BINS), "binary", True, True),
    "known points": Case(vfl.Scorecard(**BINS), "binary", True, True, reveal=("guest", "hosts")),
    "sealed trees": Case(vfl.BoostedTrees(**TREES), "binary", True, True),
    "open trees": Case(vfl.BoostedTrees(**TREES, membership="open"), "binary", True, True),
    "trees of numbers": Case(vfl.BoostedTrees(**TREES, objective="reg:squarederror"), "number", True, True),
    "network": Case(vfl.MLPClassifier(**UNITS)),
    "network, two layers": Case(vfl.MLPRegressor(**UNITS | STOPS | {"hidden_layer_sizes": (3, 2)}), "number"),
    "network, one-hot": Case(vfl.MLPClassifier(**UNITS), texts=True, preprocess=vfl.Preprocessing(encode="onehot")),
    "search of networks": Case(vfl.GridSearchCV(vfl.MLPClassifier(**UNITS), {"alpha": [0.1, 1.0]}, cv=2)),
    "search": Case(vfl.GridSearchCV(vfl.LogisticRegression(**SHORT), {"C": [0.1, 1.0]}, cv=2)),
}


QUICK = ("logistic", "one-hot", "quantile", "known points", "sealed trees", "search")  # in `make test`


def each(names: Iterable[str]) -> list[Any]:
    """Parameters of a test by kind of model, of which all but a few are slow."""
    return [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in names]


@cache
def tables(label: str, texts: bool) -> tuple[pd.DataFrame, dict[str, pd.DataFrame]]:
    """The guest's table and the hosts'; ids and texts of the tables are canaries, and no two numbers are equal."""
    rng = np.random.default_rng(17)
    x = rng.normal(size=(ROWS, 4))
    z = x @ [1.0, -0.5, 0.8, 0.3]
    labels: dict[str, Any] = {
        "binary": (z + rng.logistic(size=ROWS) > 0).astype(int),
        "classes": np.array(["low", "middle", "high"])[np.digitize(z, [-0.7, 0.7])],
        "number": 1000 * z + rng.normal(size=ROWS),
        "count": rng.poisson(np.exp(0.3 * z)),
    }
    ids = [f"CANARY-{k:04d}" for k in range(ROWS)]
    guest = pd.DataFrame({"customer": ids, "outcome": labels[label], "age": x[:, 0], "limit": x[:, 1]})
    host = pd.DataFrame({"customer": ids, "bill": x[:, 2], "late": x[:, 3]})
    if texts:
        host["town"] = np.array(["york", "bath", "ely"])[rng.integers(0, 3, ROWS)]
    return guest, {"telecom": host}


@cache
def fitted(name: str) -> Any:
    """What `Federation.fit` gives."""
    case = CASES[name]
    guest, hosts = tables(case.label, case.texts)
    fed = vfl.Federation.local(
        guest, hosts, "customer", "outcome", cipher=Identity(), reveal=case.reveal, convergence=False
    )
    return fed.fit(case.estimator, preprocess=case.preprocess, split=vfl.Split(test=0.25))


def scored(model: Any, guest: pd.DataFrame, hosts: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Everything that a model predicts of rows, by id."""
    if model.__class__.__name__ != "FederatedSearch" and model.parts["guest"].classes is None:
        return pd.DataFrame({"mean": model.predict(guest, hosts)})
    return pd.DataFrame(model.predict_proba(guest, hosts))
