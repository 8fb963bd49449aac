"""What a party's part of boosted trees says of itself, in numbers: trees, and splits by column."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from protocols.boosting.sealed_parts import GuestTrees
from vfl.models.trees.part import TreesPart


def part_summary(part: TreesPart) -> dict[str, Any]:
    """At the guest how often each of its columns, and each host as a whole, was split on, of open trees with the gains;
    at a host how often each of its columns."""
    if part.ensemble is None:
        return {"splits": splits_by_column(part)}
    trees = part.trees
    count: Mapping[tuple[int, int], float] = (
        trees.importance() if isinstance(trees, GuestTrees) else trees.importance("split")
    )
    gain = {} if isinstance(trees, GuestTrees) else trees.importance("gain")
    rows = [
        {
            "party": party,
            "column": part.columns[k] if party == 0 else None,
            "gain": gain.get((party, k)),
            "splits": int(count[party, k]),
        }
        for party, k in sorted(count)  # 0 is the guest; of a host's columns it cannot tell one from another
    ]
    return {"importance": rows, "trees": tree_count(part)}


def tree_count(part: TreesPart) -> int:
    """How many trees a guest's part knows."""
    return part.trees.trees if isinstance(part.trees, GuestTrees) else len(part.trees.trees)


def splits_by_column(part: TreesPart) -> list[dict[str, Any]]:
    """How often a host's columns were split on, in its own table's order."""
    assert part.splits is not None
    count = np.bincount(np.array(part.splits.feature, dtype=np.int64), minlength=len(part.columns))
    return [{"column": column, "splits": int(n)} for column, n in zip(part.columns, count, strict=True)]
