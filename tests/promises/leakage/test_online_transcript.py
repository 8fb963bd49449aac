"""What host and arbiter receive of an online query does not depend on the id: order, sizes, contents and times."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from protocols.cipher import Identity
from protocols.message import registry
from protocols.online import asking, query
from protocols.online.epoch import GuestEpoch
from protocols.randomness import Seed
from protocols.session import Session
from tests.harness import TOY
from tests.online import OnlineWorld
from tests.promises.leakage import online

COUNT = 40
SORTS: dict[str, Any] = {
    "known": lambda i: b"id %d" % (1 + i % 28),
    "the same": lambda i: b"id 7",
    "unknown": lambda i: b"nobody %d" % i,
    "malformed": lambda i: None,
}


def queries(asking: Any = query.ask, shared: str = "", scheme: Any = None) -> dict[str, list[online.Steps]]:
    """Queries of all sorts by turns, so that a slow moment of the machine meets all of them."""
    world, tap = OnlineWorld(rows=30, shared=shared), online.Guest()

    def asks(session: Session, epoch: GuestEpoch) -> dict[str, list[online.Steps]]:
        found: dict[str, list[online.Steps]] = {sort: [] for sort in SORTS}
        while epoch.prepared is not None and len(epoch.prepared) <= COUNT * len(SORTS):
            query.prepare(session, epoch)  # which depends on the number of queries alone
        asking(session, epoch, [b"id 1"], np.zeros((1, world.width), np.int64))
        for i in range(COUNT):
            for sort, of in SORTS.items():
                tap.taken()
                asking(session, epoch, [of(i)], np.full((1, world.width), 5, np.int64))
                found[sort].append(tap.taken())
        return found

    return world.run(asks, scheme or Identity(), taps={"guest": [tap]})  # type: ignore[no-any-return]


@pytest.mark.parametrize("shared", ["", "guest h0"])
def test_a_transcript_says_nothing_of_the_id(shared: str) -> None:
    found = queries(shared=shared, scheme=TOY if shared else None)
    assert online.depends(found) == []
    kinds = {h.kind for many in found.values() for one in many for h in one}
    assert kinds <= set(registry().values())


def skipping(session: Session, epoch: GuestEpoch, ids: Sequence[bytes | None], x: Any) -> None:
    """Planted: whoever is unknown costs no second step."""
    if ids[0] is None or ids[0].startswith(b"nobody"):
        asking.raised(session, asking.blinded(session, session.seed("planted").child, ids))
    else:
        query.ask(session, epoch, ids, x)


def test_a_skipped_second_step_is_found() -> None:
    """A host bears it, since a guest gives queries up that another host refused."""
    assert online.order(queries()) == []
    found = online.order(queries(skipping))
    assert found == [f"{sort}: other messages than of the first query" for sort in ("unknown", "malformed")]


def test_a_step_that_takes_longer_for_some_is_found() -> None:
    def slow(session: Session, epoch: GuestEpoch, ids: Sequence[bytes | None], x: Any) -> None:
        places = asking.places_of

        def searching(*given: Any) -> Any:
            if ids[0] is not None and ids[0].startswith(b"nobody"):
                time.sleep(0.02)
            return places(*given)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(asking, "places_of", searching)
            query.ask(session, epoch, ids, x)

    assert [line for line in online.times(queries(slow)) if line.startswith("unknown: the time between messages")]


def test_a_blinding_that_is_used_again_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    scalar = Seed.scalar
    monkeypatch.setattr(Seed, "scalar", lambda self: scalar(Seed("", b"s" * 32)))
    assert any("received the same BlindedAsk twice" in line for line in online.contents(queries()))


def test_a_bit_that_depends_on_the_id_is_found() -> None:
    found = queries()

    def planted(many: list[online.Steps]) -> list[online.Steps]:
        ends = [one[-1].data[:-1] + bytes([one[-1].data[-1] & 0xFE]) for one in many]
        return [[*one[:-1], dataclasses.replace(one[-1], data=end)] for one, end in zip(many, ends, strict=True)]

    assert online.contents(found) == []
    found |= {sort: planted(found[sort]) for sort in ("unknown", "malformed")}
    (said,) = online.contents(found)
    assert "holds a bit that depends on the sort" in said
