"""One feature column of a table as numbers, or as texts.

Messages name the column and row numbers (the first data row is 1), never a value.
"""

from __future__ import annotations

import decimal
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protocols.errors import DataError
from vfl.data import literals
from vfl.data.literals import TRUTH
from vfl.data.schema import ColumnType, Settings
from vfl.data.texts import CHUNK, encodes, exact_below, say_rows

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
    bad = complaint(party, f"feature column '{name}'")
    if typed:
        dash = settings.says("missing", '["-"]')
        remedy = f"Correct these cells; if their text means a missing value, name it, such as {dash}"
        column = _read(column, bad, numbers, remedy)
    values = numbers_of(column, bad, numbers, lambda cells: _remedy(cells, int(column.notna().sum()), settings, name))
    if not missing:
        no_missing(column, party, name, numbers, settings)
    if np.isinf(values).any():
        raise bad(f"has infinite values in {say_rows(numbers[np.isinf(values)])}", FILL)
    return values


def text(column: pd.Series, party: str, name: str, numbers: Rows, kind: ColumnType = "code") -> NDArray[np.object_]:
    """(n,) one category per row, None where missing.

    "text": as it is written, and a column of numbers is refused; "code": in the one form that a number has.
    """
    bad = complaint(party, f"feature column '{name}'")
    known = column.notna().to_numpy(np.bool_)
    if kind == "text" and known.any() and _is_numeric(column):
        raise bad(
            f"holds numbers in {say_rows(numbers[known])}, and held texts when the model was trained",
            "Read the column as texts, as they are written (in pandas: dtype=str)",
        )
    _check_exact(column, numbers, bad)
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
    if spoilt := {v for v in each if not encodes(v)}:
        wrong = np.fromiter((v in spoilt for v in out), np.bool_, len(out))
        raise bad(f"is not valid Unicode in {say_rows(numbers[wrong])}", "Store the table as UTF-8")
    return out


def _check_exact(column: pd.Series, numbers: Rows, bad: Bad) -> None:
    """Raises DataError for floats that are too large to tell neighbouring codes apart."""
    if column.dtype.kind not in "fO" or isinstance(column.dtype, pd.StringDtype):
        return
    exact, large = exact_below(column.dtype), list[int]()
    for start in range(0, len(column), CHUNK):
        cells = enumerate(column.iloc[start : start + CHUNK].tolist(), start)
        large += [row for row, v in cells if isinstance(v, float | np.floating) and exact <= abs(float(v)) < np.inf]
    if large:
        raise bad(
            f"holds floats of {len(str(int(exact)))} digits or more, which do not tell codes apart, in "
            f"{say_rows(numbers[large])}",
            "Store the codes as whole numbers or texts",
        )


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
    out = np.empty(len(values), object)
    out[:] = values  # lists and the like stay one cell each
    out[texts] = found
    return pd.Series(out, dtype=object)


def no_missing(column: pd.Series, party: str, name: str, numbers: Rows, settings: Settings) -> None:
    """Raises DataError where a feature misses values."""
    missing = column.isna().to_numpy(np.bool_)
    if missing.any():
        bad = complaint(party, f"feature column '{name}'")
        raise bad(
            f"has missing values in {say_rows(numbers[missing])}", f"{FILL}, or use {settings.step('impute', 'median')}"
        )


def no_truth(column: pd.Series, party: str, name: str, numbers: Rows) -> None:
    """Raises DataError where a feature holds truth values, which other numbers were learnt from."""
    truth = column.notna().to_numpy(np.bool_)
    if not pd.api.types.is_bool_dtype(column.dtype):
        if column.dtype.kind != "O":
            return
        truth = np.fromiter((isinstance(v, bool | np.bool_) for v in column.tolist()), np.bool_, len(column))
    if truth.any():
        raise complaint(party, f"feature column '{name}'")(
            f"holds truth values in {say_rows(numbers[truth])}, and held other numbers when the model was trained",
            "Write its numbers as the training table did; a missing value is an empty cell",
        )


_NO_TEXT = object()


def _written(value: Any, kind: ColumnType) -> object:
    """A category as text; _NO_TEXT for what is neither text nor finite number."""
    if value is None or isinstance(value, str):
        return literals.code(value) if value is not None and kind == "code" else value
    if isinstance(value, bool | np.bool_):
        return str(bool(value))
    if not is_real(value) or abs(value) > _LARGEST or not np.isfinite(float(value)):
        return _NO_TEXT
    if value == int(value):
        return str(int(value))
    return repr(float(value)) if isinstance(value, decimal.Decimal) else str(value)


FILL = "Fill them in or remove the rows or the column before the run"


def complaint(party: str, what: str) -> Bad:
    """The error of a column: of what is wrong, and the remedy."""
    return lambda wrong, remedy: DataError(f"{party}: {what} {wrong}", remedy=remedy, party=party)


def _remedy(cells: Sequence[Any], total: int, settings: Settings, name: str) -> str:
    """For the feature column `name`, by those of its cells that are no numbers; total: how many have a value."""
    dash, out = settings.says("missing", '["-"]'), settings.says("exclude", f'["{name}"]')
    texts = [cell for cell in cells if isinstance(cell, str)]
    if texts and all(map(literals.is_date, texts)):
        return f"Convert these dates to numbers, such as the days since an event, or leave the column out: {out}"
    if texts and all(map(literals.is_formatted, texts)):
        return "Store plain numbers, such as 1234.5, without a separator, a percent sign or a currency"
    if 2 * len(cells) <= total:
        return f"Correct these cells; if their text means a missing value, name it, such as {dash}"
    return f"Encode it as numbers, as {settings.step('encode', 'onehot')} does, or leave it out: {out}"


def numbers_of(
    column: pd.Series, bad: Bad, numbers: Rows, remedy: str | Callable[[Sequence[Any]], str]
) -> NDArray[np.float64]:
    """(n,) float64, NaN where missing; remedy: of cells that are no numbers, or what makes it of them."""
    missing = column.isna().to_numpy(np.bool_)
    if pd.api.types.is_complex_dtype(column.dtype) or not (
        pd.api.types.is_numeric_dtype(column.dtype) or pd.api.types.is_bool_dtype(column.dtype)
    ):
        values = column.tolist()
        wrong = ~np.fromiter((is_real(v) for v in values), np.bool_, len(values)) & ~missing
        if wrong.any():
            unreadable = np.fromiter((w and not _reads(v) for w, v in zip(wrong, values, strict=True)), np.bool_)
            if unreadable.any():
                cells = [values[at] for at in np.flatnonzero(unreadable)]
                told = remedy if isinstance(remedy, str) else remedy(cells)
                told = literals.DECIMAL if literals.shows_commas(cells) else told
                raise bad(f"is not numeric in {say_rows(numbers[unreadable])}", told)
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


def is_real(value: object) -> bool:
    return isinstance(value, int | float | decimal.Decimal | np.integer | np.floating | np.bool_)


def _reads(value: object) -> bool:
    """Whether it is a text that reads as a number."""
    try:
        float(value if isinstance(value, str) else "")
    except ValueError:
        return False
    return True
