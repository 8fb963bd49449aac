"""What a cell of text reads as: a number, a truth value, a number as a person writes it, a date, or nothing of these.

Python's own reading of numbers is exact, so a number has the same bits whatever file it comes from.  Only ASCII digits
are numbers, and only a point is a decimal point: nothing is guessed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

MISSING = ("", "NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "None", "#N/A", "<NA>")  # not in key columns
TRUTH = {word: word.lower() == "true" for word in ("true", "True", "TRUE", "false", "False", "FALSE")}

_NUMBER = re.compile(r"\s*[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|inf(?:inity)?)\s*", re.ASCII | re.IGNORECASE)
_USUAL = b"0123456789eE+.\n -"  # Python would read "1_000" and digits of other scripts
_FRACTION = re.compile(r"[.eEiI]")
LONGEST = 400  # signs of a number that is a code; Python refuses to read much longer ones
_WHOLE = re.compile(r"\s*([+-]?\d+)\.?0*\s*", re.ASCII)
_LEADING_ZERO = re.compile(r"\s*[+-]?0\d", re.ASCII)
_CODE = re.compile(r"\n[ +-]*0\d", re.ASCII)
_MONEY = r"(?:[€$£¥₹]|EUR|USD|GBP|CHF|JPY|CNY|INR|SEK|NOK|DKK|PLN|CZK)"
_BLANK = "[ \u00a0\u202f]"
_AS_WRITTEN = re.compile(
    rf"\s*(?:{_MONEY}{_BLANK}?)?[(+-]?(?:{_MONEY}{_BLANK}?)?"
    rf"(?:\d{{1,3}}(?:(?P<mark>[,'’.]|{_BLANK})\d{{3}})(?:(?P=mark)\d{{3}})*(?:[.,]\d+)?|\d+(?:[.,]\d+)?)"
    rf"{_BLANK}?%?(?:{_BLANK}?{_MONEY})?\)?-?\s*",
    re.ASCII,
)
_COMMA = re.compile(r"\s*[+-]?(?:\d+,\d*|,\d+)(?:e[+-]?\d+)?\s*", re.ASCII | re.IGNORECASE)
_THOUSANDS = re.compile(r"\s*[+-]?\d{1,3}(?:,\d{3})+\s*", re.ASCII)
DECIMAL = (
    'If that is a decimal comma, say so: data.decimal = "," in the party file, or decimal="," where pandas reads it'
)
_DATE = re.compile(
    r"\s*(?:\d{4}(?P<a>[-/.])\d{1,2}(?P=a)\d{1,2}|\d{1,2}(?P<b>[-/.])\d{1,2}(?P=b)(?:\d{4}|\d{2}))"
    r"(?:[T ]\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?)?\s*",
    re.ASCII,
)


def numbers(texts: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """(n,) the numbers, NaN where there is none; (n,) which texts are numbers."""
    if _is_usual("\n".join(texts)):
        try:
            return np.fromiter(map(float, texts), np.float64, len(texts)), np.ones(len(texts), np.bool_)
        except ValueError:
            pass
    found = matches(texts, is_number)
    values = np.full(len(texts), np.nan)
    values[found] = [float(t) for t, number in zip(texts, found, strict=True) if number]
    return values, found


def whole(texts: Sequence[str]) -> NDArray[np.int64] | None:
    """(n,) the whole numbers that all of the texts are, if they fit; else None."""
    blob = "\n".join(texts)
    if any(sign in blob for sign in ".eE") or not _is_usual(blob):
        return None
    try:
        return np.fromiter(map(int, texts), np.int64, len(texts))
    except (ValueError, OverflowError):
        return None


def has_leading_zeros(texts: Sequence[str]) -> bool:
    """Whether any of these numbers has a zero before its other digits, as codes do."""
    return _CODE.search("\n".join(("", *texts))) is not None


def _is_usual(blob: str) -> bool:
    """Whether no other characters are in it than numbers usually have, so that Python reads nothing else as one."""
    return blob.isascii() and not blob.encode().translate(None, _USUAL)


def is_number(text: str) -> bool:
    """Whether it reads as a number."""
    return _NUMBER.fullmatch(text) is not None


def has_fraction(text: str) -> bool:
    """Whether a number is written with a decimal point or an exponent."""
    return _FRACTION.search(text) is not None


def is_plain(text: str) -> bool:
    """Whether it is a number without leading zeros, which are a sign of a code."""
    return is_number(text) and not _LEADING_ZERO.match(text)


def is_formatted(text: str) -> bool:
    """Whether it is a number as a person writes it: with a thousands separator, a decimal comma, a percent sign or a
    currency."""
    return _AS_WRITTEN.fullmatch(text) is not None and not is_number(text)


def has_comma(text: str) -> bool:
    """Whether it is a number with a decimal comma, or could be one."""
    return _COMMA.fullmatch(text) is not None


def shows_commas(values: Iterable[object]) -> bool:
    """Whether all are numbers with a decimal comma, and not all of them could be thousands: 1,5 but not 1,500."""
    texts = [value for value in values if isinstance(value, str)]
    return all(map(has_comma, texts)) and not all(map(_THOUSANDS.fullmatch, texts))


def is_date(text: str) -> bool:
    """Whether it has the form of a day, with or without a time."""
    return _DATE.fullmatch(text) is not None


def matches(texts: Sequence[str], test: Callable[[str], bool]) -> NDArray[np.bool_]:
    """(n,) which texts pass a test."""
    return np.fromiter(map(test, texts), np.bool_, len(texts))


def code(text: str) -> str:
    """A code that is a number, in the one form that every file format gives it: 1 of 1.0, 01 and 1e0; True of TRUE.
    Others stay as they are."""
    if text in TRUTH:
        return str(TRUTH[text])
    if not is_number(text) or len(text) > LONGEST:
        return text
    if whole_part := _WHOLE.fullmatch(text):  # not by way of a float, which holds 15 digits
        return str(int(whole_part[1]))
    value = float(text)
    return str(int(value)) if value.is_integer() else repr(value)


def is_code(text: str) -> bool:
    """Whether a program would write a number, or a truth value, in this way: 1, 1.0, 2.5 and True, not 01 and 2.50."""
    return text in ("True", "False") or (is_number(text) and re.sub(r"\.0+$", "", text) == code(text))
