"""Executes the example of docs/readmission.md and writes its result into the page: `python -m tools.readmission`.  A
test compares the page with a run of its own."""

from __future__ import annotations

from typing import Any

from tools import example
from vfl.report import plots

PAGE, PICTURE = example.DOCS / "readmission.md", example.DOCS / "figures" / "readmission.svg"
NAMES = {"joint": "hospital and insurer", "guest_alone": "hospital alone"}
MEASURES = {"auc": "AUC", "ks": "KS", "log_loss": "log-loss"}


def table(left: dict[str, Any]) -> str:
    """Both models as a table of Markdown."""
    report = left["report"]
    rows = []
    for measure, label in MEASURES.items():
        values, sure = report.metrics.loc[measure], report.uplift.loc[measure]
        interval = f"{sure['low']:+.2f} to {sure['high']:+.2f}"
        rows.append(f"| {label} | {values['guest_alone']:.2f} | {values['joint']:.2f} | {interval} |")
    return "\n".join(
        [
            f"| | {NAMES['guest_alone']} | {NAMES['joint']} | 95 % interval of the difference |",
            "|---|---|---|---|",
            *rows,
            "",
        ]
    )


def picture(left: dict[str, Any]) -> str:
    """The ROC curves of both models."""
    result = left["report"].result
    return example.alone(plots.roc(result["plots"]["test"], result["metrics"]["test"], NAMES))


def main() -> None:
    """Writes table and picture."""
    left = example.executed(PAGE)
    example.write(PAGE, PICTURE, table(left), picture(left))


if __name__ == "__main__":
    main()
