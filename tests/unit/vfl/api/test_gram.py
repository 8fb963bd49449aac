"""`Federation.local` takes shares of Gram matrices for linear links where they are cheaper: the models of the direct
protocol and of scikit-learn, scores and folds included."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge

import vfl
from protocols.cipher import Identity, Paillier
from protocols.glm.gram import GramBlocks
from protocols.glm.prepared import WeightsLessPad
from tests.harness import KNOWN, Recording, Sent, gram_shares
from tests.unit.vfl.api.test_preparation import fitted, tables


@pytest.fixture
def shares(monkeypatch: pytest.MonkeyPatch) -> None:
    gram_shares(monkeypatch)


CASES: dict[str, tuple[str, Any, dict[str, Any]]] = {
    "taylor": ("default", vfl.LogisticRegression(link="taylor", weight_bits=20), {}),
    "linear": ("amount", vfl.LinearRegression(weight_bits=20), {}),
    "held out": ("amount", vfl.LinearRegression(max_iter=25, weight_bits=20), {"split": vfl.Split(test=0.3)}),
}


@pytest.mark.usefixtures("shares")
@pytest.mark.parametrize("case", CASES)
def test_coefficients_are_those_of_the_direct_protocol(case: str) -> None:
    label, estimator, more = CASES[case]
    sent = {"none": list[Sent](), "gram": list[Sent]()}
    found = {way: fitted(label, estimator, way, told, **more) for way, told in sent.items()}
    kinds = {way: {s.kind for s in told} for way, told in sent.items()}
    assert GramBlocks in kinds["gram"] - kinds["none"]
    assert WeightsLessPad not in kinds["gram"]
    weights = [np.concatenate([np.ravel(v) for v in model.coef_.values()]) for model in found.values()]
    assert np.abs(weights[0] - weights[1]).max() <= 2e-5 * np.abs(weights[0]).max()
    if "split" in more:
        measured = [model.reports_["guest"].metrics for model in found.values()]
        assert np.abs(measured[0] - measured[1]).to_numpy(float).max() < 1e-2  # scores are rounded


@pytest.mark.usefixtures("shares")
def test_a_search_and_a_model_that_stays_shared() -> None:
    """Three trainings of a run have one key of each party; shares of the last one score new rows."""
    grid = vfl.GridSearchCV(vfl.LogisticRegression(link="taylor", max_iter=10), {"C": [0.1, 1.0]}, cv=2)
    found = [fitted("default", grid, way) for way in ("none", "gram")]
    assert found[0].best_params_ == found[1].best_params_
    scores = list[Any]()
    for way in ("none", "gram"):
        given, sent = tables(), list[Sent]()
        given["guest"] = given["guest"][["id", "age", "limit", "amount"]]
        fed = vfl.Federation.local(**given, label="amount", cipher=Identity(), preparation=way, convergence=False)
        model = fed.fit(vfl.LinearRegression(max_iter=40), taps={p: [Recording(p, sent)] for p in fed.roles.all})
        assert (GramBlocks in {s.kind for s in sent}) == (way == "gram")
        scores.append(np.asarray(model.predict(given["guest"], given["hosts"]), float))
    assert np.abs(scores[0] - scores[1]).max() <= 1e-2 * np.abs(scores[0]).max()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_motor_with_one_host_is_ridges(data_folder: Path) -> None:
    """By the rule itself, under keys of 2048 bits."""
    guest, *hosts = (pd.read_csv(data_folder / f"motor_hetero_{side}.csv") for side in ("guest", "host_1", "host_2"))
    host, sent = hosts[0].merge(hosts[1], on="idx"), list[Sent]()
    fed = vfl.Federation.local(
        guest,
        {"host": host},
        on="idx",
        label="motor_speed",
        cipher=Paillier(2048),
        reveal=KNOWN,
        convergence=False,
        preparation="gram",
    )
    taps = {p: [Recording(p, sent)] for p in fed.roles.all}
    model = fed.fit(vfl.LinearRegression(alpha=1.0, max_iter=400, weight_bits=20), taps=taps)
    assert GramBlocks in {s.kind for s in sent}
    joined = guest.merge(host, on="idx")
    x, y = joined.drop(columns=["idx", "motor_speed"]).to_numpy(float), joined["motor_speed"].to_numpy(float)
    best = Ridge(alpha=1.0).fit((x - x.mean(0)) / x.std(0), y)
    found = np.concatenate([np.ravel(part) for part in model.coef_.values()])
    assert np.abs(found - best.coef_ / y.std()).max() <= 1e-4 * np.abs(best.coef_ / y.std()).max()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_breast_cancer_to_a_ten_thousandth_of_the_largest_coefficient(data_folder: Path) -> None:
    """The closed form of the expanded loss, under keys of 2048 bits."""
    guest, host = (pd.read_csv(f"{data_folder}/breast_hetero_{side}.csv") for side in ("guest", "host"))
    sent = list[Sent]()
    given = {
        "on": "id",
        "label": "y",
        "reveal": KNOWN,
        "convergence": False,
        "cipher": Paillier(2048),
        "preparation": "gram",
    }
    fed = vfl.Federation.local(guest, {"host": host}, **given)
    taps = {p: [Recording(p, sent)] for p in fed.roles.all}
    model = fed.fit(vfl.LogisticRegression(link="taylor", max_iter=400, weight_bits=24), taps=taps)
    assert GramBlocks in {s.kind for s in sent}
    table = guest.merge(host, on="id")
    x = table.drop(columns=["id", "y"]).to_numpy(float)
    x = np.column_stack([(x - x.mean(0)) / x.std(0), np.ones(len(x))])
    penalty = np.diag([1.0] * (x.shape[1] - 1) + [0.0])
    best = np.linalg.solve(x.T @ x / 4 + penalty, x.T @ (table["y"].to_numpy(float) - 0.5))[:-1]
    found = np.concatenate([np.ravel(part) for part in model.coef_.values()])
    assert np.abs(found - best).max() <= 1e-4 * np.abs(best).max()
