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
    assert found == ["99999999: 2,000 rows", "9999999: 5 rows", "AA-9: 1 row", "A\nA: 1 row"]
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
        assert bool(cautions(found, {"id": "digits"}, if_they_differ=True)) is differ
        assert not cautions(found, {"id": "text"})
    assert not cautions(profile(["12", "1-3"], "digits"), {"id": "digits"})


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
