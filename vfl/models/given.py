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
from vfl.data.texts import say_rows
from vfl.screen.warn import warn_user

Floats = NDArray[np.float64]


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
    """Raises DataError where they do not fit; warns where the event is a guess."""
    given = {"joint": joint} if guest_alone is None else {"joint": joint, "guest_alone": guest_alone}
    _same_rows({"labels": y, **given, "sample_weight": sample_weight})
    _same_classes(joint, guest_alone)
    values, arrays = _numbers(y, given, outcome)
    scored = ~np.isnan(arrays["joint"].reshape(len(values), -1)).any(axis=1)
    if not scored.any():
        raise DataError(
            "no row has a prediction", remedy="Compare the parties' ids: rows that not all know are not scored"
        )
    if any(np.isnan(p[scored]).any() for p in arrays.values()):
        raise DataError(
            "guest_alone misses predictions of rows that joint scores",
            remedy="Give both models' predictions of the same rows",
        )
    weight = None if sample_weight is None else _weights(sample_weight, len(values))[scored]
    codes, classes = _codes(values, outcome, joint, Settings(event=event, in_python=True))
    return Given(codes[scored], {model: p[scored] for model, p in arrays.items()}, weight, classes)


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


def _numbers(y: Any, given: Mapping[str, Any], outcome: Objective) -> tuple[NDArray[Any], dict[str, Floats]]:
    """Labels (n,), and predictions by model, n each."""
    values = np.asarray(y)
    try:
        arrays = {model: np.asarray(p, np.float64) for model, p in given.items()}
        values = values.astype(np.float64) if outcome in ("numeric", "count") else values
    except (TypeError, ValueError, OverflowError):
        raise DataError(
            "labels or predictions are not numbers", remedy="Pass what predict_score gives, and numbers as labels"
        ) from None
    if values.ndim != 1 or any(p.ndim == 0 or len(p) != len(values) for p in arrays.values()):
        raise DataError(
            "labels and predictions are not lists of one length",
            expected=values.shape,
            found=[p.shape for p in arrays.values()],
            remedy="Pass one label and one prediction per row",
        )
    return values, arrays


def _weights(given: Any, n: int) -> Floats:
    """(n,) weights of the rows.  Raises DataError with row numbers unless all are above 0."""
    remedy = "Pass one number above 0 per row; leave out rows that should not count"
    try:
        found = np.asarray(given, np.float64)
    except (TypeError, ValueError, OverflowError):
        raise DataError("sample_weight holds values that are no numbers", remedy=remedy) from None
    if found.shape != (n,):
        raise DataError("sample_weight is not one number per row", expected=(n,), found=found.shape, remedy=remedy)
    wrong = np.flatnonzero(~(np.isfinite(found) & (found > 0))) + 1
    if len(wrong):
        raise DataError(f"sample_weight holds values that are not weights in {say_rows(wrong)}", remedy=remedy)
    return found


def _codes(values: NDArray[Any], outcome: Objective, joint: Any, settings: Settings) -> tuple[Floats, list[Any] | None]:
    """The labels as the metrics take them, and the names of their classes, of two the event last; warns where it is a
    guess."""
    if outcome in ("numeric", "count"):
        return values, None
    try:
        classes = list(joint.columns) if isinstance(joint, pd.DataFrame) else np.unique(values).tolist()
    except TypeError:
        raise DataError("the labels mix types", remedy="Store all as texts, or all as numbers") from None
    if outcome == "binary" and len(classes) != 2:
        raise DataError(
            f"the labels have {len(classes)} values",
            remedy='A "binary" outcome has two; use outcome="multiclass" for more',
        )
    if outcome == "binary":
        classes = list(event_last(tuple(classes), settings, lambda what, remedy: DataError(f"y {what}", remedy=remedy)))
        if event_is_a_guess(tuple(classes), settings):
            warn_user("y: of its two texts the later one in the alphabet is taken for the event; name it in pos_label")
    place = {value: k for k, value in enumerate(classes)}
    if not set(values.tolist()) <= set(place):
        raise DataError(
            "a label is none of the classes", remedy="Name the columns of the predictions by the label's values"
        )
    return np.fromiter((place[v] for v in values.tolist()), np.float64, len(values)), classes
