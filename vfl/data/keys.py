"""Ids: from a table's key columns to canonical bytes that compare equal at every party, and the split that they decide.

Messages name columns and row numbers (the first data row is 1, a header is not counted), never a value.
"""

from __future__ import annotations

import decimal
import hashlib
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protocols.errors import DataError

Rows = NDArray[np.int64]
MAX_ID_BYTES = 10_000
_EXACT_FLOAT = 2.0**53  # above it a float64 no longer tells neighbouring whole numbers apart


def say_rows(rows: NDArray[np.integer] | Sequence[int]) -> str:
    """'row 7' or 'rows 7, 9, 12, 40, 41 and 95 more'."""
    first = [str(int(r)) for r in rows[:5]]
    if len(rows) == 1:
        return f"row {first[0]}"
    return f"rows {', '.join(first)} and {len(rows) - 5} more" if len(rows) > 5 else f"rows {', '.join(first)}"


def text_form(value: str) -> str:
    """NFKC, trimmed, inner white space as one blank, case folded; applying it twice changes nothing."""
    if not value.isascii():
        for _ in range(2):  # folding can undo NFKC and NFKC can bring new capitals; two rounds reach the fixed point
            value = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", value).casefold())
        return " ".join(value.split())
    return " ".join(value.casefold().split())


def digits_form(value: str) -> str:
    """NFKC, then only the decimal digits, of any script, as 0 to 9."""
    if not value.isascii():
        value = unicodedata.normalize("NFKC", value)
        return "".join(str(unicodedata.decimal(c)) for c in value if c.isdecimal())
    return "".join(c for c in value if c.isdecimal())


def exact_form(value: str) -> str:
    """The text as it is."""
    return value


FORMS: dict[str, Callable[[str], str]] = {"text": text_form, "digits": digits_form, "exact": exact_form}


def canonical_ids(frame: pd.DataFrame, party: str, keys: Sequence[str], normalise: Mapping[str, str]) -> list[bytes]:
    """One canonical id a row: every key column's normalised text in UTF-8, each after its length in 4 bytes
    (big-endian).

    Whole numbers are written without a decimal point, also where the column is of floats or decimals.
    Raises DataError: empty or null ids, mixed types, types that are no id, ids above 10,000 bytes.
    """
    columns = [_texts(frame[key], party, key, normalise.get(key, "text")) for key in keys]
    ids = [b"".join([len(part).to_bytes(4, "big") + part for part in row]) for row in zip(*columns, strict=True)]
    lengths = np.fromiter((len(i) for i in ids), np.int64, len(ids)) - 4 * len(keys)
    if (lengths > MAX_ID_BYTES).any():
        rows = np.flatnonzero(lengths > MAX_ID_BYTES) + 1
        raise _bad(party, keys, f"has ids longer than {MAX_ID_BYTES:,} bytes: {say_rows(rows)}", "Is this the id column?")
    return ids


def first_of_each(ids: Sequence[bytes], party: str, keys: Sequence[str], duplicates: str) -> Rows:
    """The rows (from 0) to keep: all, or the first of each id; DataError if ids repeat and `duplicates` is "error"."""
    seen: dict[bytes, int] = {}
    repeats = np.fromiter((seen.setdefault(value, row) != row for row, value in enumerate(ids)), np.bool_, len(ids))
    if repeats.any() and duplicates == "error":
        rows = np.flatnonzero(repeats) + 1
        raise _bad(
            party,
            keys,
            f"repeats ids: {len(rows)} rows carry an id that an earlier row has, after normalising: {say_rows(rows)}",
            'Remove them, or agree on duplicates = "first" in [align] to keep the first row of each id',
        )
    return np.flatnonzero(~repeats).astype(np.int64)


def split_rows(ids: Sequence[bytes], fraction: float, seed: int) -> NDArray[np.bool_]:
    """(n,) True = held out: BLAKE2b of the canonical id, keyed by the seed, below `fraction`; the same at every party,
    in any order.

    fraction in [0, 1]; seed in [0, 2^63).
    """
    base = hashlib.blake2b(key=seed.to_bytes(8, "big"), digest_size=8, person=b"vfl split 1")
    limit = int(Fraction(fraction) * 2**64)
    held = np.zeros(len(ids), np.bool_)
    for row, value in enumerate(ids):
        keyed = base.copy()
        keyed.update(value)
        held[row] = int.from_bytes(keyed.digest(), "big") < limit
    return held


def _bad(party: str, keys: Sequence[str], what: str, remedy: str) -> DataError:
    names = " + ".join(f"'{k}'" for k in keys)
    return DataError(f"{party}: id column {names} {what}", remedy=remedy, party=party)


def _texts(column: pd.Series, party: str, key: str, how: str) -> list[bytes]:
    """The normalised UTF-8 texts of one key column."""
    null = column.isna().to_numpy(np.bool_)
    if null.any():
        raise _bad(party, [key], f"is empty in {say_rows(np.flatnonzero(null) + 1)}", "Give each row an id, or remove it")
    values = _plain(column, party, key)
    form = FORMS[how]
    if how == "digits" and any(_floatlike(v) for v in values):
        rows = [n for n, v in enumerate(values, 1) if _floatlike(v)]
        raise _bad(
            party,
            [key],
            f"has texts like '12.0' in {say_rows(rows)}: \"digits\" would read the 0 as part of the id",
            "Store ids as text or whole numbers, not as decimals",
        )
    try:
        texts = [form(v).encode() for v in values]
    except UnicodeEncodeError:
        rows = [n for n, v in enumerate(values, 1) if not _encodes(v)]
        raise _bad(party, [key], f"is not valid Unicode in {say_rows(rows)}", "Store the table as UTF-8") from None
    empty = [n for n, (t, v) in enumerate(zip(texts, values, strict=True), 1) if not t or not v.strip()]
    if empty:
        why = "has no digit" if how == "digits" else "is empty"
        raise _bad(party, [key], f"{why} in {say_rows(empty)}", "Give each row an id, or remove it")
    return texts


def _floatlike(value: str) -> bool:
    return value.endswith("0") and re.fullmatch(r"\s*\d+\.0+", value) is not None


def _encodes(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _plain(column: pd.Series, party: str, key: str) -> list[str]:
    """The column's values as text: texts as they are, whole numbers in decimal; DataError for anything else."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(column.cat.categories.dtype)
    values = column.tolist()
    is_text = np.fromiter((isinstance(v, str) for v in values), np.bool_, len(values))
    if is_text.all():
        return values
    is_number = np.fromiter((_is_number(v) for v in values), np.bool_, len(values))
    if not (is_text | is_number).all():
        rows = np.flatnonzero(~(is_text | is_number)) + 1
        raise _bad(party, [key], f"holds neither text nor numbers in {say_rows(rows)}", "Store ids as text or whole numbers")
    if is_text.any():
        fewer = is_text if 2 * is_text.sum() <= len(values) else is_number
        what = "text" if fewer is is_text else "numbers"
        raise _bad(
            party,
            [key],
            f"mixes text and numbers: {say_rows(np.flatnonzero(fewer) + 1)} hold {what}, the others do not",
            "Store all ids as text",
        )
    whole = np.fromiter((_is_whole(v) for v in values), np.bool_, len(values))
    if not whole.all():
        raise _bad(
            party,
            [key],
            f"holds numbers that are no whole numbers, or floats too large to be exact, in {say_rows(np.flatnonzero(~whole) + 1)}",
            "Store ids as text or whole numbers",
        )
    return [str(int(v)) for v in values]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | decimal.Decimal | np.integer | np.floating) and not isinstance(value, bool | np.bool_)


def _is_whole(value: int | float | decimal.Decimal) -> bool:
    if isinstance(value, float | np.floating):
        return bool(np.isfinite(value)) and float(value).is_integer() and abs(float(value)) < _EXACT_FLOAT
    if isinstance(value, decimal.Decimal):
        return value.is_finite() and abs(value.adjusted()) < MAX_ID_BYTES and value == value.to_integral_value()
    return True
