"""The drawings of an evaluation, each with its title and a sentence that says how to read it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from vfl.report import plots


def figures(
    series: Mapping[str, Any], metrics: Mapping[str, Any], names: Mapping[str, str], outcome: str
) -> list[tuple[str, str, Markup]]:
    """(title, how to read it, drawing)."""
    if outcome == "binary":
        drawn = [
            (
                "ROC curve",
                "Of all events, how many are caught for each false alarm. Further up and left is better.",
                plots.roc(series, metrics, names),
            ),
            (
                "KS curve",
                "Events and non-events found while going down the score. A wider gap means a better separation.",
                plots.ks(series, names),
            ),
            (
                "Precision and recall",
                "How many of the flagged are events, as more events are found. The dotted line is a random choice.",
                plots.precision_recall(series, metrics, names),
            ),
            (
                "Cumulative gain",
                "How many events are in the riskiest part of the rows.",
                plots.gain(series, metrics, names),
            ),
            (
                "Calibration",
                "Does a predicted 20 % happen in 20 % of cases? Whiskers: 95 % interval of the observed rate.",
                plots.calibration(series, names),
            ),
            (
                "Score distribution",
                "Each class as 100 %. Less overlap means a better separation.",
                plots.scores(series, names),
            ),
        ]
    else:
        drawn = [
            (
                "Calibration",
                "Ten equal groups by prediction: does the mean outcome follow? Whiskers: 95 % interval of the mean.",
                plots.means(series, names),
            ),
            (
                "Residuals",
                "The distance of the outcome from the prediction. Narrower is better. "
                "The outermost 0.5 % at each end are drawn at the edge.",
                plots.residuals(series, names),
            ),
        ]
    return [(title, text, svg) for title, text, svg in drawn if svg is not None]
