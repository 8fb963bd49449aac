"""The values of a key column as texts: texts as they are, whole numbers in decimal, and where dates are wanted, dates
in ISO 8601.

Messages name columns and row numbers (the first data row is 1, a header is not counted), never a value.
"""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protocols.errors import DataError

CHUNK = 1 << 13  # values that are held as Python objects at a time
MAX_DIGITS = 4_000  # of a whole number: Python refuses to write much longer ones
_LONG = 10**MAX_DIGITS
_EXACT_FLOAT = 2.0**53  # above it a float64 no longer tells neighbouring whole numbers apart


def say_rows(rows: NDArray[np.integer] | Sequence[int], total: int | None = None) -> str:
    """'row 7' or 'rows 7, 9, 12, 40, 41 and 95 more'; total: how many there are, where not all are given."""
    first, total = [str(int(r)) for r in rows[:5]], len(rows) if total is None else total
    if total == 1:
        return f"row {first[0]}"
    return f"rows {', '.join(first)} and {total - 5} more" if total > 5 else f"rows {', '.join(first)}"


def say_shape(shape: Sequence[int]) -> str:
    """How many values an array holds: 'one value', '3 values', '3 x 2 values'."""
    many = " x ".join(map(str, shape))
    return "one value" if many in ("", "1") else f"{many} values"


def bad_ids(party: str, keys: Sequence[str], what: str, remedy: str) -> DataError:
    """The error of id columns: which, what is wrong where, what to do."""
    names = " + ".join(f"'{k}'" for k in keys)
    return DataError(f"{party}: id column {names} {what}", remedy=remedy, party=party)


def encodes(value: str) -> bool:
    """Whether UTF-8 can hold it."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def plain_texts(
    column: pd.Series, numbers: NDArray[np.int64], party: str, key: str, *, dates: bool
) -> Iterator[list[str]]:
    """Chunks of texts; `column` holds no null, `numbers` are its rows' numbers for messages.  DataError for anything
    that is no id."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(column.cat.categories.dtype)
    chunks = [slice(start, start + CHUNK) for start in range(0, len(column), CHUNK)]
    if isinstance(
        column.dtype, pd.StringDtype
    ):  # not all at once: a list of texts is several times larger than the column
        yield from (column.iloc[chunk].tolist() for chunk in chunks)
        return
    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "iu":
        yield from ([str(v) for v in column.iloc[chunk].tolist()] for chunk in chunks)
        return
    values = _checked(column.tolist(), numbers, party, key, dates, exact_below(column.dtype))
    yield from (values[chunk] for chunk in chunks)


def exact_below(kind: Any) -> float:
    """Up to where floats of a column's type tell neighbouring whole numbers apart: 2^53, of 32 bits 2^24."""
    plain = getattr(kind, "numpy_dtype", kind)
    return 2.0 ** (np.finfo(plain).nmant + 1) if isinstance(plain, np.dtype) and plain.kind == "f" else _EXACT_FLOAT


def _is_large(value: object, exact: float) -> bool:
    """Whether it is a float beyond what floats of the column, or of its own type, tell apart."""
    if isinstance(value, float):
        return abs(value) >= exact
    return isinstance(value, np.floating) and abs(float(value)) >= exact_below(value.dtype)


def _checked(
    values: list[object], numbers: NDArray[np.int64], party: str, key: str, dates: bool, exact: float
) -> list[str]:
    """All values as texts; exact: from where on floats are not."""

    def bad(what: str, rows: NDArray[np.bool_], remedy: str) -> DataError:
        return bad_ids(party, [key], what.format(rows=say_rows(numbers[rows])), remedy)

    if dates:
        values = [_iso(v) if isinstance(v, datetime.date) else v for v in values]
    is_text = _mask(isinstance(v, str) for v in values)
    if is_text.all():
        return values  # type: ignore[return-value]
    is_number = _mask(_is_number(v) for v in values)
    if dates and not (is_text | is_number).all():
        raise bad(
            "holds neither dates, text nor numbers in {rows}",
            ~(is_text | is_number),
            "Store dates without a time of day and without a time zone, or as texts",
        )
    if not (is_text | is_number).all():
        raise bad(
            "holds neither text nor numbers in {rows}", ~(is_text | is_number), "Store ids as text or whole numbers"
        )
    if is_text.any():
        fewer = is_text if 2 * is_text.sum() <= len(values) else is_number
        what = "text" if fewer is is_text else "numbers"
        raise bad("mixes text and numbers: {rows} hold " + what + ", the others do not", fewer, "Store all ids as text")
    long = _mask(isinstance(v, int) and not -_LONG < v < _LONG for v in values)
    if long.any():
        raise bad(f"holds numbers of more than {MAX_DIGITS:,} digits in {{rows}}", long, "Is this the id column?")
    whole = _mask(_is_whole(v) for v in values)  # type: ignore[arg-type]
    if not whole.all():
        raise bad(
            "holds numbers that are not whole numbers in {rows}",
            ~whole,
            "Store ids as text or whole numbers",
        )
    large = _mask(_is_large(v, exact) for v in values)
    if large.any():
        raise bad(
            f"holds floats of {len(str(int(exact)))} digits or more, which do not keep the last digits, in {{rows}}",
            large,
            "A column of whole numbers becomes one of floats where a value is missing: store the ids as text, or read "
            'them as nullable whole numbers (in pandas: dtype="Int64")',
        )
    return [str(int(v)) for v in values]  # type: ignore[call-overload]


def _mask(flags: Iterator[bool] | Sequence[bool]) -> NDArray[np.bool_]:
    return np.fromiter(flags, np.bool_)


def _iso(value: datetime.date) -> object:
    """A date as text; a time stamp only if it is a midnight without a time zone, else it stays what it is."""
    if isinstance(value, datetime.datetime):
        midnight = value.tzinfo is None and value.time() == datetime.time() and not getattr(value, "nanosecond", 0)
        return value.date().isoformat() if midnight else value
    return value.isoformat()


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | decimal.Decimal | np.integer | np.floating) and not isinstance(
        value, bool | np.bool_
    )


def _is_whole(value: int | float | decimal.Decimal) -> bool:
    if isinstance(value, float | np.floating):
        return bool(np.isfinite(value)) and float(value).is_integer()
    if isinstance(value, decimal.Decimal):
        return value.is_finite() and abs(value.adjusted()) < MAX_DIGITS and value == value.to_integral_value()
    return True
