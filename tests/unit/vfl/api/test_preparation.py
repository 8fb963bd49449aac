"""`Federation.local` prepares iterations by default: the models of the direct protocol, for every regression and
scorecards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression as SkLogisticRegression

import vfl
from protocols.cipher import Identity, Paillier
from protocols.errors import ConfigError
from protocols.glm.prepared import WeightsLessPad
from protocols.glm.training import Residual
from tests.harness import KNOWN, Recording, Sent

ROWS = 150


def tables() -> dict[str, Any]:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(ROWS, 4))
    z = x @ [1.0, -0.5, 0.8, 0.3]
    guest = pd.DataFrame({"id": range(ROWS), "age": x[:, 0], "limit": x[:, 1]})
    guest["default"] = (z + rng.logistic(size=ROWS) > 0).astype(int)
    guest["amount"], guest["claims"] = z + rng.normal(size=ROWS), rng.poisson(np.exp(0.3 * z))
    host = pd.DataFrame({"id": range(ROWS), "bill": x[:, 2], "late": x[:, 3]})
    return {"guest": guest, "hosts": {"telecom": host}, "on": "id"}


def fitted(label: str, estimator: Any, preparation: str | None, sent: list[Sent] | None = None, **more: Any) -> Any:
    given = tables()
    given["guest"] = given["guest"][["id", "age", "limit", label]]
    given |= {"reveal": KNOWN, "convergence": not isinstance(estimator, vfl.GridSearchCV)}
    fed = vfl.Federation.local(**given, label=label, cipher=Identity(), preparation=preparation)
    taps = {p: [Recording(p, sent)] for p in fed.roles.all} if sent is not None else None
    return fed.fit(estimator, taps=taps, **more)


CASES: dict[str, tuple[str, Any, dict[str, Any]]] = {
    "logistic": ("default", vfl.LogisticRegression(weight_bits=20), {}),
    "taylor, weighed": ("default", vfl.LogisticRegression(link="taylor", class_weight="balanced", weight_bits=20), {}),
    "linear": ("amount", vfl.LinearRegression(weight_bits=20), {}),
    "counts": ("claims", vfl.PoissonRegression(alpha=0.1, weight_bits=20), {}),
    "held out": ("default", vfl.LogisticRegression(max_iter=20, weight_bits=20), {"split": vfl.Split(test=0.3)}),
    "mini-batches": ("amount", vfl.LinearRegression(solver="sgd", batch_size=64, max_iter=100, weight_bits=20), {}),
}


@pytest.mark.parametrize("case", CASES)
def test_coefficients_are_those_of_the_direct_protocol(case: str) -> None:
    label, estimator, more = CASES[case]
    sent = {"none": list[Sent](), None: list[Sent]()}
    found = {way: fitted(label, estimator, way, told, **more) for way, told in sent.items()}
    kinds = {way: {s.kind for s in told} for way, told in sent.items()}
    assert WeightsLessPad in kinds[None] - kinds["none"]
    assert Residual in kinds["none"] - kinds[None]
    weights = [np.concatenate([np.ravel(v) for v in model.coef_.values()]) for model in found.values()]
    tolerance = 2e-2 if case == "mini-batches" else 2e-4  # orders of rows are random, and held for a chunk
    assert np.abs(weights[0] - weights[1]).max() <= tolerance * np.abs(weights[0]).max()
    if "split" in more:
        measured = [model.reports_["guest"].metrics for model in found.values()]
        assert np.abs(measured[0] - measured[1]).to_numpy(float).max() < 1e-2


def test_a_scorecard_and_a_search() -> None:
    points = [fitted("default", vfl.Scorecard(min_bin_rows=10, max_n_prebins=4), way) for way in ("none", None)]
    new = {"guest": tables()["guest"], "hosts": tables()["hosts"]}
    scores = [model.predict_score(new["guest"], new["hosts"]) for model in points]
    assert np.abs(np.asarray(scores[0], float) - np.asarray(scores[1], float)).max() <= 0.05
    grid = vfl.GridSearchCV(vfl.LogisticRegression(max_iter=10), {"C": [0.1, 1.0]}, cv=2)
    found = [fitted("default", grid, way) for way in ("none", None)]
    assert found[0].best_params_ == found[1].best_params_
    tests = [one.cv_results_["mean_test_score"] for one in found]
    assert np.abs(np.subtract(*tests)).max() < 1e-3


def test_trees_take_the_default_and_other_words_are_refused() -> None:
    assert fitted("default", vfl.BoostedTrees(n_estimators=1, max_depth=1, max_bin=4), None).intersection_ == ROWS
    with pytest.raises(ConfigError, match="no iterations that can be prepared"):
        fitted("default", vfl.BoostedTrees(n_estimators=1), "batched")
    with pytest.raises(ConfigError, match='preparation is "none"'):
        fitted("default", vfl.LogisticRegression(), "always")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_breast_cancer_to_a_ten_thousandth_of_the_largest_coefficient(data_folder: Path) -> None:
    """scikit-learn's own optimum of labels that are nearly separable, under a 2048-bit key."""
    guest, host = (pd.read_csv(f"{data_folder}/breast_hetero_{side}.csv") for side in ("guest", "host"))
    given = {"on": "id", "label": "y", "reveal": KNOWN, "convergence": False, "cipher": Paillier(2048)}
    model = vfl.Federation.local(guest, {"host": host}, **given).fit(
        vfl.LogisticRegression(max_iter=400, weight_bits=24)
    )
    table = guest.merge(host, on="id")
    x = table.drop(columns=["id", "y"]).to_numpy(float)
    best = SkLogisticRegression(tol=1e-10, max_iter=20_000).fit((x - x.mean(0)) / x.std(0), table["y"]).coef_[0]
    found = np.concatenate([np.ravel(part) for part in model.coef_.values()])
    assert np.abs(found - best).max() <= 1e-4 * np.abs(best).max()
