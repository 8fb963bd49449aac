"""The shapes of ids show none of them, and tell two parties why their ids do not match."""

from __future__ import annotations

import pandas as pd
import pytest

import vfl
from vfl.data import keys_of
from vfl.data.shapes import Profile, Shapes, cautions, shape


def profile(values: list[object], how: str = "text") -> Profile:
    found: Profile = {}
    keys_of(pd.DataFrame({"id": values}), "bank", [["id"]], {"id": how}, "first", found)
    return found


def test_each_digit_is_9_and_each_letter_a() -> None:
    assert [shape(v) for v in ("12-b", "Ä7", "٣x", "a b", "")] == ["99-A", "A9", "9A", "A A", ""]


def test_the_most_frequent_first() -> None:
    ids = [*range(10_000_000, 10_002_000), *(f"{k:07d}" for k in range(5)), "DE-7", "a\nb"]
    found = profile([str(v) for v in ids])["id"].lines()
    assert found == ["99999999: 2,000 rows", "9999999: 5 rows, 5 with a zero in front", "AA-9: 1 row", "A\nA: 1 row"]
    assert profile([7, 12])["id"].lines() == ["9: 1 row", "99: 1 row"]  # numbers, as they are compared


def test_at_most_eight_are_shown() -> None:
    shapes = Shapes()
    shapes.add(["9" * k for k in range(1, 12)] + ["1"] + ["x" * 100] * 2)
    assert len(shapes.lines()) == 9
    assert shapes.lines()[-1] == "4 other shapes: 4 rows"
    assert f"{'A' * 40}...: 2 rows" in shapes.lines()


def test_letters_that_digits_drop() -> None:
    for values, differ in ((["A-12", "B-13"], True), (["A-12", "13"], True), (["A-12", "a-13"], False)):
        found = profile(values, "digits")
        (caution,) = cautions(found, {"id": "digits"})
        assert "drops letters in" in caution
        assert bool(cautions(found, {"id": "digits"}, in_python=True)) is differ
        assert not cautions(found, {"id": "text"})
    assert not cautions(profile(["12", "1-3"], "digits"), {"id": "digits"})


def ids(start: int, rows: int, width: int = 0) -> list[object]:
    return [f"{k * 7919:0{width}d}" for k in range(start, start + rows)]


def test_zeros_in_front_are_counted_and_their_loss_is_told() -> None:
    whole = profile(ids(1, 900, 9))
    assert whole["id"].lines() == ["999999999: 900 rows, 900 with a zero in front"]
    assert cautions(whole, {"id": "text"}) == []
    lost = profile(ids(1, 900))
    (told,) = cautions(lost, {"id": "text"})
    assert told.startswith("id column 'id': has ids of digits in several lengths")
    assert '"integer"' in told
    assert cautions(lost, {"id": "integer"}) == []
    assert cautions(lost, {"id": "text"}, in_python=True) == []  # which compares the ids of all
    for plain in (ids(200_000, 900), [str(k) for k in range(1, 2000)], [f"A{k}" for k in range(900)], ids(1, 9)):
        assert cautions(profile(plain), {"id": "text"}) == []


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("1000.0", "ids such as '1000.0'"),
        ("7.00", "ids such as '1000.0'"),
        ("1.2E+05", "ids such as '1.2E+07'"),
        ("3,4e12", "ids such as '1.2E+07'"),
        ("2E+10", "ids such as '1.2E+07'"),
        ("NA", "words for a missing value"),
        (" #N/A", "words for a missing value"),
        ("nan", "words for a missing value"),
        ("-", "words for a missing value"),
        ("12\u200b3", "invisible characters"),
        ("\ufeff123", "invisible characters"),
        ("12\x7f3", "invisible characters"),
    ],
)
def test_what_may_be_no_id_is_told_with_its_row(value: str, words: str) -> None:
    values = [f"{k:05d}" for k in range(30)]
    values[16] = value
    for how in ("text", "exact"):
        (told,) = cautions(profile(values, how), {"id": how})
        assert words in told
        assert "in row 17" in told
        assert value.strip() in ("NA", "1000.0") or value.strip() not in told
    bank = pd.DataFrame({"id": values, "x": 1})
    with pytest.warns(UserWarning, match="guest: id column 'id': has .* in row 17"):
        vfl.align(bank, {"h": pd.DataFrame({"id": ["00001"], "z": 1})}, on="id")


@pytest.mark.parametrize("value", ["12E5", "1.5", "n-a", "A.0", "12", "Nana", "1e5f", "12\u00a03", "a\tb", "007"])
def test_what_is_an_id_is_not(value: str) -> None:
    assert cautions(profile([value, "x"]), {"id": "text"}) == []


def test_the_character_nul_is_refused() -> None:
    for how in ("text", "exact", "digits"):
        with pytest.raises(vfl.errors.DataError, match="holds the character NUL in row 2"):
            profile(["1", "1\0002", "3"], how)


def test_python_warns_where_letters_tell_customers_apart() -> None:
    bank = pd.DataFrame({"id": ["A-12", "K-77"], "x": [1, 2]})
    with pytest.warns(UserWarning, match=r'guest: id column .id.: "digits" drops letters in 2 rows'):
        vfl.align(bank, {"h": bank.assign(id=["12", "77"])}, on="id", normalise="digits")
    same = bank.assign(id=["DE 12", "de-77"])
    assert len(vfl.align(same, {"h": same.assign(id=["12", "77"])}, on="id", normalise="digits").guest) == 2


def test_a_party_has_its_own_name_of_the_key() -> None:
    bank, shop = pd.DataFrame({"id": ["1", "2"], "x": [1, 2]}), pd.DataFrame({"KUNDENNR": ["02", "3"], "z": [1, 2]})
    options = {"h": vfl.TableOptions(id_columns={"id": "KUNDENNR"})}
    found = vfl.align(bank, {"h": shop}, on="id", normalise="integer", options=options)
    assert found.guest["id"].tolist() == ["2"]
    assert found.hosts["h"]["KUNDENNR"].tolist() == ["02"]
    with pytest.raises(vfl.errors.DataError, match="h: id column 'id' is not in the table"):
        vfl.align(bank, {"h": shop}, on="id", normalise="integer")
