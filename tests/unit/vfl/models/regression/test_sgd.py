"""solver="sgd" through the front door: parameters that go together, what is refused and why, and how near the defaults
come on real tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone

import vfl
from protocols.errors import ConfigError
from protocols.glm import Sgd
from protocols.session import Observer
from tests.harness import scores_some_rows
from tests.unit.vfl.api.test_federation import coefficients, optimum, real, standardised
from tests.unit.vfl.models.regression.test_families import federation, frames

ESTIMATORS = [vfl.LogisticRegression, vfl.LinearRegression, vfl.PoissonRegression]


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_parameters_are_kept_cloned_and_handed_on(kind: Any) -> None:
    estimator = kind(solver="sgd", batch_size=64, momentum=0.5, learning_rate_init=0.5)
    assert clone(estimator) == estimator
    assert kind(**estimator.get_params()) == estimator
    assert estimator.sgd == Sgd(64, 0.5, 0.5)
    assert kind(solver="sgd").sgd == Sgd()
    assert kind().sgd is None
    assert "solver='sgd', batch_size=64" in repr(estimator)
    with pytest.raises(ConfigError, match="batch_size"):
        estimator.set_params(solver="preconditioned")
    assert estimator.solver == "sgd"


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"solver": "lbfgs"}, "solver"),
        ({"solver": "sgd", "batch_size": 31}, "from 32 to"),
        ({"solver": "sgd", "batch_size": 2.5}, "batch_size"),
        ({"solver": "sgd", "momentum": 1.0}, "momentum"),
        ({"solver": "sgd", "momentum": -0.1}, "momentum"),
        ({"solver": "sgd", "learning_rate_init": 0}, "learning_rate_init"),
        ({"solver": "sgd", "learning_rate_init": 5}, "learning_rate_init"),
        ({"batch_size": 64}, 'does nothing with solver = "preconditioned"'),
        ({"momentum": 0.5}, 'does nothing with solver = "preconditioned"'),
        ({"learning_rate_init": 0.5}, 'does nothing with solver = "preconditioned"'),
        ({"solver": "sgd", "max_iter": "auto"}, "no rule says how many epochs"),
        ({"solver": "sgd", "learning_rate_init": 1e-3, "max_iter": 50}, "revealed near their start"),
        ({"solver": "sgd", "learning_rate_init": 0.1, "momentum": 0.0, "max_iter": 99}, "revealed near their start"),
    ],
)
def test_what_is_refused_and_why(params: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        vfl.LogisticRegression(**params)
    assert caught.value.remedy


def test_a_batch_that_holds_all_rows_is_refused_by_all() -> None:
    tables, _ = frames("binary")
    with pytest.raises(ConfigError, match="a single batch holds all rows") as caught:
        federation(tables).fit(vfl.LogisticRegression(solver="sgd", batch_size=256))
    assert "preconditioned" in str(caught.value)


class Steps(Observer):
    total = 0

    def step(self, phase: str, done: int, total: int) -> None:
        self.total = max(self.total, total) if phase == "train" else self.total


@pytest.mark.parametrize(
    ("label", "estimator"),
    [
        pytest.param(
            "binary", vfl.LogisticRegression(solver="sgd", link="taylor", max_iter=60), marks=pytest.mark.slow
        ),
        ("numeric", vfl.LinearRegression(solver="sgd", batch_size=100, max_iter=60)),
        pytest.param(
            "classes",
            vfl.LogisticRegression(solver="sgd", link="taylor", max_iter=60, class_weight="balanced"),
            marks=pytest.mark.slow,
        ),
    ],
)
@scores_some_rows
def test_it_comes_near_what_the_other_solver_reaches(label: str, estimator: Any) -> None:
    tables, _ = frames(label)
    fed, seen = federation(tables), {p: Steps() for p in ("guest", "arbiter")}
    model = fed.fit(estimator, observers=seen)
    batches = 3 if estimator.batch_size == 100 else 8  # 240 rows: 256 / 100, an eighth of 256
    assert {s.total for s in seen.values()} == {60 * batches}
    params = {**estimator.get_params(), "solver": "preconditioned", "batch_size": "auto"}
    best = fed.fit(type(estimator)(**params))
    found, wanted = (np.concatenate([np.ravel(c) for c in m.coef_.values()]) for m in (model, best))
    assert np.abs(found - wanted).max() <= 2e-2 * np.abs(wanted).max() + 2 / 2**10
    assert model.score(*tables) == pytest.approx(best.score(*tables), abs=5e-3)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("name", "hosts", "passes", "coef", "loss"),
    [
        ("uci", 1, 100, 5e-3, 1e-5),
        ("uci", 2, 100, 5e-3, 1e-5),
        ("breast", 1, 300, 2e-2, 1e-4),
        ("breast", 2, 300, 2e-2, 1e-4),
    ],
)
def test_how_near_the_defaults_come_on_real_tables(
    data_folder: Path, name: str, hosts: int, passes: int, coef: float, loss: float
) -> None:
    """Largest error of a coefficient over the largest coefficient, and the mean log-loss over that of scikit-learn's
    optimum."""
    fed, table, columns, label = real(data_folder, name, hosts)
    model = fed.fit(vfl.LogisticRegression(solver="sgd", max_iter=passes))
    x, y = standardised(table[columns]), table[label].to_numpy(float)
    best, found = optimum(x, y, 1.0, "exact"), coefficients(model)

    def mean_loss(w: np.ndarray[Any, Any]) -> float:
        z = x @ w[:-1] + w[-1]
        return float(np.mean(np.logaddexp(0, z) - y * z))

    apart, worse = np.abs(found - best).max() / np.abs(best).max(), mean_loss(found) - mean_loss(best)
    print(f"{name}, {hosts} hosts, {passes} passes: coefficients {apart:.1e}, log-loss {worse:+.1e}")
    assert apart <= coef
    assert abs(worse) <= loss
