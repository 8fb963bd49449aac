"""Columns that tell too much: of the guest's label, or of who a row is."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from vfl.data.schema import Settings

ENOUGH, OF_EACH = 50, 5  # rows, and rows of each class: of fewer nothing is said
SURE = 0.999  # from this area under the curve, or share of rows that are told, on
SAME_ORDER = 0.9999  # rank correlation with a label that is a number


def tells_label(column: pd.Series, label: NDArray[np.float64], classes: int, settings: Settings) -> str:
    """What to say where a column (n,) of numbers or texts tells the label (n,), class codes or numbers, of nearly every
    row; else empty.  classes: how many there are, 0 of a label of numbers."""
    if len(label) < ENOUGH:
        return ""
    there = column.notna().to_numpy(np.bool_)
    gaps = 0 < there.sum() < len(there) and _tells(there.astype(np.int64), label, classes)
    places = pd.factorize(column[there], sort=True)[0].astype(np.int64)
    if not (gaps or _tells(places, label[there], classes, ordered=column.dtype.kind != "O")):
        return ""
    what = "whether it has a value tells" if gaps else "it tells"
    out = settings.says("exclude", f'["{column.name}"]')
    return (
        f"column '{column.name}': {what} the label of nearly every row: if it is known only after the outcome, leave "
        f"it out: {out}"
    )


def _tells(places: NDArray[np.int64], label: NDArray[np.float64], classes: int, *, ordered: bool = True) -> bool:
    """places (n,): of each row's value among the sorted different ones."""
    if len(places) < ENOUGH or places.max(initial=0) < 1:
        return False
    if not classes:
        return ordered and abs(_rank_correlation(places, label)) >= SAME_ORDER
    counts = np.zeros((int(places.max()) + 1, classes))
    np.add.at(counts, (places, label.astype(np.int64)), 1)
    rows = counts.sum(axis=0)
    if (rows < OF_EACH).any():
        return False
    if (
        len(counts) <= len(places) / 5
        and counts.max(axis=1).sum() >= SURE * len(places)
        and rows.max() < 0.99 * rows.sum()
    ):
        return True
    return ordered and all(_separates(counts[:, k], counts.sum(axis=1) - counts[:, k]) for k in range(classes))


def _separates(events: NDArray[np.float64], others: NDArray[np.float64]) -> bool:
    """By the rows of each value in rising order: whether they order events and others, in either direction."""
    below = np.cumsum(others) - others / 2
    area = float((events * below).sum() / (events.sum() * others.sum()))
    return max(area, 1 - area) >= SURE


def _rank_correlation(places: NDArray[np.int64], label: NDArray[np.float64]) -> float:
    found = np.unique(label, return_inverse=True)[1]
    if found.max() < 1:
        return 0.0
    return float(np.corrcoef(_ranks(places), _ranks(found))[0, 1])


def _ranks(places: NDArray[np.int64]) -> NDArray[np.float64]:
    """(n,) the mean rank of each row."""
    rows = np.bincount(places)
    return np.asarray((np.cumsum(rows) - rows / 2)[places], np.float64)


def is_the_id(column: pd.Series, index: pd.Index, settings: Settings) -> str:
    """What to say where a column (n,) holds the ids (n,) in all rows; else empty."""
    if len(index) < ENOUGH or not _same(column, index):
        return ""
    out = settings.says("exclude", f'["{column.name}"]')
    return f"column '{column.name}': it holds the ids of column '{index.name}': leave it out: {out}"


def _same(column: pd.Series, index: pd.Index) -> bool:
    if column.dtype.kind == "O":
        return bool((column.to_numpy(object) == index.astype(str).to_numpy(object)).all())
    first = pd.to_numeric(pd.Series(index[:1]), errors="coerce").to_numpy(np.float64)
    if first[0] != column.iloc[0]:
        return False
    return bool((pd.to_numeric(pd.Series(index), errors="coerce").to_numpy(np.float64) == column.to_numpy()).all())
