"""The report's plots, of the series of `vfl.metrics`: the joint model (solid), the guest alone (dashed), and words for
who cannot see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from vfl.report.svg import Plot, image, percent, tag, ticks
from vfl.report.words import number

Series = Mapping[str, Any]
MODELS = ("joint", "guest_alone")  # the keys of metrics and plots; the second is the page's class "alone"
CLASS = {"joint": "joint", "guest_alone": "alone"}


def models(series: Series, kind: str) -> dict[str, Any]:
    """The models that have a series of this kind, guest alone first so that the joint one is drawn over it."""
    return {m: series[m][kind] for m in reversed(MODELS) if series.get(m, {}).get(kind)}


def roc(series: Series, metrics: Series, names: Mapping[str, str]) -> Markup | None:
    """True against false positives."""
    curves = models(series, "roc")
    if not curves:
        return None
    texts = [(m, f"{names[m]}: AUC {number(metrics.get(m, {}).get('auc'))}") for m in MODELS if m in curves]
    plot = Plot(key=[(CLASS[m], text) for m, text in texts] + [("chance", "chance")])
    plot.axes("non-events flagged (false positives)", "events flagged (true positives)").segment(0, 0, 1, 1, "chance")
    for model, curve in curves.items():
        plot.line(curve["fpr"], curve["tpr"], CLASS[model])
    return plot.draw("ROC curve. " + "; ".join(text for _, text in texts))


def ks(series: Series, names: Mapping[str, str]) -> Markup | None:
    """Events and non-events found, down the score; the KS is the greatest gap."""
    curves = models(series, "ks")
    if not curves:
        return None
    texts = [(m, f"{names[m]}: KS {number(float(curves[m]['ks']))}") for m in MODELS if m in curves]
    plot = Plot(key=[(CLASS[m], text) for m, text in texts]).axes("rows, riskiest first", "found so far")
    for model, curve in curves.items():
        plot.line(curve["share"], curve["events"], CLASS[model])
        plot.line(curve["share"], curve["non_events"], CLASS[model])
    for model, curve in curves.items():
        i = curve["share"].index(curve["at"])
        plot.segment(curve["at"], curve["non_events"][i], curve["at"], curve["events"][i], f"gap {CLASS[model]}")
    plot.note(*_outermost(curves, "events", 0.35), "events", "end", dx=-8, dy=-7)
    plot.note(*_outermost(curves, "non_events", 0.62), "non-events", dx=10, dy=18)
    first = curves.get("joint") or next(iter(curves.values()))
    where = f"; largest gap at the riskiest {percent(first['at'])} of rows"
    return plot.draw("Kolmogorov-Smirnov curves. " + "; ".join(text for _, text in texts) + where)


def _outermost(curves: Mapping[str, Any], name: str, share: float) -> tuple[float, float]:
    """The point at `share` on the outermost curve of this name: the highest of events, the lowest of non-events."""
    ys = [float(np.interp(share, c["share"], c[name])) for c in curves.values()]
    return share, max(ys) if name == "events" else min(ys)


def calibration(series: Series, names: Mapping[str, str]) -> Markup | None:
    """Observed against predicted in quantile bins."""
    curves = models(series, "calibration")
    if not curves:
        return None
    top = max(max(*c["predicted"], *c["observed"]) for c in curves.values())
    top = min(1.0, ticks(0, top)[-1] + ticks(0, top)[1])
    keys = [(f"thick {CLASS[m]}" if m == "joint" else f"thin {CLASS[m]}", names[m]) for m in MODELS if m in curves]
    plot = Plot((0, top), (0, top), key=[*keys, ("chance", "perfect calibration")]).axes(
        "predicted probability", "observed rate of events"
    )
    plot.segment(0, 0, top, top, "chance")
    for model, c in curves.items():
        cut = [min(h, top) for h in c["high"]]
        whiskers = {"low": c["low"], "high": cut} if model == "joint" or len(curves) == 1 else {}
        if not whiskers:
            plot.line(c["predicted"], c["observed"], f"thin {CLASS[model]}")
        plot.dots(c["predicted"], c["observed"], CLASS[model], **whiskers, radius=4.5 if whiskers else 3)
    worst = {m: max(abs(p - o) for p, o in zip(c["predicted"], c["observed"], strict=True)) for m, c in curves.items()}
    words = [f"{names[m]}: greatest distance from the diagonal {number(worst[m], 3)}" for m in MODELS if m in curves]
    return plot.draw("Calibration in ten groups of rows. " + "; ".join(words))


def scores(series: Series, names: Mapping[str, str]) -> Markup | None:
    """How the scores of events and non-events spread, one panel a model."""
    shown = {m: series[m]["histogram"] for m in MODELS if series.get(m, {}).get("histogram")}
    if not shown:
        return None
    edges = next(iter(shown.values()))["edges"]
    used = max(
        i + 1
        for h in shown.values()
        for i, n in enumerate(zip(h["events"], h["non_events"], strict=True))
        if sum(n) or not i
    )
    used = min(len(edges) - 1, -(-used // 5) * 5)
    parts: list[Markup] = []
    height = 320.0 / len(shown)
    for k, (model, h) in enumerate(shown.items()):
        classes = {name: [n / max(sum(h[name]), 1) for n in h[name][:used]] for name in ("non_events", "events")}
        top = max(max(v) for v in classes.values()) or 1.0
        margin = (34, 18, 46 if k == len(shown) - 1 else 30, 50)
        plot = Plot((0, edges[used]), (0, top * 1.05), height=height, margin=margin)
        plot.axes("predicted probability" if k == len(shown) - 1 else "", y_ticks=ticks(0, top, 3))
        for name, values in classes.items():
            plot.steps(edges[: used + 1], values, f"area {name} {CLASS[model]}")
        plot.note(0, top * 1.05, names[model], "strong", dy=-12)
        parts.append(tag("g", Markup("").join(plot.parts), transform=f"translate(0 {22 + k * height:g})"))
    for x, name in ((0, "events"), (84, "non_events")):
        parts.append(tag("rect", x=x, y=5, width=14, height=11, class_=f"area {name} joint"))
        parts.append(tag("text", name.replace("_", "-"), x=x + 20, y=14.5, class_="key"))
    return image(
        parts, f"Distribution of scores, each class as 100 %, of {' and '.join(names[m] for m in shown)}", height=342
    )


def bar(spans: Sequence[tuple[float, float, str]], low: float, high: float) -> Markup:
    """Bars (from, to, class) on one line that stretches with its table cell; the numbers are next to it, so it is
    decoration."""
    scale = 100 / ((high - low) or 1.0)
    parts = [
        tag(
            "rect",
            x=f"{(min(a, b) - low) * scale:.2f}",
            y=0,
            width=f"{max(abs(b - a) * scale, 0.4):.2f}",
            height=10,
            class_=f"bar {c}",
        )
        for a, b, c in spans
        if a != b
    ]
    if low < 0:
        at = f"{-low * scale:.2f}"
        parts.append(tag("line", x1=at, x2=at, y1=-4, y2=14, class_="axis"))
    given = {"viewBox": "0 0 100 10", "preserveAspectRatio": "none", "class_": "strip", "aria_hidden": "true"}
    return tag("svg", Markup("").join(parts), **given)


def precision_recall(series: Series, metrics: Series, names: Mapping[str, str]) -> Markup | None:
    """Precision against the share of events found."""
    curves = models(series, "precision_recall")
    if not curves:
        return None
    found = {m: metrics.get(m, {}).get("average_precision") for m in curves}
    texts = [(m, f"{names[m]}: AP {number(found[m])}") for m in MODELS if m in curves]
    plot = Plot(key=[(CLASS[m], text) for m, text in texts]).axes(
        "events found (recall)", "events among the flagged (precision)"
    )
    base = next((metrics[m].get("base_rate") for m in curves if metrics.get(m)), None)
    if base is not None:
        plot.segment(0, base, 1, base, "chance")
    for model, curve in curves.items():
        plot.line(curve["recall"], curve["precision"], CLASS[model])
    return plot.draw("Precision and recall. " + "; ".join(text for _, text in texts))


def gain(series: Series, metrics: Series, names: Mapping[str, str]) -> Markup | None:
    """Cumulative gain: events found in the riskiest rows, with the lift at 10 % in words."""
    curves = models(series, "gain")
    if not curves:
        return None
    texts = [
        (m, f"{names[m]}: lift at 10 % {number(metrics.get(m, {}).get('lift_10'), 2)}") for m in MODELS if m in curves
    ]
    plot = Plot(key=[(CLASS[m], text) for m, text in texts] + [("chance", "random choice")])
    plot.axes("rows, riskiest first", "events found so far").segment(0, 0, 1, 1, "chance")
    for model, curve in curves.items():
        plot.line(curve["share"], curve["events"], CLASS[model])
    return plot.draw("Cumulative gain. " + "; ".join(text for _, text in texts))


def means(series: Series, names: Mapping[str, str]) -> Markup | None:
    """Mean outcome against mean prediction in ten groups, in the outcome's unit."""
    curves = models(series, "calibration")
    if not curves:
        return None
    values = [v for c in curves.values() for name in ("predicted", "low", "high") for v in c[name]]
    low, high = min(values), max(values)
    slack = (high - low or abs(high) or 1.0) * 0.05
    frame = (low - slack, high + slack)
    plot = Plot(frame, frame, key=[(CLASS[m], names[m]) for m in MODELS if m in curves] + [("chance", "as predicted")])
    plot.axes("mean prediction of the group", "mean outcome", x_text=compact, y_text=compact).segment(
        frame[0], frame[0], frame[1], frame[1], "chance"
    )
    for model, c in curves.items():
        whiskers = {"low": c["low"], "high": c["high"]} if model == "joint" or len(curves) == 1 else {}
        if not whiskers:
            plot.line(c["predicted"], c["observed"], f"thin {CLASS[model]}")
        plot.dots(c["predicted"], c["observed"], CLASS[model], **whiskers, radius=4.5 if whiskers else 3)
    worst = {m: max(abs(p - o) for p, o in zip(c["predicted"], c["observed"], strict=True)) for m, c in curves.items()}
    words = [f"{names[m]}: greatest distance from the diagonal {number(worst[m], 3)}" for m in MODELS if m in curves]
    return plot.draw("Mean outcome and prediction in ten groups of rows. " + "; ".join(words))


def residuals(series: Series, names: Mapping[str, str]) -> Markup | None:
    """How far off the predictions are, both models over each other as outlines of one area."""
    shown = {m: series[m]["residuals"] for m in reversed(MODELS) if series.get(m, {}).get("residuals")}
    if not shown:
        return None
    edges = [h["edges"] for h in shown.values()]
    heights = {
        m: [n / max(sum(h["count"]), 1) / (h["edges"][1] - h["edges"][0]) for n in h["count"]] for m, h in shown.items()
    }
    plot = Plot(
        (min(e[0] for e in edges), max(e[-1] for e in edges)),
        (0, 1.05 * max(max(v) for v in heights.values())),
        key=[(CLASS[m], names[m]) for m in MODELS if m in shown],
    )
    plot.axes(
        "outcome minus prediction",
        "density of rows",
        x_text=compact,
        y_ticks=(),
    )
    for model, h in shown.items():
        plot.steps(h["edges"], heights[model], f"area events {CLASS[model]}")
    return plot.draw(f"Distribution of residuals of {' and '.join(names[m] for m in MODELS if m in shown)}")


def compact(value: float) -> str:
    """A tick of any size: 12,500 or 0.04."""
    return (f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}").replace("-", "−")


def counts(values: Sequence[float]) -> Markup:
    """A distribution in a table's cell: bars on one line; the numbers are next to it, so it is decoration."""
    top, width = max([*values, 1]), 100 / max(len(values), 1)
    parts = [
        tag(
            "rect",
            x=f"{i * width:.2f}",
            y=f"{20 - 20 * v / top:.2f}",
            width=f"{width * 0.9:.2f}",
            height=f"{20 * v / top:.2f}",
            class_="bar joint",
        )
        for i, v in enumerate(values)
        if v
    ]
    given = {"viewBox": "0 0 100 20", "preserveAspectRatio": "none", "class_": "strip tall", "aria_hidden": "true"}
    return tag("svg", Markup("").join(parts), **given)
