"""New rows in another unit, and truth values where numbers were learnt, are told to the party whose column it is, in
Python, in its report and by its command."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import vfl
from protocols.cipher import Identity
from protocols.errors import DataError

N = 200
RNG = np.random.default_rng(6)
X = RNG.normal(size=(N, 3))
GUEST = pd.DataFrame(
    {
        "id": range(N),
        "y": (X.sum(axis=1) + RNG.logistic(size=N) > 0).astype(int),
        "income": np.exp(8 + X[:, 0]),
        "owner": RNG.random(N) < 0.4,
    }
)
HOST = pd.DataFrame({"id": range(N), "share": 1 / (1 + np.exp(-X[:, 1])), "calls": RNG.poisson(3, N), "c": X[:, 2]})
KINDS = {
    "regression": vfl.LogisticRegression(max_iter=20),
    "trees": vfl.BoostedTrees(n_estimators=2, max_depth=2, max_bin=8),
    "scorecard": vfl.Scorecard(max_iter=20, min_bin_rows=20),
}


@pytest.fixture(scope="module", params=KINDS)
def model(request: pytest.FixtureRequest) -> Any:
    fed = vfl.Federation.local(GUEST, {"shop": HOST}, on="id", label="y", cipher=Identity(), convergence=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return fed.fit(KINDS[request.param])


def told(model: Any, guest: pd.DataFrame = GUEST, host: pd.DataFrame = HOST) -> list[str]:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        model.predict_score(guest.drop(columns="y"), {"shop": host})
    return [str(one.message) for one in seen]


def test_the_rows_of_the_training_and_small_batches_are_not_told(model: Any) -> None:
    assert told(model) == []
    for rows in (1, 3, 15):
        assert told(model, GUEST.head(rows)) == []


def test_another_unit_is_told_to_its_owner(model: Any, tmp_path: Path) -> None:
    for one in (model, vfl.load_model(model.save(tmp_path / "m"), cipher=Identity())):
        said, *limited = told(one, GUEST.assign(income=GUEST["income"] * 100))
        assert all("limited to 128" in one for one in limited)
        assert said.startswith("guest: column 'income': its values spread about 1e+02 times as far")
        said, *limited = told(one, host=HOST.assign(share=HOST["share"] * 100))
        assert all("limited to 128" in one for one in limited)
        assert said.startswith("shop: column 'share': its values spread")


def test_truth_values_where_numbers_were_learnt(model: Any) -> None:
    for column in (HOST["calls"] > 3, (HOST["calls"] > 3).astype(object)):
        with pytest.raises(
            DataError, match="shop: feature column 'calls' holds truth values in rows 1, 2, 3, 4, 5 and"
        ):
            told(model, host=HOST.assign(calls=column))
    assert told(model, GUEST.assign(owner=GUEST["owner"].astype(int))) == []  # the same, as another file has it
    (said,) = told(model, GUEST.assign(owner=GUEST["owner"] + 1))
    assert said.startswith("guest: column 'owner' holds other numbers than 0 and 1")
