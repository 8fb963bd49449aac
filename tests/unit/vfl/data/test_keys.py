"""Ids: canonical at every party, injective, and refused without being shown; the split that they decide."""

import decimal
import sys
import unicodedata

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import DataError
from vfl.data import split_rows
from vfl.data.keys import canonical_ids
from vfl.data.normalise import digits_form, text_form


def ids(values, how: str = "text", dtype=object) -> list[bytes]:
    frame = pd.DataFrame({"id": pd.Series(values, dtype=dtype)})
    return [i[4:] for i in canonical_ids(frame, "bank", ["id"], {"id": how})]


def refusal(values, how: str = "text", dtype=object) -> str:
    with pytest.raises(DataError) as caught:
        ids(values, how, dtype)
    assert "bank: id column 'id'" in str(caught.value)
    assert "CANARY" not in str(caught.value)
    assert caught.value.remedy
    return str(caught.value)


def test_text():
    assert ids(["  Müller  Ｋ.\u00a0\t7 ", "STRASSE", "straße", "ﬁle", "mu\u0308ller"]) == [
        "müller k. 7".encode(),
        b"strasse",
        b"strasse",
        b"file",
        "müller".encode(),
    ]


def test_digits():
    assert ids(["+44 (0)20-7946", "００７", "٠٠٧", "AB 12/3", "x²"], "digits") == [
        b"440207946",
        b"007",
        b"007",
        b"123",
        b"2",
    ]


def test_exact():
    assert ids([" A ", "a"], "exact") == [b" A ", b"a"]


@pytest.mark.parametrize("how", ["text", "digits", "exact"])
@pytest.mark.parametrize(
    "values",
    [
        ["12", "7"],
        [12, 7],
        [12.0, 7.0],
        [decimal.Decimal("12.00"), decimal.Decimal(7)],
        [np.int32(12), np.float32(7)],
        [12, 7.0],
    ],
)
def test_numbers_of_every_make_are_the_same_id(values, how):
    assert ids(values, how) == [b"12", b"7"]


@pytest.mark.parametrize(
    "dtype", ["int64", "uint8", "Int64", "float64", "Float64", "category", "str", "int64[pyarrow]"]
)
def test_columns_of_every_make_are_the_same_id(dtype):
    values = ["12", "7"] if dtype == "str" else [12, 7]
    assert ids(values, dtype=dtype) == [b"12", b"7"]


def test_a_long_decimal_keeps_every_digit():
    assert ids([decimal.Decimal("12345678901234567890")]) == [b"12345678901234567890"]


@pytest.mark.parametrize(
    ("values", "how", "says"),
    [
        (["a", None], "text", "is empty in row 2"),
        (["a", np.nan, "b", pd.NA], "text", "is empty in rows 2, 4"),
        ([1.0, np.nan], "text", "is empty in row 2"),
        (["a", "", "b", " \u00a0\t"], "text", "is empty in rows 2, 4"),
        (["a", "  "], "exact", "is empty in row 2"),
        (["1", "CANARY"], "digits", "has no digit in row 2"),
        (["1", "12.0"], "digits", "texts like '12.0', '-12' or '1.2E+07' in row 2"),
        (["a", 1, "b"], "text", "mixes text and numbers: row 2 hold"),
        ([1, 2, "CANARY"], "text", "mixes text and numbers: row 3 hold"),
        ([1.0, 2.5], "text", "holds numbers that are not whole numbers in row 2"),
        ([1.0, np.inf], "text", "not whole numbers"),
        ([1.0, 2.0**53], "text", "floats of 16 digits or more, which do not keep the last digits, in row 2"),
        ([1.0, 110101199003070000.0], "text", "floats of 16 digits or more"),
        ([decimal.Decimal("1.5")], "text", "not whole numbers"),
        ([decimal.Decimal("1e999999")], "text", "not whole numbers"),
        ([True, False], "text", "neither text nor numbers in rows 1, 2"),
        (["a", b"CANARY"], "text", "neither text nor numbers in row 2"),
        ([pd.Timestamp(0)], "text", "neither text nor numbers in row 1"),
        (["a", "CANARY\udcff"], "text", "not valid Unicode in row 2"),
        (["a", "x" * 10_001], "text", "longer than 10,000 bytes: row 2"),
        (["a", "ü" * 5_001], "exact", "longer than 10,000 bytes: row 2"),
        ([""] * 7, "text", "rows 1, 2, 3, 4, 5 and 2 more"),
    ],
)
def test_a_bad_id_is_located_and_not_shown(values, how, says):
    assert says in refusal(values, how)


@pytest.mark.parametrize(
    ("kind", "digits", "most"),
    [("float32", 8, 2**24), ("Float32", 8, 2**24), ("float16", 4, 2**11), ("Float64", 16, 2**53)],
)
def test_floats_are_ids_as_far_as_their_type_is_exact(kind, digits, most):
    assert f"floats of {digits} digits or more, which do not keep the last digits, in row 2" in refusal(
        [1, most], dtype=kind
    )
    assert ids([1, most - 1], dtype=kind) == [b"1", str(most - 1).encode()]


def test_a_dates_column_is_no_id():
    assert "neither text nor numbers" in refusal(["2026-01-01"], dtype="datetime64[ns]")


def test_a_composite_key_is_injective():
    frame = pd.DataFrame({"a": ["ab", "a", "abc"], "b": ["c", "bc", "x"]})
    found = canonical_ids(frame, "bank", ["a", "b"], {})
    assert found[0] == b"\x00\x00\x00\x02ab\x00\x00\x00\x01c"
    assert len(set(found)) == 3
    assert found[0] != canonical_ids(frame, "bank", ["b", "a"], {})[0]


@given(
    st.lists(
        st.tuples(st.text(min_size=1), st.text(min_size=1)).filter(lambda t: all(v.strip() for v in t)), min_size=2
    )
)
def test_composite_ids_are_equal_only_if_all_parts_are(rows):
    rows = [r for r in rows if all(len(v.encode("utf-8", "replace")) < 4000 and v.isprintable() for v in r)]
    if not rows:
        return
    frame = pd.DataFrame(rows, columns=["a", "b"], dtype=object)
    found = canonical_ids(frame, "bank", ["a", "b"], {"a": "exact", "b": "exact"})
    assert len(set(found)) == len(set(rows))


@given(st.text())
def test_normalising_twice_changes_nothing(value):
    assert text_form(text_form(value)) == text_form(value)
    assert digits_form(digits_form(value)) == digits_form(value)
    assert digits_form(value).isascii()


def test_normalising_twice_changes_nothing_for_any_character():
    for code in range(sys.maxunicode + 1):
        for value in (chr(code), "a" + chr(code) + "\u0345"):
            once = text_form(value)
            assert text_form(once) == once


@given(st.text())
def test_case_form_and_white_space_do_not_matter(value):
    base = text_form(value)
    assert text_form(f" {value}\t") == base
    for form in ("NFC", "NFKC"):
        assert text_form(unicodedata.normalize(form, value)) == base


# --- split


def test_the_split_is_frozen():
    """Another result here means that parties of two releases would split differently."""
    held = split_rows([b"%d" % i for i in range(24)], 0.25, 7)
    assert "".join("x" if h else "." for h in held) == "..........xx....x......."


def test_the_split_depends_on_id_and_seed_only():
    values = [b"id %d" % i for i in range(500)]
    held = dict(zip(values, split_rows(values, 0.3, 7), strict=True))
    shuffled = values[::-3]
    assert list(split_rows(shuffled, 0.3, 7)) == [held[v] for v in shuffled]
    assert list(split_rows(values, 0.3, 8)) != list(held.values())


def test_the_split_has_the_fraction_asked_for_and_grows_with_it():
    values = [b"id %d" % i for i in range(20_000)]
    small, large = split_rows(values, 0.1, 1), split_rows(values, 0.25, 1)
    assert abs(large.mean() - 0.25) < 0.02
    assert not (small & ~large).any()
    assert not split_rows(values, 0.0, 1).any()
    assert split_rows(values, 1.0, 1).all()
    assert split_rows([], 0.5, 1).shape == (0,)
