"""A change of unit is told, whatever the column looks like; another sample of one population is not."""

from __future__ import annotations

import numpy as np
import pytest

from vfl.data.doubts.units import moved, usual

RNG = np.random.default_rng(4)
N = 2000
COLUMNS = {
    "centred": RNG.normal(size=N),
    "ages": RNG.integers(18, 90, N).astype(float),
    "amounts": np.exp(RNG.normal(8, 1.5, N)),
    "mostly zero": np.where(RNG.random(N) < 0.8, 0.0, np.exp(RNG.normal(8, 1, N))),
    "shares": RNG.random(N),
    "years": RNG.integers(1990, 2024, N).astype(float),
    "large": 1e15 + RNG.normal(size=N) * 1e12,
}


def told(name: str, new: np.ndarray) -> str:
    before = usual(COLUMNS[name])
    assert before is not None
    return moved(name, before, new)


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize("factor", [10, 12, 100, 1000, 1e6, -1000, 1 / 12, 1 / 100, 1 / 1000])
def test_another_unit(name: str, factor: float) -> None:
    assert "is the unit the same" in told(name, COLUMNS[name][:1000] * factor)


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize("rows", [1, 5, 12, 100, N])
def test_the_same_population(name: str, rows: int) -> None:
    for _ in range(20):
        assert told(name, RNG.choice(COLUMNS[name], rows)) == ""


def test_another_zero_and_another_column() -> None:
    assert "lie far from those of the training" in told("centred", COLUMNS["centred"][:50] + 273.15)
    assert "lie far from those of the training" in told("ages", COLUMNS["ages"][:3] + 1950)
    assert told("ages", COLUMNS["ages"][:3] + 90) == ""  # a few old customers


def test_a_narrow_part_of_the_population_is_no_other_unit() -> None:
    years = COLUMNS["years"]
    assert told("years", years[years == 2010]) == ""
    assert told("ages", RNG.choice([40.0, 41.0], 200)) == ""


def test_zeros_and_ones() -> None:
    before = usual(np.where(RNG.random(N) < 0.3, 1.0, 0.0))
    assert before is not None
    assert before.truth
    assert moved("x", before, np.array([0.0, 1.0, np.nan])) == ""
    assert "holds other numbers than 0 and 1 in rows 2, 4" in moved("x", before, np.array([1.0, 2, np.nan, 100]))


def test_what_cannot_be_told() -> None:
    assert usual(np.full(5, np.nan)) is None
    constant = usual(np.full(50, 7.0))
    assert constant is not None
    assert moved("x", constant, np.arange(50.0)) == ""
    assert told("ages", np.full(9, np.nan)) == ""


def test_what_is_kept_is_no_rows_value() -> None:
    for column in COLUMNS.values():
        before = usual(column)
        assert before is not None
        if column is COLUMNS["ages"] or column is COLUMNS["years"]:
            continue  # few different values
        assert before.middle not in column or before.middle == 0
        assert before.spread not in column
