"""A guest's meeting goes on from one epoch to the next, whatever the last one asked."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from protocols.channel import broadcast
from protocols.errors import ConfigError, RemoteProtocolError
from protocols.online import asking
from protocols.online.asking import MOST_AT_ONCE, Asked
from protocols.session import Session
from tests.online_trees import TreeWorld, binner
from vfl.node.online import session, walks
from vfl.node.online.desk import Query
from vfl.node.online.meeting import Lists, Meeting

EPOCHS = (2, 1)  # queries of each: with the second of the first epoch, the first host deals one more chunk


class Asks:
    """In the place of the desk: the queries of each epoch, of MOST_AT_ONCE rows; what came of them."""

    def __init__(self, world: TreeWorld) -> None:
        self.bins, self.left, self.found = world.own(MOST_AT_ONCE).bins.astype(np.int64), 0, list[Asked]()
        self._epochs = iter(EPOCHS)

    def opens(self, epoch: Lists) -> None:
        self.left = next(self._epochs)

    def closes(self) -> None:
        assert self.left == 0

    def take(self, seconds: float) -> list[Query]:
        self.left -= 1
        return [Query(b"id %d" % (row + 1), self.bins[row : row + 1]) for row in range(MOST_AT_ONCE)]

    def answered(self, queries: list[Query], asked: Asked) -> None:
        self.found.append(asked)


def met(world: TreeWorld) -> list[Asked]:
    """What the guest's side of a meeting asks, until its model is read for an epoch that is not to come."""
    asks, models = Asks(world), iter([SimpleNamespace(trees=world.guest, binner=binner())] * len(EPOCHS))

    def again() -> Any:
        if (model := next(models, None)) is None:
            raise ConfigError("stopped")
        return model

    def guest(of: Session) -> None:
        ready: Any = SimpleNamespace(job=SimpleNamespace(model=SimpleNamespace(keeps_leaves=True)))
        at = Meeting(of, ready, None, lambda *said, **more: None)
        with pytest.raises(ConfigError, match="stopped"):
            session.guest(at, again, asks, lambda opened: asks.left == 0)  # type: ignore[arg-type]
        broadcast([*of.hosts, of.arbiter], asking.OnlineEnd(True))

    world.run(lambda of, epoch: None, guest=guest)
    return asks.found


def test_an_epoch_may_end_after_a_query_that_began_a_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    """The chunk that the first host deals then is received before the next epoch; the planted fault leaves it."""
    monkeypatch.setattr(session, "EVERY", 0.0)
    world = TreeWorld(rows=40, trees=4)
    found = met(world)
    assert len(found) == sum(EPOCHS)
    batch = world.batch(world.own(MOST_AT_ONCE), np.arange(MOST_AT_ONCE), world.ids["h0"][:MOST_AT_ONCE])
    assert all(np.array_equal(one.predictors, batch) for one in found)
    monkeypatch.setattr(walks, "Lists", lambda name, left, ask, end: Lists(name, left, ask))
    with pytest.raises(RemoteProtocolError, match="PublishedTags"):
        met(world)
