"""One column of a table as numbers: a feature, a label of a given kind, a weight.

Messages name the column and row numbers (the first data row is 1), never a value.
"""

from __future__ import annotations

import datetime
import decimal
import sys
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protocols.errors import DataError
from vfl.data import literals
from vfl.data.literals import TRUTH
from vfl.data.schema import ColumnType, Settings
from vfl.data.texts import CHUNK, say_rows

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
Rows = NDArray[np.int64]
Bad = Callable[[str, str], DataError]

_LARGEST = int(sys.float_info.max)


def feature(
    column: pd.Series,
    party: str,
    name: str,
    numbers: Rows,
    settings: Settings,
    *,
    missing: bool = False,
    typed: bool = False,
) -> NDArray[np.float64]:
    """(n,) float64, finite, or NaN where `missing` is allowed; numbers: the row number of each row, for messages;
    typed: whether the column is known to be one of numbers, so that texts are read as such."""
    bad = _complaint(party, f"feature column '{name}'")
    dash, out = settings.says("missing", '["-"]'), settings.says("exclude", f'["{name}"]')
    if typed:
        remedy = f"Correct these cells; if their text means a missing value, name it, such as {dash}"
        column = _read(column, bad, numbers, remedy)
    values = _numbers(column, bad, numbers, f"Encode it as numbers, or leave it out: {out}")
    if not missing:
        no_missing(column, party, name, numbers)
    if np.isinf(values).any():
        raise bad(f"has infinite values in {say_rows(numbers[np.isinf(values)])}", _FILL)
    return values


def text(column: pd.Series, party: str, name: str, numbers: Rows, kind: ColumnType = "code") -> NDArray[np.object_]:
    """(n,) one category per row, None where missing.

    "text": as it is written, and a column of numbers is refused; "code": in the one form that a number has.
    """
    bad = _complaint(party, f"feature column '{name}'")
    known = column.notna().to_numpy(np.bool_)
    if kind == "text" and known.any() and _is_numeric(column):
        raise bad(
            f"holds numbers in {say_rows(numbers[known])}, and held texts when the model was trained",
            "Read the column as texts, as they are written (in pandas: dtype=str)",
        )
    out, each = np.empty(len(column), object), dict[str, str]()
    for start in range(0, len(column), CHUNK):
        rows = slice(start, start + CHUNK)
        written = (
            _written(v, kind) if there else None
            for v, there in zip(column.iloc[rows].tolist(), known[rows], strict=True)
        )
        out[rows] = [each.setdefault(v, v) if isinstance(v, str) else v for v in written]
    wrong = np.fromiter((v is _NO_TEXT for v in out), np.bool_, len(out))
    if wrong.any():
        raise bad(f"holds neither text nor a number in {say_rows(numbers[wrong])}", "Store it as text, or leave it out")
    return out


def without(column: pd.Series, absent: Sequence[str]) -> pd.Series:
    """`column` with these texts, and the numbers that they are, as missing values."""
    gone = frozenset(absent)
    if pd.api.types.is_numeric_dtype(column.dtype):
        codes = [float(text) for text in gone if literals.is_number(text)]
        return column.mask(column.isin(codes)) if codes and column.isin(codes).any() else column
    if not absent or _is_numeric(column) or pd.api.types.is_datetime64_any_dtype(column.dtype):
        return column
    found = np.fromiter((isinstance(v, str) and v in gone for v in column.tolist()), np.bool_, len(column))
    return column.astype(object).mask(found, None) if found.any() else column


def _is_numeric(column: pd.Series) -> bool:
    kind = column.dtype
    return pd.api.types.is_numeric_dtype(kind) or pd.api.types.is_bool_dtype(kind)


def _read(column: pd.Series, bad: Bad, rows: Rows, remedy: str) -> pd.Series:
    """The column with its texts read as numbers and truth values."""
    if _is_numeric(column):
        return column
    values = column.astype(object).where(column.notna().to_numpy(np.bool_), None).tolist()
    texts = np.flatnonzero(np.fromiter((isinstance(v, str) for v in values), np.bool_, len(values)))
    cells = [values[at] for at in texts]
    found, good = literals.numbers(["1" if TRUTH.get(c) else "0" if c in TRUTH else c for c in cells])
    if not good.all():
        commas = literals.shows_commas(cells[at] for at in np.flatnonzero(~good))
        raise bad(f"is not numeric in {say_rows(rows[texts[~good]])}", literals.DECIMAL if commas else remedy)
    out = np.array(values, object)
    out[texts] = found
    return pd.Series(out, dtype=object)


def no_missing(column: pd.Series, party: str, name: str, numbers: Rows) -> None:
    """Raises DataError where a feature misses values."""
    missing = column.isna().to_numpy(np.bool_)
    if missing.any():
        raise _complaint(party, f"feature column '{name}'")(
            f"has missing values in {say_rows(numbers[missing])}", _FILL
        )


def raw_label(column: pd.Series, party: str, name: str, numbers: Rows) -> pd.Series:
    """The label as it came, with no value missing: what it must hold is decided by the model that is fitted later."""
    missing = column.isna().to_numpy(np.bool_)
    if missing.any():
        bad = _complaint(party, f"label column '{name}'")
        raise bad(f"has missing values in {say_rows(numbers[missing])}", "Remove the rows, or find their labels")
    return pd.Series(column.to_numpy(), name=name)


def known_label(column: pd.Series, party: str, name: str, numbers: Rows, classes: Sequence[Any]) -> pd.Series:
    """The label as it came, each value one of `classes`, text as text: others would only count as wrong."""
    raw, known = raw_label(column, party, name, numbers), set(classes)
    values = [_plain(v) for v in raw.tolist()]
    unknown = np.fromiter((not isinstance(v, str | int | float) or v not in known for v in values), np.bool_)
    if unknown.any():
        raise _complaint(party, f"label column '{name}'")(
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
    bad = _complaint(party, f"label column '{name}'")
    if objective in ("binary", "multiclass"):
        values, classes = _classes(raw, bad, two=objective == "binary")
        found = event_last(classes, settings, bad)
        return pd.Series(values if found == classes else 1.0 - values, name=name), found
    if settings.event is not None:
        raise bad("is a number, which has no event", f"Remove {_event_key(settings)}")
    values = _numbers(raw, bad, numbers, "Store it as numbers, or name another label")
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
    bad = _complaint(party, f"weight column '{name}'")
    values = _numbers(column, bad, numbers, "Store it as numbers")
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
    bad = _complaint(party, f"date column '{name}'")
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


_NO_TEXT = object()


def _written(value: Any, kind: ColumnType) -> object:
    """A category as text; _NO_TEXT for what is neither text nor finite number."""
    if value is None or isinstance(value, str):
        return literals.code(value) if value is not None and kind == "code" else value
    if isinstance(value, bool | np.bool_):
        return str(bool(value))
    if not _is_real(value) or not np.isfinite(float(value)):
        return _NO_TEXT
    if value == int(value):
        return str(int(value))
    return repr(float(value)) if isinstance(value, decimal.Decimal) else str(value)


_FILL = "Fill them in or remove the rows or the column before the run"


def _complaint(party: str, what: str) -> Bad:
    return lambda wrong, remedy: DataError(f"{party}: {what} {wrong}", remedy=remedy, party=party)


def _numbers(column: pd.Series, bad: Bad, numbers: Rows, remedy: str) -> NDArray[np.float64]:
    """(n,) float64, NaN where missing."""
    missing = column.isna().to_numpy(np.bool_)
    if pd.api.types.is_complex_dtype(column.dtype) or not (
        pd.api.types.is_numeric_dtype(column.dtype) or pd.api.types.is_bool_dtype(column.dtype)
    ):
        values = column.tolist()
        wrong = ~np.fromiter((_is_real(v) for v in values), np.bool_, len(values)) & ~missing
        if wrong.any():
            unreadable = np.fromiter((w and not _reads(v) for w, v in zip(wrong, values, strict=True)), np.bool_)
            if unreadable.any():
                commas = literals.shows_commas(values[at] for at in np.flatnonzero(unreadable))
                raise bad(f"is not numeric in {say_rows(numbers[unreadable])}", literals.DECIMAL if commas else remedy)
            raise bad(f"holds numbers as text in {say_rows(numbers[wrong])}", "Store the column as numbers")
    if column.dtype == np.float64:
        return column.to_numpy()
    try:
        return column.to_numpy(np.float64, na_value=np.nan)
    except OverflowError:
        large = np.fromiter((isinstance(v, int) and abs(v) > _LARGEST for v in column.tolist()), np.bool_, len(column))
        raise bad(
            f"holds a number that is too large in {say_rows(numbers[large])}", "Scale the column, or leave it out"
        ) from None


def _classes(column: pd.Series, bad: Bad, *, two: bool) -> tuple[NDArray[np.float64], tuple[Any, ...]]:
    """The place of each value among the sorted distinct ones, and these."""
    values = [_plain(v) for v in column.tolist()]
    if not all(isinstance(v, str | int | float) for v in values):
        raise bad(
            "holds neither text nor numbers",
            "Store it as 0 and 1, or as two texts" if two else "Store it as texts or numbers",
        )
    found = list(dict.fromkeys(values))
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


def _is_real(value: object) -> bool:
    return isinstance(value, int | float | decimal.Decimal | np.integer | np.floating | np.bool_)


def _reads(value: object) -> bool:
    """Whether it is a text that reads as a number."""
    try:
        float(value if isinstance(value, str) else "")
    except ValueError:
        return False
    return True


def _plain(value: Any) -> Any:
    """A label as Python's own type, which every file format can hold."""
    if isinstance(value, np.generic):
        return value.item()
    return float(value) if isinstance(value, decimal.Decimal) else value
