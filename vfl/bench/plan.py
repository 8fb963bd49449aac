"""What is measured, and what each run is expected to take: by the cost model, before anything is run.

A run that would take more than its share of the time is left out, with its reason and its estimate.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal

from vfl.bench import centralized as joined
from vfl.cost import cost
from vfl.cost.jobs import KEYS
from vfl.cost.machine import Machine, cores
from vfl.models.workload import Workload
from vfl.report import words

Axes = Mapping[str, tuple[int, ...]]
PHE = 100  # a product by python-paillier takes so much longer; only the time left depends on it
START_S = 2.0  # of a process: Python, libraries, keys, tables, and the speed of the machine before and after
ALL_THREADS = (1, 2, 4, 8, 16, 32, 64)


@dataclass(frozen=True)
class Size:
    """How much is measured.

    main: of the modes.  small: what python-paillier can do in reasonable time.  sweeps: base and axes.  kinds: other
    models that the cost model is judged on.
    share_s: what one run may take.  repeat_s: a run that takes no more is made three times, and the median counts.
    """

    main: tuple[Workload, ...]
    small: tuple[Workload, ...]
    sweeps: tuple[tuple[Workload, Axes], ...]
    kinds: tuple[Workload, ...]
    share_s: float
    repeat_s: float


KEY_AXIS, THREAD_AXIS = {"key_bits": KEYS}, {"threads": ALL_THREADS}
QUICK = Size(
    main=(Workload("alignment", 20_000), Workload("logistic", 1500, passes=12), Workload("trees", 1500, trees=2)),
    small=(Workload("logistic", 24, 2, 3, passes=3), Workload("trees", 24, 2, 3, trees=1, depth=2, bins=6)),
    sweeps=(
        (Workload("alignment", 4000), {"rows": (1000, 4000, 10_000)}),
        (
            Workload("logistic", 400, 5, 10, passes=5),
            {"rows": (250, 400, 1000), "host_columns": (2, 10, 30), "hosts": (1, 3), **KEY_AXIS, **THREAD_AXIS},
        ),
        (
            Workload("trees", 1000, 5, 10, trees=1),
            {"rows": (250, 1000), "host_columns": (2, 10, 30), "hosts": (1, 3), "bins": (8, 32), "depth": (2, 5)}
            | KEY_AXIS
            | THREAD_AXIS,
        ),
    ),
    kinds=(),
    share_s=60.0,
    repeat_s=0.0,
)
FULL = Size(
    main=(Workload("alignment", 50_000), Workload("logistic", 10_000, passes=30), Workload("trees", 10_000, trees=5)),
    small=(Workload("logistic", 40, 2, 3, passes=5), Workload("trees", 100, 2, 3, trees=1, depth=3)),
    sweeps=(
        (
            Workload("alignment", 10_000),
            {"rows": (1000, 10_000, 100_000, 1_000_000), "hosts": (1, 2, 3, 4), **THREAD_AXIS},
        ),
        (
            Workload("logistic", 2000, 5, 10, passes=5),
            {
                "rows": (1000, 2000, 10_000, 100_000, 1_000_000),
                "host_columns": (2, 5, 10, 20, 50),
                "hosts": (1, 2, 3, 4),
            }
            | KEY_AXIS
            | THREAD_AXIS,
        ),
        (
            Workload("trees", 10_000, 5, 10, trees=1),
            {"rows": (1000, 10_000, 100_000, 1_000_000), "host_columns": (2, 5, 10, 20, 50), "hosts": (1, 2, 3, 4)}
            | {"bins": (8, 16, 32, 64), "depth": (2, 3, 4, 5, 6), **KEY_AXIS, **THREAD_AXIS},
        ),
    ),
    kinds=(
        Workload("logistic", 3000, passes=8, link="taylor"),
        Workload("logistic", 2000, passes=6, classes=3),
        Workload("logistic", 2500, passes=8, weighted=True),
        Workload("linear", 3000, passes=10),
        Workload("poisson", 2500, passes=8),
        Workload("scorecard", 3000, passes=10),
        Workload("trees", 10_000, trees=3, membership="open"),
    ),
    share_s=1500.0,
    repeat_s=8.0,
)


@dataclass(frozen=True)
class Point:
    """One run: `what` says to which part of the result it belongs; axis, value: of a sweep."""

    what: Literal["modes", "sweeps", "kinds"]
    mode: str
    work: Workload
    key_bits: int
    threads: int
    small: bool = False
    axis: str = ""
    value: int = 0
    limit_s: float = float("inf")  # its share of the time

    @property
    def label(self) -> str:
        """The mode in words."""
        bits = self.key_bits
        names = {"joined": "centralised", "clear": "in the clear", "psi": "set intersection"}
        return names.get(self.mode) or {"paillier": f"Paillier {bits}", "phe": f"python-paillier {bits}"}[self.mode]

    @property
    def text(self) -> str:
        """What is being measured, for the one who waits."""
        tail = (
            f"{self.axis.replace('_', ' ')} = {self.value:,}" if self.axis else f"{self.work.rows:,} rows, {self.label}"
        )
        tail = "where the axes start" if self.axis == "base" else tail
        return f"{self.work.kind}, {tail}"

    @property
    def head(self) -> dict[str, Any]:
        """What the result says of it, together with what was measured."""
        place = {"axis": self.axis, "value": self.value} if self.axis else {"label": self.label, "small": self.small}
        return {
            "mode": self.mode,
            "work": self.work.as_dict(),
            "key_bits": self.key_bits,
            "threads": self.threads,
        } | place

    @cache  # noqa: B019 (a point lives as long as the run)
    def expected_s(self) -> float:
        """Seconds on the clock, by the cost model."""
        sealed = self.mode in ("paillier", "phe")
        priced = machine(self.key_bits if sealed else 0)
        if self.mode == "phe":
            priced = replace(priced, product_s=PHE * priced.product_s)
        worked = 0.5 if self.mode == "joined" else cost.one_core_s(self.work, self.key_bits if sealed else 0, priced)
        made = self.work.rows * 1e-5  # the tables
        return START_S + made + worked / max(1, min(self.threads, cores()))

    def times(self, size: Size) -> int:
        """How often it is run."""
        return 3 if self.mode != "phe" and self.expected_s() <= size.repeat_s else 1

    @property
    def skipped(self) -> str:
        """Why it is left out; empty if it is not."""
        if self.mode == "joined" and (why := joined.missing(self.work)):
            return why
        expected = self.expected_s()
        if expected <= self.limit_s:
            return ""
        return f"it would take about {words.duration(expected)}, more than its share of {words.duration(self.limit_s)}"


@cache
def measured() -> Machine:
    """This machine, under a key of 2048 bits."""
    return Machine.measured(2048)


def machine(key_bits: int) -> Machine:
    """The same under another key; without one products cost nothing.  A product takes the square of its length."""
    return replace(measured(), product_s=measured().product_s * (key_bits / 2048) ** 2)


def points(size: Size) -> Iterator[Point]:
    """Every run, in the order in which they are made."""
    for work in size.main:
        asked = (
            [("joined", 0), ("psi", 0)]
            if work.kind == "alignment"
            else [("joined", 0), ("clear", 2048), *(("paillier", b) for b in KEYS[:2])]
        )
        for mode, bits in asked:
            yield Point("modes", mode, work, bits, cores(), limit_s=2 * size.share_s)
    for work in size.small:  # what python-paillier takes; ours beside it, to compare
        for mode in ("paillier", "phe"):
            yield Point("modes", mode, work, 2048, cores(), small=True)
    for base, axes in size.sweeps:
        yield from swept(base, axes, size)
    for work in size.kinds:
        yield Point("kinds", "paillier", work, 2048, cores(), limit_s=size.share_s)


def swept(base: Workload, axes: Axes, size: Size) -> Iterator[Point]:
    """One axis at a time from the base, which is measured once: Paillier 2048 on all cores, except along "key_bits" and
    "threads"."""
    mode, bits = ("psi", 0) if base.kind == "alignment" else ("paillier", 2048)
    yield Point("sweeps", mode, base, bits, cores(), axis="base", value=0, limit_s=size.share_s)
    plain = base.as_dict() | {"key_bits": bits, "threads": cores()}
    for axis, values in axes.items():
        for value in values:
            if value == plain[axis] or (axis == "threads" and value > cores()):
                continue
            work = Workload(**(base.as_dict() | {axis: value})) if axis in base.as_dict() else base
            used = {"key_bits": bits, "threads": cores()} | {axis: value}
            yield Point(
                "sweeps", mode, work, used["key_bits"], used["threads"], axis=axis, value=value, limit_s=size.share_s
            )
