"""What a result says of a search of two candidates on two folds."""

from typing import Any

SCORES = [[0.7, 0.8], [0.72, 0.81]]
SEARCH: dict[str, Any] = {
    "cv": 2,
    "scoring": "roc_auc",
    "candidates": [{"C": 0.1}, {"C": 1.0}],
    "trainings": 5,
    "models_told": 1,
    "best": 1,
    "fold_rows": [430, 470],
}
SCORED = SEARCH | {"scores": SCORES, "mean": [0.75, 0.765], "sd": [0.05, 0.045]}
