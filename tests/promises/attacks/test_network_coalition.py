"""What arbiter and a host that does not deal read together of scores by a network with two hidden layers: the limit
that docs/threat-model.md states, and what ends it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from protocols.glm.block import fixed_point
from protocols.network import scoring
from protocols.network.activations import FRACTION
from protocols.network.plan import PRODUCT
from protocols.network.rows import FINEST
from tests.unit.protocols.network.networks import TERMS, Floats
from tests.unit.protocols.network.test_scoring import Scorer
from tests.unit.protocols.network.twin import looked_up

ROWS, RING = list(range(12)), 1 << 128


class Coalition:
    """Scores rows, and has of each layer the arbiter's share less the host's own pads."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.scorer, self._shares = Scorer(replace(TERMS, hidden=(4, 3)), (2, 2, 2)), list[list[int]]()
        honest = scoring.reshared

        def reshared(session: Any, *given: Any) -> Any:
            found = honest(session, *given)
            self._shares += [found.to_ints()] if session.me == "arbiter" else []
            return found

        patch.setattr(scoring, "reshared", reshared)

    def second_layer(self, blocks: list[Floats]) -> list[int]:
        self._shares.clear()
        self.scorer.scores(blocks, ROWS)
        own = self.scorer.own("host2", blocks[2][ROWS], [b"%d" % row for row in ROWS])
        return [a - b for a, b in zip(self._shares[1], own.pads(1, slice(0, len(ROWS))).to_ints(), strict=True)]

    def read(self, guest: float) -> tuple[Floats, Floats]:
        """By how much the second layer's sums change with the host's columns, as the two read it, and in truth; guest:
        by how much the guest's columns change too."""
        first, host1, own = self.scorer.blocks
        both = ([first, host1, own], [first + guest, host1, own + 0.5])
        before, after = (self.second_layer(blocks) for blocks in both)
        moved = [(b - a + RING // 2) % RING - RING // 2 for a, b in zip(before, after, strict=True)]
        truth = self.truth(both[1]) - self.truth(both[0])
        return np.array([value / 2.0**FINEST for value in moved]).reshape(truth.shape), truth

    def truth(self, blocks: list[Floats]) -> Floats:
        twin = self.scorer.twin
        z = twin.first.used @ fixed_point(np.concatenate(blocks, axis=1)[ROWS], True).T
        w, c = twin.further[0]
        sums = w.used @ looked_up(twin.plan.terms.curves[0].value, z) + (c.used << FRACTION)[:, np.newaxis]
        return np.asarray(sums / 2.0**PRODUCT)


@pytest.fixture(scope="module")
def coalition() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        yield Coalition(patch)


def test_two_scorings_between_which_only_the_host_s_columns_change(coalition: Coalition) -> None:
    """The pads of the others stay, and hide the same from both."""
    read, truth = coalition.read(0.0)
    assert np.abs(truth).max() > 0.1
    assert np.abs(read - truth).max() < 1e-3


def test_where_the_guest_s_columns_change_too_nothing_is_read(coalition: Coalition) -> None:
    read, truth = coalition.read(0.1)
    assert np.abs(read - truth).min() > 1e3  # uniform modulo 2^128
