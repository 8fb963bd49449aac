"""The numbers of an outcome that is one of several classes, and of the predicted probability of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from protocols.errors import DataError
from vfl.metrics.binary import Metrics
from vfl.metrics.ranks import Floats, rank

CLASSES = ("accuracy", "log_loss", "macro_auc", "macro_f1")
Codes = NDArray[np.int64]


def class_metrics(y: ArrayLike, p: ArrayLike) -> Metrics:
    """Accuracy, log-loss, AUC of each class against the rest and F1, both averaged over the classes (macro), n.

    y (n,) codes 0 to K - 1; p (n, K), each row a distribution.  Raises DataError for anything else.  The macro AUC is None unless every class
    occurs; a class that nobody has and nobody is given counts with F1 = 0.
    """
    codes, shares = _checked(y, p)
    out: Metrics = dict.fromkeys(CLASSES) | {"n": len(codes)}
    if not len(codes):
        return out
    cells = [_one(codes, shares, k) for k in range(shares.shape[1])]
    aucs = [c["auc"] for c in cells]
    return out | {
        "accuracy": float((shares.argmax(axis=1) == codes).mean()),
        "log_loss": float(log_losses(codes, shares).mean()),
        "macro_auc": None if None in aucs else float(np.mean(aucs)),
        "macro_f1": float(np.mean([c["f1"] or 0.0 for c in cells])),
    }


def log_losses(codes: Codes, shares: Floats) -> Floats:
    """The loss (n,) of each row."""
    return -np.log(np.clip(shares[np.arange(len(codes)), codes], np.finfo(np.float64).eps, 1.0))


def class_series(y: ArrayLike, p: ArrayLike, classes: Sequence[object]) -> dict[str, Any]:
    """`classes`: a line for each (`class`, `rows`, `precision`, `recall`, `f1`, `auc`), and the `confusion` matrix: rows observed, columns predicted."""
    codes, shares = _checked(y, p)
    width = shares.shape[1]
    matrix = np.bincount(codes * width + shares.argmax(axis=1), minlength=width * width).reshape(width, width) if len(codes) else None
    return {
        "classes": [{"class": str(name)} | _one(codes, shares, k) for k, name in enumerate(classes)],
        "confusion": None if matrix is None else [[int(c) for c in row] for row in matrix],
    }


def _one(codes: Codes, shares: Floats, k: int) -> dict[str, Any]:
    """Class k against the rest."""
    mine, given = codes == k, shares.argmax(axis=1) == k
    caught = int((mine & given).sum())
    ranks = rank(mine.astype(np.float64), shares[:, k])
    return {
        "rows": int(mine.sum()),
        "precision": caught / int(given.sum()) if given.any() else None,
        "recall": caught / int(mine.sum()) if mine.any() else None,
        "f1": 2 * caught / int(given.sum() + mine.sum()) if given.any() or mine.any() else None,
        "auc": ranks.auc if ranks.both else None,
    }


def _checked(y: ArrayLike, p: ArrayLike) -> tuple[Codes, Floats]:
    codes, shares = np.asarray(y), np.asarray(p, np.float64)
    if codes.ndim != 1 or shares.ndim != 2 or len(codes) != len(shares) or shares.shape[1] < 2:
        raise DataError(
            "the numbers of labels and of lines of class probabilities differ", expected=f"({len(codes)}, classes)", found=shares.shape
        )
    whole = np.asarray(codes, np.float64)
    if not (np.isin(whole, np.arange(shares.shape[1]))).all():
        raise DataError("a label is none of the model's classes", remedy="Measure on rows of classes that were trained")
    if not ((shares >= 0).all() and np.allclose(shares.sum(axis=1), 1.0)):
        raise DataError("a line of class probabilities does not add up to 1", remedy="Leave out the rows that were not matched")
    return whole.astype(np.int64), shares
