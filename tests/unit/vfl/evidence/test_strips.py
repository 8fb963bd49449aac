"""What a pack draws is what its numbers say."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
from markupsafe import Markup

from protocols.group_size import LEAST_ROWS
from tests.unit.vfl.evidence.conftest import calibration, the_report
from vfl.evidence import strips
from vfl.evidence.about import About
from vfl.evidence.archive import unpacked
from vfl.evidence.figures import figures
from vfl.evidence.model_answers import quality
from vfl.evidence.pack import pack
from vfl.evidence.reasons import person
from vfl.evidence.recorded import recorded
from vfl.evidence.spent import Budgets
from vfl.evidence.subject import Subject
from vfl.report import words

NAMES = {"joint": "joint model", "guest_alone": "guest alone"}


def spans(svg: Markup) -> list[tuple[float, float, str]]:
    """(from, to, class) of each bar, of 100."""
    found = re.findall(r'<rect x="([\d.]+)" y="0" width="([\d.]+)" height="10" class="bar (\w+)"', svg)
    return [(float(x), float(x) + float(width), kind) for x, width, kind in found]


@pytest.mark.parametrize(
    ("moved", "low", "high", "sign", "kind"),
    [
        (0.07, 0.01, 0.13, 1, "joint"),
        (-0.07, -0.13, -0.01, -1, "joint"),
        (0.07, 0.01, 0.13, -1, "bad"),
        (0.02, -0.03, 0.07, 1, "down"),
    ],
)
def test_a_difference_stands_within_its_interval(moved: float, low: float, high: float, sign: int, kind: str) -> None:
    grey, mark = spans(strips.difference(moved, low, high, sign))
    assert (grey[2], mark[2]) == ("rest", kind)
    assert grey[0] < mark[0] < mark[1] < grey[1]
    assert (grey[0] < 50 < grey[1]) == (low < 0 < high)  # the line of zero is in the middle


def test_a_difference_that_is_not_known_is_not_drawn() -> None:
    assert strips.difference(None, None, None, 1) == ""
    assert strips.difference(0.1, None, None, 1) == ""  # no scale: the mark would always stand at the edge


def test_the_smaller_of_psi_and_chance_is_drawn_over_the_larger() -> None:
    assert [kind for _, _, kind in spans(strips.move(0.3, 0.1, "shifted"))] == ["bad", "rest"]
    assert [kind for _, _, kind in spans(strips.move(0.02, 0.1, "stable"))] == ["rest", "joint"]
    assert spans(strips.move(9.0, 0.1, "watch"))[0] == (0.0, 100.0, "alone")


def test_sizes_are_compared_with_the_largest() -> None:
    up, down = (spans(strip)[0] for strip in strips.sizes([0.9, -0.3]))
    assert (up[2], down[2]) == ("up", "down")
    assert up[1] - up[0] == pytest.approx(3 * (down[1] - down[0]), abs=0.05)
    assert [spans(strip) for strip in strips.sizes([0.0, 0.0])] == [[], []]


@pytest.mark.parametrize(("result", "kind"), [(0.01, "joint"), (0.5, "bad")])
def test_a_result_beyond_its_bound_stands_out(result: float, kind: str) -> None:
    one = {"product": {"mean": result}, "bound": 0.1, "control": {"mean": 0.98}}
    bound, found, control = spans(strips.attacked(one))
    assert (bound[2], found[2], control[2]) == ("rest", kind, "alone")
    assert bound[1] == pytest.approx(10, abs=0.5)
    assert control[0] > 95


def test_calibration_is_drawn_where_no_group_is_small(run: Path, tmp_path: Path) -> None:
    told = figures(the_report())["calibration"]
    assert set(told) == {"test"}
    assert min(told["test"]["joint"]["count"]) == LEAST_ROWS  # the control: the part with a group of 29 is left out
    (chart,) = strips.calibration({"calibration": told}, NAMES, "binary")
    assert chart[0] == "Calibration on held-out rows"
    assert chart[2].count("<circle") == 20
    assert strips.calibration({"calibration": {"train": {"joint": calibration(30)}}}, NAMES, "numeric")[0][2]
    page = unpacked(pack(run, tmp_path / "pack.zip").file.read_bytes())["index.html"].decode()
    assert page.count("<figure>") == 1
    assert 'class="strip"' in page[page.index('id="q4"') : page.index('id="q5"')]
    assert 'class="strip"' not in page[page.index('id="q7"') : page.index('id="q8"')]


def subject(run: Path, report: dict[str, Any]) -> Subject:
    """The run's folder, with another report."""
    one = dataclasses.replace(recorded(run), report=report)
    return Subject(one, figures(report), About(), Budgets((), (), 0), {}, ())


def test_the_page_says_where_calibration_is_left_out(run: Path) -> None:
    (said,) = quality(subject(run, the_report()), "q4", "").points[:1]
    assert said.startswith("Calibration on training rows is left out")
    whole = the_report() | {"plots": {"test": {"joint": {"calibration": calibration(LEAST_ROWS)}}}}
    assert not [point for point in quality(subject(run, whole), "q4", "").points if "Calibration" in point]


def test_splits_name_the_parties(run: Path) -> None:
    of = [{"party": k, "column": None if k else "age", "gain": None, "splits": 3 - k} for k in range(3)]
    report = the_report() | {"model": {"kind": "boosted-trees", "importance": of}}
    report["parties"] = {"guest": "bank", "hosts": ["telecom", "grocer"], "arbiter": "trustco"}
    (table,) = person(subject(run, report), "q6", "").grids
    assert [row[:2] for row in table.rows] == [
        ("bank", "age"),
        ("telecom", "all columns together"),
        ("grocer", "all columns together"),
    ]


def test_what_rounds_to_zero_has_no_sign() -> None:
    assert (words.number(-0.0004, 3), words.number(-0.0006, 3)) == ("0.000", "-0.001")
