"""Promise: the page of the hospital and the insurer shows what its code gives."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tools.example import RESULT, executed
from tools.readmission import PAGE, PICTURE, picture, table

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def left() -> dict[str, Any]:
    """What the code of the page leaves."""
    return executed(PAGE)


def test_the_insurer_s_columns_help(left: dict[str, Any]) -> None:
    sure = left["report"].uplift
    assert sure.loc["auc", "low"] > 0.03
    assert sure.loc["log_loss", "high"] < 0


def test_the_table_and_the_picture_are_those_of_a_run(left: dict[str, Any]) -> None:
    """Pads are random in each run, so that the last digit of a number can differ."""
    number = re.compile(r"[-+]?0\.\d\d")
    found = RESULT.search(PAGE.read_text(encoding="utf-8"))
    assert found is not None
    shown, made = found[0], found[1] + table(left) + found[2]
    assert number.sub("", shown) == number.sub("", made)
    for one, other in zip(number.findall(shown), number.findall(made), strict=True):
        assert abs(float(one) - float(other)) <= 0.011
    lines, digits = re.compile(r'class="line (?:joint|alone)"'), re.compile(r"0\.\d+")
    drawn, stored = picture(left), PICTURE.read_text(encoding="utf-8")
    assert len(lines.findall(drawn)) == len(lines.findall(stored)) == 4  # two curves, and the key
    assert digits.sub("", drawn[:1500]) == digits.sub("", stored[:1500])
