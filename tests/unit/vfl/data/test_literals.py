"""What texts read as: exactly Python's numbers, and nothing guessed."""

from __future__ import annotations

import random

import numpy as np
import pytest

from vfl.data.literals import code, is_code, is_date, is_formatted, is_number, is_plain, numbers, whole

NUMBERS = ("1", "-2", "+3", "1.5", ".5", "2.", "1e6", "1E-3", "007", " 4 ", "inf", "-Infinity", "0.1")
TEXTS = ("", "-", "1_000", "１２", "1,5", "1 200", "0x10", "1e", "nan", "5%", "A1", "1.2.3", "--1", "e5", "#DIV/0!")


@pytest.mark.parametrize("text", NUMBERS)
def test_numbers_read_as_python_reads_them(text: str) -> None:
    assert is_number(text)
    for among in ([text], [text, "x"]):  # the quick way, and cell by cell
        values, found = numbers(among)
        assert found[0]
        assert values[0] == float(text)


@pytest.mark.parametrize("text", TEXTS)
def test_other_texts_are_none(text: str) -> None:
    assert not is_number(text)
    values, found = numbers(["1", text, "2"])
    assert found.tolist() == [True, False, True]
    assert np.isnan(values[1])


def test_every_float_has_the_same_bits_when_it_is_read_back() -> None:
    rng = random.Random(1)
    drawn = [rng.uniform(-1, 1) * 10 ** rng.randint(-300, 300) for _ in range(3000)]
    values, found = numbers([repr(v) for v in drawn])
    assert found.all()
    assert values.tobytes() == np.array(drawn).tobytes()


def test_whole_numbers_stay_whole_where_they_fit() -> None:
    assert whole(["1", "-9007199254740993"]).tolist() == [1, -9007199254740993]  # type: ignore[union-attr]
    assert whole(["1", "1.0"]) is None
    assert whole(["99999999999999999999"]) is None


def test_codes_have_one_form() -> None:
    assert [code(t) for t in ("1", "1.0", "01", "1e0", "2.50", "TRUE", "false", "A1", "-")] == (
        ["1", "1", "1", "1", "2.5", "True", "False", "A1", "-"]
    )
    assert [t for t in ("1", "1.0", "2.5", "True", "01", "2.50", "TRUE", "A1", "-0") if is_code(t)] == (
        ["1", "1.0", "2.5", "True"]
    )


def test_numbers_as_people_write_them() -> None:
    written = ("1,200", "1 200 000", "12,5", "5%", "5 %", "€3.50", "EUR 3", "3 EUR", "(1,200)", "1'000.50", "1.200,50")
    assert [t for t in (*written, "12", "A1", "10-20", "x 5", "2026-01-02", "-") if is_formatted(t)] == list(written)


def test_dates() -> None:
    dates = ("2026-01-31", "31.01.2026", "1/31/26", "2026-01-31T12:00:00Z", "2026-01-31 08:00")
    assert [t for t in (*dates, "20260131", "2026", "1.5", "10-20", "Jan 2026") if is_date(t)] == list(dates)


def test_a_leading_zero_is_a_sign_of_a_code() -> None:
    assert [t for t in ("0", "0.5", "10", "01", "-07", "00") if is_plain(t)] == ["0", "0.5", "10"]
