"""Promise: the page of the twelve hospitals shows what its code gives."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tools.example import RESULT, executed
from tools.hospitals import PAGE, PICTURE, picture, table

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def left() -> dict[str, Any]:
    """What the code of the page leaves."""
    return executed(PAGE)


def test_two_drop_out_and_the_others_have_a_model(left: dict[str, Any]) -> None:
    model = left["model"]
    assert set(model.left_) == {"hospital-04", "hospital-09"}
    members = model.rounds_["members"]
    assert members.loc[:5].tolist() == [12] * 5
    assert members.loc[6:].between(9, 11).all()
    assert members.loc[15:].between(9, 10).all()


def test_the_table_of_the_page_is_that_of_a_run(left: dict[str, Any]) -> None:
    """Which hospitals are left out is drawn in each run, so that numbers differ a little."""
    number = re.compile(r"0\.\d\d")
    found = RESULT.search(PAGE.read_text(encoding="utf-8"))
    assert found is not None
    shown, made = (text.splitlines() for text in (found[0], found[1] + table(left["compared"]) + found[2]))
    assert [number.sub("", line) for line in shown] == [number.sub("", line) for line in made]
    for one, other in zip(number.findall("".join(shown)), number.findall("".join(made)), strict=True):
        assert abs(float(one) - float(other)) <= 0.05


def test_small_hospitals_gain(left: dict[str, Any]) -> None:
    compared = left["compared"]
    gain = compared["auc"] - compared["alone"]
    assert gain[compared["rows"] < 200].mean() > 0.02
    assert gain.mean() > 0.01


def test_the_picture_has_both_models_of_every_hospital(left: dict[str, Any]) -> None:
    drawn, shown = picture(left["compared"]), PICTURE.read_text(encoding="utf-8")
    for svg in (drawn, shown):
        assert svg.count('class="dot alone"') == svg.count('class="dot joint"') == 12
    assert drawn.partition("<circle")[0] == shown.partition("<circle")[0]
