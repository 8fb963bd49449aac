"""Executes the example of docs/hospitals.md and writes its result into the page: `python -m tools.hospitals`.  A test
compares the page with a run of its own."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from vfl.report.svg import Plot

DOCS = Path(__file__).parent.parent / "docs"
PAGE, PICTURE = DOCS / "hospitals.md", DOCS / "figures" / "hospitals.svg"
STYLE = (
    "<style>svg{font:12px sans-serif;background:#fff}.axis,.grid{stroke:#ccc}.grid{stroke:#eee}.tick,.label,.key"
    "{fill:#444}"
    ".end{text-anchor:end}.middle{text-anchor:middle}.dot.joint{fill:#0b6e4f}.dot.alone{fill:#fff;stroke:#b3541e;"
    "stroke-width:2}.line{stroke-width:3}.line.joint{stroke:#0b6e4f}.line.alone{stroke:#b3541e}</style>"
)
RESULT = re.compile(r"(<!-- result -->\n).*(<!-- end of result -->)", re.DOTALL)


def example() -> dict[str, Any]:
    """What the page's Python code leaves."""
    names: dict[str, Any] = {}
    code = "\n".join(re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL))
    exec(compile(code, str(PAGE), "exec"), names)  # noqa: S102 (our own page)
    return names


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
    svg = str(plot.draw("AUC by the number of training rows: each hospital's own model, and the averaged one"))
    alone = svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    return re.sub(r"(<svg [^>]*>)", lambda found: found.group(1) + STYLE, alone, count=1) + "\n"


def main() -> None:
    """Writes table and picture."""
    compared = example()["compared"]
    page = RESULT.sub(lambda found: found[1] + table(compared) + found[2], PAGE.read_text(encoding="utf-8"))
    PAGE.write_text(page, encoding="utf-8")
    PICTURE.write_text(picture(compared), encoding="utf-8")


if __name__ == "__main__":
    main()
