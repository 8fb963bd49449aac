"""The numbers of a run that a pack holds: figures.json.

Only what is named here leaves the run's folder.  Left out are the values that single rows decide (quantiles, smallest
and largest, bounds of bins, calibration where a group has fewer than LEAST_ROWS rows), texts of categories, classes and
labels, cautions that name rows, and the names of a partner's columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from protocols.group_size import LEAST_ROWS

Content = dict[str, Any]
WHOLE = (
    "outcome",
    "outcome_column",
    "alignment",
    "metrics",
    "uplift",
    "privacy",
    "averaging",
    "phases",
    "peak_memory",
    "resumed",
    "encryption",
    "disclosure",
    "permits",
    "environment",
)
COLUMN = ("column", "type", "rows", "missing", "distinct", "mean", "sd")
MOVED = ("column", "psi", "expected", "mark", "rows", "missing_before", "missing")
SCORED = ("rows", "left_out", "missing", "unseen", "scored", "unknown")
SEARCH = ("cv", "scoring", "candidates", "trainings", "models_told", "best", "fold_rows", "scores", "mean", "sd")
COEFFICIENT = ("column", "coef", "coef_raw")
VALUE = ("column", "iv", "strength", "bins", "dropped")
MODEL = (
    "kind",
    "key_bits",
    "model_id",
    "caution",
    "passes",
    "passes_made",
    "ended",
    "settled",
    "best_epoch",
    "weights_known",
    "trees",
    "importance",
    "splits",
    "clipped",
    "clipped_in_folds",
    "clipped_at",
    "wrong_signs",
)  # besides the parameters of the job's [model]


def figures(report: Mapping[str, Any]) -> Content:
    """What of a report leaves; the order of its keys is that of the report's declaration."""
    found: Content = {key: report[key] for key in WHOLE if report.get(key) not in (None, {}, [])}
    if columns := report.get("columns"):
        found["columns"] = _rows(columns, COLUMN)
    if stability := report.get("stability"):
        found["stability"] = _moved(stability)
        if later := stability.get("out_of_time"):
            found["stability"]["out_of_time"] = _moved(later)
    if prediction := report.get("prediction"):
        found["prediction"] = _some(prediction, SCORED) | {
            "scores": _some(prediction.get("scores") or {}, ("mean", "sd"))
        }
    if search := report.get("search"):
        found["search"] = _some(search, SEARCH)
    if model := report.get("model"):
        found["model"] = _model(model, (report.get("job_file") or {}).get("model") or {})
    if points := _calibration(report.get("plots") or {}):
        found["calibration"] = points
    if inputs := report.get("inputs"):
        found["inputs"] = inputs
    return found


def _calibration(drawn: Mapping[str, Any]) -> Content:
    """By part of the split and model, mean prediction and outcome of groups of rows, where each group has enough rows
    that its means tell nothing of single ones."""
    found: Content = {}
    for part, models in drawn.items():
        for model, series in models.items():
            points = series.get("calibration") or {}
            if points.get("count") and min(points["count"]) >= LEAST_ROWS:
                found.setdefault(part, {})[model] = points
    return found


def _model(model: Mapping[str, Any], parameters: Mapping[str, Any]) -> Content:
    found: Content = {key: value for key, value in model.items() if key in MODEL or key in parameters}
    if model.get("kind") == "averaging" and "intercept" in model:  # every member has it
        found["intercept"] = model["intercept"]
    if coefficients := model.get("coefficients"):
        found["coefficients"] = _rows(coefficients, COEFFICIENT)
    if values := model.get("iv"):
        found["iv"] = _rows(values, VALUE)
    if hosts := model.get("host_columns"):
        places = dict[str, int]()
        found["host_columns"] = []
        for line in hosts:
            host = str(line["host"])
            places[host] = places.get(host, 0) + 1
            found["host_columns"].append(
                {"host": host, "column": places[host], "iv": line["iv"], "strength": line["strength"]}
            )
    return found


def _moved(stability: Mapping[str, Any]) -> Content:
    score = stability.get("score")
    return {
        "columns": _rows(stability.get("columns") or (), MOVED),
        "score": None if score is None else _some(score, MOVED),
    }


def _rows(rows: Iterable[Mapping[str, Any]], keys: tuple[str, ...]) -> list[Content]:
    return [_some(row, keys) for row in rows]


def _some(holder: Mapping[str, Any], keys: tuple[str, ...]) -> Content:
    return {key: holder[key] for key in keys if key in holder}
