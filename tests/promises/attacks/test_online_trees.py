"""What a guest and an arbiter can read from online queries of sealed trees: the guest one rounded score per query."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from protocols._native import DpfKeys
from protocols.boosting.rounding import OpenedScores
from protocols.channel import Tap
from protocols.cipher.keys import Keyring
from protocols.codec import decode
from protocols.errors import RemoteProtocolError
from protocols.message import Message
from protocols.online import asking, dealing, records, tree_epoch, tree_query, tree_walk
from protocols.online.asking import QueryKeys
from protocols.online.dealing import Turns
from protocols.online.tree_epoch import GuestTreeEpoch
from protocols.online.tree_query import RecordShares
from protocols.online.tree_walk import WalkBits
from protocols.session import Session
from tests.online_trees import UNIT, TreeWorld

Words = NDArray[np.uint64]
Levels = list[NDArray[np.uint8]]


class View(Tap):
    """Keeps what one party sends and receives of some kinds, decoded."""

    def __init__(self, *kinds: type[Message]) -> None:
        self.kinds, self.got, self.sent_ = kinds, list[Any](), list[tuple[str, Any]]()

    def received(self, peer: str, kind: type[Message], data: bytes) -> None:
        if kind in self.kinds:
            self.got.append(decode(data, kind, peer, Keyring()))

    def sent(self, peer: str, kind: type[Message], data: bytes) -> None:
        if kind in self.kinds:
            self.sent_.append((peer, decode(data, kind, peer, Keyring())))


def odd(keys: DpfKeys, size: int) -> NDArray[np.uint8]:
    """(size,) which places a server's key takes, which its maker can compute."""
    found = keys.look_up(np.zeros(1, np.int64), np.eye(size, dtype=np.int64))
    return np.array([found[-place % size].to_ints()[0] % 2 for place in range(size)], np.uint8)


def solved(factors: NDArray[np.uint8], answers: Words) -> Words | None:
    """The list (places, width) from equations over bits; None where they contradict each other."""
    rows, right = factors.copy(), answers.copy()
    n = rows.shape[1]
    for column in range(n):
        pivots = np.flatnonzero(rows[column:, column]) + column
        if not len(pivots):
            return None
        for array in (rows, right):
            array[[column, pivots[0]]] = array[[pivots[0], column]]
        others = np.flatnonzero(rows[:, column])
        others = others[others != column]
        rows[others] ^= rows[column]
        right[others] ^= right[column]
    return None if right[n:].any() else right[:n]


def read_list(world: TreeWorld) -> tuple[Words | None, set[bytes]]:
    """What the host's answers to honest queries about one id tell of its list, without pads; and the true records."""
    view = View(RecordShares, QueryKeys)

    def asks(session: Session, epoch: GuestTreeEpoch) -> Words | None:
        size = len(epoch.tags[0])
        for _ in range(size + 40):
            tree_query.ask(session, epoch, [b"id 1"], world.own(1))
        keys = [message.keys for peer, message in view.sent_ if peer == "h0"]
        answers = np.stack([np.frombuffer(message.words, np.uint64) for message in view.got])
        found = solved(np.stack([odd(key, size) for key in keys]), answers)
        width = answers.shape[1]
        return None if found is None else found ^ records.pads_at(epoch.pads[0], range(size), width)

    found = world.run(asks, taps={"guest": [view]})
    rows = np.arange(world.rows)
    truth = records.records_of(world.binned["h0"], world.splits["h0"], world.depth, rows)
    return found, {row.tobytes() for row in truth}


def test_single_answers_tell_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the servers did not blind their answers, honest queries about one customer would open all records."""
    found, _ = read_list(TreeWorld(rows=8))
    assert found is None, "blinded answers fit no list"
    monkeypatch.setattr(tree_query, "answer_mask", lambda seed, number, rows, width: np.zeros((rows, width), np.uint64))
    found, truth = read_list(TreeWorld(rows=8))
    assert found is not None
    assert {row.tobytes() for row in found} == truth


def directions(world: TreeWorld, own: Any, row: int) -> Levels:
    """By level (1, places): which splits a row goes left at."""
    found = tree_query.own_directions(world.guest, own)
    for number, host in enumerate(world.roles.hosts, 1):
        words = records.records_of(world.binned[host], world.splits[host], world.depth, np.array([row]))
        tree_query.changed(found, records.bits_of_records(words, world.guest.shape, number))
    return found


def shares_of(monkeypatch: pytest.MonkeyPatch, party: str) -> list[Levels]:
    """Will hold a party's shares of the directions, for each query."""
    kept, walk = list[Levels](), getattr(tree_walk, party)

    def keeping(channel: Any, shape: Any, size: Any, left: Levels, pads: Any) -> Words:
        kept.append(left)
        found: Words = walk(channel, shape, size, left, pads)
        return found

    monkeypatch.setattr(tree_walk, party, keeping)
    return kept


def guessed(message: WalkBits, world: TreeWorld, level: int) -> NDArray[np.uint8]:
    return records.unpacked(message.left, 1, world.trees << level)


def read_directions(world: TreeWorld, monkeypatch: pytest.MonkeyPatch) -> float:
    """How often the guest is right about directions below the root, from what the arbiter sends it."""
    view, own, kept, right = View(WalkBits), world.own(1), shares_of(monkeypatch, "guest"), list[float]()

    def asks(session: Session, epoch: GuestTreeEpoch) -> None:
        for row in range(1, 21):
            tree_query.ask(session, epoch, [b"id %d" % row], own)

    world.run(asks, taps={"guest": [view]})
    levels = world.depth - 1
    for query, mine in enumerate(kept):
        truth = directions(world, own, query)
        for level in range(1, world.depth):
            guess = mine[level] ^ guessed(view.got[query * levels + level - 1], world, level)
            right.append(float((guess == truth[level]).mean()))
    return float(np.mean(right))


def test_the_guest_reads_no_direction_from_the_walk(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control are triples whose pads are 0."""
    with monkeypatch.context() as patch:
        assert abs(read_directions(TreeWorld(trees=32), patch) - 0.5) < 0.05  # of 3,840 coins
    monkeypatch.setattr(dealing, "_bits", lambda seed, count: np.zeros((dealing.CHUNK, count), np.uint8))
    assert read_directions(TreeWorld(trees=32), monkeypatch) == 1.0


def same_customers(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Of each query but the first, whether the arbiter takes it to be about the customer of the first: whether all
    directions are equal, if both had the same triples."""
    world, view, kept = TreeWorld(trees=32), View(WalkBits), shares_of(monkeypatch, "arbiter")
    own = world.own(1)

    def asks(session: Session, epoch: GuestTreeEpoch) -> None:
        for row in (3, 3, 9, 3):
            tree_query.ask(session, epoch, [b"id %d" % row], own)

    world.run(asks, taps={"arbiter": [view]})
    first, *others = [
        mine[1] ^ guessed(message, world, 1) for mine, message in zip(kept, view.got[:: world.depth - 1], strict=True)
    ]
    return [np.array_equal(first, other) for other in others]


def test_a_triple_that_is_used_again_tells_who_is_asked_about_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: rows of a chunk are not taken away."""
    with monkeypatch.context() as patch:
        assert same_customers(patch) == [False, False, False]
    monkeypatch.setattr(Turns, "take", lambda self, rows: slice(0, rows))
    assert same_customers(monkeypatch) == [True, False, True]


def walked(world: TreeWorld, left: Sequence[NDArray[np.uint8]]) -> float:
    """The joint trees' margin of a row, from its directions, by a walk in the clear."""
    shape, total = world.guest.shape, 0
    for tree in range(world.trees):
        seat = place = 0
        for level in range(world.depth):
            goes_left = left[level][0, (tree << level) + seat]
            place = 2 * seat + (0 if goes_left else 1)
            if level + 1 < world.depth:
                seat = int(np.flatnonzero(shape.level(level + 1)[1][tree] == place)[0])
        total += int(world.arbiter.value[tree, place])
    return total * UNIT


def test_crafted_keys_read_one_rounded_score(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys that do not belong together give the walk a mixture of rows in the place of a row: one score comes out, of
    8 + score_bits bits."""
    world, view = TreeWorld(rows=200, trees=40), View(OpenedScores)
    own, sent = world.own(1), list[tuple[DpfKeys, DpfKeys]]()

    def apart(session: Session, secret: Any, number: int, host: int, points: Any, bits: int) -> None:
        ours = DpfKeys.deal(b"a" * 32, points, bits)[0]
        other = DpfKeys.deal(b"b" * 32, (points + 5) % (1 << bits), bits)[1]
        sent.append((ours, other))
        session.arbiter.send(QueryKeys(number.to_bytes(8, "big"), other))
        session.hosts[host].send(QueryKeys(number.to_bytes(8, "big"), ours))

    def asks(session: Session, epoch: GuestTreeEpoch) -> tuple[Any, int]:
        opened = tree_query.ask(session, epoch, [b"id 2"], own).predictors
        first, second = (odd(key, len(epoch.tags[0])) for key in sent[0])
        return opened, int((first ^ second).sum())

    monkeypatch.setattr(asking, "send_keys", apart)
    kept, other = shares_of(monkeypatch, "guest"), shares_of(monkeypatch, "arbiter")
    opened, places = world.run(asks, taps={"guest": [view]})
    assert places > 50, "a mixture"
    mixed = [a ^ b for a, b in zip(kept[0], other[0], strict=True)]
    own_part = float(world.guest.own.base[0])
    assert abs(float(opened[0, 0]) - own_part - walked(world, mixed)) < 2.0**-world.score_bits
    (message,) = view.got
    assert int.from_bytes(message.shares, "little") < 1 << (8 + world.score_bits)


@pytest.mark.parametrize("number", [0, 1, 3])
def test_a_number_is_answered_once(number: int) -> None:
    """A query under a number that was used, or that is not the next one, is refused, and nothing is answered."""
    world = TreeWorld(rows=8)

    def asks(session: Session, epoch: GuestTreeEpoch) -> None:
        tree_query.ask(session, epoch, [b"id 1"], world.own(1))
        epoch.asked = number - 1
        tree_query.ask(session, epoch, [b"id 1"], world.own(1))

    with pytest.raises(RemoteProtocolError, match="not the next one"):
        world.run(asks)


def test_what_was_dealt_before_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = dealing.deal
    monkeypatch.setattr(tree_epoch, "deal", lambda session, keys, walk, chunk: plain(session, keys, walk, 0))
    with pytest.raises(RemoteProtocolError, match="not the next ones"):
        TreeWorld(rows=8).run(lambda session, epoch: None)
