"""Federations that promise privacy of labels: what hosts learn has noise, and jobs that could not keep it are
refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import vfl
from protocols.cipher import Identity
from protocols.errors import ConfigError

ROWS = 400
SCORECARD: dict[str, Any] = {"max_iter": 5, "link": "taylor", "min_bin_rows": 20}


def federation(**given: Any) -> vfl.Federation:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(ROWS, 3))
    ids = [f"c{k}" for k in range(ROWS)]
    bank = pd.DataFrame({"id": ids, "own": x[:, 0], "y": (rng.random(ROWS) < 1 / (1 + np.exp(-x[:, 1]))).astype(int)})
    shop = pd.DataFrame({"id": ids, "first": x[:, 1], "second": x[:, 2]})
    return vfl.Federation.local(
        guest=bank, hosts={"shop": shop}, on="id", label="y", cipher=Identity(), **{"convergence": False} | given
    )


def promise(**given: Any) -> vfl.Privacy:
    return vfl.Privacy(**{"epsilon": 1, "delta": 1e-6, "unit": "label"} | given)


def totals(model: Any, party: str = "shop") -> set[int]:
    """By column of a party, how many events its bins hold."""
    return {sum(column.events) for column in model.parts[party].bins}


def test_hosts_learn_events_with_noise() -> None:
    exact, noisy = (federation().fit(vfl.Scorecard(**SCORECARD), privacy=each) for each in (None, promise(epsilon=0.1)))
    assert totals(exact) == totals(exact, "guest")  # of every column the number of events
    assert totals(noisy) != totals(noisy, "guest") == totals(exact)


def test_weights_of_evidence_in_a_regression_too() -> None:
    steps = vfl.Preprocessing(encode="woe", min_bin_rows=20)
    model = federation().fit(vfl.LogisticRegression(max_iter=5, link="taylor"), preprocess=steps, privacy=promise())
    assert model.intersection_ == ROWS


@pytest.mark.parametrize(
    ("kept", "given", "what"),
    [
        ({}, {"unit": "row"}, 'unit is "row", which is for an averaging'),
        ({"convergence": True}, {}, "convergence-to-parties"),
        ({"reveal": ("hosts",)}, {}, "host-weights-to-host"),
    ],
)
def test_a_promise_that_could_not_be_kept_is_refused(kept: Any, given: Any, what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        federation(**kept).fit(vfl.Scorecard(**SCORECARD), privacy=promise(**given))


@pytest.mark.parametrize(
    ("estimator", "more"),
    [
        (vfl.LogisticRegression(link="taylor"), {}),
        (vfl.LogisticRegression(link="taylor"), {"preprocess": vfl.Preprocessing(report_iv=True)}),
        (vfl.BoostedTrees(n_estimators=1), {}),
    ],
)
def test_models_whose_hosts_learn_no_events_are_refused(estimator: Any, more: Any) -> None:
    with pytest.raises(ConfigError, match="tells hosts no events of bins"):
        federation().fit(estimator, privacy=promise(), **more)


REVEALS: dict[str, Any] = {"reveal": ("guest", "hosts"), "convergence": True}


def test_revealed_weights_are_of_labels_with_noise() -> None:
    found = [
        federation(**REVEALS)
        .fit(vfl.LogisticRegression(max_iter=20, link="taylor", C=0.1), privacy=each)
        .parts["shop"]
        .shares.weights()
        for each in (None, promise(epsilon=0.1), promise(epsilon=100))
    ]
    assert np.abs(found[1] - found[0]).max() > 0.2
    assert np.abs(found[2] - found[0]).max() < 0.2


@pytest.mark.parametrize(
    ("estimator", "steps", "what"),
    [
        (vfl.LogisticRegression(tol=1e-3), None, "loss-verdict-to-parties"),
        (vfl.LogisticRegression(class_weight="balanced"), None, "label-scale-to-parties"),
        (vfl.LogisticRegression(max_iter="auto"), None, "label-scale-to-parties"),
        (vfl.LogisticRegression(), vfl.Preprocessing(report_iv=True), "binned by exact labels besides"),
        (vfl.LinearRegression(), None, "this model's weights have no noise"),
        (vfl.PoissonRegression(), None, "this model's weights have no noise"),
        (vfl.GridSearchCV(vfl.LogisticRegression(), {"C": [1.0, 2.0]}), None, "which candidate is best"),
    ],
)
def test_weights_whose_noise_would_not_be_enough_are_refused(estimator: Any, steps: Any, what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        federation(**REVEALS).fit(estimator, preprocess=steps, privacy=promise())


def test_parameters_of_an_averaging_are_refused() -> None:
    for name, value in (("clip", 2.0), ("bounds", {"own": (0, 1)})):
        with pytest.raises(ConfigError, match=f"{name} is given"):
            promise(**{name: value})
    members = vfl.Members.local({f"m{k}": pd.DataFrame({"x": [1.0, 2], "y": [0, 1]}) for k in range(3)}, label="y")
    with pytest.raises(ConfigError, match='unit is "label", which is for bins'):
        members.fit(vfl.Averaging(rounds=1), privacy=promise())


def test_something_else_is_no_promise() -> None:
    with pytest.raises(ConfigError, match="privacy is an int"):
        federation().fit(vfl.Scorecard(**SCORECARD), privacy=1)  # type: ignore[arg-type]
