"""A host that deviates reads labels of rows of its choice from which of its candidates win.

Its candidates are no splits: each adds and subtracts the gradients of a few rows, by one pattern of their labels.  The
pattern that fits gains most, and wins.  A constant lifts the candidates of one group of rows above all others, another
group in each tree.  The threat model declares this: nobody can check that sums are of bins.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from protocols._native import PlainVec
from protocols.boosting import prepare, sealed_host
from protocols.boosting.prepare import Owned
from protocols.boosting.sealed import Start
from protocols.boosting.sealed_parts import GUEST
from protocols.cipher import Identity
from protocols.session import Session
from tests.unit.protocols.boosting.samples import drawn_from, small
from tests.unit.protocols.boosting.world import bin_blocks, train

ROWS, TREES, EACH = 200, 4, 6  # labels that a tree tells
PATTERNS = 1 << EACH
Ints = NDArray[np.int64]
SIGNS = 2 * ((np.arange(PATTERNS)[:, None] >> np.arange(EACH)) & 1) - 1  # (patterns, rows): 1 where the label is 1


class Patterns:
    """In the place of what lies left of each candidate; matrix (rows, candidates)."""

    def __init__(self, candidates: int) -> None:
        self.matrix = np.zeros((ROWS, candidates), np.int64)
        for tree in range(TREES):
            rows, columns = slice(tree * EACH, (tree + 1) * EACH), slice(tree * PATTERNS, (tree + 1) * PATTERNS)
            self.matrix[rows, columns] = -SIGNS.T  # g is the mean less the label

    def cells(self, values: Any, rows: Ints) -> Any:
        return values.t_matmul(np.ascontiguousarray(self.matrix[rows]))

    def of(self, cells: Any) -> Any:
        return cells


class Attack:
    """order: of rows, which hosts know; won: by tree the host's candidate."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.order, self.won, self.start = np.zeros(0, np.int64), list[int](), list[Start]()
        begun, owner, answer, candidate = (
            sealed_host.start_host,
            prepare.owner,
            Owned.answer,
            sealed_host.candidate,
        )

        here, honest = threading.local(), prepare.Lefts  # other parties are threads of this process

        def start_host(*given: Any) -> Any:
            columns, order, name = begun(*given)
            self.order = order[:]
            return columns, order, name

        def owned(session: Session, *given: Any) -> Owned:
            if session.me != "host1":
                return owner(session, *given)
            here.attacks = True
            try:
                return owner(session, *given)
            finally:
                here.attacks = False

        def lefts(binned: Any, candidates: Any) -> Any:
            return Patterns(len(candidates)) if getattr(here, "attacks", False) else honest(binned, candidates)

        def answered(one: Owned, session: Session, tree: int, level: int, cells: PlainVec) -> PlainVec:
            return answer(one, session, tree, level, self.lifted(one, cells) if session.me == "host1" else cells)

        def named(sender: str, one: Owned, position: int) -> int:
            self.won.append(candidate(sender, one, position))
            return self.won[-1]

        patch.setattr(sealed_host, "start_host", start_host)
        patch.setattr(prepare, "owner", owned)
        patch.setattr(prepare, "Lefts", lefts)
        patch.setattr(Owned, "answer", answered)
        patch.setattr(sealed_host, "candidate", named)

    def lifted(self, one: Owned, cells: PlainVec) -> PlainVec:
        """With h as of half of all rows in all candidates, and g as of a quarter in those of this tree's rows."""
        slots = one.layout.slots
        unit = 1 << (slots.g_bits - (ROWS + ROWS // 64 + 1).bit_length() - 1)  # g of 1, and h of a quarter
        lifts = (ROWS // 2 * unit << slots.g_bits) + (ROWS // 4 * unit) * (
            np.arange(len(cells)) // PATTERNS == len(self.won)
        ).astype(object)
        return cells + PlainVec.from_ints(lifts.tolist())


def test_a_host_of_false_sums_reads_labels_of_its_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(4)
    p = small(n_estimators=TREES, max_depth=1, max_bin=64)
    x, y = rng.normal(size=(ROWS, 7)), (rng.random(ROWS) < 0.4).astype(np.float64)
    blocks = bin_blocks([x[:, :2], x[:, 2:]], p)
    attack = Attack(monkeypatch)
    trained = train(blocks, y, p, Identity(), randomness=drawn_from(4, 1))
    assert (trained.sealed.shape.owner > GUEST).all()
    read = np.concatenate([SIGNS[won % PATTERNS] > 0 for won in attack.won])
    truth = y[attack.order[: TREES * EACH]].astype(bool)
    print(f"{TREES} trees of one split tell {(read == truth).sum()} of {len(truth)} labels")
    assert (read == truth).sum() >= 20  # the draw of the order and of the rounding decides on the last ones
