"""The columns of a table that are no features: a label of a given kind, a weight, a day.

Messages name the column and row numbers (the first data row is 1), never a value.
"""

from __future__ import annotations

import datetime
import decimal
from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from vfl.data.columns import Bad, Rows, complaint, numbers_of
from vfl.data.literals import code, is_plain
from vfl.data.normalise import text_form
from vfl.data.schema import Settings
from vfl.data.texts import encodes, say_rows

NOTHING_SAID = Settings()
OPPOSITES = [
    {"no", "yes"},
    {"n", "y"},
    {"false", "true"},
    {"f", "t"},
    {"0", "1"},
]  # whose later one is meant as the event
Objective = Literal["binary", "multiclass", "numeric", "count"]
MAX_CLASSES = 1000
MAX_COUNT = 2**53
LARGEST = 2**63 - 1  # a class that is a number


def raw_label(column: pd.Series, party: str, name: str, numbers: Rows) -> pd.Series:
    """The label as it came, with no value missing: what it must hold is decided by the model that is fitted later."""
    missing = column.isna().to_numpy(np.bool_)
    if missing.any():
        bad = complaint(party, f"label column '{name}'")
        raise bad(f"has missing values in {say_rows(numbers[missing])}", "Remove the rows, or find their labels")
    values = column.to_numpy()
    return pd.Series(values, name=name, dtype=values.dtype)  # which pandas would look for among texts


def known_label(column: pd.Series, party: str, name: str, numbers: Rows, classes: Sequence[Any]) -> pd.Series:
    """The label as it came, each value one of `classes`, text as text: others would only count as wrong."""
    raw, known = raw_label(column, party, name, numbers), set(classes)
    values = [_plain(v) for v in raw.tolist()]
    unknown = np.fromiter((not isinstance(v, str | int | float) or v not in known for v in values), np.bool_)
    if unknown.any():
        raise complaint(party, f"label column '{name}'")(
            f"holds values that the model does not know in {say_rows(numbers[unknown])}",
            "Write its values as the training table did, text as text and numbers as numbers; classes_ lists them",
        )
    return raw


def label(
    column: pd.Series, party: str, name: str, numbers: Rows, objective: Objective, settings: Settings = NOTHING_SAID
) -> tuple[pd.Series, tuple[Any, ...] | None]:
    """The label (n,) float64 as `objective` has it, and for classes their original values, sorted; of two values the
    event is the last, whatever the order.

    "binary": 0.0 and 1.0 for the smaller and the larger of two values, or 1.0 for the event that `settings` name;
    "multiclass": 0.0, 1.0, ... for two sorted values or more;
    "numeric": finite numbers; "count": whole numbers of at least 0.
    """
    raw = raw_label(column, party, name, numbers)
    bad = complaint(party, f"label column '{name}'")
    if objective in ("binary", "multiclass"):
        values, classes = _classes(raw, numbers, bad, two=objective == "binary")
        found = event_last(classes, settings, bad)
        return pd.Series(values if found == classes else 1.0 - values, name=name), found
    if settings.event is not None:
        raise bad("is a number, which has no event", f"Remove {_event_key(settings)}")
    values = numbers_of(raw, bad, numbers, "Store it as numbers, or name another label")
    if not np.isfinite(values).all():
        raise bad(
            f"has infinite values in {say_rows(numbers[~np.isfinite(values)])}",
            "Remove the rows, or correct their labels",
        )
    if objective == "count":
        wrong = (values < 0) | (values != np.floor(values)) | (values > MAX_COUNT)
        if wrong.any():
            raise bad(
                f"holds values that are not counts in {say_rows(numbers[wrong])}",
                "Counts are whole numbers of at least 0",
            )
        if not values.any():
            raise bad("holds zeros only", "A model needs rows with events")
    elif (values == values[0]).all():
        raise bad("holds one value only", "A model needs labels that differ")
    return pd.Series(values, name=name), None


def weight(column: pd.Series, party: str, name: str, numbers: Rows) -> pd.Series:
    """Row weights (n,) float64, finite and above 0."""
    bad = complaint(party, f"weight column '{name}'")
    values = numbers_of(column, bad, numbers, "Store it as numbers")
    wrong = ~(np.isfinite(values) & (values > 0))
    if wrong.any():
        raise bad(
            f"holds values that are not weights in {say_rows(numbers[wrong])}",
            "Weights are above 0 and not missing; remove rows that should not count",
        )
    return pd.Series(values, name=name)


def days(column: pd.Series, party: str, name: str, numbers: Rows) -> NDArray[np.datetime64]:
    """(n,) days, of dates, time stamps (their own day, in whatever zone they are written) or texts in ISO 8601, such as
    2026-01-31."""
    bad = complaint(party, f"date column '{name}'")
    missing, values = column.isna().to_numpy(np.bool_), column.tolist()
    if missing.any():
        raise bad(f"has missing values in {say_rows(numbers[missing])}", "Remove the rows, or find their dates")
    found = [_day(v) for v in values]
    wrong = np.fromiter((d is None for d in found), np.bool_, len(found))
    if wrong.any():
        raise bad(
            f"holds no date in {say_rows(numbers[wrong])}",
            "Store it as dates, or as texts in ISO 8601, such as 2026-01-31",
        )
    return np.array(found, dtype="datetime64[D]")


def _day(value: Any) -> datetime.date | None:
    """The day of a date, of a time stamp or of a text that is one; None for anything else."""
    try:
        value = datetime.datetime.fromisoformat(value.strip()) if isinstance(value, str) else value
    except ValueError:
        return None
    if isinstance(value, datetime.datetime):
        return value.date()
    return value if isinstance(value, datetime.date) else None


def _check_written_one_way(found: Sequence[Any], values: Sequence[Any], numbers: Rows, bad: Bad) -> None:
    """Raises DataError where two classes are texts that differ in white space, case or Unicode's forms only, or in how
    they write one number: '1' and '1.0'."""
    form = {v: _class_form(v) for v in found if isinstance(v, str)}
    if max(Counter(form.values()).values(), default=1) == 1 or len(found) > MAX_CLASSES:
        return
    counts, usual = Counter(values), dict[str, str]()
    for value, one in form.items():
        usual[one] = max(usual.get(one, value), value, key=lambda v: counts[v])
    odd = [isinstance(v, str) and v != usual[form[v]] for v in values]
    raise bad(
        "writes a class in several ways, which differ in blanks, capital letters or the form of a number only (such "
        f"as '1.0' for '1'): {say_rows(numbers[odd])}",
        "Write each class in one way",
    )


def _class_form(text: str) -> str:
    """The same for texts that mean one class; a number with leading zeros is a code, and only itself."""
    form = text_form(text)
    return code(form) if is_plain(form) else form


def _classes(column: pd.Series, numbers: Rows, bad: Bad, *, two: bool) -> tuple[NDArray[np.float64], tuple[Any, ...]]:
    """The place of each value among the sorted distinct ones, and these."""
    values = [_plain(v) for v in column.tolist()]
    if not all(map(_is_class, values)):
        raise bad(
            "holds neither text nor numbers",
            "Store it as 0 and 1, or as two texts" if two else "Store it as texts or numbers",
        )
    found = list(dict.fromkeys(values))
    _check_written_one_way(found, values, numbers, bad)
    if len(found) == 1:
        raise bad(
            "holds one value only", "A model needs rows of both classes" if two else "A model needs rows of every class"
        )
    if two and len(found) > 2:
        raise bad(
            f"holds {len(found)} different values", "A model of two classes needs exactly two; is this the label?"
        )
    if len(found) > MAX_CLASSES:
        raise bad(
            f"holds {len(found)} different values", f"A model has {MAX_CLASSES} classes at most; is this the label?"
        )
    try:
        classes = tuple(sorted(found))
    except TypeError:
        raise bad("mixes types", "Store all values as text, or all as numbers") from None
    place = {c: k for k, c in enumerate(classes)}
    return np.fromiter((place[v] for v in values), np.float64, len(values)), classes


def _is_class(value: Any) -> bool:
    """Whether every file can hold it: a text that UTF-8 can, or a finite number of 64 bits."""
    if isinstance(value, str):
        return encodes(value)
    return isinstance(value, int | float) and -LARGEST <= value <= LARGEST


def _event_key(settings: Settings) -> str:
    return "pos_label" if settings.in_python else "data.event"


def event_last(classes: tuple[Any, ...], settings: Settings, bad: Bad) -> tuple[Any, ...]:
    """The classes, of two the event that `settings` name second.  Raises DataError where it is none of two values."""
    if settings.event is None:
        return classes
    key = _event_key(settings)
    if len(classes) > 2:
        raise bad("has more than two values, of which none is the event", f"Remove {key}")
    place = next((k for k, value in enumerate(classes) if value == settings.event), None)
    if place is None or isinstance(classes[place], str) != isinstance(settings.event, str):
        raise bad(f"does not hold the value that {key} names", f"Name one of its two values in {key}, text as text")
    return classes if place == 1 else classes[::-1]


def event_is_a_guess(classes: tuple[Any, ...] | None, settings: Settings) -> bool:
    """Whether the event is that of two texts which comes later in the alphabet, for no better reason."""
    if classes is None or len(classes) != 2 or settings.event is not None:
        return False
    return all(isinstance(c, str) for c in classes) and {c.casefold() for c in classes} not in OPPOSITES


def _plain(value: Any) -> Any:
    """A label as Python's own type, which every file format can hold."""
    if isinstance(value, np.generic):
        return value.item()
    return float(value) if isinstance(value, decimal.Decimal) else value
