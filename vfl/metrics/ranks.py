"""Rows of a 0/1 outcome in order of their score: what the numbers and the curves of `vfl.metrics` are made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from protocols.errors import DataError
from vfl.data.texts import say_shape

Floats = NDArray[np.float64]
POINTS = 200


@dataclass(frozen=True)
class Ranks:
    """Cumulative `rows` and `events` down the distinct scores, the highest first; both start with 0."""

    rows: Floats
    events: Floats

    @property
    def both(self) -> bool:
        return bool(0 < self.events[-1] < self.rows[-1])

    @property
    def share(self) -> Floats:
        return relative(self.rows)

    @property
    def tpr(self) -> Floats:
        return relative(self.events)

    @property
    def fpr(self) -> Floats:
        return relative(self.rows - self.events)

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


def rank(labels: Floats, scores: Floats, weights: Floats | None = None) -> Ranks:
    """Both lists are `checked`; weights (n,): of the rows, which then count by them."""
    if not len(labels):
        return Ranks(np.zeros(1), np.zeros(1))
    from sklearn.metrics import confusion_matrix_at_thresholds

    _, alarms, _, caught, _ = confusion_matrix_at_thresholds(labels, scores, pos_label=1, sample_weight=weights)
    return Ranks(np.append(0.0, alarms + caught), np.append(0.0, caught))


def relative(cumulative: Floats) -> Floats:
    return np.divide(cumulative, float(cumulative[-1]) or 1.0)


def lorenz(scores: Floats, weights: Floats, amounts: Floats) -> tuple[Floats, Floats]:
    """Down the distinct scores, the highest first: the share of the weights, and of the amounts, from 0 to 1."""
    order = np.argsort(-scores, kind="stable")
    last = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))  # of each group of equal scores
    rows, events = (np.append(0.0, np.cumsum(values[order])[last]) for values in (weights, amounts))
    return relative(rows), relative(events)


def weights_of(weight: ArrayLike | None, n: int) -> Floats:
    """(n,) of the rows, 1 where none are given.  Raises DataError unless all are above 0."""
    if weight is None:
        return np.ones(n)
    found = np.asarray(weight, np.float64)
    if found.shape != (n,) or not (np.isfinite(found).all() and (found > 0).all()):
        raise DataError(
            "weights are not one number above 0 per row", expected=say_shape((n,)), found=say_shape(found.shape)
        )
    return found


def checked(y: ArrayLike, p: ArrayLike) -> tuple[Floats, Floats]:
    labels, scores = np.asarray(y, dtype=np.float64), np.asarray(p, dtype=np.float64)
    if labels.ndim != 1 or labels.shape != scores.shape:
        raise DataError(
            "labels and scores are not two lists of one length",
            expected=say_shape(labels.shape),
            found=say_shape(scores.shape),
            remedy="Pass one label and one score per row",
        )
    if not np.isin(labels, (0.0, 1.0)).all():
        raise DataError("a label is neither 0 nor 1", remedy="Encode the positive class as 1 and the other as 0")
    if missing := int(np.isnan(scores).sum()):
        raise DataError(
            f"{missing} of {len(scores)} scores are missing",
            remedy="Leave out the rows that were not matched before measuring",
        )
    if outside := int(((scores < 0) | (scores > 1)).sum()):
        raise DataError(
            f"{outside} of {len(scores)} scores are not probabilities, which are between 0 and 1",
            remedy="Pass the probability of the event, as predict_score gives it, in place of points or log-odds",
        )
    return labels, scores


def rounded(values: Floats) -> list[float]:
    return [round(float(v), 6) for v in values]
