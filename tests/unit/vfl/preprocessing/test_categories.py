"""Numbers that are codes, declared to be categories: as if they were texts, in every model that takes texts, and at
prediction."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import vfl
from protocols.cipher import Identity
from protocols.errors import DataError
from tests.harness import ContextFree
from vfl.data import Settings, table_from_frame

ESTIMATORS: dict[str, tuple[Any, dict[str, Any]]] = {
    "scorecard": (vfl.Scorecard(max_iter=5, link="taylor", min_bin_rows=20), {}),
    "trees": (vfl.BoostedTrees(n_estimators=2, max_depth=2, max_bin=16), {}),
    "one-hot": (
        vfl.LogisticRegression(max_iter=8, link="taylor"),
        {"preprocess": vfl.Preprocessing(encode="onehot", impute="median")},
    ),
}


def frames(n: int = 400) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The host's `branch` is a code from 1 to 6 whose effect follows no order."""
    rng = np.random.default_rng(3)
    branch, x = rng.integers(1, 7, n), rng.normal(size=n)
    y = (np.array([0, 2.0, -2.0, 1.5, -1.5, 2.0, -2.0])[branch] + x + rng.logistic(size=n) > 0).astype(int)
    ids = [f"c{k}" for k in range(n)]
    return pd.DataFrame({"id": ids, "bad": y, "x": x}), pd.DataFrame(
        {"id": ids, "branch": branch, "z": rng.normal(size=n)}
    )


def fitted(kind: str, branch: Any) -> Any:
    guest, host = frames()
    fed = vfl.Federation.local(
        guest,
        {"shop": host.assign(branch=branch(host["branch"]))},
        on="id",
        label="bad",
        cipher=Identity(),
        convergence=False,
    )
    estimator, more = ESTIMATORS[kind]
    same: Any = {p: ContextFree(p) for p in ("guest", "shop", "arbiter")}
    model = fed.fit(estimator, randomness=same, **more)
    return model, model.predict_score(guest.drop(columns="bad"), {"shop": host}).to_numpy()


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_the_category_type_is_as_texts_and_not_as_numbers(kind: str) -> None:
    model, score = fitted(kind, lambda codes: codes.astype("category"))
    _, as_text = fitted(kind, lambda codes: codes.astype(str))
    _, as_number = fitted(kind, lambda codes: codes)
    assert score == pytest.approx(as_text, abs=1e-12)
    assert np.abs(score - as_number).max() > 0.05
    assert list(model.parts["shop"].categories) == ["branch"]


def test_a_model_of_numbers_refuses_categories() -> None:
    guest, host = frames()
    fed = vfl.Federation.local(
        guest, {"shop": host.astype({"branch": "category"})}, on="id", label="bad", cipher=Identity(), convergence=False
    )
    with pytest.raises(DataError, match="'branch' holds numbers as text"):
        fed.fit(vfl.LogisticRegression(max_iter=5))


def test_codes_with_gaps_are_the_same_categories() -> None:
    frame = pd.DataFrame({"id": ["a", "b", "c"], "branch": [1.0, np.nan, 12.0]})
    given: dict[str, Any] = {
        "party": "shop",
        "keys": ["id"],
        "normalise": {},
        "duplicates": "error",
        "label": None,
        "columns": None,
    }
    table = table_from_frame(frame, settings=Settings({"branch": "category"}), texts=True, missing=True, **given)
    assert table.features["branch"].tolist() == ["1", None, "12"]
    with pytest.raises(DataError, match="declared column 'town' is not in the table"):
        table_from_frame(frame, settings=Settings({"town": "category"}), texts=True, **given)
