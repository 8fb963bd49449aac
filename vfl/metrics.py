"""What a joint model is worth: the numbers and curves a validator asks for, of 0/1 labels and predicted probabilities.

`binary_metrics` gives the numbers, `plot_series` every curve of the report in one dict.  Everything is plain Python
(JSON-ready) and no curve has more than 200 points.  Tied scores are one group, so nothing depends on the order of the
rows; where a cut falls inside a group its events are spread evenly over it.  What a part does not define (AUC with one
class only, lift without an event) is None.
numpy alone: an installation needs no scikit-learn, which is the tests' oracle.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from protocols.errors import DataError

Floats = NDArray[np.float64]
Metrics = dict[str, float | int | None]
POINTS = 200
RANKING = ("auc", "ks", "gini", "lift_5", "lift_10", "lift_20")
OTHERS = ("log_loss", "brier", "accuracy", "base_rate", "mean_predicted")


def binary_metrics(y: ArrayLike, p: ArrayLike) -> Metrics:
    """AUC, KS, Gini, log-loss, Brier, accuracy (cut at 1/2), lift in the riskiest 5, 10, 20 %, base rate, mean, n.

    y (n,) 0 or 1; p (n,) probability of 1.  Raises DataError for other lengths, labels or scores.
    """
    labels, scores = _checked(y, p)
    out: Metrics = dict.fromkeys((*RANKING, *OTHERS)) | {"n": len(labels)}
    if not len(labels):
        return out
    ranks = _rank(labels, scores)
    out |= {
        "accuracy": float(((scores > 0.5) == labels).mean()),
        "log_loss": _log_loss(labels, scores),
        "brier": float(((scores - labels) ** 2).mean()),
        "base_rate": float(labels.mean()),
        "mean_predicted": float(scores.mean()),
    }
    if ranks.both:
        auc = float(np.diff(ranks.fpr) @ (ranks.tpr[1:] + ranks.tpr[:-1]) / 2)
        out |= {"auc": auc, "gini": 2 * auc - 1, "ks": ranks.ks[1]}
    if ranks.events[-1] > 0:
        out |= {f"lift_{q}": ranks.gain(q / 100) / (q / 100) for q in (5, 10, 20)}
    return out


def _log_loss(labels: Floats, scores: Floats) -> float:
    """Probabilities of 0 and 1 are moved inwards by the machine's precision, as scikit-learn does."""
    tiny = np.finfo(np.float64).eps
    p = np.clip(scores, tiny, 1 - tiny)
    return float(-np.where(labels == 1, np.log(p), np.log1p(-p)).mean())


def plot_series(y: ArrayLike, p: ArrayLike) -> dict[str, Any]:
    """Every series that the report draws for one model on one part of the split, by name."""
    return {
        "roc": roc_curve_points(y, p),
        "ks": ks_curve_points(y, p),
        "gain": gain_points(y, p),
        "calibration": calibration_points(y, p),
        "histogram": score_histogram(y, p),
        "deciles": decile_table(y, p),
    }


def roc_curve_points(y: ArrayLike, p: ArrayLike) -> dict[str, list[float]] | None:
    """`fpr`, `tpr` from (0, 0) to (1, 1), thinned evenly along the curve; the KS point is kept."""
    ranks = _rank(*_checked(y, p))
    if not ranks.both:
        return None
    keep = ranks.thin(ranks.tpr + ranks.fpr)
    return {"fpr": _rounded(ranks.fpr[keep]), "tpr": _rounded(ranks.tpr[keep])}


def ks_curve_points(y: ArrayLike, p: ArrayLike) -> dict[str, Any] | None:
    """Share of all `events` and `non_events` in the riskiest `share` of rows; the greatest gap is `ks`, at `at`."""
    ranks = _rank(*_checked(y, p))
    if not ranks.both:
        return None
    keep = ranks.thin(ranks.share)
    at, ks = ranks.ks
    return {
        "share": _rounded(ranks.share[keep]),
        "events": _rounded(ranks.tpr[keep]),
        "non_events": _rounded(ranks.fpr[keep]),
        "at": round(at, 6),
        "ks": round(ks, 6),
    }


def gain_points(y: ArrayLike, p: ArrayLike) -> dict[str, list[float]] | None:
    """Share of all `events` found in the riskiest `share` of rows (cumulative gain)."""
    ranks = _rank(*_checked(y, p))
    if ranks.events[-1] == 0:
        return None
    keep = ranks.thin(ranks.share)
    return {"share": _rounded(ranks.share[keep]), "events": _rounded(ranks.tpr[keep])}


def calibration_points(y: ArrayLike, p: ArrayLike, bins: int = 10) -> dict[str, list[float]] | None:
    """Reliability in quantile bins (fewer where ties stay together): mean `predicted`, `observed` rate, `count`.

    `low`, `high`: the Wilson 95 % interval of the observed rate, which tells noise from a miscalibrated model.
    """
    labels, scores = _checked(y, p)
    if not len(labels):
        return None
    inner = np.unique(np.quantile(scores, np.linspace(0, 1, bins + 1)[1:-1], method="inverted_cdf"))
    bin_of = np.searchsorted(inner, scores, side="left")
    used, index = np.unique(bin_of, return_inverse=True)
    count = np.bincount(index, minlength=len(used)).astype(np.float64)
    observed = np.bincount(index, weights=labels) / count
    z = 1.959964
    centre = (observed + z * z / (2 * count)) / (1 + z * z / count)
    half = z * np.sqrt(observed * (1 - observed) / count + (z / (2 * count)) ** 2) / (1 + z * z / count)
    return {
        "predicted": _rounded(np.bincount(index, weights=scores) / count),
        "observed": _rounded(observed),
        "count": [int(c) for c in count],
        "low": _rounded(np.clip(centre - half, 0, observed)),
        "high": _rounded(np.clip(centre + half, observed, 1)),
    }


def score_histogram(y: ArrayLike, p: ArrayLike, bins: int = 25) -> dict[str, list[Any]]:
    """Counts of `events` and `non_events` in equal score bins of [0, 1]: the same `edges` for every model."""
    labels, scores = _checked(y, p)
    edges = np.linspace(0, 1, bins + 1)
    return {
        "edges": _rounded(edges),
        "events": [int(c) for c in np.histogram(scores[labels == 1], edges)[0]],
        "non_events": [int(c) for c in np.histogram(scores[labels == 0], edges)[0]],
    }


def decile_table(y: ArrayLike, p: ArrayLike) -> list[dict[str, float | int | None]]:
    """Ten equal groups, the riskiest first; `gain` and `lift` are cumulative, `events` a fraction if a tie is cut."""
    labels, scores = _checked(y, p)
    ranks, n = _rank(labels, scores), len(labels)
    ordered = np.sort(scores)[::-1]
    total = float(ranks.events[-1])
    table: list[dict[str, float | int | None]] = []
    for k in range(10):
        lo, hi = k * n // 10, (k + 1) * n // 10
        if hi == lo:
            continue
        found, before = (float(np.interp(cut, ranks.rows, ranks.events)) for cut in (hi, lo))
        table.append(
            {
                "decile": k + 1,
                "rows": hi - lo,
                "events": round(found - before, 6),
                "event_rate": round((found - before) / (hi - lo), 6),
                "mean_predicted": round(float(ordered[lo:hi].mean()), 6),
                "gain": round(found / total, 6) if total else None,
                "lift": round(found / total * n / hi, 6) if total else None,
            }
        )
    return table


def uplift(metrics: Mapping[str, Mapping[str, float | int | None]], name: str) -> float | None:
    """Joint minus guest alone of the metric `name`; None where either is undefined."""
    joint, alone = (metrics.get(model, {}).get(name) for model in ("joint", "guest_alone"))
    return None if joint is None or alone is None else joint - alone


@dataclass(frozen=True)
class _Ranks:
    """Cumulative `rows` and `events` down the distinct scores, the highest first; both start with 0."""

    rows: Floats
    events: Floats

    @property
    def both(self) -> bool:
        return bool(0 < self.events[-1] < self.rows[-1])

    @property
    def share(self) -> Floats:
        return _relative(self.rows)

    @property
    def tpr(self) -> Floats:
        return _relative(self.events)

    @property
    def fpr(self) -> Floats:
        return _relative(self.rows - self.events)

    @property
    def _gap(self) -> int:
        return int(np.argmax(np.abs(self.tpr - self.fpr)))

    @property
    def ks(self) -> tuple[float, float]:
        """(share of rows, greatest distance of the two curves there): the two-sample Kolmogorov-Smirnov statistic."""
        return float(self.share[self._gap]), float(abs(self.tpr - self.fpr)[self._gap])

    def gain(self, share: float) -> float:
        return float(np.interp(share * self.rows[-1], self.rows, self.tpr))

    def thin(self, along: Floats) -> NDArray[np.intp]:
        """At most POINTS indices, spread evenly over the rising `along`, with both ends and the KS point."""
        if len(along) <= POINTS:
            return np.arange(len(along))
        at = np.searchsorted(along, np.linspace(along[0], along[-1], POINTS - 1))
        return np.unique(np.append(at, self._gap))


def _rank(labels: Floats, scores: Floats) -> _Ranks:
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.diff(scores[order]) != 0, True)[: len(order)]  # the last row of each group of equal scores
    return _Ranks(np.concatenate([[0.0], np.flatnonzero(last) + 1.0]), np.concatenate([[0.0], np.cumsum(labels[order])[last]]))


def _relative(cumulative: Floats) -> Floats:
    return np.divide(cumulative, max(float(cumulative[-1]), 1.0))


def _checked(y: ArrayLike, p: ArrayLike) -> tuple[Floats, Floats]:
    labels, scores = np.asarray(y, dtype=np.float64), np.asarray(p, dtype=np.float64)
    if labels.ndim != 1 or labels.shape != scores.shape:
        raise DataError("labels and scores are not two lists of one length", expected=labels.shape, found=scores.shape)
    if not np.isin(labels, (0.0, 1.0)).all():
        raise DataError("a label is neither 0 nor 1", remedy="Encode the positive class as 1 and the other as 0")
    if not ((scores >= 0) & (scores <= 1)).all():
        raise DataError(
            f"{int((~((scores >= 0) & (scores <= 1))).sum())} of {len(scores)} scores are no probability",
            remedy="Leave out the rows that were not matched (their score is missing) before measuring",
        )
    return labels, scores


def _rounded(values: Floats) -> list[float]:
    return [round(float(v), 6) for v in values]
