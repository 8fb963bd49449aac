"""Searches on real tables, at their size or on a part of their rows: scikit-learn's scores on the same folds, and its
choice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, PredefinedSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import vfl
from protocols.cipher import Identity
from tests.unit.vfl.steps.world import federation
from vfl.data import split_folds

# table and measure: passes, and how far a fold's score may be from scikit-learn's
# Iterations, and how far a score may be off; of breast one pair of a fold's rows in the other order is 1.07e-4.
CASES = {("breast", "roc_auc"): (250, 1.2e-4), ("breast", "neg_log_loss"): (250, 5e-5), ("uci", "roc_auc"): (50, 2e-4)}


def table(folder: Path, name: str) -> tuple[pd.DataFrame, list[str], list[str]]:
    """Everything joined, and whose columns are whose."""
    if name == "uci":
        found = (
            pd.read_csv(folder / "uci_credit_card.csv")
            .rename(columns={"ID": "id", "default.payment.next.month": "y"})
            .head(3000)
        )
        own = ["LIMIT_BAL", "SEX", "EDUCATION", "MARRIAGE", "AGE"]
    else:
        guest, host = (pd.read_csv(folder / f"breast_hetero_{side}.csv") for side in ("guest", "host"))
        found = guest.merge(host, on="id", suffixes=("_guest", "_host"))
        own = [c for c in found if c.endswith("_guest")]
    return found, own, [c for c in found if c not in ("id", "y", *own)]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("name", "scoring"), CASES)
def test_scores_and_choice_are_scikit_learns(data_folder: Path, name: str, scoring: str) -> None:
    joined, own, theirs = table(data_folder, name)
    passes, far = CASES[name, scoring]
    values, cv = [0.003, 0.3], 3
    parties = federation((joined[["id", "y", *own]], {"host": joined[["id", *theirs]]}), cipher=Identity())
    folds = split_folds(parties._tables["guest"].ids, cv, 0)
    model = make_pipeline(StandardScaler(), LogisticRegression(tol=1e-9, max_iter=20_000))
    grid = {"logisticregression__C": values}
    best = GridSearchCV(model, grid, cv=PredefinedSplit(folds), scoring=scoring).fit(
        joined[[*own, *theirs]].to_numpy(), joined["y"]
    )
    found = parties.fit(
        vfl.GridSearchCV(vfl.LogisticRegression(max_iter=passes), {"C": values}, cv=cv, scoring=scoring)
    )
    assert np.abs(splits(found.cv_results_, cv) - splits(best.cv_results_, cv)).max() < far
    assert found.best_index_ == best.best_index_
    assert found.best_score_ == pytest.approx(best.best_score_, abs=far)


def splits(results: Any, cv: int) -> Any:
    return np.array([results[f"split{k}_test_score"] for k in range(cv)])
