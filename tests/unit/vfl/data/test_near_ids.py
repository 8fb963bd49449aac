"""Ids that are the same but for how they are written are told in Python, where all tables are at hand."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest

import vfl
from protocols.cipher import Identity

NUMBERS = np.random.default_rng(3).permutation(10**6)[:80]


def told(own: list[str], theirs: list[str], **more: Any) -> list[str]:
    """What `Federation.local` and `vfl.align` both warn of."""
    bank = pd.DataFrame({"id": own, "y": np.arange(len(own)) % 2, "a": np.arange(len(own)) * 0.5})
    shop = pd.DataFrame({"id": theirs, "c": np.arange(len(theirs)) * 0.5})
    found = []
    for read in (
        lambda: vfl.align(bank, {"shop": shop}, on="id", min_intersection=0, **more),
        lambda: vfl.Federation.local(bank, {"shop": shop}, on="id", label="y", cipher=Identity(), **more),
    ):
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            read()
        found.append(sorted(str(one.message) for one in seen))
    assert found[0] == found[1]
    return found[0]


def padded(rows: slice = slice(None)) -> list[str]:
    return [f"{n:08d}" for n in NUMBERS[rows]]


@pytest.mark.parametrize("some", [80, 5, 1])
def test_zeros_that_one_party_lost_in_a_part_of_its_ids(some: int) -> None:
    shop = [str(n) for n in NUMBERS[:some]] + padded(slice(some, None))
    for own, theirs in ((padded(), shop), (shop, padded())):
        (said,) = told(own, theirs)
        assert f"{some} id{'' if some == 1 else 's'} of guest and shop differ in zeros in front only" in said
        assert 'normalise="integer"' in said
    assert told(padded(), shop, normalise="integer") == []


@pytest.mark.parametrize(
    ("change", "words", "more"),
    [
        (lambda i: f"{i[:2]}-{i[2:]}", "blanks, hyphens and the like", {}),
        (lambda i: f"{i}.0", "a '.0' at the end", {}),
        (lambda i: f"k{i}", "capital letters", {"normalise": "exact"}),
    ],
    ids=["hyphens", "decimals", "case"],
)
def test_other_ways_to_write_an_id(change: Any, words: str, more: dict[str, str]) -> None:
    own = [f"K{i}" for i in padded()] if more else [i.lstrip("0") for i in padded()]
    said = told(own, [change(i.removeprefix("K") if more else i) for i in own], **more)
    assert any(f"80 ids of guest and shop differ in {words}" in one for one in said)


def test_a_decimal_point_separates_no_digits() -> None:
    """ "digits" would refuse 12.0, and without its point it is another id."""
    decimals, hundreds = [f"{n}.0" for n in NUMBERS], [f"{n}0" for n in NUMBERS]
    assert [one for one in told(hundreds, decimals) if "digits" in one or "differ" in one] == []
    (grouped,) = told(["0-0", *padded()], [f"{i[:4]} {i[4:]}" for i in padded()])
    assert 'normalise="digits" compares digits alone' in grouped


def test_digits_are_not_proposed_for_ids_with_letters() -> None:
    (said,) = told([f"K-{i}" for i in padded()], [f"K{i}" for i in padded()])
    assert "80 ids of guest and shop differ in blanks, hyphens and the like only" in said
    assert said.endswith('write them alike ("digits" would drop the letters too)')


def test_new_rows_are_compared_too() -> None:
    """A prediction's tables may have lost what the training's had."""
    bank = pd.DataFrame({"id": padded(), "y": np.arange(80) % 2, "a": np.arange(80) * 0.5})
    shop = pd.DataFrame({"id": padded(), "c": np.arange(80) * 0.25, "d": np.arange(80) % 7, "e": np.arange(80) % 5})
    fed = vfl.Federation.local(bank, {"shop": shop}, on="id", label="y", cipher=Identity())
    model = fed.fit(vfl.BoostedTrees(n_estimators=1, max_depth=1, max_bin=4, min_bin_rows=4))
    lost = [f"{int(i)}" for i in padded()]
    for few in (80, 1):
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            model.predict(bank[:few], {"shop": shop.assign(id=lost)})
        told = [str(one.message) for one in seen if "zeros in front only" in str(one.message)]
        assert len(told) == 1
        assert 'normalise="integer"' in told[0]
        assert padded()[0] not in told[0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.predict(bank, {"shop": shop})


def test_ids_that_match_or_have_nothing_in_common_are_not_told() -> None:
    assert told(padded(), padded()) == []
    assert told(padded(slice(40)), padded(slice(40, None))) == []
    assert told(padded(), [f"A-{n}" for n in NUMBERS]) == []


def test_the_partys_own_name_of_the_key() -> None:
    shop = pd.DataFrame({"nr": [str(n) for n in NUMBERS], "c": 1.5})
    bank = pd.DataFrame({"id": padded(), "a": 0.5})
    options = {"shop": vfl.TableOptions(id_columns={"id": "nr"})}
    with pytest.warns(UserWarning, match="id column 'id': 80 ids of guest and shop differ in zeros in front only"):
        vfl.align(bank, {"shop": shop}, on="id", min_intersection=0, options=options)
