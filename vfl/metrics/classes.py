"""The numbers of an outcome that is one of several classes, and of the predicted probability of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from protocols.errors import DataError
from vfl.data.texts import say_shape
from vfl.metrics.binary import Metrics
from vfl.metrics.ranks import Floats, weights_of

CLASSES = ("accuracy", "log_loss", "macro_auc", "macro_f1")
Codes = NDArray[np.int64]


def class_metrics(y: ArrayLike, p: ArrayLike, weight: ArrayLike | None = None) -> Metrics:
    """Accuracy, log-loss, AUC of each class against the rest and F1, both averaged over the classes (macro), n.

    y (n,) codes 0 to K - 1; p (n, K), each row a distribution; weight (n,): of the rows, everywhere but in n.  Raises
    DataError for anything else.  The macro AUC is None unless every class occurs; a class that nobody has and nobody is
    given counts with F1 = 0.
    """
    codes, shares = _checked(y, p)
    out: Metrics = dict.fromkeys(CLASSES) | {"n": len(codes)}
    if not len(codes):
        return out
    from sklearn.metrics import accuracy_score

    weights = None if weight is None else weights_of(weight, len(codes))
    cells = _cells(codes, shares, weights)
    aucs = [c["auc"] for c in cells]
    return out | {
        "accuracy": float(accuracy_score(codes, shares.argmax(axis=1), sample_weight=weights)),
        "log_loss": float(np.average(log_losses(codes, shares), weights=weights)),
        "macro_auc": None if None in aucs else float(np.mean(aucs)),
        "macro_f1": float(np.mean([c["f1"] or 0.0 for c in cells])),
    }


def log_losses(codes: Codes, shares: Floats) -> Floats:
    """The loss (n,) of each row.  scikit-learn has the mean, and warns of shares that were rounded to six places."""
    return -np.log(np.clip(shares[np.arange(len(codes)), codes], np.finfo(np.float64).eps, 1.0))


def class_series(
    y: ArrayLike, p: ArrayLike, classes: Sequence[object], weight: ArrayLike | None = None
) -> dict[str, Any]:
    """`classes`: a line for each (`class`, `rows`, `precision`, `recall`, `f1`, `auc`), and the `confusion` matrix:
    rows observed, columns predicted.  weight (n,): of the rows; the matrix then holds sums of weights, `rows` counts
    rows, and "weighted" says so."""
    codes, shares = _checked(y, p)
    weights = None if weight is None else weights_of(weight, len(codes))
    cells, matrix = _cells(codes, shares, weights), None
    if len(codes):
        from sklearn.metrics import confusion_matrix

        every: dict[str, Any] = {"labels": np.arange(shares.shape[1]), "sample_weight": weights}
        found = confusion_matrix(codes, shares.argmax(axis=1), **every)
        matrix = (found if weights is None else found.astype(np.float64).round(6)).tolist()
    told: dict[str, Any] = {} if weight is None else {"weighted": True}
    return told | {
        "classes": [{"class": str(name)} | cell for name, cell in zip(classes, cells, strict=True)],
        "confusion": matrix,
    }


def _cells(codes: Codes, shares: Floats, weights: Floats | None) -> list[dict[str, Any]]:
    """Each class against the rest; None for what its rows do not define."""
    width = shares.shape[1]
    if not len(codes):
        return [{"rows": 0, "precision": None, "recall": None, "f1": None, "auc": None} for _ in range(width)]
    from sklearn.metrics import precision_recall_fscore_support, roc_auc_score

    given, every = shares.argmax(axis=1), np.arange(width)
    by: dict[str, Any] = {"sample_weight": weights}
    numbers = precision_recall_fscore_support(codes, given, labels=every, zero_division=np.nan, **by)[:3]
    cells, counts = [], np.bincount(codes, minlength=width)
    for k, precision, recall, f1, rows in zip(every, *numbers, counts, strict=True):
        both = 0 < rows < len(codes)
        cell = {
            "precision": precision,
            "recall": recall,
            "f1": f1,
            "auc": roc_auc_score(codes == k, shares[:, k], **by) if both else np.nan,
        }
        cells.append(
            {"rows": int(rows)} | {name: None if np.isnan(value) else float(value) for name, value in cell.items()}
        )
    return cells


def _checked(y: ArrayLike, p: ArrayLike) -> tuple[Codes, Floats]:
    codes, shares = np.asarray(y), np.asarray(p, np.float64)
    if codes.ndim != 1 or shares.ndim != 2 or len(codes) != len(shares) or shares.shape[1] < 2:
        raise DataError(
            "the numbers of labels and of lines of class probabilities differ",
            expected=f"{len(codes)} lines of two classes or more",
            found=say_shape(shares.shape),
            remedy="Pass one label per row, and for each row a probability of each class, as predict_proba gives them",
        )
    whole = np.asarray(codes, np.float64)
    if not (np.isin(whole, np.arange(shares.shape[1]))).all():
        raise DataError("a label is none of the model's classes", remedy="Measure on rows of classes that were trained")
    if np.isnan(shares).any():
        raise DataError(
            "a line of class probabilities misses values", remedy="Leave out the rows that were not matched"
        )
    if not ((shares >= 0).all() and np.allclose(shares.sum(axis=1), 1.0)):
        raise DataError(
            "a line of class probabilities is not between 0 and 1, or does not add up to 1",
            remedy="Pass what predict_proba gives",
        )
    return whole.astype(np.int64), shares
