"""Which command gives which number again: commands.json."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Content = Mapping[str, Any]
SECTIONS = (  # of figures.json, whose numbers a command gives again
    "alignment",
    "metrics",
    "uplift",
    "calibration",
    "columns",
    "stability",
    "prediction",
    "search",
    "model",
    "privacy",
    "averaging",
    "phases",
    "peak_memory",
    "encryption",
    "disclosure",
)
PREDICT = "vfl predict JOB PARTY --model MODEL --data TABLE"
OF_PURPOSE = {"run": "vfl run JOB PARTY", "predict": PREDICT, "align": "vfl align JOB PARTY"}


@dataclass(frozen=True)
class Again:
    """What a command shows or computes again."""

    what: str
    command: str


def repeated(purpose: str, audited: bool) -> tuple[Again, ...]:
    """The commands of the page."""
    found = [
        Again("the job’s digest", "vfl job digest JOB"),
        Again("all numbers of this run, as they were computed", "vfl report RUN --json"),
        Again("the same numbers, computed again: at every party at the same time", OF_PURPOSE[purpose]),
        Again("messages, bytes and what receivers learn", "vfl ledger show RUN"),
        Again("whether the ledger is unchanged", "vfl ledger verify RUN --certificate CERT"),
        Again("whether a partner’s ledger says the same", "vfl ledger reconcile RUN OTHER"),
        Again("budgets", "vfl budget PARTY"),
        Again("this pack, byte for byte", "vfl evidence pack RUN --out pack.zip --about TEXTS"),
        Again("whether this pack is unchanged", "vfl evidence verify pack.zip --certificate CERT"),
    ]
    return tuple(
        found if not audited else [*found, Again("the audit of question 8, up to random numbers", "vfl audit RUN")]
    )


def numbers(figures: Content, purpose: str) -> list[dict[str, Any]]:
    """Each number of figures.json: its place, its value, the command that shows it and the one that computes it
    again."""
    found = []
    for place, value in _leaves(figures):
        section = place.partition(".")[0]
        if section in SECTIONS:
            shows = "vfl ledger show RUN --json" if section == "disclosure" else "vfl report RUN --json"
            found.append({"number": place, "value": value, "shows": shows, "computes": OF_PURPOSE[purpose]})
    return found


def _leaves(value: Any, place: str = "") -> Iterator[tuple[str, int | float]]:
    """(place, number) of each number, depth first."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(inner, f"{place}.{key}".lstrip("."))
    elif isinstance(value, list):
        for k, inner in enumerate(value):
            yield from _leaves(inner, f"{place}.{k}")
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield place, value
