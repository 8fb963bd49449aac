"""Training ends when the weights have settled, near scikit-learn's, and says so where it did not: in Python, in the
report and in the terminal."""

from __future__ import annotations

import contextlib
import io
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, PoissonRegressor, Ridge

import vfl
from protocols.cipher import Identity
from protocols.errors import ConfigError, DataError
from tests.harness import KNOWN, Recording, Sent
from vfl.report.page import render
from vfl.report.terminal import print_summary
from vfl.report.words import cautions

LEAST = (8, 10, 12, 15, 20, 25, 30, 40, 60, 80, 120, 160, 240)
Tables = tuple[pd.DataFrame, dict[str, pd.DataFrame]]


def binary(n: int = 240, separated: bool = False) -> Tables:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 4))
    z = x @ [1, -0.8, 0.7, 0.5]
    y = (z > 0) if separated else rng.random(n) < 1 / (1 + np.exp(-z + 0.6))
    names = [f"c{i:03d}" for i in range(n)]
    guest = pd.DataFrame({"id": names, "y": y.astype(int), "a": x[:, 0], "b": x[:, 1]})
    return guest, {"telco": pd.DataFrame({"id": names, "c": x[:, 2], "d": x[:, 3]})}


def counts(n: int = 800, seed: int = 7) -> Tables:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 5))
    y = rng.poisson(np.exp(0.2 + x @ [0.3, -0.2, 0.4, 0.1, -0.3]))
    guest = pd.DataFrame({"id": range(n), "y": y, "a": x[:, 0], "b": x[:, 1]})
    return guest, {"telco": pd.DataFrame({"id": range(n), "c": x[:, 2], "d": x[:, 3], "e": x[:, 4]})}


def fed(tables: Tables, **options: Any) -> vfl.Federation:
    options = {"on": "id", "label": "y", "cipher": Identity(), "reveal": KNOWN} | options
    return vfl.Federation.local(*tables, **options)


def standardised(tables: Tables) -> tuple[pd.DataFrame, pd.Series]:
    guest, hosts = tables
    joined = guest.set_index("id")
    for name, host in hosts.items():
        joined = joined.join(host.set_index("id").add_prefix(f"{name}_"))
    y = joined.pop("y")
    return (joined - joined.mean()) / joined.std(ddof=0), y


def far(model: Any, best: np.ndarray) -> float:
    """Largest error of a coefficient over the largest coefficient."""
    found = np.concatenate([np.atleast_2d(coef.to_numpy().T) for coef in model.coef_.values()], axis=1)
    return float(np.abs(found - np.atleast_2d(best)).max() / np.abs(best).max())


def quietly(federation: vfl.Federation, estimator: Any) -> Any:
    """A training that must not warn."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return federation.fit(estimator)


def test_a_default_training_ends_near_scikit_learn_without_a_warning() -> None:
    tables = binary()
    x, y = standardised(tables)
    model = quietly(fed(tables), vfl.LogisticRegression(weight_bits=20))
    assert far(model, LogisticRegression(tol=1e-10).fit(x, y).coef_) < 1e-3
    assert model.n_iter_ == 20  # of 200
    tables = counts()
    x, y = standardised(tables)
    model = quietly(fed(tables), vfl.PoissonRegression(alpha=0.01, weight_bits=20))
    assert far(model, PoissonRegressor(alpha=0.01, tol=1e-10, max_iter=1000).fit(x, y).coef_) < 1e-3
    assert model.n_iter_ < 150


def test_what_ends_too_early_is_warned_of_everywhere() -> None:
    with pytest.warns(ConvergenceWarning, match="all 10 iterations .* the weights had not settled"):
        model = fed(binary()).fit(vfl.LogisticRegression(max_iter=10), split=vfl.Split(test=0.25))
    assert model.n_iter_ == 10
    for report in model.reports_.values():
        told = report.result["model"]
        assert told["ended"] == ["unsettled"]
        assert told["settled"] is False
        (said,) = cautions(told)
        assert said[1:] in render(report.result)
        out = io.StringIO()
        print_summary(report.result, Console(file=out, width=400), "folder")
        assert said in out.getvalue()
    good = fed(binary()).fit(vfl.LogisticRegression(), split=vfl.Split(test=0.25)).reports_["guest"]
    assert good.result["model"]["ended"] == ["settled"]
    assert cautions(good.result["model"]) == []


def test_labels_that_columns_separate_are_warned_of() -> None:
    with pytest.warns(ConvergenceWarning, match="raise the penalty"):
        model = fed(binary(separated=True)).fit(vfl.LogisticRegression(C=1e4))
    assert model.n_iter_ <= 200


def test_a_scorecard_settles_too() -> None:
    card = vfl.Scorecard(max_n_bins=3, min_bin_rows=10)
    assert quietly(fed(binary()), card).n_iter_ < 100
    with pytest.warns(ConvergenceWarning, match="all 5 iterations"):
        fed(binary()).fit(card.set_params(max_iter=5))


@pytest.mark.parametrize(
    ("estimator", "options"),
    [
        (vfl.LogisticRegression(max_iter=8), {"convergence": False}),
        (vfl.LogisticRegression(solver="sgd", max_iter=8), {}),
        (vfl.LogisticRegression(tol=1e-3, n_iter_no_change=5), {}),
    ],
    ids=["not allowed", "sgd", "tol"],
)
def test_where_it_does_not_apply_nothing_is_told(estimator: Any, options: dict[str, Any]) -> None:
    sent: list[Sent] = []
    taps = {party: [Recording(party, sent)] for party in ("guest", "telco", "arbiter")}
    model = fed(binary(), **options).fit(estimator, taps=taps)
    assert not any(one.kind.permit == "convergence-to-parties" for one in sent)
    assert set(model.parts) == {"guest", "telco"}


def test_the_switch_is_a_bool() -> None:
    with pytest.raises(ConfigError, match="convergence is True or False"):
        fed(binary(), convergence="no")


def test_a_search_is_told_of_its_last_training_only() -> None:
    grid = vfl.GridSearchCV(vfl.LogisticRegression(max_iter=60), {"C": [0.1]}, cv=2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = fed(binary()).fit(grid)
    assert found.best_params_["C"] == 0.1


def read(*files: str) -> list[pd.DataFrame]:
    if "VFL_TEST_DATA" not in os.environ:
        pytest.skip("VFL_TEST_DATA names no folder of real tables")
    return [pd.read_csv(Path(os.environ["VFL_TEST_DATA"]) / file) for file in files]


def uci(hosts: int) -> Tables:
    (table,) = read("uci_credit_card.csv")
    table = table.rename(columns={"ID": "id", "default.payment.next.month": "y"})
    guest, rest = table[["id", "y", *table.columns[1:6]]], table.columns[6:-1]
    return guest, {f"h{k}": table[["id", *part]] for k, part in enumerate(np.array_split(rest, hosts))}


def cut(name: str, *hosts: str, key: str = "id", label: str = "y") -> Tables:
    guest, *rest = read(f"{name}_hetero_guest.csv", *(f"{name}_hetero_{host}.csv" for host in hosts))
    return guest.rename(columns={key: "id", label: "y"}), {
        f"h{k}": table.rename(columns={key: "id"}) for k, table in enumerate(rest)
    }


REAL: dict[str, Any] = {
    "uci": (lambda: uci(1), "logistic", 1.0),
    "uci, two hosts": (lambda: uci(2), "logistic", 1.0),
    "vehicle": (lambda: cut("vehicle_scale", "host"), "logistic", 1.0),
    "motor": (lambda: cut("motor", "host_1", "host_2", key="idx", label="motor_speed"), "linear", 1.0),
    "counts": (lambda: counts(2000, 3), "poisson", 0.01),
    "breast": (lambda: cut("breast", "host"), "logistic", 1.0),
}


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", REAL)
def test_real_tables_end_near_the_optimum_in_few_iterations(name: str) -> None:
    """Prints the line of docs/protocols/glm.md."""
    make, family, strength = REAL[name]
    tables = make()
    x, y = standardised(tables)
    kind, oracle = {
        "logistic": (vfl.LogisticRegression, lambda y: LogisticRegression(C=strength, tol=1e-10, max_iter=20_000)),
        "linear": (vfl.LinearRegression, lambda y: Ridge(alpha=strength)),
        "poisson": (vfl.PoissonRegression, lambda y: PoissonRegressor(alpha=strength, tol=1e-10, max_iter=10_000)),
    }[family]
    strengths = {"C": strength} if family == "logistic" else {"alpha": strength}
    targets = [y] if y.nunique() == 2 or family != "logistic" else [y == value for value in sorted(y.unique())]
    targets = [(y - y.mean()) / y.std(ddof=0)] if family == "linear" else targets
    best = np.concatenate([np.atleast_2d(oracle(t).fit(x, t).coef_) for t in targets])
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        model = fed(tables).fit(kind(weight_bits=20, **strengths))
    error, made = far(model, best), model.n_iter_
    for least in LEAST:
        with contextlib.suppress(DataError):  # planned steps can leave the link's table
            some = fed(tables, convergence=False).fit(kind(weight_bits=20, max_iter=least, **strengths))
            if far(some, best) < 1e-3:
                break
    print(f"| {name} | {least} | {made} | {error:.1e} |{' warned' if warned else ''}")
    assert error < 1e-3
    assert name == "breast" or not warned
    assert np.max(made) <= 1.5 * least + 10


@pytest.mark.slow
def test_a_real_table_with_hardly_a_penalty_is_warned_of() -> None:
    with pytest.warns(ConvergenceWarning, match="before the weights had settled"):
        fed(cut("breast", "host")).fit(vfl.LogisticRegression(C=1e4))
