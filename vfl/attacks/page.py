"""audit.html: one page with everything inside, in the style of a run's report."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vfl.evidence import strips
from vfl.report import words
from vfl.report.sections import moment, typeset

HERE = Path(__file__).parent / "templates"


def render(content: Mapping[str, Any]) -> str:
    """The page of an audit; content: that of audit.json."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    import vfl.report

    style = Path(vfl.report.__file__).parent / "templates"
    environment = Environment(
        loader=FileSystemLoader([HERE, style]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = typeset(words.number)
    environment.filters["figure"] = figure
    environment.filters["range"] = interval
    environment.filters["moment"] = moment
    bars = {one["number"]: strips.attacked(one) for one in content["attacks"]}
    return environment.get_template("audit.html").render(content, bars=bars, reading=strips.ATTACKED)


def figure(value: float | None) -> str:
    """Three decimals, whole numbers without any."""
    if value is None:
        return "none"
    return f"{value:.0f}" if float(value).is_integer() else f"{value:z.3f}"


def interval(result: Mapping[str, float]) -> str:
    """The 95% interval of a mean over seeds; empty where nothing random decides."""
    if result["seeds"] < 2 or result["low"] == result["high"]:
        return ""
    return f"{result['low']:z.3f} to {result['high']:z.3f}"
