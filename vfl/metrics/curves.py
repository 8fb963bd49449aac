"""The curves of a 0/1 outcome, ready for JSON: every series that the report draws."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from vfl.metrics.ranks import POINTS, Floats, Ranks, checked, rank, rounded, weights_of


def plot_series(y: ArrayLike, p: ArrayLike, weight: ArrayLike | None = None) -> dict[str, Any]:
    """Every series that the report draws for one model on one part of the split, by name.

    weight (n,): of the rows, which count by it everywhere but in the "count" of a calibration's groups; "weighted" says
    so."""
    told: dict[str, Any] = {} if weight is None else {"weighted": True}
    return told | {
        "roc": roc_curve_points(y, p, weight),
        "ks": ks_curve_points(y, p, weight),
        "gain": gain_points(y, p, weight),
        "precision_recall": precision_recall_points(y, p, weight),
        "cutoffs": cutoff_counts(y, p, weight),
        "calibration": calibration_points(y, p, weight=weight),
        "histogram": score_histogram(y, p, weight=weight),
        "deciles": decile_table(y, p, weight),
    }


def _ranks(y: ArrayLike, p: ArrayLike, weight: ArrayLike | None) -> Ranks:
    labels, scores = checked(y, p)
    return rank(labels, scores, None if weight is None else weights_of(weight, len(labels)))


def roc_curve_points(y: ArrayLike, p: ArrayLike, weight: ArrayLike | None = None) -> dict[str, list[float]] | None:
    """`fpr`, `tpr` from (0, 0) to (1, 1), thinned evenly along the curve; the KS point is kept."""
    ranks = _ranks(y, p, weight)
    if not ranks.both:
        return None
    keep = ranks.thin(ranks.tpr + ranks.fpr)
    return {"fpr": rounded(ranks.fpr[keep]), "tpr": rounded(ranks.tpr[keep])}


def ks_curve_points(y: ArrayLike, p: ArrayLike, weight: ArrayLike | None = None) -> dict[str, Any] | None:
    """Share of all `events` and `non_events` in the riskiest `share` of rows; the greatest gap is `ks`, at `at`."""
    ranks = _ranks(y, p, weight)
    if not ranks.both:
        return None
    keep = ranks.thin(ranks.share)
    at, ks = ranks.ks
    return {
        "share": rounded(ranks.share[keep]),
        "events": rounded(ranks.tpr[keep]),
        "non_events": rounded(ranks.fpr[keep]),
        "at": round(at, 6),
        "ks": round(ks, 6),
    }


def gain_points(y: ArrayLike, p: ArrayLike, weight: ArrayLike | None = None) -> dict[str, list[float]] | None:
    """Share of all `events` found in the riskiest `share` of rows (cumulative gain)."""
    ranks = _ranks(y, p, weight)
    if ranks.events[-1] == 0:
        return None
    keep = ranks.thin(ranks.share)
    return {"share": rounded(ranks.share[keep]), "events": rounded(ranks.tpr[keep])}


def precision_recall_points(
    y: ArrayLike, p: ArrayLike, weight: ArrayLike | None = None
) -> dict[str, list[float]] | None:
    """`precision` of the flagged rows as the share of events found, `recall`, rises; ends with every row flagged."""
    ranks = _ranks(y, p, weight)
    if ranks.events[-1] == 0:
        return None
    keep = ranks.thin(ranks.tpr + ranks.share)[1:]  # no row, no precision
    return {"recall": rounded(ranks.tpr[keep]), "precision": rounded(ranks.events[keep] / ranks.rows[keep])}


def cutoff_counts(y: ArrayLike, p: ArrayLike, weight: ArrayLike | None = None) -> dict[str, list[Any]]:
    """How many `events` and `non_events` score each `cutoff` or more, for 0, 0.005, ... 0.995: every confusion matrix
    in one table.  With weights (n,) they are sums of weights."""
    cutoffs = np.arange(POINTS) / POINTS
    table: dict[str, list[Any]] = {"cutoff": rounded(cutoffs)}
    for name, scores, weights in _classes(y, p, weight):
        order = np.argsort(scores, kind="stable")
        below = np.append(0.0, np.cumsum(weights[order]))
        table[name] = _counts(below[-1] - below[np.searchsorted(scores[order], cutoffs)], weight)
    return table


def _classes(y: ArrayLike, p: ArrayLike, weight: ArrayLike | None) -> list[tuple[str, Floats, Floats]]:
    """Name, scores and weights of both classes."""
    labels, scores = checked(y, p)
    weights = weights_of(weight, len(labels))
    return [(name, scores[labels == k], weights[labels == k]) for name, k in (("events", 1), ("non_events", 0))]


def _counts(sums: Floats, weight: ArrayLike | None) -> list[Any]:
    """Numbers of rows, or sums of their weights, where they have any."""
    return [int(s) for s in sums] if weight is None else rounded(np.maximum(sums, 0.0))


def calibration_points(
    y: ArrayLike, p: ArrayLike, bins: int = 10, weight: ArrayLike | None = None
) -> dict[str, list[float]] | None:
    """Reliability in quantile bins (fewer where ties stay together): mean `predicted`, `observed` rate, `count`.

    `low`, `high`: the Wilson 95 % interval of the observed rate, which tells noise from a miscalibrated model; of
    weighted rows by as many as are worth them, (sum of w)^2 / sum of w^2.
    """
    labels, scores = checked(y, p)
    if not len(labels):
        return None
    inner = np.unique(np.quantile(scores, np.linspace(0, 1, bins + 1)[1:-1], method="inverted_cdf"))
    bin_of = np.searchsorted(inner, scores, side="left")
    used, index = np.unique(bin_of, return_inverse=True)
    weights = weights_of(weight, len(labels))
    total = np.bincount(index, weights=weights)
    observed = np.bincount(index, weights=labels * weights) / total
    count = total**2 / np.bincount(index, weights=weights**2)
    z = 1.959964
    centre = (observed + z * z / (2 * count)) / (1 + z * z / count)
    half = z * np.sqrt(observed * (1 - observed) / count + (z / (2 * count)) ** 2) / (1 + z * z / count)
    return {
        "predicted": rounded(np.bincount(index, weights=scores * weights) / total),
        "observed": rounded(observed),
        "count": np.bincount(index, minlength=len(used)).tolist(),
        "low": rounded(np.clip(centre - half, 0, observed)),
        "high": rounded(np.clip(centre + half, observed, 1)),
    }


def score_histogram(
    y: ArrayLike, p: ArrayLike, bins: int = 25, weight: ArrayLike | None = None
) -> dict[str, list[Any]]:
    """Counts of `events` and `non_events` in equal score bins of [0, 1]: the same `edges` for every model.
    With weights (n,) they are sums of weights."""
    edges = np.linspace(0, 1, bins + 1)
    return {"edges": rounded(edges)} | {
        name: _counts(np.histogram(scores, edges, weights=weights)[0], weight)
        for name, scores, weights in _classes(y, p, weight)
    }


def decile_table(y: ArrayLike, p: ArrayLike, weight: ArrayLike | None = None) -> list[dict[str, float | int | None]]:
    """Ten equal groups, the riskiest first; `gain` and `lift` are cumulative, `events` a fraction if a tie is cut.

    With weights (n,) the groups are of equal weight, and `rows` and `events` are sums of weights.
    """
    labels, scores = checked(y, p)
    n, whole = len(labels), weight is None
    weights = weights_of(weight, n)
    ranks, order = rank(labels, scores, None if whole else weights), np.argsort(-scores, kind="stable")
    reached = np.append(0.0, np.cumsum(weights[order]))
    sums = np.append(0.0, np.cumsum((weights * scores)[order]))
    total, every = float(ranks.events[-1]), float(reached[-1])
    table: list[dict[str, float | int | None]] = []
    for k in range(10):
        lo, hi = (step * n // 10 if whole else step * every / 10 for step in (k, k + 1))
        if hi == lo:
            continue
        found, before = (float(np.interp(cut, ranks.rows, ranks.events)) for cut in (hi, lo))
        predicted = float(np.interp(hi, reached, sums) - np.interp(lo, reached, sums))
        table.append(
            {
                "decile": k + 1,
                "rows": hi - lo if whole else round(hi - lo, 6),
                "events": round(found - before, 6),
                "event_rate": round((found - before) / (hi - lo), 6),
                "mean_predicted": round(predicted / (hi - lo), 6),
                "gain": round(found / total, 6) if total else None,
                "lift": round(found / total * every / hi, 6) if total else None,
            }
        )
    return table
