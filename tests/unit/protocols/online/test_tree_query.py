"""Private online scores by sealed trees: the same bits as `vfl predict`."""

from __future__ import annotations

import dataclasses
from collections import Counter
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from protocols.boosting.rounding import OpenedScores
from protocols.errors import ModelError, RemoteProtocolError
from protocols.online import asking, records, tree_epoch, tree_query
from protocols.online.dealing import CHUNK, Dealer, Stock, Turns
from protocols.online.tree_epoch import GuestTreeEpoch
from protocols.parts import Part
from protocols.randomness import Seed
from protocols.session import Session
from tests.harness import Sent
from tests.online_trees import TreeWorld


def as_asked(
    world: TreeWorld, rows: NDArray[np.int64], at_once: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Margins of these rows of the hosts, online and in a batch."""
    own, names = world.own(len(rows)), [world.ids["h0"][row] for row in rows]

    def asks(session: Session, epoch: GuestTreeEpoch) -> NDArray[np.float64]:
        found = []
        for at in range(0, len(rows), at_once):
            here = np.arange(at, min(at + at_once, len(rows)))
            asked = tree_query.ask(session, epoch, [names[k] for k in here], own.take(here))
            assert asked.known.all()
            found.append(asked.predictors)
        return np.concatenate(found)

    return world.run(asks), world.batch(own, rows, names)


@pytest.mark.parametrize(
    "world",
    [
        TreeWorld(),
        TreeWorld(hosts=3, trees=12, depth=2, outputs=3, score_bits=7),
        TreeWorld(trees=3, depth=1),
        TreeWorld(hosts=2, trees=5, depth=5, score_bits=15),
    ],
    ids=["one host", "three hosts, classes", "stumps", "depth 5"],
)
def test_answers_are_those_of_a_batch_bit_for_bit(world: TreeWorld) -> None:
    rows = np.random.default_rng(5).integers(0, world.rows - 1, 70)
    online, batch = as_asked(world, rows, 7)
    assert np.array_equal(online, batch)
    assert len(np.unique(batch, axis=0)) > 3


@pytest.mark.parametrize(("bits", "count"), [(12, 500), pytest.param(20, 1000, marks=pytest.mark.slow)])
def test_many_customers(bits: int, count: int) -> None:
    world = TreeWorld(rows=2**bits, trees=8)
    rows = np.random.default_rng(bits).choice(2**bits - 1, count, replace=False)
    online, batch = as_asked(world, rows, 32)
    assert np.array_equal(online, batch)


def test_a_model_without_joint_trees() -> None:
    """All its trees are the guest's own: nothing is walked, and the answer says so."""
    world = TreeWorld(trees=0)
    online, batch = as_asked(world, np.arange(3), 3)
    assert np.array_equal(online, batch)


def test_a_query_that_is_given_up_takes_no_dealt_rows() -> None:
    """One host's budget refuses, and the others, who raised the id, go on with the next query."""
    left = [5, -1, 5, 5]

    def meter(count: int) -> int:
        return left.pop(0)

    world = TreeWorld(hosts=2, meter=meter)
    own = world.own(1)

    def asks(session: Session, epoch: GuestTreeEpoch) -> list[asking.Asked]:
        return [tree_query.ask(session, epoch, [b"id 4"], own) for _ in range(2)]

    refused, answered = world.run(asks)
    assert refused.left == -1
    assert not refused.known.any()
    assert np.array_equal(answered.predictors, world.batch(own, np.array([3]), [b"id 4"]))


def test_another_model_is_refused() -> None:
    world = TreeWorld()
    world.splits["h0"] = dataclasses.replace(world.splits["h0"], model_id=b"x" * 16)
    with pytest.raises(ModelError, match="another model"):
        world.run(lambda session, epoch: None)


def test_a_grid_that_is_impossible_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree_epoch, "walk_of", lambda part: records.Walk(16, 3, 1, 21))
    with pytest.raises(RemoteProtocolError, match="impossible form"):
        TreeWorld().run(lambda session, epoch: None)


@pytest.mark.parametrize("rows", [1, 7, 31, 32])
def test_turns_give_every_row_once(rows: int) -> None:
    turns, seen = Turns(), set[tuple[int, int]]()
    for _ in range(50):
        here = turns.take(rows)
        taken = {(turns.chunk, row) for row in range(here.start, here.stop)}
        assert len(taken) == rows
        assert here.stop <= CHUNK
        assert not taken & seen
        seen |= taken


def test_who_asks_the_arbiter_alone_waits_for_a_host_after_64_rows() -> None:
    """A chunk is dealt after a host's answer: where nothing was charged, no more is walked than was dealt ahead."""
    dealt, received, walked = list[int](), list[int](), list[slice]()

    def receive(chunk: int) -> Any:
        if chunk not in dealt:
            raise TimeoutError
        received.append(chunk)
        return SimpleNamespace(take=lambda here: here)

    dealer = Dealer(dealt.append)
    stock = Stock(receive)
    assert dealt == received == [0, 1]

    def asked_alone() -> None:
        for _ in range(100):
            walked.append(stock.take(1))
            stock.refill()

    with pytest.raises(TimeoutError):
        asked_alone()
    assert 32 < len(walked) <= 64
    for _ in walked:
        dealer.after(1)
    stock.refill()
    assert dealt == received == [0, 1, 2]


@pytest.mark.parametrize("counts", [[32], [17], [1, 32], [5, 31, 2]])
def test_who_asks_the_two_servers_about_other_numbers_of_rows_stays_below_twice_what_was_charged(
    counts: list[int],
) -> None:
    """The arbiter's queries fill chunks that the first host's leave half empty: as docs/protocols/online.md says, up to
    64/33 of the rows that were charged, and 64; queries of 1 and 32 by turns reach it."""
    dealt, charged, walked, over = list[int](), 0, list[slice](), list[float]()

    def receive(chunk: int) -> Any:
        if chunk not in dealt:
            raise TimeoutError
        return SimpleNamespace(take=lambda here: here)

    dealer = Dealer(dealt.append)
    stock = Stock(receive)

    def asked_alone() -> None:
        while True:
            stock.refill()
            walked.append(stock.take(CHUNK))

    for count in counts * 50:
        dealer.after(count)
        charged += count
        with pytest.raises(TimeoutError):
            asked_alone()
        over.append(CHUNK * len(walked) - 64 / 33 * (charged - 1) - 64)
    assert max(over) < 1e-6
    assert (max(over[-2:]) > -1e-6) == (counts == [1, 32])


def test_records_hold_the_bits_of_all_splits_and_pads_are_found_at_single_places() -> None:
    world = TreeWorld(trees=40)
    rows, host = np.array([4, 4, 9]), "h0"
    words = records.records_of(world.binned[host], world.splits[host], world.depth, rows)
    levels = records.bits_of_records(words, world.guest.shape, 1)
    splits = world.splits[host]
    for handle, (tree, level, seat) in enumerate(splits.seat):
        goes = splits.goes_left(world.binned[host], rows, handle)
        assert np.array_equal(levels[level][:, (tree << level) + seat], goes)
    assert sum(int(bits.sum()) for bits in levels) == sum(
        int(splits.goes_left(world.binned[host], rows, handle).sum()) for handle in range(len(splits))
    )
    seed = Seed("", b"s" * 32)
    whole = seed.words(3 * 100).reshape(100, 3)
    assert np.array_equal(records.pads_at(seed, [0, 41, 99], 3), whole[[0, 41, 99]])
    assert np.array_equal(records.pads_of_block(seed, Part(1, 2, 50, 100), 3), whole[50:])


def test_what_a_query_of_100_trees_of_depth_5_sends() -> None:
    """As docs/protocols/online.md says: 9 exchanges and one message between guest and arbiter; and a host sends and
    hears what it does for a regression."""
    world, transcript, marks = TreeWorld(rows=1000, trees=100, depth=5), list[Sent](), list[int]()

    def asks(session: Session, epoch: GuestTreeEpoch) -> None:
        for row in (1, 2):
            marks.append(len(transcript))
            tree_query.ask(session, epoch, [b"id %d" % row], world.own(1))

    world.run(asks, transcript)
    ends = [k for k, one in enumerate(transcript) if one.kind is OpenedScores]
    query = transcript[marks[1] : ends[1] + 1]
    both = Counter((one.sender, one.receiver) for one in query if "h0" not in (one.sender, one.receiver))
    assert both == {("guest", "arbiter"): 1 + 9, ("arbiter", "guest"): 9 + 1}
    sizes = Counter[tuple[str, str]]()
    for one in query:
        sizes[one.sender, one.receiver] += len(one.data)
    assert sizes["guest", "arbiter"] == 1_808
    assert sizes["arbiter", "guest"] == 20_379
    heard = [one.kind.kind for one in query if "h0" in (one.sender, one.receiver)]
    assert heard == ["BlindedAsk", "RaisedAsk", "QueryKeys", "RecordShares"]
