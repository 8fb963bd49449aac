"""What a guest that deviates where leaves are added can open with an online query of sealed trees: leaves that are
added once or not at all, and never a multiple of one, whose bits below the grid would come out."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from protocols.boosting import rings
from protocols.errors import RemoteProtocolError
from protocols.online import tree_query, tree_walk
from protocols.online.dealing import by_output
from protocols.online.records import packed
from protocols.online.tree_epoch import GuestTreeEpoch
from protocols.online.tree_walk import WalkMembership, WalkValues
from protocols.session import Session
from tests.online_trees import UNIT, TreeWorld
from tests.promises.attacks.test_online_trees import directions, walked

Words = NDArray[np.uint64]
Guest = Callable[..., Words]
ROWS = range(1, 21)
SCORE = 18  # bits of a rounded score with 10 score_bits
HALF = np.uint64(1 << 29)  # half a step of the grid: twice this, plus 1, lifts the lowest bits of a margin above it


def with_numbers(half: np.uint64, channel: Any, shape: Any, walk: Any, left: Any, pads: Any) -> Words:
    """A guest that sends (2 half + 1) u - half in the place of its share u, as numbers modulo 2^48: what is added up
    is 2 half + 1 times the margin, less half times the sum of all leaves."""
    u = tree_walk.descend(channel, shape, left, pads, first=True).astype(np.uint64)
    channel.send(WalkMembership(rings.to_bytes(u * (half + half + np.uint64(1)) - half - pads.leaves)))
    other = rings.from_bytes(channel.recv(WalkValues).values, u.shape, channel.peer)
    found: Words = by_output(pads.leaves * other, walk) + pads.sums
    return found


def with_bits(half: np.uint64, channel: Any, shape: Any, walk: Any, left: Any, pads: Any) -> Words:
    """A guest that sends what it should, and multiplies what it receives."""
    u = tree_walk.descend(channel, shape, left, pads, first=True)
    channel.send(WalkMembership(packed(u ^ pads.leaves.astype(np.uint8))))
    other = rings.from_bytes(channel.recv(WalkValues).values, u.shape, channel.peer)
    found: Words = by_output(pads.leaves * (other * (half + half + np.uint64(1)) - half), walk) + pads.sums
    return found


def taking_numbers(channel: Any, part: Any, walk: Any, left: Any, pads: Any) -> Words:
    """The planted fault: an arbiter that takes the guest's share as numbers."""
    u = tree_walk.descend(channel, part.shape, left, pads, first=False)
    value = part.value.ravel().view(np.uint64)[np.newaxis]
    factor = np.where(u == 1, -value, value)
    channel.send(WalkValues(rings.to_bytes(factor - pads.leaves)))
    other = rings.from_bytes(channel.recv(WalkMembership).u, u.shape, channel.peer)
    found: Words = by_output(value * u.astype(np.uint64) + other * factor, walk) + pads.sums
    return found


def lowest_bits(world: TreeWorld, monkeypatch: pytest.MonkeyPatch, walk: Guest) -> float:
    """Of how many customers the guest reads the lowest 18 bits of the difference of their margin to another's, but for
    4 units, from an honest query and one that deviates."""
    own, step = world.own(1), 2.0**-world.score_bits

    def asks(session: Session, epoch: GuestTreeEpoch) -> NDArray[np.int64]:
        opened = np.empty((2, len(ROWS)), np.int64)
        for at, half in enumerate((np.uint64(0), HALF)):
            monkeypatch.setattr(tree_walk, "guest", partial(walk, half))
            for k, row in enumerate(ROWS):
                margin = tree_query.ask(session, epoch, [b"id %d" % row], own).predictors[0, 0]
                opened[at, k] = round((margin - float(world.guest.own.base[0])) / step)
        return opened

    plain, lifted = world.run(asks)
    guess = (lifted - plain) - (lifted[0] - plain[0])
    truth = np.array([round(walked(world, directions(world, own, row - 1)) / UNIT) for row in ROWS])
    off = (guess - (truth - truth[0]) + (1 << SCORE - 1)) % (1 << SCORE) - (1 << SCORE - 1)
    return float((np.abs(off[1:]) <= 4).mean())


def test_a_leaf_cannot_be_multiplied(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control is an arbiter that takes numbers modulo 2^48: two queries tell what the grid hides."""
    world = TreeWorld(rows=60)
    with monkeypatch.context() as patch, pytest.raises(RemoteProtocolError, match="bytes of masked bits"):
        lowest_bits(world, patch, with_numbers)
    with monkeypatch.context() as patch:
        assert lowest_bits(world, patch, with_bits) <= 0.1
    monkeypatch.setattr(tree_walk, "arbiter", taking_numbers)
    assert lowest_bits(world, monkeypatch, with_numbers) == 1.0


def test_a_guest_that_flips_bits_opens_one_rounded_sum_of_other_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each leaf is added once or not at all: that of the row is left out where its bit is flipped, others come in."""
    world = TreeWorld(rows=60)
    own, size = world.own(1), world.trees << world.depth
    flips = np.random.default_rng(3).integers(0, 2, (len(ROWS), size), np.uint8)
    kept: dict[str, list[Any]] = {"guest": [], "arbiter": []}
    descend = tree_walk.descend

    def flipping(channel: Any, shape: Any, left: Any, pads: Any, *, first: bool) -> Any:
        u = descend(channel, shape, left, pads, first=first)
        kept["guest" if first else "arbiter"].append(u)
        return u ^ flips[len(kept["guest"]) - 1] if first else u

    def asks(session: Session, epoch: GuestTreeEpoch) -> list[float]:
        found = [tree_query.ask(session, epoch, [b"id %d" % row], own).predictors[0, 0] for row in ROWS]
        return [float(margin) - float(world.guest.own.base[0]) for margin in found]

    monkeypatch.setattr(tree_walk, "descend", flipping)
    opened, value = world.run(asks), world.arbiter.value.ravel()
    for k, row in enumerate(ROWS):
        u = (kept["guest"][k] ^ kept["arbiter"][k])[0]
        assert u.reshape(world.trees, -1).sum(axis=1).tolist() == [1] * world.trees
        assert abs(int((value * u).sum()) * UNIT - walked(world, directions(world, own, row - 1))) < UNIT
        added = int((value * (u ^ flips[k])).sum()) * UNIT
        assert abs(opened[k] - added) < 2.0**-world.score_bits
