"""What sums over few rows tell the arbiter: whole records of rows, without the customer and without the columns' names.
Declared, and measured here."""

from __future__ import annotations

import numpy as np
import pytest

from protocols.boosting.params import Params
from protocols.cipher import Identity
from tests.promises.attacks.trees.arbiter_view import View, watching
from tests.promises.attacks.trees.attacks import Ints
from tests.promises.attacks.trees.guessing import table
from tests.unit.protocols.boosting.samples import drawn_from
from tests.unit.protocols.boosting.world import Trained, bin_blocks, train

COLUMNS = 4


def records(view: View, trained: Trained, columns: Ints) -> set[tuple[int, ...]]:
    """At each left child of the last level, the numbers (g, h) that are the sum of one bin in every column of the host:
    a row, with its bins.

    columns (candidates,): whose candidates stand together, which the arbiter tells from their sums, since those of a
    column are nested.
    """
    found = set[tuple[int, ...]]()
    for _, g, h in view.sums(1, "host1", trained.sealed.shape.depth - 1):
        for left_g, left_h in zip(g, h, strict=True):
            cells: list[dict[tuple[int, int], int]] = []
            for f in range(COLUMNS):
                sums = np.array([left_g[columns == f], left_h[columns == f]])
                inside = np.diff(sums, axis=1, prepend=0).T
                known = [tuple(cell) for cell in inside.tolist()]
                cells.append({cell: b for b, cell in enumerate(known) if cell[1] and known.count(cell) == 1})
            found |= {tuple(c[cell] for c in cells) for cell in set.intersection(*map(set, cells))}
    return found


@pytest.mark.parametrize(
    ("rows", "trees", "depth"),
    [(300, 25, 5), pytest.param(1000, 100, 5, marks=[pytest.mark.slow, pytest.mark.timeout(900)])],
)
def test_the_arbiter_puts_together_records_of_unnamed_rows(rows: int, trees: int, depth: int) -> None:
    """So "never a row" would be wrong: it is never whose row, and never which column."""
    mine, theirs, y = table(rows, COLUMNS)
    p = Params(n_estimators=trees, max_depth=depth)
    blocks = bin_blocks([mine, theirs], p)
    with watching() as view:
        trained = train(blocks, y, p, Identity(), randomness=drawn_from(1, 1))
    bins = blocks[1].bins
    found = records(view, trained, blocks[1].candidates(range(COLUMNS)).feature)
    last = [len(cuts) for cuts in blocks[1].binner.cuts]
    true = {tuple(row) for row in bins.tolist()}
    seen = [tuple(row) in found for row in bins.tolist() if all(b < m for b, m in zip(row, last, strict=True))]
    right = np.mean([record in true for record in found])
    print(
        f"{rows} rows, {trees} trees: {len(found)} records, {right:.0%} of them of a row; {np.mean(seen):.0%} "
        f"of the rows"
    )
    assert len(found) > rows / 50
    assert right > 0.6  # over eight seeds 64% to 100%, together 84%; by chance none
