"""From the guest's labels to what a regression is trained on: one target a model, weights of the rows, and the way back
to the label's own scale."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols.errors import DataError
from vfl.data import Table

Floats = NDArray[np.float64]
ClassWeight = str | Mapping[Any, float] | None  # "balanced", or each class's weight

ROWS_A_CLASS = 5
WEIGHT_RATIO = 2**14  # a lighter row than that part of the heaviest would be rounded away


@dataclass(frozen=True)
class Scale:
    """A label is mean + scale times what is trained on; kept by the guest alone."""

    mean: float = 0.0
    scale: float = 1.0


@dataclass(frozen=True)
class Targets:
    """y (models, n) as the family's link wants it; weights (models, n), None where all rows weigh the same; scale: of
    numeric labels."""

    y: Floats
    weights: Floats | None
    scale: Scale = Scale()

    def of(self, rows: slice) -> tuple[Floats, Floats | None]:
        """y and weights of some rows."""
        return self.y[:, rows], None if self.weights is None else self.weights[:, rows]


def check_classes(table: Table) -> None:
    """Before anything is sent: raises DataError where a label has too many values to be a label of classes."""
    if table.label is not None and table.classes is not None and 2 < len(table.classes) > len(table) / ROWS_A_CLASS:
        raise DataError(
            f"{table.party}: label column '{table.label.name}' holds {len(table.classes)} different values in "
            f"{len(table)} rows",
            remedy="Is this the label? Classes need more rows each; numbers and counts have regressions of their own",
            party=table.party,
        )


def logistic(
    label: Floats, classes: tuple[Any, ...], class_weight: ClassWeight, weights: Floats | None, me: str, train: int
) -> Targets:
    """label (n,) class codes, the first `train` of rows that are trained on: they alone decide how classes are weighed.
    Two classes: one model, of the larger;
    more: one a class against the rest.  Raises DataError for a class without a training row."""
    codes = label.astype(np.int64)
    counts = np.bincount(codes[:train], minlength=len(classes))
    if not counts.all():
        what = (
            "all training rows that the parties have in common carry the same label"
            if len(classes) == 2
            else "a class has no training row"
        )
        raise DataError(what, remedy="Use a larger or another sample", party=me)
    positive = range(len(classes)) if len(classes) > 2 else [1]
    y = np.stack([codes == k for k in positive]).astype(np.float64)
    if class_weight is None:
        return Targets(y, None if weights is None else checked(np.broadcast_to(weights, y.shape), me))
    if class_weight == "balanced":
        each = np.stack(
            [np.where(t == 1, train / (2 * t[:train].sum()), train / (2 * (train - t[:train].sum()))) for t in y]
        )
    else:
        assert not isinstance(class_weight, str)
        named = {str(value): value for value in classes}  # a job file can only name texts
        given = {
            name if name in classes else named.get(str(name), name): weight for name, weight in class_weight.items()
        }
        if unknown := [c for c in given if c not in classes]:
            remedy = "Name the label's values as in the table; values that are not named have weight 1"
            raise DataError(
                f"class_weight names {len(unknown)} values that the label does not have", remedy=remedy, party=me
            )
        each = np.broadcast_to(np.array([float(given.get(c, 1.0)) for c in classes])[codes], y.shape)
    return Targets(y, checked(each if weights is None else each * weights, me))


def linear(label: Floats, weights: Floats | None, me: str, train: int, *, centred: bool) -> Targets:
    """label (n,), standardised by the first `train` of them; without an intercept it is not centred."""
    own, counted = label[:train], None if weights is None else weights[:train]
    mean = float(np.average(own, weights=counted)) if centred else 0.0
    with np.errstate(over="ignore"):
        scale = float(np.sqrt(np.average((own - mean) ** 2, weights=counted)))
    if not np.isfinite(scale) or scale <= 1e-12 * np.abs(label).max(initial=0.0):
        raise DataError(
            f"{me}: the training rows' labels do not differ, or are too large to standardise",
            remedy="Use another sample or unit",
            party=me,
        )
    return Targets(((label - mean) / scale)[np.newaxis], of_one(weights, me), Scale(mean, scale))


def poisson(label: Floats, weights: Floats | None, me: str, train: int, *, exposure: bool) -> Targets:
    """label (n,) counts; weights are brought to a mean of 1 over the first `train` rows, as the objective is a mean.
    exposure: they are each row's exposure, so that what is fitted is the count a unit of exposure, weighted by it: the
    same optimum as of counts whose means are multiplied by exposures."""
    if not label[:train].any():
        raise DataError(f"{me}: all training rows' counts are zero", remedy="Use a larger or another sample", party=me)
    if exposure and weights is not None:
        label = label / weights
    return Targets(label[np.newaxis], of_one(None if weights is None else weights / weights[:train].mean(), me))


def of_one(weights: Floats | None, me: str) -> Floats | None:
    return None if weights is None else checked(weights[np.newaxis], me)


def checked(weights: Floats, me: str) -> Floats:
    """Raises DataError where the lightest row would be rounded away compared with the heaviest."""
    if weights.max() > WEIGHT_RATIO * weights.min():
        raise DataError(
            f"{me}: the weights of the rows differ too much",
            remedy="Bring them closer together",
            party=me,
            expected=f"a ratio below {WEIGHT_RATIO}",
        )
    return weights
