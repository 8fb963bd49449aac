"""Look-ups of rows at a party's workers: each evaluates the keys of its share of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from protocols import parts
from protocols._native import DpfKeys, PlainVec
from protocols.workers.cluster import Cluster, Step


def look_up(cluster: Cluster, keys: DpfKeys, x: NDArray[np.int64], tables: NDArray[np.int64]) -> list[PlainVec]:
    """As `DpfKeys.look_up`, which this process does itself where there are few rows."""
    if len(keys) <= parts.LEAF:
        return keys.look_up(x, tables)
    steps = [
        Step(worker, "look_up", (keys.take(first, last).to_bytes(), x[first:last], cluster.place(worker, tables)))
        for worker, first, last in parts.portions(len(keys), cluster.count)
    ]
    found = [[PlainVec.from_bytes(value) for value in answer.values] for answer in cluster.ask(steps)]
    return [PlainVec.join(of_all) for of_all in zip(*found, strict=True)]
