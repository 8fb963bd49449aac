"""A guest that deviates reads from one scoring in which leaf of one tree every row is, and what the leaf is worth.

Membership in the first node of each tree is shared as 1 + 0.  Nobody can check the guest's share: with c there, c times
the tree's leaf is opened, and with 0 nothing of this tree.  The threat model declares this: parties that deviate are
out of scope, and only authenticated shares would prevent it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from protocols.boosting import rounding, walk
from protocols.boosting.rings import Shares, Words
from protocols.boosting.sealed_parts import GUEST, Shape
from protocols.glm.sealed_link import UNIT
from tests.online_trees import TreeWorld

TREE, FINER, ROWS = 5, 8, 190
NAMES = [b"id %d" % k for k in range(1, ROWS + 1)]
Ints = NDArray[np.int64]


def leaves_of(world: TreeWorld, tree: int) -> Ints:
    """(rows,) the leaf of each row, from all tables: the truth."""
    own, at, rows = world.own(ROWS), np.zeros(ROWS, dtype=np.int64), np.arange(ROWS)
    shape, splits = world.guest.shape, world.splits["h0"]
    for level in range(world.depth):
        owners, orders = (x[tree] for x in shape.level(level))
        seat = np.argsort(orders)[at]
        left = np.ones(ROWS, dtype=np.bool_)  # where nobody splits
        for place in range(1 << level):
            here = seat == place
            if owners[place] == GUEST:
                goes = world.guest.goes_left(own, rows, tree, (1 << level) - 1 + place)
            elif owners[place] > GUEST:
                handle = splits.seat.index((tree, level, place))
                goes = splits.goes_left(world.binned["h0"], rows, handle)
            else:
                continue
            left[here] = goes[here]
        at = 2 * seat + ~left
    return at


def opened(world: TreeWorld, monkeypatch: pytest.MonkeyPatch) -> Ints:
    """(rows,) what the guest reads in one scoring, in steps of the grid."""
    found, honest = list[Ints](), rounding.margins

    def margins(part: Any, whole: Ints, binned: Any) -> Any:
        found.append(whole.copy())
        return honest(part, whole, binned)

    monkeypatch.setattr(rounding, "margins", margins)
    world.batch(world.own(ROWS), np.arange(ROWS), NAMES)
    return found[0][0]


def told_apart(numbers: Ints, leaves: Ints) -> float:
    """How well groups of numbers, each at most a step from the next, are the leaves: of the pairs of rows in one leaf
    the part in one group, or of the other pairs the part in two, whichever is less."""
    order = np.argsort(numbers)
    group = np.empty(ROWS, dtype=np.int64)
    group[order] = np.cumsum(np.diff(numbers[order], prepend=numbers[order][0]) > 1)
    leaf, seen = leaves[:, None] == leaves, group[:, None] == group
    return float(min(seen[leaf & ~np.eye(ROWS, dtype=np.bool_)].mean(), 1 - seen[~leaf].mean()))


def weighted(shape: Shape, start: Words, step: Callable[[int, Shares, Ints | None], Shares]) -> Words:
    """The guest's walk with 2^FINER in the first node of one tree and 0 in those of the others; the arbiter's is the
    protocol's, whose shares of them are 0."""
    if start.any():
        start = np.zeros_like(start)
        start[TREE] = 1 << FINER
    return HONEST(shape, start, step)


HONEST = walk.descend


def test_a_guest_that_weights_the_trees_reads_one_trees_leaf_of_every_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """One scoring tells all leaves of a tree, and their values to 2^-FINER of a step; a guest that follows the protocol
    cannot group its scores by them."""
    world = TreeWorld(rows=ROWS + 10, trees=16, depth=3)
    leaves = leaves_of(world, TREE)
    assert len(np.unique(leaves)) > 4
    plain = told_apart(opened(world, monkeypatch), leaves)
    monkeypatch.setattr(walk, "descend", weighted)
    numbers = opened(world, monkeypatch)
    step = 1 << (UNIT - world.score_bits)
    off = numbers / (1 << FINER) - world.arbiter.value[TREE, leaves] / step
    print(f"leaves told apart: {told_apart(numbers, leaves):.2f}, by the protocol's scores {plain:.2f}")
    assert told_apart(numbers, leaves) == 1
    assert np.abs(off).max() <= 2.0**-FINER
    assert plain < 0.5
