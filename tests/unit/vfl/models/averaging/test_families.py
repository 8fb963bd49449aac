"""Losses, gradients and predictions, compared with differences and with scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, PoissonRegressor, Ridge
from sklearn.neural_network import MLPClassifier

from vfl.models.averaging.families import Family
from vfl.models.averaging.spec import Averaging

RNG = np.random.default_rng(2)
X = RNG.normal(size=(60, 3))
LABELS: dict[str, Any] = {
    "logistic": (RNG.random(60) < 0.4).astype(float),
    "mlp": (RNG.random(60) < 0.4).astype(float),
    "linear": RNG.normal(size=60),
    "poisson": RNG.poisson(1.5, 60).astype(float),
}


def family(name: str, alpha: float = 0.3) -> Family:
    return Family.of(Averaging(estimator=name, alpha=alpha, **({"hidden": 4} if name == "mlp" else {})), 3)


@pytest.mark.parametrize("name", LABELS)
def test_the_gradient_is_that_of_the_loss(name: str) -> None:
    one, y = family(name), LABELS[name]
    weights = np.random.default_rng(1).normal(size=one.size)
    numeric = [
        (one.loss(weights + 1e-6 * unit, X, y) - one.loss(weights - 1e-6 * unit, X, y)) / 2e-6
        for unit in np.eye(one.size)
    ]
    assert one.gradient(weights, X, y) == pytest.approx(numeric, abs=1e-7)


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("logistic", LogisticRegression(C=1 / (0.3 * 60), tol=1e-10)),
        ("linear", Ridge(alpha=0.3 * 60)),
        ("poisson", PoissonRegressor(alpha=0.3, tol=1e-10)),
    ],
)
def test_gradients_vanish_where_scikit_learn_ends(name: str, reference: Any) -> None:
    one, y = family(name), LABELS[name]
    reference.fit(X, y)
    weights = np.append(np.ravel(reference.coef_), reference.intercept_)
    assert np.abs(one.gradient(weights, X, y)).max() < 1e-6
    predicted = reference.predict_proba(X)[:, 1] if name == "logistic" else reference.predict(X)
    assert one.mean(weights, X) == pytest.approx(predicted)


def test_a_perceptron_predicts_as_scikit_learns() -> None:
    one = family("mlp")
    weights = np.random.default_rng(1).normal(size=one.size)
    reference: Any = MLPClassifier((4,), activation="tanh", max_iter=1, random_state=0)
    with pytest.warns(UserWarning, match="converged"):
        reference.fit(X, LABELS["mlp"])
    layers = one.layers(weights)
    reference.coefs_ = [layers.hidden, layers.output[:, np.newaxis]]
    reference.intercepts_ = [layers.hidden_intercept, layers.intercept]
    assert one.mean(weights, X) == pytest.approx(reference.predict_proba(X)[:, 1])


@pytest.mark.parametrize("name", LABELS)
def test_first_predictions_are_the_label_s_mean(name: str) -> None:
    one = family(name)
    mean = float(LABELS[name].mean())
    assert one.mean(one.start(mean, 0), X) == pytest.approx(np.full(60, mean))
    assert np.isfinite(one.start(0.0, 0)).all()
    assert (one.start(mean, 0) == one.start(mean, 0)).all()


def test_predictors_far_out_have_finite_means() -> None:
    one = family("poisson")
    assert np.isfinite(one.mean(np.array([1e6, 0, 0, 0]), X)).all()
