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
from protocols.online.records import Bits, packed
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


def with_flips(world: TreeWorld, monkeypatch: pytest.MonkeyPatch, flips: Bits) -> tuple[NDArray[np.float64], Bits]:
    """Of ROWS the opened margins of the joint trees, where the guest flips these bits (rows, leaves) of what it sends;
    and in which leaves they are (rows, leaves), which nobody knows."""
    own, kept, descend = world.own(1), dict[bool, list[Bits]]({True: [], False: []}), tree_walk.descend

    def flipping(channel: Any, shape: Any, left: Any, pads: Any, *, first: bool) -> Bits:
        kept[first].append(descend(channel, shape, left, pads, first=first))
        at = len(kept[first]) - 1
        return kept[first][at] ^ flips[at] if first else kept[first][at]

    def asks(session: Session, epoch: GuestTreeEpoch) -> NDArray[np.float64]:
        found = [tree_query.ask(session, epoch, [b"id %d" % row], own).predictors[0, 0] for row in ROWS]
        return np.array(found) - float(world.guest.own.base[0])

    with monkeypatch.context() as patch:
        patch.setattr(tree_walk, "descend", flipping)
        opened = world.run(asks)
    return opened, np.concatenate([one ^ other for one, other in zip(kept[True], kept[False], strict=True)])


def test_a_guest_that_flips_bits_opens_one_rounded_sum_of_other_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each leaf is added once or not at all: that of the row is left out where its bit is flipped, others come in."""
    world = TreeWorld(rows=60)
    flips = np.random.default_rng(3).integers(0, 2, (len(ROWS), world.trees << world.depth), np.uint8)
    opened, u = with_flips(world, monkeypatch, flips)
    truth = [walked(world, directions(world, world.own(1), row - 1)) for row in ROWS]
    value = world.arbiter.value.ravel()
    assert np.array_equal((value * u).sum(axis=1) * UNIT, truth)
    assert (np.abs(opened - (value * (u ^ flips)).sum(axis=1) * UNIT) < 2.0**-world.score_bits).all()


def leaves_read(world: TreeWorld, monkeypatch: pytest.MonkeyPatch, flipped: slice) -> float:
    """Of how many customers a guest that knows the leaf values of the first tree tells the leaf that they are in, from
    an honest query and one in which it flips these bits."""
    flips = np.zeros((len(ROWS), world.trees << world.depth), np.uint8)
    plain, u = with_flips(world, monkeypatch, flips)
    flips[:, flipped] = 1
    other, _ = with_flips(world, monkeypatch, flips)
    value = world.arbiter.value[0] * UNIT
    guess = np.abs((other - plain)[:, np.newaxis] - (value.sum() - 2 * value)).argmin(axis=1)
    return float((guess == u[:, : len(value)].argmax(axis=1)).mean())


def test_two_queries_with_and_without_the_bits_of_a_tree_tell_its_leaf(monkeypatch: pytest.MonkeyPatch) -> None:
    """What docs/protocols/online.md concedes; the control are the bits of another tree."""
    world = TreeWorld(rows=60)
    assert leaves_read(world, monkeypatch, slice(0, 1 << world.depth)) == 1.0
    assert leaves_read(world, monkeypatch, slice(1 << world.depth, 2 << world.depth)) < 0.5
