"""overhead.html: one self-contained page of what was measured, in the house's style; no script, no request."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from markupsafe import Markup

from vfl.report import plots, words
from vfl.report.svg import Plot

Run = Mapping[str, Any]
KINDS = {"alignment": "Alignment", "logistic": "Logistic regression", "trees": "Boosted trees"}
AXES = {
    "rows": "rows",
    "host_columns": "columns of the hosts",
    "hosts": "hosts",
    "key_bits": "bits of the key",
    "threads": "threads",
    "bins": "bins per column",
    "depth": "depth of a tree",
}
CLASS = {"alignment": "third", "logistic": "joint", "trees": "alone"}
GROUPS = KINDS | {"logistic": "Regressions"}
SEALED = ("paillier", "psi")


def render(result: Mapping[str, Any]) -> str:
    """The page."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    here = Path(__file__).parent
    environment = Environment(
        loader=FileSystemLoader([here / "templates", here.parent / "report" / "templates"]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for filter_ in (words.size, words.duration, words.number, words.percent, ratio, median):
        environment.filters[filter_.__name__] = filter_
    context = {
        "result": result,
        "kinds": [kind(result, name) for name in KINDS if of(result["modes"], name)],
        "small": [run for run in result["modes"] if run.get("small")],
        "figures": figures(result),
        "networks": [n["name"] for n in result["networks"]],
        "names": KINDS,
        "operations": list(dict.fromkeys(op for row in result["peers"] for op in row.get("microseconds", {}))),
        "errors": (errors := [abs(row["error"]) for row in result["model"]]),
        "near": sum(error <= 0.3 for error in errors),
        "others": [dict(run) | {"words": described(run["work"])} for run in result["kinds"]],
        "left_out": [run for run in (*result["sweeps"], *result["kinds"]) if "skipped" in run],
        "axes": AXES,
    }
    return environment.get_template("overhead.html").render(context)


def of(runs: Iterable[Run], name: str) -> list[Run]:
    """The main job of one kind in every mode."""
    return [run for run in runs if run["work"]["kind"] == name and not run.get("small")]


def described(work: Mapping[str, Any]) -> str:
    """A model in words."""
    regression = f"{work['passes']} iterations"
    match work["kind"]:
        case "alignment":
            return "ids alone"
        case "trees":
            trees = f"{work['trees']} {'tree' if work['trees'] == 1 else 'trees'}"
            return f"{trees} of depth {work['depth']}, {work['bins']} bins, membership {work['membership']}"
        case "logistic":
            classes = f", {work['classes']} classes one-vs-rest" if work["classes"] > 2 else ""
            return f"logistic regression, {regression}, link {work['link']}{classes}" + (
                ", weighted rows" if work["weighted"] else ""
            )
        case "scorecard":
            return f"scorecard, {regression}, link {work['link']}"
        case kind:
            return f"{kind} regression, {regression}".replace("poisson", "Poisson")


def kind(result: Mapping[str, Any], name: str) -> dict[str, Any]:
    """One job in all modes: rows with a bar, ratios, and of every protected run its phases and messages."""
    runs = of(result["modes"], name)
    ran = [run for run in runs if "skipped" not in run]
    top = max((run["cpu_s"] for run in ran), default=1.0)
    sealed = [run for run in ran if run["mode"] in SEALED]
    return {
        "name": KINDS[name],
        "work": runs[0]["work"],
        "words": described(runs[0]["work"]),
        "rows": [
            dict(run) | {"bar": plots.bar([(0, run["cpu_s"], "joint")], 0, top) if "skipped" not in run else None}
            for run in runs
        ],
        "ran": ran,
        "plain": next((run for run in ran if run["mode"] == "clear"), None),
        "sealed": sealed,
        "details": [
            {"label": run["label"], "phases": phases(run), "messages": messages(run)} for run in ran if "phases" in run
        ],
        "judged": any(run["auc"] is not None for run in ran),
        "counted": any(run["products"] for run in ran),
    }


def messages(run: Run) -> list[Run]:
    """By link and kind, the heaviest first."""
    return sorted(run["messages"], key=lambda message: -message["bytes"])


def phases(run: Run) -> list[dict[str, Any]]:
    top = max((p["seconds"] + p["waited_s"] for p in run["phases"]), default=1.0) or 1.0
    strip = partial(plots.bar, low=0, high=top)
    return [
        dict(p) | {"bar": strip([(0, p["seconds"], "joint"), (p["seconds"], p["seconds"] + p["waited_s"], "rest")])}
        for p in run["phases"]
    ]


def ratio(value: float, other: float) -> str:
    """How many times `other` a value is."""
    if not other:
        return "-"
    times = value / other
    return f"{times:,.0f}x" if times >= 99.5 else f"{times:.2g}x"


def figures(result: Mapping[str, Any]) -> list[tuple[str, str, Markup]]:
    """One plot per axis, then the cost model against what was measured."""
    drawn = []
    for axis, title in AXES.items():
        series = {name: swept(result, axis, name) for name in KINDS}
        if any(len(points) > 1 for points in series.values()):
            what = "Seconds on the clock" if axis == "threads" else "Seconds of CPU of all parties"
            drawn.append(
                (
                    title.capitalize(),
                    what + ("." if axis == "key_bits" else ", key of 2048 bits."),
                    logarithmic(series, title),
                )
            )
    told = [(row["cpu_s"], row["predicted_s"], like(row["work"]["kind"])) for row in result["model"]]
    if len(told) > 1:
        drawn.append(
            (
                "Cost model",
                "Predicted seconds compared with measured seconds; on the line they are equal.",
                agreement(told),
            )
        )
    return drawn


def like(kind: str) -> str:
    """Under which of KINDS a model is drawn: all regressions under one."""
    return kind if kind in KINDS else "logistic"


def swept(result: Mapping[str, Any], axis: str, name: str) -> list[tuple[float, float]]:
    """(value, CPU seconds) along an axis; the base of the sweep belongs to it where it was measured."""
    key = "wall_s" if axis == "threads" else "cpu_s"
    runs = [run for run in result["sweeps"] if run["work"]["kind"] == name and "skipped" not in run]
    points = {float(run["value"]): float(run[key]) for run in runs if run["axis"] == axis}
    base = next((run for run in runs if run["axis"] == "base"), None)
    if points and base is not None:
        points[float((base["work"] | base)[axis])] = float(base[key])
    return sorted(points.items())


def decades(values: Sequence[float]) -> tuple[float, float]:
    """Logarithms of an axis with room at both ends."""
    low, high = math.log10(min(values)), math.log10(max(values))
    room = max(0.06 * (high - low), 0.05)
    return low - room, high + room


def marks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten; powers alone where these are many, finer steps where they are few."""
    inside: list[float] = []
    for steps in (
        (1,),
        (1, 2, 5),
        (1, 1.5, 2, 3, 4, 5, 7),
        (1, 1.1, 1.2, 1.3, 1.4, 1.6, 1.8, 2, 2.3, 2.6, 3, 3.5, 4, 4.5, 5, 5.5, 6, 7, 8, 9),
    ):
        found = [d + math.log10(m) for d in range(math.floor(low), math.ceil(high) + 1) for m in steps]
        inside = [x for x in found if low <= x <= high]
        if len(inside) >= 3:
            break
    return inside


def short(log: float) -> str:
    value = 10**log
    return (
        f"{value / 1e6:g}M"
        if value >= 999_999
        else f"{round(value, 6) / 1000:g}k"
        if value >= 9_999
        else f"{value:,.4g}"
    )


def logarithmic(series: Mapping[str, Sequence[tuple[float, float]]], label: str) -> Markup:
    """Lines with dots, both axes logarithmic."""
    shown = {name: points for name, points in series.items() if points}
    xs = [x for points in shown.values() for x, _ in points]
    ys = [max(y, 1e-3) for points in shown.values() for _, y in points]
    x, y = decades(xs), decades(ys)
    plot = Plot(x, y, key=[(CLASS[name], KINDS[name]) for name in shown], height=300)
    values = sorted(set(xs))
    at = [math.log10(v) for v in values] if len(values) <= 6 else marks(*x)
    plot.axes(label, "seconds", x_ticks=at, y_ticks=marks(*y), x_text=short, y_text=short)
    for name, points in shown.items():
        logs = [(math.log10(a), math.log10(max(b, 1e-3))) for a, b in points]
        plot.line([a for a, _ in logs], [b for _, b in logs], CLASS[name])
        plot.dots([a for a, _ in logs], [b for _, b in logs], CLASS[name])
    return plot.draw(f"Seconds by {label}")


def agreement(points: Sequence[tuple[float, float, str]]) -> Markup:
    both = decades([v for a, b, _ in points for v in (max(a, 1e-3), max(b, 1e-3))])
    plot = Plot(
        both, both, key=[(CLASS[name], GROUPS[name]) for name in dict.fromkeys(p[2] for p in points)], height=300
    )
    plot.axes(
        "seconds measured", "seconds predicted", x_ticks=marks(*both), y_ticks=marks(*both), x_text=short, y_text=short
    )
    plot.segment(both[0], both[0], both[1], both[1], "chance")
    for measured, told, name in points:
        plot.dots([math.log10(max(measured, 1e-3))], [math.log10(max(told, 1e-3))], CLASS[name])
    return plot.draw("Predicted seconds compared with measured seconds")
