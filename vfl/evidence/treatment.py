"""How columns and keys were treated, in words: of the job and of the model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vfl.evidence.blocks import Facts
from vfl.report import words

FORMS = {
    "text": "case, width of signs and white space do not matter",
    "digits": "its digits alone count",
    "integer": "as whole numbers without leading zeros",
    "exact": "as it is written",
    "email": "as e-mail addresses, whose case does not matter",
    "date": "as dates",
    "e164": "as telephone numbers in international form",
}
BINNING = {  # keys of [model] that bin columns
    "max_n_prebins": "Fine bins of each column at most",
    "max_n_bins": "Bins of each column at most, after neighbours were merged by the label",
    "min_bin_rows": "Rows of each bin at least",
    "min_bin_size": "Part of the training rows in each bin at least",
    "monotonic_trend": "Trend of event rates over the bins of a column",
    "max_bin": "Bins of each column at most, at quantiles of its owner’s training rows",
}


def keys(report: Mapping[str, Any]) -> tuple[str, ...]:
    """The key columns, each with how it was compared: one text for each key, in the order in which they were tried."""
    align = (report.get("job_file") or {}).get("align") or {}
    forms = align.get("normalise") or {}
    return tuple(" and ".join(_form(c, forms.get(c, "text")) for c in one) for one in align.get("keys") or ())


def _form(column: str, name: str) -> str:
    said = FORMS.get(name.partition(":")[0])
    return f"{column} ({name}{f': {said}' if said else ''})"


def treatment(report: Mapping[str, Any]) -> Facts:
    """What the job does to columns."""
    job, model = report.get("job_file") or {}, report.get("model") or {}
    if report.get("purpose") == "align":
        return tuple(("Key column, and how it was compared", key) for key in keys(report))
    steps = job.get("preprocess") or {}
    found = [
        (f"Before training, {name}", words.joined(value))
        for name, value in steps.items()
        if value not in (None, [], {})
    ]
    kind, settings = str(model.get("kind") or ""), {**(job.get("model") or {}), **model}
    own = "each column is standardised by the mean and standard deviation of"
    if kind.startswith("mlp-") or kind.endswith("-regression"):
        found.append(("Scaling", f"{own} its training rows"))
    if kind == "averaging":
        found.append(("Scaling", f"{own} the training rows of all members"))
    if kind == "scorecard":
        found.append(
            ("Values", "each bin of a column is replaced by its weight of evidence, and the model weighs these")
        )
    binned = [(text, str(settings[name])) for name, text in BINNING.items() if settings.get(name) is not None]
    if kind == "boosted-trees":
        binned = [(text.replace("each bin", "each bin of a host’s column"), value) for text, value in binned]
    return (*found, *binned) if kind in ("scorecard", "boosted-trees") else tuple(found)
