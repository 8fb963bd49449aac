"""What a notebook passes to `vfl.evaluate`, checked: labels, predictions and weights of the same rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protocols.errors import DataError
from vfl.data import Objective, Settings
from vfl.data.labels import event_is_a_guess, event_last
from vfl.data.texts import say_rows, say_shape
from vfl.screen.warn import warn_user

Floats = NDArray[np.float64]
HEAVIEST = 1e100  # a weight: squares of sums are still numbers


@dataclass(frozen=True)
class Given:
    """Of the rows that have a joint prediction: labels (n,) as the measures take them, predictions (n,) or (n, classes)
    by model, weights (n,) or None; and the names of the classes, of two the event last."""

    labels: Floats
    predictions: Mapping[str, Floats]
    weight: Floats | None
    classes: list[Any] | None


def of_arguments(
    y: Any, joint: Any, guest_alone: Any, sample_weight: Any, outcome: Objective, event: str | float | None
) -> Given:
    """Raises DataError where they do not fit; warns where the event is a guess, and of rows without a prediction."""
    given = {"joint": joint} if guest_alone is None else {"joint": joint, "guest_alone": guest_alone}
    _same_rows({"labels": y, **given, "sample_weight": sample_weight})
    _same_classes(joint, guest_alone)
    if outcome != "multiclass" and any(isinstance(one, pd.DataFrame) for one in given.values()):
        raise DataError(
            "predictions are a frame, and this outcome has one prediction per row",
            remedy='Pass what predict_score gives; for outcome = "multiclass" what predict_proba gives',
        )
    values, arrays = _arrays(y, given)
    scored = ~np.isnan(arrays["joint"].reshape(len(values), max(1, arrays["joint"].size // max(1, len(values)))))
    rows = scored.all(axis=1)
    if not rows.any():
        raise DataError(
            "no row has a prediction", remedy="Compare the parties' ids: rows that not all know are not scored"
        )
    if any(np.isnan(p[rows]).any() for p in arrays.values()):
        raise DataError(
            "guest_alone misses predictions of rows that joint scores",
            remedy="Give both models' predictions of the same rows",
        )
    if not rows.all():
        warn_user(f"evaluate is of {rows.sum():,} of {rows.size:,} rows: joint has no prediction of the others")
    gone = np.flatnonzero(rows & pd.isna(values)) + 1
    if len(gone):
        raise DataError(f"labels are missing in {say_rows(gone)}", remedy="Leave these rows out, or find their labels")
    weight = None if sample_weight is None else _weights(sample_weight, len(values))[rows]
    found = {model: p[rows] for model, p in arrays.items()}
    codes, classes = _codes(
        values[rows], values[~pd.isna(values)], outcome, joint, Settings(event=event, in_python=True)
    )
    if outcome == "multiclass" and any(p.ndim != 2 or p.shape[1] != len(classes or ()) for p in found.values()):
        columns = " and ".join(f"{1 if p.ndim == 1 else p.shape[1]} ({name})" for name, p in found.items())
        raise DataError(
            f"predictions do not have a column for each class: {len(classes or ())} classes, columns {columns}",
            remedy="Pass frames whose columns are the classes, as predict_proba gives them",
        )
    return Given(codes, found, weight, classes)


def _same_rows(given: Mapping[str, Any]) -> None:
    """Raises DataError where two of them are of pandas and have different indices."""
    frames = {what: one for what, one in given.items() if isinstance(one, pd.Series | pd.DataFrame)}
    first = next(iter(frames), "")
    for what, one in frames.items():
        if not one.index.equals(frames[first].index):
            raise DataError(
                f"{first} and {what} do not have the same index",
                remedy=f"Take {what}.loc[{first}.index], or the reverse",
            )


def _same_classes(joint: Any, guest_alone: Any) -> None:
    """Raises DataError where the columns of two frames of class probabilities differ, or their order."""
    if all(isinstance(one, pd.DataFrame) for one in (joint, guest_alone)) and list(joint) != list(guest_alone):
        raise DataError(
            "joint and guest_alone do not have the same columns in the same order",
            remedy="Take guest_alone[joint.columns]",
        )


def _arrays(y: Any, given: Mapping[str, Any]) -> tuple[NDArray[Any], dict[str, Floats]]:
    """Labels (n,), and predictions by model, n each."""
    values = np.asarray(y)  # without the mask, if it has one
    if isinstance(y, np.ma.MaskedArray):
        values = values.astype(object)
        values[np.ma.getmaskarray(y)] = None
    arrays = {model: _floats(p) for model, p in given.items()}
    if any(p is None for p in arrays.values()):
        raise DataError("predictions are not numbers", remedy="Pass what predict_score or predict_proba gives")
    numbers = {model: p for model, p in arrays.items() if p is not None}
    if values.ndim != 1 or any(p.ndim == 0 or len(p) != len(values) for p in numbers.values()):
        held = ", ".join(f"{name} {say_shape(p.shape)}" for name, p in numbers.items())
        raise DataError(
            f"labels and predictions are not lists of one length: y holds {say_shape(values.shape)}, {held}",
            remedy="Pass one label and one prediction per row",
        )
    return values, numbers


def _floats(given: Any) -> Floats | None:
    """As numbers, NaN where one is missing or masked; None where they are none, such as days and complex numbers."""
    try:
        if np.asarray(given).dtype.kind in "cmM":
            return None
        found = np.asarray(given, np.float64)
        return np.where(np.ma.getmaskarray(given), np.nan, found) if isinstance(given, np.ma.MaskedArray) else found
    except (TypeError, ValueError, OverflowError):
        return None


def _weights(given: Any, n: int) -> Floats:
    """(n,) weights of the rows.  Raises DataError with row numbers unless all are above 0."""
    remedy = "Pass one number above 0 per row; leave out rows that should not count"
    found = _floats(given)
    if found is None:
        raise DataError("sample_weight holds values that are no numbers", remedy=remedy)
    if found.shape != (n,):
        raise DataError(
            "sample_weight is not one number per row",
            expected=say_shape((n,)),
            found=say_shape(found.shape),
            remedy=remedy,
        )
    wrong = np.flatnonzero(~((found > 0) & (found < HEAVIEST))) + 1
    if len(wrong):
        raise DataError(f"sample_weight holds values that are not weights in {say_rows(wrong)}", remedy=remedy)
    return found


def _codes(
    values: NDArray[Any], every: NDArray[Any], outcome: Objective, joint: Any, settings: Settings
) -> tuple[Floats, list[Any] | None]:
    """The labels as the metrics take them, and the names of their classes, of two the event last; warns where it is a
    guess.  every: the labels of all rows, also of those that have no prediction."""
    if outcome in ("numeric", "count"):
        if (numbers := _floats(values)) is None:
            raise DataError("labels are not numbers", remedy=f'outcome = "{outcome}" has numbers as labels')
        return numbers, None
    try:
        classes = list(joint.columns) if isinstance(joint, pd.DataFrame) else np.unique(every).tolist()
    except TypeError:
        raise DataError("the labels mix types", remedy="Store all as texts, or all as numbers") from None
    if outcome == "binary" and len(classes) != 2:
        more = 'use outcome="multiclass" for more than two classes, "numeric" or "count" for numbers'
        raise DataError(
            f"the labels hold {'one value only' if len(classes) == 1 else f'{len(classes)} values'}",
            remedy="Measures of a binary outcome need rows with and without the event"
            if len(classes) == 1
            else f'A "binary" outcome has two values; {more}',
        )
    if outcome == "binary":
        classes = list(event_last(tuple(classes), settings, lambda what, remedy: DataError(f"y {what}", remedy=remedy)))
        if event_is_a_guess(tuple(classes), settings):
            warn_user("y: of its two texts the later one in the alphabet is taken as the event; name it in pos_label")
    place = {value: k for k, value in enumerate(classes)}
    if not set(values.tolist()) <= set(place):
        raise DataError(
            "a label is none of the classes", remedy="Name the columns of the predictions by the label's values"
        )
    return np.fromiter((place[v] for v in values.tolist()), np.float64, len(values)), classes
