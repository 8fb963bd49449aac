"""Numbers that may be no amounts: days, account numbers, row numbers, codes for a missing value, typing errors.

They are found by the values alone, so that it does not matter what kind of source they come from.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from vfl.data.doubts.scale import Floats, Scale, Sorted
from vfl.data.schema import Settings
from vfl.data.texts import say_rows

ENOUGH = 20  # rows with a value: of fewer nothing is said
FLAT = 20.0  # standard deviations in units of the usual spread: 5.5 in the widest column of the public credit tables
REPEATED, SINGLE = (
    (10.0, 3.0),
    (30.0, 10.0),
)  # how far out in units of the spread, and how many times as far as the next
CODES = 3  # different codes for a missing value at one end of a column
NINE_DIGITS, TWENTY_DIGITS = 1e8, 1e20
_DAYS = np.array([31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])


def far_out(name: str, numbers: Floats, settings: Settings) -> str:
    """Of a column that will be standardised: what to say where a few values, by their distance, leave little of the
    others; else empty."""
    column = Sorted.of(numbers)
    if column.total < ENOUGH:
        return ""
    known = np.isfinite(numbers)
    for values, sign in ((column, 1), (column.turned, -1)):
        cut = _outside(values)
        if cut is not None:
            return _said(name, np.flatnonzero(known & (sign * numbers >= cut)), settings)
    spread = Scale.of(column).spread
    with np.errstate(over="ignore"):
        deviation = float(np.std(numbers[known]))
    return f"column '{name}': {_FLATTENED}" if spread and deviation > FLAT * spread else ""


_FLATTENED = (
    "its largest values lie so far out that standardising leaves little of the others: correct them if they are "
    "wrong; of amounts take logarithms, or set clip_quantiles in the preprocessing"
)


def _said(name: str, rows: NDArray[np.intp], settings: Settings) -> str:
    code = settings.says("missing", '["-999"]')
    where = f"the value of {say_rows(rows + 1)} lies" if len(rows) == 1 else f"the values of {say_rows(rows + 1)} lie"
    return (
        f"column '{name}': {where} far outside of all others, and standardising leaves little of these: correct what "
        f"is wrong; if it stands for a missing value, name it, such as {code}"
    )


def _outside(column: Sorted) -> float | None:
    """From where on the largest values lie far outside of all others, and are one value, or up to three that repeat;
    None where they do not."""
    for codes in range(1, min(CODES, len(column.values) - 1) + 1):
        rest, own = column.where(np.arange(len(column.values)) < len(column.values) - codes), column.rows[-codes:]
        if codes > 1 and own.min() < 2:
            return None
        if rest.total < ENOUGH // 2:
            return None
        usual, first = Scale.of(rest), float(column.values[-codes])
        far, apart = SINGLE if own[0] == 1 else REPEATED
        distance, nearest = first - usual.middle, max(float(rest.values[-1]) - usual.middle, usual.spread)
        if usual.spread and distance > far * usual.spread and distance > apart * nearest:
            return first
    return None


def nothing_said(column: pd.Series, settings: Settings) -> str:
    """What to say of a column (n,) without any value; else empty."""
    if len(column) < ENOUGH or column.notna().any():
        return ""
    out = settings.says("exclude", f'["{column.name}"]')
    return f"column '{column.name}': every value is missing: is it read as it should be? If so, leave it out: {out}"


def one_value(column: pd.Series, settings: Settings) -> str:
    """What to say of a column (n,) with one value in all rows; else empty."""
    if len(column) < 2 or column.isna().any() or (column != column.iloc[0]).any():
        return ""
    out = settings.says("exclude", f'["{column.name}"]')
    return f"column '{column.name}': all rows have one value, and no model learns from it; leave it out: {out}"


def no_amounts(name: str, numbers: Floats, settings: Settings) -> str:
    """What to say of whole numbers that are rather days, months, account numbers or row numbers; else empty."""
    known = numbers[np.isfinite(numbers)]
    if len(known) < ENOUGH or (known != np.floor(known)).any():
        return ""
    out = settings.says("exclude", f'["{name}"]')
    if len(np.unique(known)) > 2 and (form := _calendar(known)):
        return (
            f"column '{name}': its numbers are {form} in all rows, and are read as amounts: convert them to numbers, "
            f"such as the days since an event, or leave the column out: {out}"
        )
    if len(known) == len(numbers) and (np.abs(np.diff(known)) == 1).all() and np.ptp(known) == len(known) - 1:
        return f"column '{name}': it numbers the rows; leave it out: {out}"
    long = np.abs(known).min() >= NINE_DIGITS and np.abs(known).max() < TWENTY_DIGITS
    if long and len(np.unique(known)) > 0.99 * len(known):
        return (
            f"column '{name}': its numbers have nine digits or more, and nearly every row has its own: if they are "
            f"numbers of accounts or the like, leave the column out: {out}"
        )
    return ""


def _calendar(known: Floats) -> str:
    """ "days (YYYYMMDD)", "months (YYYYMM)", "times (YYYYMMDDhhmmss)" where all of them are; else empty."""
    for form, unit in (("days (YYYYMMDD)", 1), ("times (YYYYMMDDhhmmss)", 1_000_000), ("months (YYYYMM)", 0)):
        days = known // unit if unit else known * 100 + 1
        year, month, day = days // 10_000, days // 100 % 100, days % 100
        good = (year >= 1900) & (year <= 2100) & (month >= 1) & (month <= 12) & (day >= 1)
        if good.all() and (day <= _DAYS[month.astype(np.int64) - 1]).all():
            return form
    return ""
