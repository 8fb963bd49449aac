"""What is said of how trainings ended, and of values that were limited for them: a warning in Python, a caution in the
terminal and in the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from protocols.glm.progress import End


def summary(passes: Sequence[int], ends: Sequence[End]) -> dict[str, Any]:
    """What report.json says: after how many iterations each training ended, and how; `settled` is left out where nobody
    watched."""
    summary: dict[str, Any] = {"passes_made": list(passes), "ended": list(ends)}
    return summary if "planned" in ends else summary | {"settled": set(ends) <= {"loss", "settled"}}


def clipped(rows: Mapping[str, int], limit: float, which: str = "training") -> str:
    """Of a party's own columns, in how many rows their values were limited; which: "training" or "new"."""
    named = ", ".join(f"'{name}' ({count:,})" for name, count in rows.items())
    why = (
        ""
        if limit < 128
        else ", the head-room of the protocol: correct values that are wrong, leave a column out that has one value in "
        "nearly all rows, and of amounts over several powers of ten take logarithms"
    )
    return f"values were limited to {limit:g} standard deviations from the mean in {which} rows of {named}{why}"


def clipped_in_folds(rows: Mapping[str, int]) -> str:
    """The same of the folds of a search; rows: of the fold that has most."""
    named = ", ".join(f"'{name}' ({count:,})" for name, count in rows.items())
    return f"in the folds of the search values were limited too, in the fold that has most in rows of {named}"


def against(columns: Sequence[str]) -> str:
    """Of a party's own columns whose weight in a scorecard has the wrong sign."""
    return (
        f"{', '.join(columns)}: together with the other columns, points run against the bins' event rates (a weight of "
        f"the wrong sign): leave the column out, or raise min_iv or lower max_correlation"
    )


def cautions(passes: Sequence[int], ends: Sequence[str]) -> list[str]:
    """A sentence for each way to end without an optimum."""
    most = {end: max(n for n, e in zip(passes, ends, strict=True) if e == end) for end in ends}
    of = f" in {sum(e in SENTENCES for e in ends)} of {len(ends)} classes" if len(ends) > 1 else ""
    return [sentence.format(passes=f"{most[end]:,}", of=of) for end, sentence in SENTENCES.items() if end in most]


SENTENCES: dict[str, str] = {
    "limit": "all {passes} iterations that max_iter allows were made{of}: the loss had not settled",
    "unsettled": "all {passes} iterations that max_iter allows were made{of}: the weights had not settled, so that "
    "they and the scores may be far from the optimum; raise max_iter, or the penalty",
    "edge": "training ended after {passes} iterations{of}, before the weights had settled: they grow without end where "
    "columns nearly separate the labels; raise the penalty (lower C)",
}
