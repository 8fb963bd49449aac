"""A value far out, a repeated code, days, accounts and row numbers are told; what usual columns hold is not."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from vfl.data import Settings
from vfl.data.doubts.values import far_out, no_amounts

RNG = np.random.default_rng(0)
N = 600
PLAIN = RNG.normal(50, 10, N)
AMOUNTS = np.exp(RNG.normal(8, 1, N)).round(2)
MOSTLY_ZERO = np.where(RNG.random(N) < 0.8, 0.0, AMOUNTS)
YEARS = np.where(RNG.random(N) < 0.02, 1950.0, 2024.0)


def put(column: np.ndarray, value: float, rows: int) -> np.ndarray:
    out = column.copy()
    out[5 : 5 + rows] = value
    return out


@pytest.mark.parametrize("column", [PLAIN, AMOUNTS, MOSTLY_ZERO], ids=["plain", "amounts", "mostly zero"])
@pytest.mark.parametrize(("value", "rows"), [(1e12, 1), (-1e12, 1), (999999999.0, 3), (999999999.0, 200)])
def test_a_value_that_lies_far_outside_is_told_with_its_rows(column: np.ndarray, value: float, rows: int) -> None:
    told = far_out("x", put(column, value, rows), Settings())
    assert told.startswith("column 'x': the value")
    assert ("row 6 " if rows == 1 else "rows 6, 7, 8") in told
    assert 'data.missing = ["-999"]' in told
    assert not any(text in told for text in ("999999999", "1e+12", "1000000000000"))


def test_several_codes_at_one_end_and_codes_of_few_digits() -> None:
    codes = put(put(PLAIN, -999.0, 30), -998.0, 10)
    assert "rows 6, 7, 8, 9, 10 and 25 more" in far_out("x", codes, Settings())
    assert "the values of rows 6, 7 lie" in far_out(
        "x", put(RNG.integers(18, 90, N).astype(float), 9999.0, 2), Settings()
    )
    assert 'vfl.TableOptions(missing=["-999"])' in far_out("x", codes, Settings(in_python=True))


def test_tails_so_heavy_that_they_flatten_a_column_are_told() -> None:
    told = far_out("x", np.sinh(3 * RNG.normal(size=N)), Settings())
    assert "take logarithms" in told
    assert "clip_quantiles" in told


@pytest.mark.parametrize(
    "column",
    [PLAIN, AMOUNTS, MOSTLY_ZERO, YEARS, np.arange(N) % 2, RNG.poisson(0.1, N), RNG.standard_t(2, N), PLAIN * 1e12],
    ids=["plain", "amounts", "mostly zero", "years", "binary", "rare counts", "heavy tails", "large"],
)
def test_usual_columns_pass(column: np.ndarray) -> None:
    assert far_out("x", np.asarray(column, np.float64), Settings()) == ""
    assert no_amounts("x", np.asarray(column, np.float64), Settings()) == ""


@pytest.mark.skipif("VFL_TEST_DATA" not in os.environ, reason="VFL_TEST_DATA names no folder of real tables")
def test_no_column_of_the_public_tables_is_called_wrong() -> None:
    for path in sorted(Path(os.environ["VFL_TEST_DATA"]).glob("*.csv")):
        frame = pd.read_csv(path).drop(columns=["id", "idx", "ID"], errors="ignore")
        for name, column in frame.select_dtypes("number").items():
            numbers = column.to_numpy(np.float64)
            assert (path.name, far_out(str(name), numbers, Settings())) == (path.name, "")
            assert (path.name, no_amounts(str(name), numbers, Settings())) == (path.name, "")


def test_what_does_not_count() -> None:
    gaps = put(PLAIN, np.nan, 100)
    assert far_out("x", gaps, Settings()) == ""
    assert "row 206 " in far_out("x", np.concatenate([gaps[:200], put(gaps, 1e12, 1)]), Settings())
    assert far_out("x", put(PLAIN, 1e12, 1)[:10], Settings()) == ""  # ten rows tell nothing
    assert far_out("x", np.full(N, np.nan), Settings()) == ""


DAYS = pd.date_range("2024-01-01", periods=N, freq="D")


@pytest.mark.parametrize(
    ("form", "words"),
    [("%Y%m%d", "days (YYYYMMDD)"), ("%Y%m", "months (YYYYMM)"), ("%Y%m%d%H%M%S", "times (YYYYMMDDhhmmss)")],
)
def test_days_that_read_as_amounts(form: str, words: str) -> None:
    written = DAYS.strftime(form).astype(np.float64).to_numpy()
    assert f"column 'x': its numbers are {words} in all rows" in no_amounts("x", written, Settings())
    assert "data.exclude" in no_amounts("x", np.where(np.arange(N) % 7, written, np.nan), Settings())
    assert "YYYY" not in no_amounts("x", written + 99 * (1e6 if "H" in form else 1), Settings())  # no calendar has them
    assert "YYYY" not in no_amounts("x", np.full(N, written[0]), Settings())


def test_numbers_of_accounts_and_of_rows() -> None:
    accounts = 11010119900307 * 10**4 + RNG.integers(0, 10**6, N)
    assert "numbers of accounts or the like" in no_amounts("x", accounts.astype(np.float64), Settings())
    assert "numbers of accounts" not in no_amounts("x", (accounts // 10**6).astype(np.float64), Settings())  # repeat
    for rows in (np.arange(N), np.arange(N, 0, -1) + 7):
        assert "it numbers the rows" in no_amounts("x", rows.astype(np.float64), Settings())
    assert no_amounts("x", RNG.permutation(N).astype(np.float64), Settings()) == ""
