"""What report.json says of a prediction: the rows of this party's own table, and at the guest its scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vfl.models.new_rows import NewRows

QUANTILES = {"min": 0.0, "p5": 0.05, "p25": 0.25, "median": 0.5, "p75": 0.75, "p95": 0.95, "max": 1.0}
BINS = 20


def prediction_result(
    new: NewRows, classes: Sequence[Any] | None, predicted: NDArray[np.float64] | None
) -> dict[str, Any]:
    """classes: of the label, where it has any; predicted: at the guest, of the rows that all parties can score, (n,) or
    (n, classes)."""
    told: dict[str, Any] = {
        "rows": len(new.index),
        "left_out": new.left_out,
        "missing": dict(new.missing),
        "unseen": dict(new.unseen),
    }
    if predicted is None:
        return told
    told |= {"scored": len(predicted), "unknown": len(new.rows) - len(predicted)}
    if len(predicted) and predicted.ndim == 1:
        told["scores"] = distribution(predicted)
    elif len(predicted):
        best = np.bincount(predicted.argmax(axis=1), minlength=predicted.shape[1])
        told["classes"] = [
            {"class": str(name), "mean": float(mean), "rows": int(rows)}
            for name, mean, rows in zip(classes or (), predicted.mean(axis=0), best, strict=True)
        ]
    return told


def distribution(scores: NDArray[np.float64]) -> dict[str, Any]:
    """Mean, standard deviation and quantiles of the scores (n,), and their numbers in equal bins from the least to the
    largest."""
    found = {
        name: float(value) for name, value in zip(QUANTILES, np.quantile(scores, [*QUANTILES.values()]), strict=True)
    }
    low, high = found["min"], found["max"]
    counts = np.histogram(scores, BINS, (low, high))[0] if high > low else np.array([len(scores)])
    return {"mean": float(scores.mean()), "sd": float(scores.std()), **found, "histogram": counts.tolist()}
