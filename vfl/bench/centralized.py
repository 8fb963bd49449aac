"""The same job without any protection: ids merged by pandas; scikit-learn and xgboost on the joined table, where they
are installed."""

from __future__ import annotations

import importlib.util
import time
from typing import Any

import numpy as np
import pandas as pd

from vfl.cost.jobs import Tables
from vfl.metrics import binary_metrics
from vfl.models.workload import Workload

LIBRARIES = {"alignment": "pandas", "logistic": "sklearn.linear_model", "trees": "xgboost"}


def missing(work: Workload) -> str:
    """Why the job cannot run here; empty if it can."""
    module = LIBRARIES[work.kind]
    name = module.partition(".")[0]
    return "" if importlib.util.find_spec(name) else f"{name} is not installed"


def fit(work: Workload, data: Tables, new: Tables | None) -> dict[str, Any]:
    """Joins the tables, which is all of an alignment, and fits the joined one; the AUC is that of `new`."""
    importlib.import_module(LIBRARIES[work.kind])  # before the clock starts
    learn = {"alignment": nothing, "logistic": logistic, "trees": trees}[work.kind]
    wall, cpu = time.perf_counter(), time.process_time()
    score = learn(work, *split(data.joined()))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    found: dict[str, Any] = {"wall_s": wall, "cpu_s": cpu, "products": 0, "bytes": 0, "auc": None}
    if new is not None and score is not None:
        x, y = split(new.joined())
        found["auc"] = binary_metrics(y, 1 / (1 + np.exp(-score(x))))["auc"]
    return found


def split(table: pd.DataFrame) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    return table.drop(columns=["id", "label"]).to_numpy(), table["label"].to_numpy()


def nothing(work: Workload, x: np.ndarray[Any, Any], y: np.ndarray[Any, Any]) -> None:
    """An alignment fits no model."""


def logistic(work: Workload, x: np.ndarray[Any, Any], y: np.ndarray[Any, Any]) -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(x, y).decision_function


def trees(work: Workload, x: np.ndarray[Any, Any], y: np.ndarray[Any, Any]) -> Any:
    import xgboost

    options = {"max_depth": work.depth, "max_bin": work.bins, "tree_method": "hist", "objective": "binary:logistic"}
    model = xgboost.train(options, xgboost.DMatrix(x, y), work.trees)
    return lambda new: model.predict(xgboost.DMatrix(new), output_margin=True)
