"""Ids that may be none: numbers that a spreadsheet spoilt, words for a missing value, characters that nobody sees."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field

from vfl.data.literals import MISSING

SHOWN = 5  # rows that are kept for messages
DOUBTS = {  # by kind, what is said of a key column
    "decimal": "has ids such as '1000.0' in {rows}, which whole numbers become on their way through decimals: "
    "'1000' is another id; store ids as text or whole numbers",
    "exponent": "has ids such as '1.2E+07' in {rows}, as a spreadsheet shows numbers: digits are lost; write the ids "
    "as text",
    "absent": "has words for a missing value, such as 'NA', in {rows}, which are compared as ids: give these rows "
    "their ids, or remove them",
    "unseen": (
        "has invisible characters (control characters, blanks without width) in {rows}, which count in the "
        "comparison: remove them"
    ),
}
_WORDS = {word.casefold() for word in MISSING if word} | {"-", "?", "none", "unknown", "missing", "#ref!", "#value!"}
_LONGEST = max(map(len, _WORDS))
_DECIMAL = re.compile(r"\s*\d+\.0+\s*", re.ASCII)
_EXPONENT = re.compile(r"\s*\d(?:[.,]\d+[eE][+-]?|[eE]\+)\d+\s*", re.ASCII)
_SHAPE = re.compile(r"\s*9+(?:\.9+|(?:[.,]9+)?A[+-]?9+)\s*")  # of both


@dataclass
class Doubtful:
    """How many rows, and the first of them."""

    total: int = 0
    first: list[int] = field(default_factory=list)

    def add(self, rows: Sequence[int]) -> None:
        """More of them."""
        self.total += len(rows)
        self.first += [int(row) for row in rows[: max(0, SHOWN - len(self.first))]]


def doubtful(values: Sequence[str], shapes: Sequence[str]) -> dict[str, list[int]]:
    """By kind, the places of values that may be no ids; shapes: of each."""
    found: dict[str, list[int]] = {}
    looked = {form: _look(form) for form in set(shapes)}
    for row, (value, form) in enumerate(zip(values, shapes, strict=True)):
        if looked[form] and (kind := _kind(value)):
            found.setdefault(kind, []).append(row)
    return found


def _look(form: str) -> bool:
    """Whether a value of this shape may be doubtful."""
    return len(form.strip()) <= _LONGEST or _SHAPE.fullmatch(form) is not None or not form.isprintable()


def _kind(value: str) -> str:
    if value.strip().casefold() in _WORDS:
        return "absent"
    if _DECIMAL.fullmatch(value):
        return "decimal"
    if _EXPONENT.fullmatch(value):
        return "exponent"
    hidden = not value.isprintable() and any(unicodedata.category(c) in ("Cc", "Cf") and not c.isspace() for c in value)
    return "unseen" if hidden else ""
