"""Products that are prepared for queries to come: as many as queries need, and refused where nobody needs them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from protocols._native import PlainVec
from protocols.errors import RemoteProtocolError
from protocols.glm.plan import FEATURE
from protocols.online import products, query
from protocols.online.epoch import GuestEpoch
from protocols.online.products import PACKS, MaskedColumns, Prepared, PreparedProducts
from protocols.session import Session
from tests.harness import TOY
from tests.online import OnlineWorld

NONE = np.zeros((1, 3), np.int64)


def prepared_of(epoch: GuestEpoch) -> Prepared:
    assert epoch.prepared is not None
    return epoch.prepared


def test_queries_prepare_what_they_lack() -> None:
    """Under real encryption, over several packs, pieces and models: 16 at a time."""
    world = OnlineWorld(models=2, shared="guest")
    own = np.random.default_rng(2).integers(-(6 << FEATURE), 6 << FEATURE, (20, 3))

    def asks(session: Session, epoch: GuestEpoch) -> list[int]:
        left = list[int]()
        for _ in range(2):
            found = query.ask(session, epoch, [b"id 3"] * 20, own)
            assert all(np.array_equal(found.predictors[i], world.wanted(own[i], 2)) for i in range(20))
            left.append(len(prepared_of(epoch)))
        return left

    assert world.run(asks, TOY) == [2 * 16 - 20, 3 * 16 - 40]


@pytest.mark.parametrize(("models", "most"), [(1, products.MOST_PREPARED), (80, 32)])
def test_what_waits_is_limited(models: int, most: int) -> None:
    def asks(session: Session, epoch: GuestEpoch) -> tuple[int, int]:
        while epoch.short:
            query.prepare(session, epoch)
        query.ask(session, epoch, [b"id 3"], NONE)
        return len(prepared_of(epoch)) + 1, prepared_of(epoch).piece

    waiting, piece = OnlineWorld(models=models, shared="guest").run(asks)
    assert most < waiting <= most + piece


@pytest.mark.parametrize(
    ("fault", "refused"),
    [
        ("not prepared", "asks more than it has prepared"),
        ("too many", "prepares more queries than may wait"),
        ("few packs", "another length"),
        ("few columns", "another length"),
        ("known weights", "prepares products of weights that it knows"),
    ],
)
def test_what_nobody_prepared_or_needs_is_refused(fault: str, refused: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def few_columns(session: Session, prepared: Prepared, x: Any) -> Any:
        session.arbiter.send(MaskedColumns(np.zeros(2, np.int64)))
        return prepared.take(1)[:, 3:]

    def asks(session: Session, epoch: GuestEpoch) -> None:
        if fault in ("few packs", "known weights"):
            key = session.scheme.generate("arbiter", session.seed("planted")).public  # of `Identity` the arbiter's
            sealed = key.encrypt(PlainVec.zeros(PACKS - (fault == "few packs")), session.seed("planted"))
            session.arbiter.send(PreparedProducts(sealed.rerandomise(session.seed("planted"))))
        elif fault == "not prepared":
            prepared_of(epoch).add(np.zeros((1, 4), np.uint64))
        elif fault == "too many":
            while epoch.short:
                query.prepare(session, epoch)
            query.prepare(session, epoch)
        else:
            monkeypatch.setattr(products, "masked", few_columns)
        query.ask(session, epoch, [b"id 2"], NONE)

    world = OnlineWorld(rows=8, shared="h0" if fault == "known weights" else "guest h0")
    with pytest.raises(RemoteProtocolError, match=refused):
        world.run(asks)
