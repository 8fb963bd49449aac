"""Cells of a file of texts that read as numbers and may mean something else: a month such as 01.2020, a thousand such
as 1.200, a code such as 007.

A file's reader notes them while it has the texts, in the frame's attrs.  What is said of them depends on what the party
declares.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protocols.errors import DataError
from vfl.data.literals import has_leading_zeros
from vfl.data.schema import Settings
from vfl.data.texts import say_rows

SHOWN = 5  # rows of a note
NOTES = "vfl.written"  # in a frame's attrs: by column, by kind of note, how many rows and the first of them
ENOUGH = 10  # cells: of fewer none is refused
_ZERO = re.compile(r"\s*[+-]?0\d", re.ASCII)
_MONTH = re.compile(r"(?:0?[1-9]|1[0-2])\.(?:19|20)\d\d", re.ASCII)
_THOUSANDS = re.compile(r"[+-]?(?:[1-9]\d{0,2}(?:\.\d{3})?|0)", re.ASCII)


@dataclass
class Cells:
    """What stands in the cells of one column of numbers, piece by piece; points: whether a decimal point is one."""

    points: bool = True
    known: int = 0  # cells with a value
    pointed: int = 0  # of these, with a point
    zeros: list[int] = field(default_factory=list)  # rows whose number has a zero before its other digits
    first: list[int] = field(default_factory=list)  # the first rows with a point
    months: bool = True  # whether every cell so far could be one
    thousands: bool = True  # whether every cell could have a point for its thousands

    def add(self, cells: Sequence[str], values: NDArray[Any], rows: Sequence[int]) -> None:
        """cells: those with a value, which are the numbers `values`; rows: of each, its number."""
        self.known += len(cells)
        if has_leading_zeros(cells):
            self.zeros += [row for cell, row in zip(cells, rows, strict=True) if _ZERO.match(cell)]
        if values.dtype == np.int64:
            self.months = False
            self.thousands = self.thousands and not self.zeros and int(np.abs(values).max()) < 1000
            return
        self.months = self.months and self.points and all(map(_MONTH.fullmatch, cells))
        self.thousands = self.thousands and self.points and all(map(_THOUSANDS.fullmatch, cells))
        if self.months or self.thousands:
            pointed = [row for cell, row in zip(cells, rows, strict=True) if "." in cell]
            self.pointed += len(pointed)
            self.first += pointed[: max(0, SHOWN - len(self.first))]

    def notes(self) -> dict[str, list[int]]:
        """By kind, how many rows, and the first of them: plain lists, which any writer of a frame can write."""
        found = {"zeros": [len(self.zeros), *self.zeros[:SHOWN]]} if self.zeros else {}
        if self.pointed and self.months:
            sure = self.zeros and self.known >= ENOUGH
            found["months" if sure else "perhaps months"] = [self.pointed, *self.first]
        elif self.pointed and self.thousands:
            sure = self.pointed < self.known and self.known >= ENOUGH
            found["thousands" if sure else "perhaps thousands"] = [self.pointed, *self.first]
        return found


def doubts(
    frame: pd.DataFrame, party: str, columns: Sequence[str], settings: Settings, *, learnt: bool
) -> tuple[str, ...]:
    """A sentence for each column of numbers that the reader has a note of, unless the party declares its type.  Raises
    DataError for months, and for numbers of which the thousands are as likely as decimals; learnt: not where the type
    was decided by an earlier training, which then counts."""
    notes = frame.attrs.get(NOTES)
    notes, found = notes if isinstance(notes, dict) else {}, list[str]()
    for name in columns:
        if name in settings.types or not isinstance(own := notes.get(name), dict):
            continue
        for kind, (total, *rows) in own.items():
            if learnt and kind == "zeros":  # which was said at the training
                continue
            what, remedy = _words(kind, name, say_rows(rows, total), settings)
            if kind in REFUSED and not learnt:
                raise DataError(f"{party}: feature column '{name}' {what}", remedy=remedy, party=party)
            found.append(f"column '{name}' {what}: {remedy}")
    return tuple(found)


REFUSED = ("months", "thousands")


def _words(kind: str, name: str, rows: str, settings: Settings) -> tuple[str, str]:
    """What a column of this kind does, and the remedy."""
    number, codes = (settings.says("types", f'{{ {name} = "{kind}" }}') for kind in ("number", "category"))
    out = settings.says("exclude", f'["{name}"]')
    told = {
        "zeros": (
            f"has numbers with leading zeros in {rows}, as codes do, and is read as numbers",
            f"if they are codes, say so: {codes}",
        ),
        "months": (
            f"holds months, such as 01.2026, in {rows}, which read as numbers",
            f"Convert them to numbers, such as the months since an event, or leave the column out: {out}; if they are "
            f"numbers, declare them: {number}",
        ),
        "perhaps months": (
            f"has numbers in {rows} that may be months, such as 01.2026",
            f"if they are, leave the column out, or convert them to numbers; if not, declare it: {number}",
        ),
        "thousands": (
            f"has a point before three digits in {rows}, and other numbers without one: 1.200 may be 1200",
            f"Write thousands without a point; if these are decimals, declare the column: {number}",
        ),
        "perhaps thousands": (
            f"has a point before three digits in {rows}, and is read as decimals: 1.200 is not 1200",
            f"if the point separates thousands, write numbers without it; if not, declare the column: {number}",
        ),
    }
    return told[kind]


def noted(columns: Mapping[str, Cells]) -> dict[str, dict[str, list[int]]]:
    """What is kept of columns: by name, the notes of those that have any."""
    return {name: found for name, cells in columns.items() if (found := cells.notes())}
