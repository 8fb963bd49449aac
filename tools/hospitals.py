"""Executes the example of docs/hospitals.md and writes its result into the page: `python -m tools.hospitals`.  A test
compares the page with a run of its own."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tools import example
from vfl.report.svg import Plot

PAGE, PICTURE = example.DOCS / "hospitals.md", example.DOCS / "figures" / "hospitals.svg"


def table(compared: pd.DataFrame) -> str:
    """The comparison as a table of Markdown."""
    rows = [
        f"| {name} | {row['rows']:.0f} | {row['alone']:.2f} | {row['auc']:.2f} |" for name, row in compared.iterrows()
    ]
    means = compared[["alone", "auc"]].mean()
    head = ["| hospital | training rows | AUC, own model | AUC, averaged model |", "|---|---|---|---|"]
    return "\n".join([*head, *rows, f"| mean | | {means['alone']:.2f} | {means['auc']:.2f} |", ""])


def picture(compared: pd.DataFrame) -> str:
    """By training rows (logarithmic), the AUC of both models."""
    x = np.log10(compared["rows"].to_numpy(float)).tolist()
    plot = Plot(
        (min(x) - 0.1, max(x) + 0.1),
        (0.4, 1.0),
        width=560,
        key=(("line alone", "a hospital's own model"), ("line joint", "the averaged model")),
    )
    plot.axes(
        "training rows of the hospital",
        "AUC on held-out rows",
        x_ticks=[2.0, 2.5, 3.0],
        x_text=lambda v: f"{10**v:,.0f}",
        y_text=lambda v: f"{v:.1f}",
    )
    plot.dots(x, compared["alone"].tolist(), "alone").dots(x, compared["auc"].tolist(), "joint")
    words = "AUC by the number of training rows: each hospital's own model, and the averaged one"
    return example.alone(plot.draw(words))


def main() -> None:
    """Writes table and picture."""
    compared = example.executed(PAGE)["compared"]
    example.write(PAGE, PICTURE, table(compared), picture(compared))


if __name__ == "__main__":
    main()
