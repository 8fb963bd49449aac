"""The type of each feature column: decided once, when a table is read for training, kept with the model part, and
applied to every later table, whatever file it comes from.

    number   float64
    text     a category: a text, as it is written
    code     a category that is a number or a truth value, in one form whatever the file says: 1 of 1, 1.0 and 01

Undeclared, a column is a number where all its values are, else a category.  A column is refused, with its rows, that
is neither beyond doubt: numbers but for a few cells, numbers as a person writes them (1,200 or 5 %), or dates.
"""

from __future__ import annotations

import datetime
import decimal
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protocols.errors import DataError
from vfl.data.keys import KeyLists
from vfl.data.literals import DECIMAL, MISSING, has_fraction, is_code, is_date, is_formatted, is_plain, shows_commas
from vfl.data.texts import CHUNK, say_rows

ColumnType = Literal["number", "text", "code"]
Declared = Literal["number", "category"]
V = TypeVar("V")
FEW = 0.05  # of the cells with a value: fewer that are no number are taken for mistakes
FEW_TEXTS, MANY_NUMBERS = 3, 30  # or up to so many different texts among more different numbers than these


class Usual(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the numbers of a column lay in training and how far they spread (`doubts.scale`), so coarse that it is no
    row's value; truth: whether all were 0 or 1."""

    middle: float
    spread: float
    truth: bool = False


class Schema(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """types: of each feature; missing: the texts that mean a missing value; usual: by column of numbers, what its
    values were in training, as far as that is known."""

    types: dict[str, ColumnType] = {}
    missing: tuple[str, ...] = ()
    usual: dict[str, Usual] = {}

    @classmethod
    def of_earlier(cls, inputs: Sequence[str], categories: Mapping[str, Collection[str]]) -> Schema:
        """Of a model part that keeps none: categories are those that it knows, by column."""
        types: dict[str, ColumnType] = dict.fromkeys(inputs, "number")
        return cls(types | {name: category(known) for name, known in categories.items()})

    @property
    def categories(self) -> tuple[str, ...]:
        """The columns that hold categories."""
        return tuple(name for name, kind in self.types.items() if kind != "number")

    def fits(self, inputs: Sequence[str]) -> bool:
        """Whether it is one of a model part with these inputs, when it was read from a file."""
        return set(self.types) == set(inputs) and set(self.usual) <= set(inputs)

    def of(self, inputs: Sequence[str]) -> Schema:
        """Of these columns alone."""
        usual = {name: self.usual[name] for name in inputs if name in self.usual}
        return Schema({name: self.types[name] for name in inputs}, self.missing, usual)


@dataclass(frozen=True)
class Settings:
    """What a party says of its own table.

    types: of features whose type is declared; missing: texts that mean a missing value, in addition to the usual ones;
    exclude: columns that are no features; id_columns: by a key column's name in the job, its own name in the table;
    event: of a label of two values, the one whose probability is modelled; None for the larger.
    in_python: whether it was said there, and not in a party file.
    monotone: by feature column 1, -1 or 0, in which direction predictions may move with it.
    """

    types: Mapping[str, Declared] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    id_columns: Mapping[str, str] = field(default_factory=dict)
    in_python: bool = False
    event: str | float | None = field(default=None, repr=False)
    monotone: Mapping[str, int] = field(default_factory=dict)

    def own_keys(self, keys: KeyLists) -> KeyLists:
        """Keys of the job with the table's own names of their columns."""
        return tuple(tuple(self.id_columns.get(column, column) for column in key) for key in keys)

    def by_own(self, normalise: Mapping[str, str]) -> dict[str, str]:
        """Normalisers by the table's own names."""
        return {self.id_columns.get(column, column): name for column, name in normalise.items()}

    def by_job(self, own: Mapping[str, V]) -> dict[str, V]:
        """By the job's names of columns, what is given by the table's own ones."""
        names = {mine: column for column, mine in self.id_columns.items()}
        return {names.get(column, column): given for column, given in own.items()}

    @property
    def absent(self) -> tuple[str, ...]:
        """All texts that mean a missing value."""
        return (*MISSING, *(text for text in self.missing if text not in MISSING))

    def key(self, name: str) -> str:
        """Of a setting that is a parameter of the estimator in Python: how the party would call it."""
        return name if self.in_python else f"data.{name}"

    def step(self, name: str, value: str) -> str:
        """A step of preprocessing as it is written."""
        return f'vfl.Preprocessing({name}="{value}")' if self.in_python else f'preprocess.{name} = "{value}"'

    def says(self, name: str, example: str) -> str:
        """A setting as the party would write it; example: its value as a job file has it, such as `["-"]`."""
        if not self.in_python:
            return f"data.{name} = {example}"
        inner = example.strip("{ }").split(" = ")
        value = "{" + f'"{inner[0]}": {inner[1]}' + "}" if len(inner) == 2 else example
        return f"vfl.TableOptions({name}={value})"


@dataclass(frozen=True)
class Found:
    """One feature column of a table that is read for training; numbers: of its rows, for messages."""

    name: str
    column: pd.Series
    numbers: NDArray[np.int64]
    party: str
    settings: Settings = Settings()

    def type(self) -> ColumnType:
        """Its type.  Raises DataError where that is not beyond doubt."""
        declared, kind = self.settings.types.get(self.name), self.column.dtype
        if declared == "number":
            return "number"
        if pd.api.types.is_numeric_dtype(kind) or pd.api.types.is_bool_dtype(kind):
            return "code" if declared else "number"
        try:
            counts = Counter[Any]()
            for start in range(0, len(self.column), CHUNK):
                counts.update(self.column.iloc[start : start + CHUNK].dropna().tolist())
        except TypeError:  # lists and the like: neither a number nor a category
            return "number"
        for text in self.settings.absent:
            counts.pop(text, None)
        if isinstance(kind, pd.CategoricalDtype) or declared:
            return category(counts)
        if days := {value for value in counts if _is_day(value)}:
            self._refuse(days, "holds dates", self._leave_out())
        if not any(isinstance(value, str) for value in counts):
            return "number"
        self._refuse_doubtful(counts)
        return category(counts)

    def _refuse_doubtful(self, counts: Counter[Any]) -> None:
        """Raises DataError for numbers that stand as texts, and for dates."""
        numbers, formatted, dates = (
            {value for value in counts if test(value)} for test in (_is_numeric, _is_formatted, _is_date_text)
        )
        others = counts.keys() - numbers - formatted
        total, odd = counts.total(), _rows_of(counts, others)
        if total - _rows_of(counts, dates) <= FEW * total:
            self._refuse(dates, "holds dates", self._leave_out())
        some = len(others) <= FEW_TEXTS and len(numbers) > MANY_NUMBERS and 2 * odd <= total
        if not (numbers or formatted) or not (some or odd <= FEW * total):
            return
        codes, dash = (
            self.settings.says("types", f'{{ {self.name} = "category" }}'),
            self.settings.says("missing", '["-"]'),
        )
        if _rows_of(counts, formatted) > odd and shows_commas(formatted):
            self._refuse(formatted, "holds numbers with a decimal comma", DECIMAL)
        if _rows_of(counts, formatted) > odd:
            self._refuse(
                formatted,
                "holds numbers with a thousands separator, a decimal comma, a percent sign or a currency",
                f"Store plain numbers, such as 1234.5, or declare a column of codes: {codes}",
            )
        if others or formatted:
            self._refuse(
                others | formatted,
                "holds numbers, except",
                f"Correct these cells; if their text means a missing value, name it, such as "
                f"{dash}; declare a column of codes: {codes}",
            )
        if any(isinstance(value, str) and has_fraction(value) for value in numbers):
            declared = self.settings.says("types", f'{{ {self.name} = "number" }}')
            self._refuse(numbers, "holds numbers as text", f"Store it as numbers, or declare it: {declared}")

    def _leave_out(self) -> str:
        example = self.settings.says("exclude", f'["{self.name}"]')
        return f"Convert them to numbers, such as the days since an event, or leave the column out: {example}"

    def _refuse(self, values: Set[Any], what: str, remedy: str) -> None:
        rows = self.numbers[np.fromiter((v in values for v in self.column.tolist()), np.bool_, len(self.column))]
        raise DataError(
            f"{self.party}: feature column '{self.name}' {what} in {say_rows(rows)}", remedy=remedy, party=self.party
        )


def category(values: Iterable[Any]) -> ColumnType:
    """Of a column of categories, by its different values."""
    return "code" if all(not isinstance(value, str) or is_code(value) for value in values) else "text"


def _is_day(value: object) -> bool:
    return isinstance(value, datetime.date | datetime.time | datetime.timedelta | np.datetime64 | np.timedelta64)


def _is_numeric(value: object) -> bool:
    if isinstance(value, str):
        return is_plain(value)
    return isinstance(value, int | float | decimal.Decimal | np.number) and not isinstance(value, bool)


def _is_formatted(value: object) -> bool:
    return isinstance(value, str) and is_formatted(value)


def _is_date_text(value: object) -> bool:
    return isinstance(value, str) and is_date(value)


def _rows_of(counts: Counter[Any], values: Set[Any]) -> int:
    return sum(counts[value] for value in values)
