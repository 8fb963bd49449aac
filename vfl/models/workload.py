"""The size of a training, as the cost model and the benchmarks know it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

from protocols.network import Terms

WorkKind = Literal["alignment", "logistic", "linear", "poisson", "scorecard", "trees", "network"]


class Columns(NamedTuple):
    """guest: its columns; host: those of all hosts together."""

    guest: int
    host: int
    hosts: int


@dataclass(frozen=True)
class Workload:
    """rows: common to all parties; each holds a quarter more that no other knows.  host_columns: of all hosts together.

    passes, weighted: of regressions; link, classes: of the logistic one (more than two: one-vs-rest).  trees, depth,
    bins, membership: of the trees.
    """

    kind: WorkKind
    rows: int
    guest_columns: int = 5
    host_columns: int = 18
    hosts: int = 1
    passes: int = 20
    link: Literal["exact", "taylor"] = "exact"
    trees: int = 2
    depth: int = 4
    bins: int = 16
    membership: Literal["sealed", "open"] = "sealed"
    classes: int = 2
    weighted: bool = False

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class NetworkWork(Workload):
    """A network's training; terms: what is trained, with its epochs and batches; held_out: rows besides, which decide
    when training ends."""

    terms: Terms = Terms((1,), "tanh", "logistic", 1, None, 1.0)  # noqa: RUF009
    held_out: int = 0
