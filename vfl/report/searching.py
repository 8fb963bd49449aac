"""What a search found, as the page and the terminal show it; and what it disclosed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vfl.report import words

SCORES = {
    "roc_auc": "AUC",
    "neg_log_loss": "log-loss, with its sign changed",
    "neg_brier_score": "Brier score, with its sign changed",
    "average_precision": "average precision",
    "accuracy": "accuracy",
    "roc_auc_ovr": "AUC, class by class",
    "f1_macro": "F1, class by class",
    "r2": "R2",
    "d2": "D2",
    "neg_root_mean_squared_error": "RMSE, with its sign changed",
    "neg_mean_absolute_error": "MAE, with its sign changed",
    "neg_mean_poisson_deviance": "Poisson deviance, with its sign changed",
}


def searching(result: Mapping[str, Any]) -> dict[str, Any]:
    """One line per candidate; empty where nothing was searched."""
    found = result.get("search") or {}
    if not found:
        return {}
    scores = found.get("scores")
    lines = [
        {
            "name": ", ".join(f"{name} {value}" for name, value in params.items()) or "as in [model]",
            "best": k == found.get("best"),
            "folds": scores[k] if scores else [],
            "mean": found["mean"][k] if scores else None,
            "sd": found["sd"][k] if scores else None,
        }
        for k, params in enumerate(found["candidates"])
    ]
    return {
        "measure": SCORES.get(found["scoring"], found["scoring"]),
        "cv": found["cv"],
        "rows": found.get("fold_rows") or [],
        "lines": lines,
        "scored": bool(scores),
        "trainings": found["trainings"],
        "disclosed": disclosed(found),
    }


def disclosed(found: Mapping[str, Any]) -> str:
    """Who learnt what from the search, in one sentence."""
    n, folds = len(found["candidates"]), found["trainings"] - 1
    if found["models_told"] > 1:
        return (
            f"From each of the {folds} models of the folds, hosts and guest learnt what they learn from a model; "
            f"with the last one, {found['models_told']} count against the guest’s models_per_label."
        )
    rows = sum(found.get("fold_rows") or [])
    every = (
        f"{words.number(rows * n)} rounded scores"
        if rows
        else "a rounded score of each training row for every candidate,"
    )
    best = " All parties learnt which candidate was best." if n > 1 else ""
    return f"In {folds} openings the guest learnt {every}; nobody learnt a weight of these {folds} models.{best}"
