"""Private online scores: the same integers as `vfl predict`, whatever stays shared."""

from __future__ import annotations

import numpy as np
import pytest

from protocols.glm.plan import FEATURE
from protocols.online import query
from protocols.online.epoch import GuestEpoch
from protocols.session import Session
from tests.online import OnlineWorld

ALL = "guest h0 h1 h2"


@pytest.mark.parametrize("shared", ["", "guest", "h0", ALL])
@pytest.mark.parametrize(("hosts", "models"), [(1, 1), (3, 2)])
def test_a_score_is_the_sum_of_all_parts_to_the_last_bit(hosts: int, models: int, shared: str) -> None:
    world = OnlineWorld(hosts, models=models, shared=" ".join(p for p in shared.split() if p != "h2" or hosts > 2))
    own = np.random.default_rng(1).integers(-(6 << FEATURE), 6 << FEATURE, (6, world.width))
    ids = [b"id 1", b"id 7", b"nobody", b"id 29", None, b"id 7"]

    def asks(session: Session, epoch: GuestEpoch) -> list[query.Asked]:
        return [query.ask(session, epoch, ids, own), query.ask(session, epoch, ids[:1], own[:1])]

    many, one = world.run(asks)
    assert many.known.tolist() == [True, True, False, True, False, True]
    for at, row in ((0, 0), (1, 6), (3, 28), (5, 6)):
        assert np.array_equal(many.predictors[at], world.wanted(own[at], row))
    assert np.array_equal(one.predictors[0], world.wanted(own[0], 0))
