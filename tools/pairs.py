"""Executes the examples of two institutions and writes their results into their pages: `python -m tools.pairs
[PAGE...]`.  A test compares each page with a run of its own."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from tools import example
from vfl.report import plots
from vfl.report.svg import Plot

Series = Mapping[str, Any]


@dataclass(frozen=True)
class Pair:
    """A page of docs/.  own, both: what the two models are called; measures: which are shown, with their names;
    drawing: of the curves, the measures and these names."""

    page: str
    own: str
    both: str
    measures: Mapping[str, str]
    drawing: Callable[[Series, Series, dict[str, str]], Markup | None]

    @property
    def path(self) -> Path:
        return example.DOCS / f"{self.page}.md"

    @property
    def picture(self) -> Path:
        return example.DOCS / "figures" / f"{self.page}.svg"

    @property
    def names(self) -> dict[str, str]:
        return {"joint": self.both, "guest_alone": self.own}


def bars(_: Series, metrics: Series, names: dict[str, str]) -> Markup:
    """The share of right recommendations: of chance and of both models."""
    shares = [0.25, metrics["guest_alone"]["accuracy"], metrics["joint"]["accuracy"]]
    labels = ["a guess", names["guest_alone"], names["joint"]]
    plot = Plot((0, 3), (0, 0.8), width=560)
    plot.axes(
        "",
        "right recommendations",
        x_ticks=[0.5, 1.5, 2.5],
        x_text=lambda v: labels[int(v)],
        y_text=lambda v: f"{100 * v:.0f} %",
    )
    for k, (share, style) in enumerate(zip(shares, ("alone", "alone", "joint"), strict=True)):
        plot.steps([k + 0.2, k + 0.8], [share], f"area {style}")
        plot.note(k + 0.5, share, f"{100 * share:.0f} %", "middle", dy=-6)
    return plot.draw("Share of customers who bought from the range that was recommended")


CLASSIC = {"auc": "AUC", "ks": "KS", "log_loss": "log-loss"}
PAIRS = {
    pair.page: pair
    for pair in (
        Pair("credit", "bank alone", "bank and telecom", {"auc": "AUC", "ks": "KS", "gini": "Gini"}, plots.roc),
        Pair(
            "recommender",
            "shop alone",
            "shop and logistics",
            {"accuracy": "right", "macro_auc": "AUC, class by class", "log_loss": "log-loss"},
            bars,
        ),
        Pair(
            "traffic",
            "city alone",
            "city and operator",
            {"d2": "D2", "deviance": "deviance", "mae": "MAE"},
            lambda series, _, names: plots.means(series, names),
        ),
        Pair("claims", "insurer alone", "insurer and garages", CLASSIC, plots.roc),
    )
}


def table(pair: Pair, left: dict[str, Any]) -> str:
    """Both models as a table of Markdown; the interval where the report has one."""
    report, rows = left["report"], []
    for measure, label in pair.measures.items():
        values = report.metrics.loc[measure]
        sure = report.uplift.loc[measure] if measure in report.uplift.index else None
        between = "" if sure is None else f"{sure['low']:+.2f} to {sure['high']:+.2f}"
        rows.append(f"| {label} | {values['guest_alone']:.2f} | {values['joint']:.2f} | {between} |")
    head = f"| | {pair.own} | {pair.both} | 95 % interval of the difference |"
    return "\n".join([head, "|---|---|---|---|", *rows, ""])


def picture(pair: Pair, left: dict[str, Any]) -> str:
    """The drawing of both models on held-out rows."""
    result = left["report"].result
    return example.alone(pair.drawing(result["plots"]["test"], result["metrics"]["test"], pair.names))


def main() -> None:
    """Writes table and picture of the pages that are named, or of all."""
    for name in sys.argv[1:] or PAIRS:
        pair = PAIRS[name]
        left = example.executed(pair.path)
        example.write(pair.path, pair.picture, table(pair, left), picture(pair, left))


if __name__ == "__main__":
    main()
