"""Strips next to the numbers of a table, and the drawing of calibration: all of what figures.json holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from vfl.evidence.blocks import Chart
from vfl.report import plots, words

MARKED = {"watch": "alone", "shifted": "bad"}
SHIFTED = 0.25  # a PSI from which a column has shifted
THIN = 0.012  # of a strip: how wide a stroke is
DIFFERENCES = "Strips: the difference, and its 95\u00a0% interval in grey, around the line of zero."
MOVES = "Strips end at a PSI of 0.5; grey: the mean by chance."
ATTACKED = "Strips: the result; grey: up to the bound; the stroke: what the control got."
SIZES = "Strips: the size, compared with the largest."


def difference(moved: float | None, low: float | None, high: float | None, sign: int) -> Markup:
    """Of two models; sign: 1 where larger is better.  Nothing without an interval, which gives a strip its scale."""
    if moved is None or low is None or high is None:
        return Markup()
    most = max(abs(value) for value in (moved, low, high)) * 1.05 or 1.0
    colour = "rest" if low <= 0 <= high else "joint" if moved * sign > 0 else "bad"
    at, half = moved, most * THIN
    return plots.bar([(low, high, "rest"), (at - half, at + half, "down" if colour == "rest" else colour)], -most, most)


def move(psi: float | None, expected: float | None, mark: str | None) -> Markup:
    """A population stability index."""
    most = 2 * SHIFTED
    spans = [(0.0, min(psi or 0.0, most), MARKED.get(str(mark), "joint")), (0.0, min(expected or 0.0, most), "rest")]
    return plots.bar(sorted(spans, key=lambda span: -span[1]), 0.0, most)


def sizes(values: Sequence[float]) -> tuple[Markup, ...]:
    """Of each value, compared with the largest; those below zero to the left."""
    low, high = min([0.0, *values]), max([0.0, *values])
    return tuple(plots.bar([(0.0, value, "up" if value >= 0 else "down")], low, high) for value in values)


def attacked(one: Mapping[str, Any]) -> Markup:
    """The result of an attack, its bound and its control."""
    result, bound, control = float(one["product"]["mean"]), float(one["bound"]), float(one["control"]["mean"])
    most = max(1.0, result, bound, control)
    mark, half = min(max(control, 0.0), most), most * THIN
    spans = [(0.0, bound, "rest"), (0.0, max(0.0, result), "joint" if result <= bound else "bad")]
    return plots.bar([*spans, (mark - half, mark + half, "alone")], 0.0, most)


def calibration(content: Mapping[str, Any], names: Mapping[str, str], outcome: str) -> tuple[Chart, ...]:
    """One drawing for each part of the split whose groups are large enough to be in figures.json."""
    found = list[Chart]()
    for part, models in (content.get("calibration") or {}).items():
        series = {model: {"calibration": points} for model, points in models.items()}
        drawn = plots.calibration(series, names) if outcome == "binary" else plots.means(series, names)
        if drawn is not None:
            says = "Ten groups of rows by prediction. Whiskers: 95\u00a0% interval of the observed mean."
            found.append((f"Calibration on {words.PARTS.get(part, part)}", says, drawn))
    return tuple(found)
