"""The section Prediction: which rows were scored, why the others have no score, and how the scores spread."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from vfl.report import plots

QUANTILES = {
    "min": "smallest", "p5": "5 %", "p25": "25 %", "median": "median", "p75": "75 %", "p95": "95 %", "max": "largest"
}  # fmt: skip
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?")
WHAT = {
    "binary": "probability of the event",
    "numeric": "predicted number",
    "count": "predicted count",
    "multiclass": "probability of each class",
}


def prediction(result: Mapping[str, Any]) -> dict[str, Any]:
    """What the template shows; nothing where the result is of no prediction, or of an earlier release."""
    told = result.get("prediction")
    if told is None:
        return {}
    scores, before = told.get("scores") or {}, (result.get("stability") or {}).get("score")
    parties = result.get("parties") or {}
    top = max((line["mean"] for line in told.get("classes") or []), default=1.0)
    return {
        "rows": told.get("rows"),
        "scored": told.get("scored"),
        "empty": empty_rows(told),
        "unseen": told.get("unseen") or {},
        "what": WHAT.get(str(result.get("outcome")), "score"),
        "scores": scores,
        "quantiles": [(name, scores[key]) for key, name in QUANTILES.items() if key in scores],
        "bar": plots.counts(scores.get("histogram") or []),
        "classes": [dict(c) | {"bar": plots.bar([(0, c["mean"], "joint")], 0, top)} for c in told.get("classes") or []],
        "before": compared(before) if before else [],
        "psi": before,
        "partners": [
            p for p in (parties.get("guest"), *(parties.get("hosts") or ())) if p and p != result.get("party")
        ],
    }


def prediction_numbers(result: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """(item, measure, value) of every number of the section."""
    told = result.get("prediction") or {}
    yield from (("", name, told[name]) for name in ("rows", "scored", "left_out", "unknown") if name in told)
    for name in ("missing", "unseen"):
        yield from ((column, name, rows) for column, rows in (told.get(name) or {}).items())
    yield from (("score", k, v) for k, v in (told.get("scores") or {}).items() if isinstance(v, int | float))
    for line in told.get("classes") or []:
        yield from ((line["class"], name, line[name]) for name in ("mean", "rows"))


def empty_rows(told: Mapping[str, Any]) -> list[tuple[str, int]]:
    """(why, how many) of this party's rows without a score."""
    missing = told.get("missing") or {}
    columns = ", ".join(f"{name} ({rows:,})" for name, rows in missing.items())
    found = [(f"a value is missing in this party’s table: {columns}", int(told.get("left_out") or 0))]
    found += [("a partner does not know the id, or cannot score the row either", int(told.get("unknown") or 0))]
    return [(why, rows) for why, rows in found if rows]


def compared(score: Mapping[str, Any]) -> list[dict[str, Any]]:
    """By bin of the baseline's scores, its share of the training's rows and of the new ones; without empty last
    bins."""
    sums = {when: sum(score[when]) or 1 for when in ("before", "now")}
    lines = [
        {"bin": name, "before": before / sums["before"], "now": now / sums["now"]}
        for name, before, now in zip(shortened(score["bins"]), score["before"], score["now"], strict=True)
        if before or now
    ]
    top = max((max(line["before"], line["now"]) for line in lines), default=1.0)
    return [
        line
        | {
            "before_bar": plots.bar([(0, line["before"], "rest")], 0, top),
            "now_bar": plots.bar([(0, line["now"], "joint")], 0, top),
        }
        for line in lines
    ]


def shortened(bins: Sequence[str]) -> list[str]:
    """The names of bins with as few digits of their bounds, from two on, as keep them apart."""
    bounds = {bound for name in bins for bound in NUMBER.findall(name)}
    for digits in range(2, 6):
        short = {bound: f"{float(bound):.{digits}g}" for bound in bounds}
        if len(set(short.values())) == len(bounds):
            return [_replaced(name, short) for name in bins]
    return list(bins)


def _replaced(name: str, short: Mapping[str, str]) -> str:
    return NUMBER.sub(lambda found: short[found[0]], name)
