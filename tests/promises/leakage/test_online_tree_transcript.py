"""What host and arbiter receive of an online query of sealed trees does not depend on the id: order, sizes, contents
and times."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import pytest

from protocols.binning.quantile import Binned
from protocols.message import registry
from protocols.online import asking, tree_query, tree_walk
from protocols.online.dealing import Turns
from protocols.online.tree_epoch import GuestTreeEpoch
from protocols.session import Session
from tests.online_trees import TreeWorld
from tests.promises.leakage import online
from tests.promises.leakage.test_online_transcript import COUNT, SORTS


def queries(asking_as: Any = tree_query.ask) -> dict[str, list[online.Steps]]:
    """Queries of all sorts by turns, so that a slow moment of the machine meets all of them."""
    world, tap = TreeWorld(rows=30, trees=32), online.Guest()
    own = world.own(1)

    def asks(session: Session, epoch: GuestTreeEpoch) -> dict[str, list[online.Steps]]:
        found: dict[str, list[online.Steps]] = {sort: [] for sort in SORTS}
        asking_as(session, epoch, [b"id 1"], own)
        for i in range(COUNT):
            for sort, of in SORTS.items():
                tap.taken()
                asking_as(session, epoch, [of(i)], own)
                found[sort].append(tap.taken())
        return found

    return world.run(asks, taps={"guest": [tap]})  # type: ignore[no-any-return]


def test_a_transcript_says_nothing_of_the_id() -> None:
    found = queries()
    assert online.depends(found) == []
    kinds = {h.kind for many in found.values() for one in many for h in one}
    assert kinds <= set(registry().values())
    assert {tree_walk.WalkBits, tree_walk.WalkMembership} <= kinds


def skipping(session: Session, epoch: GuestTreeEpoch, ids: Sequence[bytes | None], own: Binned) -> None:
    """Planted: whoever is unknown costs no second step."""
    if ids[0] is None or ids[0].startswith(b"nobody"):
        scalars = asking.blinded(session, session.seed("planted").child, ids)
        epoch.stock.refill()
        asking.raised(session, scalars)
    else:
        tree_query.ask(session, epoch, ids, own)


def test_a_skipped_second_step_is_found() -> None:
    found = online.order(queries(skipping))
    assert found == [f"{sort}: other messages than of the first query" for sort in ("unknown", "malformed")]


def test_a_walk_that_takes_longer_for_some_is_found() -> None:
    def slow(session: Session, epoch: GuestTreeEpoch, ids: Sequence[bytes | None], own: Binned) -> None:
        walk = tree_walk.guest

        def walking(*given: Any) -> Any:
            if ids[0] is not None and ids[0].startswith(b"nobody"):
                time.sleep(0.02)
            return walk(*given)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(tree_walk, "guest", walking)
            tree_query.ask(session, epoch, ids, own)

    assert [line for line in online.times(queries(slow)) if line.startswith("unknown: the time between messages")]


def test_rows_that_are_taken_again_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same customer under the same pads: the arbiter receives the same bytes."""
    monkeypatch.setattr(Turns, "take", lambda self, rows: slice(0, rows))
    assert [line for line in online.contents(queries()) if line.startswith("the same: arbiter received the same")]
