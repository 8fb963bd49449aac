"""Normalisers of telephone numbers, dates and addresses, and keys that are tried in order: canonical, and refused
without being shown."""

import datetime

import numpy as np
import pandas as pd
import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import ConfigError, DataError
from vfl.data import key_lists, keys_of, rules
from vfl.data.keys import canonical_ids
from vfl.data.normalise import UnknownNormaliserError, email_form, iso_date, normaliser


def texts(values, how: str, dtype=object) -> list[str]:
    frame = pd.DataFrame({"id": pd.Series(values, dtype=dtype)})
    return [i[4:].decode() for i in canonical_ids(frame, "bank", ["id"], {"id": how})]


def refusal(values, how: str, dtype=object) -> str:
    with pytest.raises(DataError) as caught:
        texts(values, how, dtype)
    assert "bank: id column 'id'" in str(caught.value)
    assert "CANARY" not in str(caught.value)
    assert caught.value.remedy
    return str(caught.value)


def test_phones_of_every_form_are_the_same():
    london = [
        "020 7946 0958",
        "+44 20 7946 0958",
        "(020) 7946-0958",
        "0044 20 7946 0958",
        "+44 (0)20 7946 0958",
        "０２０ ７９４６ ０９５８",
        "2079460958",
    ]
    assert set(texts(london, "e164:GB")) == {"+442079460958"}
    assert texts([2079460958, 442079460958], "e164:GB") == ["+442079460958"] * 2
    assert texts([2079460958.0], "e164:GB", "float64") == ["+442079460958"]
    assert texts(["+442079460958", "040 2345678", "020 7946 0958 ext. 7"], "e164:DE")[:2] == [
        "+442079460958",
        "+49402345678",
    ]
    assert texts(["020 7946 0958 ext. 7"], "e164:GB") == ["+442079460958"]


@pytest.mark.parametrize(
    "value", ["CANARY", "12", "+999 12345678", "0" * 40, "020 7946 0958 020 7946 0958", "++44", "\ud800"]
)
def test_what_is_no_phone_is_located_and_not_shown(value):
    assert "values that are not telephone numbers as written in GB" in refusal(["020 7946 0958", value], "e164:GB")
    assert "row 2" in refusal(["020 7946 0958", value], "e164:GB")


def test_a_phone_that_went_through_a_float_is_refused():
    assert "or '1.2E+07' in row 1" in refusal(["2079460958.0"], "e164:GB")


@given(st.sampled_from(["GB", "DE", "US", "IN", "BR", "IT"]), st.integers(0, 10**9))
def test_the_form_of_a_phone_is_a_fixed_point(region, number):
    (once,) = normaliser(f"e164:{region}").many([f"0{number}"])
    if once is not None:
        assert normaliser(f"e164:{region}").many([once.decode()]) == [once]
        assert phonenumbers.is_possible_number(phonenumbers.parse(once.decode()))


def test_dates_of_every_form_are_the_same():
    iso = [
        "1980-02-03",
        "19800203",
        "1980/02/03",
        "1980.02.03",
        "1980-02-03 00:00:00",
        "1980-02-03T00:00",
        " 1980-02-03 ",
        "1980-02-03 00:00:00.000",
    ]
    assert set(texts(iso, "date")) == {"1980-02-03"}
    assert texts([19800203], "date") == ["1980-02-03"]
    assert texts(["03/02/1980", "3/2/1980", "1980-02-03", "3.2.1980"], "date:%d/%m/%Y|%d.%m.%Y") == ["1980-02-03"] * 4
    assert texts(["02/03/1980"], "date:%m/%d/%Y") == ["1980-02-03"]


@pytest.mark.parametrize("dtype", ["datetime64[ns]", "datetime64[s]", "date32[pyarrow]", "timestamp[us][pyarrow]"])
def test_columns_of_dates(dtype):
    assert texts(["1980-02-03", "2026-12-31"], "date", dtype) == ["1980-02-03", "2026-12-31"]


def test_dates_among_texts():
    values = [datetime.date(1980, 2, 3), pd.Timestamp("1980-02-03"), datetime.datetime(1980, 2, 3), "1980-02-03"]
    assert texts(values, "date") == ["1980-02-03"] * 4


@pytest.mark.parametrize(
    "value",
    [
        "1980-02-30",
        "1980-13-01",
        "03/02/1980",
        "80-02-03",
        "CANARY",
        "1980-02-03 12:00",
        "1980-02/03",
        "1980-02-03Z",
        "0000-01-01",
        "2",
        "١٩٨٠-٠٢-٣",
    ],
)
def test_what_is_no_date_is_located_and_not_shown(value):
    assert "not dates as ISO 8601 (1980-02-03) in row 2" in refusal(["1980-02-03", value], "date")


@pytest.mark.parametrize(
    "value", [pd.Timestamp("1980-02-03 12:00"), pd.Timestamp("1980-02-03", tz="UTC"), b"CANARY", True, pd.Timestamp(1)]
)
def test_a_time_of_day_or_a_zone_is_no_date(value):
    assert "neither dates, text nor numbers in row 2" in refusal(["1980-02-03", value], "date")


@given(st.dates(min_value=datetime.date(1000, 1, 1)))
def test_every_date_is_read(date):
    assert iso_date(date.isoformat()) == date.isoformat()
    assert texts([date.strftime("%d/%m/") + f"{date.year:04d}"], "date:%d/%m/%Y") == [date.isoformat()]


@pytest.mark.parametrize(
    "form",
    [
        "%d/%m/%y",
        "%d %b %Y",
        "%d/%m",
        "%d/%m/%Y/%Y",
        "T%d/%m/%Y",
        "%Y-%d-%m",
        "%Y/%d/%m",
        "%Y%d%m",
        "%d%m%Y",
        "x",
        "%d/%m/%Y|",
    ],
)
def test_a_form_that_would_guess_is_refused(form):
    with pytest.raises(UnknownNormaliserError):
        normaliser(f"date:{form}")


def test_addresses():
    assert texts([" Joe@Example.COM. ", "ＪＯＥ@example.com", "joe@EXAMPLE.com"], "email") == ["joe@example.com"] * 3
    assert texts(["a@müller.de", "A@xn--mller-kva.de"], "email") == ["a@xn--mller-kva.de"] * 2
    assert texts(["a.b+c@example.com", "ab@example.com"], "email") == ["a.b+c@example.com", "ab@example.com"]
    assert texts(["root@localhost"], "email") == ["root@localhost"]


@pytest.mark.parametrize(
    "value",
    [
        "CANARY",
        "@x.de",
        "a@",
        "a@@b.de",
        "a b@c.de",
        "a@b c.de",
        "a@-b.de",
        "a@b..de",
        "a@" + "b" * 64 + ".de",
        "a@.",
        "a@\ud800.de",
    ],
)
def test_what_is_no_address_is_located_and_not_shown(value):
    assert "row 2" in refusal(["a@b.de", value], "email")


@given(st.emails())
def test_the_form_of_an_address_is_a_fixed_point(address):
    once = email_form(address)
    if once is not None:
        assert (
            email_form(once) == once == email_form(f"  {address.upper()} ")
            if address.isascii()
            else email_form(once) == once
        )


@pytest.mark.parametrize("name", ["", "phone", "e164", "e164:", "e164:gb", "e164:XX", "email:gmail", "text:", "TEXT"])
def test_unknown_normalisers(name):
    with pytest.raises(UnknownNormaliserError):
        normaliser(name)


# --- chunks and fast paths


@given(
    st.lists(st.text(alphabet=" \t\n\rAbÄ1é.", min_size=1).filter(str.strip), min_size=1, max_size=12),
    st.sampled_from(["text", "exact"]),
)
def test_all_at_once_is_the_same_as_one_at_a_time(values, how):
    one = [normaliser(how).many([v])[0] for v in values]
    assert normaliser(how).many(values) == one


@given(st.lists(st.text(alphabet="0a\n٣. ", max_size=4), min_size=1, max_size=12))
def test_digits_all_at_once(values):
    assert normaliser("digits").many(values) == [normaliser("digits").many([v])[0] for v in values]


def test_rows_are_counted_over_all_chunks():
    values = [f"{i}" for i in range(140_000)]
    values[3] = values[70_000] = values[139_999] = "CANARY"
    assert "has no digit in rows 4, 70001, 140000" in refusal(values, "digits")


# --- keys in order


def both(frame: pd.DataFrame, duplicates: str = "error"):
    return keys_of(
        frame, "bank", [["id"], ["phone", "birth"]], rules((("id",), ("phone", "birth")), {"birth": "date"}), duplicates
    )


def test_a_row_takes_part_in_the_keys_that_it_has():
    frame = pd.DataFrame(
        {
            "id": ["1", None, " ", "4"],
            "phone": ["a", "b", "c", None],
            "birth": ["1980-01-01", "1980-01-02", pd.Timestamp("1980-01-03"), "1980-01-04"],
        }
    )
    (ids, fallback), kept = both(frame)
    assert ids.present.tolist() == [True, False, False, True]
    assert fallback.present.tolist() == [True, True, True, False]
    assert fallback[2] == b"\0\0\0\1c\0\0\0\n1980-01-03"
    assert kept.tolist() == [0, 1, 2, 3]


def test_a_row_without_any_key_is_an_error():
    frame = pd.DataFrame(
        {"id": ["1", None, np.nan], "phone": ["a", None, "CANARY"], "birth": ["1980-01-01", "1980-01-02", ""]}
    )
    with pytest.raises(DataError, match=r"'id' \+ 'phone' \+ 'birth' hold no complete key in rows 2, 3") as caught:
        both(frame)
    assert "CANARY" not in str(caught.value)


def test_an_unreadable_value_is_an_error_in_a_later_key_too():
    frame = pd.DataFrame({"id": ["1"], "phone": ["a"], "birth": ["CANARY"]})
    with pytest.raises(DataError, match="'birth' holds values that are not dates"):
        both(frame)


def test_duplicates_hold_for_each_key():
    frame = pd.DataFrame(
        {"id": ["1", "1", "2", None, None], "phone": ["a", "b", "a", "b", "c"], "birth": ["1980-01-01"] * 5}
    )
    with pytest.raises(DataError, match=r"'id' repeats ids: 1 row .* row 2"):
        both(frame)
    with pytest.raises(DataError, match=r"'phone' \+ 'birth' repeats ids: 1 row .* row 3"):
        both(frame.drop(index=1).reset_index(drop=True).assign(id=["1", "2", None, None]).iloc[[0, 2, 1, 3]])
    _, kept = both(frame, "first")
    assert kept.tolist() == [0, 3, 4]  # row 2 goes for its id; row 3 for its phone; row 4's "b" is free again


def test_key_lists_and_rules():
    assert key_lists(["a", "b"]) == (("a", "b"),)
    assert key_lists([["a"], ["b", "c"]]) == (("a",), ("b", "c"))
    assert key_lists(["a", ["b"]]) == (("a",), ("b",))
    for wrong in ([["a"], [None]], [["a", 1]], [1], 3, b"a"):
        with pytest.raises(ConfigError, match="on is neither a name nor a list of names"):
            key_lists(wrong)
    assert rules((("a",), ("b", "a")), {"b": "date"}) == {"a": "text", "b": "date"}
    for bad in ({"z": "text"}, {"a": "upper"}, "date:%d"):
        with pytest.raises(ConfigError):
            rules((("a",),), bad)
    with pytest.raises(ConfigError):
        rules(((),), "text")


@pytest.mark.parametrize(
    "value",
    ["12.0", "-12", "+12", "1.23400E+07", "1e5", "12-", "1,5", "12,0", ".5", "1,234E+07", "１２．０", " -7 ", "1.5"],
)
def test_digits_refuse_numbers_that_a_spreadsheet_spoilt(value):
    assert "would turn them into other ids" in refusal(["123", value], "digits")
    assert "row 2" in refusal(["123", value], "digits")


@pytest.mark.parametrize(
    "value", ["12", "A-12", "12-34-56", "123.456.789-09", "+44 (0)20-7946", "1,234,567", "12 E 5 B", "Nr. 7", "٠٠٧"]
)
def test_digits_take_ids_with_separators(value):
    assert texts([value], "digits")


def test_whole_numbers_of_any_type_are_digits_and_signs_are_not():
    assert texts([12, 7], "digits") == texts(["12", "7"], "digits") == texts([12.0, 7.0], "digits", "float64")
    assert "'1.2E+07' in row 2" in refusal([12, -7], "digits")


def test_integers_have_no_leading_zeros():
    assert texts(["007", "7", " 7", "７", "٠٠٧", "0", "000"], "integer") == ["7"] * 5 + ["0"] * 2
    assert texts([7, 12], "integer") == ["7", "12"]
    for value in ("7.0", "-7", "A7", "7 8", "1e3", "CANARY"):
        assert "holds values that are not whole numbers, written in digits alone in row 2" in refusal(
            ["1", value], "integer"
        )
    assert "is empty in row 2" in refusal(["1", " "], "integer")
