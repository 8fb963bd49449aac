"""Promise: the pages of two institutions (credit, recommender, traffic, claims) show what their code gives."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tools.example import RESULT, executed
from tools.pairs import PAIRS, Pair, picture, table

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # weak columns can have weights of the wrong sign
GAIN = {"credit": ("auc", 0.02), "recommender": ("accuracy", 0.04), "traffic": ("d2", 0.2), "claims": ("auc", 0.08)}


@pytest.fixture(scope="module", params=PAIRS)
def pair(request: pytest.FixtureRequest) -> Pair:
    return PAIRS[request.param]


@pytest.fixture(scope="module")
def left(pair: Pair) -> dict[str, Any]:
    """What the code of the page leaves."""
    return executed(pair.path)


def test_the_partner_s_columns_help(pair: Pair, left: dict[str, Any]) -> None:
    measure, least = GAIN[pair.page]
    values = left["report"].metrics.loc[measure]
    assert values["joint"] - values["guest_alone"] > least


def test_the_table_and_the_picture_are_those_of_a_run(pair: Pair, left: dict[str, Any]) -> None:
    """Pads, and the order of common rows, are random in each run: the last digit of a number can differ, and an end of
    an interval by its draws."""
    number = re.compile(r"[-+]?\d+\.\d\d")
    found = RESULT.search(pair.path.read_text(encoding="utf-8"))
    assert found is not None
    shown, made = found[0], found[1] + table(pair, left) + found[2]
    assert number.sub("", shown) == number.sub("", made)
    for one, other in zip(number.findall(shown), number.findall(made), strict=True):
        assert abs(float(one) - float(other)) <= max(0.021, 0.03 * abs(float(one)))
    digits = re.compile(r"\d+(?:\.\d+)?")
    drawn, stored = picture(pair, left), pair.picture.read_text(encoding="utf-8")
    assert 'class="area joint"' in stored or 'class="line joint' in stored or "joint" in stored
    assert digits.sub("", drawn[:1500]) == digits.sub("", stored[:1500])
