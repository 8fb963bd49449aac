"""The numbers of a 0/1 outcome and predicted probabilities: ranking, calibration, and what a cut-off does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from vfl.metrics.ranks import Floats, checked, rank, weights_of

Metrics = dict[str, float | int | None]
RANKING = ("auc", "ks", "gini", "average_precision", "lift_5", "lift_10", "lift_20")
OTHERS = ("log_loss", "brier", "accuracy", "base_rate", "mean_predicted")


def binary_metrics(y: ArrayLike, p: ArrayLike, weight: ArrayLike | None = None) -> Metrics:
    """AUC, KS, Gini, average precision, log-loss, Brier, accuracy (cut at 1/2), lift in the riskiest 5, 10, 20 %, base
    rate, mean, n.

    y (n,) 0 or 1; p (n,) probability of 1; weight (n,): of the rows, which count by it everywhere but in n.  Raises
    DataError for other lengths, labels, scores or weights.
    """
    labels, scores = checked(y, p)
    out: Metrics = dict.fromkeys((*RANKING, *OTHERS)) | {"n": len(labels)}
    if not len(labels):
        return out
    from sklearn import metrics as reference

    weights = None if weight is None else weights_of(weight, len(labels))
    by: dict[str, Any] = {"sample_weight": weights}
    ranks = rank(labels, scores, weights)
    out |= {
        "accuracy": float(reference.accuracy_score(labels, (scores > 0.5).astype(np.float64), **by)),
        "log_loss": float(reference.log_loss(labels, scores, labels=[0, 1], **by)),
        "brier": float(reference.brier_score_loss(labels, scores, pos_label=1, **by)),
        "base_rate": float(np.average(labels, weights=weights)),
        "mean_predicted": float(np.average(scores, weights=weights)),
    }
    if ranks.both:
        auc = float(reference.roc_auc_score(labels, scores, **by))
        out |= {"auc": auc, "gini": 2 * auc - 1, "ks": ranks.ks[1]}
    if ranks.events[-1] > 0:
        out["average_precision"] = float(reference.average_precision_score(labels, scores, **by))
        out |= {f"lift_{q}": ranks.gain(q / 100) / (q / 100) for q in (5, 10, 20)}
    return out


def log_losses(labels: Floats, scores: Floats) -> Floats:
    """The loss (n,) of each row, which a bootstrap weights; scikit-learn has the mean.  Probabilities of 0 and 1 are
    moved inwards by the machine's precision, as scikit-learn does."""
    tiny = np.finfo(np.float64).eps
    p = np.clip(scores, tiny, 1 - tiny)
    return -np.where(labels == 1, np.log(p), np.log1p(-p))


def at_cutoff(cutoffs: Mapping[str, Sequence[float]], cutoff: float) -> dict[str, Any]:
    """The confusion matrix where every row that scores `cutoff` or more is flagged, from the series "cutoffs" of
    `plot_series`.

    `cutoff` is moved to the nearest one of the series (steps of 0.005).  Rates without a row are None.  Of
    weighted rows the counts are sums of weights.
    """
    i = int(np.argmin(np.abs(np.asarray(cutoffs["cutoff"]) - cutoff)))
    caught, alarms = cutoffs["events"][i], cutoffs["non_events"][i]
    missed, passed = cutoffs["events"][0] - caught, cutoffs["non_events"][0] - alarms

    def share(part: float, rest: float) -> float | None:
        return part / (part + rest) if part + rest else None

    return {
        "cutoff": float(cutoffs["cutoff"][i]),
        "true_positives": caught,
        "false_positives": alarms,
        "false_negatives": missed,
        "true_negatives": passed,
        "precision": share(caught, alarms),
        "recall": share(caught, missed),
        "specificity": share(passed, alarms),
        "accuracy": share(caught + passed, alarms + missed),
        "f1": share(2 * caught, alarms + missed),
    }


def widest(cutoffs: Mapping[str, Sequence[float]]) -> float:
    """The cut-off that separates events and non-events best (the first of several; 1/2 where one class is missing)."""
    events, others = (np.asarray(cutoffs[name], np.float64) for name in ("events", "non_events"))
    if not events[0] or not others[0]:
        return 0.5
    return float(cutoffs["cutoff"][int(np.argmax(events / events[0] - others / others[0]))])


def uplift(metrics: Mapping[str, Mapping[str, float | int | None]], name: str) -> float | None:
    """Joint minus guest alone of the metric `name`; None where either is undefined."""
    joint, alone = (metrics.get(model, {}).get(name) for model in ("joint", "guest_alone"))
    return None if joint is None or alone is None else joint - alone
