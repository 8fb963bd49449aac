"""What an arbiter reads of the guest's columns in an online query, where the guest's weights stay shared."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from protocols._native import PlainVec
from protocols.channel import Tap
from protocols.cipher.keys import DecryptionKey
from protocols.glm import scoring
from protocols.glm.plan import FEATURE, SIGMA
from protocols.online import query
from protocols.online.products import WORD, MaskedColumns, Prepared
from tests.harness import TOY, short_masks
from tests.online import OnlineWorld

PLACES = (215, 285, 355)  # bits: beyond a mask that exceeds what it should hide by SIGMA bits, and beyond each other
Columns = NDArray[np.int64]


class Masked(Tap):
    """Keeps the masked columns that arrive at an arbiter."""

    def __init__(self) -> None:
        self.heard = list[NDArray[np.uint64]]()

    def received(self, peer: str, kind: Any, data: bytes) -> None:
        if kind is MaskedColumns:
            self.heard.append(np.frombuffer(msgspec.msgpack.decode(data)[1], "<u8"))


def columns(count: int) -> Columns:
    """(count, 3) the guest's own, of as many queries."""
    return np.random.default_rng(5).integers(-(6 << FEATURE), 6 << FEATURE, (count, 3))


def heard_of(own: Columns) -> list[NDArray[np.uint64]]:
    """What the arbiter receives of the columns, query by query."""
    world, tap = OnlineWorld(rows=8, width=3, shared="guest"), Masked()

    def asks(session: Any, epoch: Any) -> None:
        for row in own:
            query.ask(session, epoch, [b"id 2"], row[np.newaxis])

    world.run(asks, scheme=TOY, taps={"arbiter": [tap]})
    return tap.heard


def read_by_large_numbers(patch: pytest.MonkeyPatch) -> tuple[list[int], list[int]]:
    """What an arbiter makes of a query that hands out large numbers as its shares of weights, and the columns."""
    opened = list[int]()

    def hand_over(session: Any, key: DecryptionKey, party: str, words: Any, slots: Any) -> None:
        plain = PlainVec.from_ints([1 << place for place in PLACES] + [0] * (words.size * (slots.count - 1)))
        seed = session.seed("shifted weights", plain.to_bytes())
        session.channels[party].send(scoring.ShiftedWeights(key.encrypt(plain, seed)))

    def open_whole(self: DecryptionKey, ciphers: Any) -> PlainVec:
        opened.extend((found := honest(self, ciphers)).to_ints())
        return found

    honest = DecryptionKey.open_whole
    patch.setattr(scoring, "hand_over", hand_over)
    patch.setattr(DecryptionKey, "open_whole", open_whole)
    own = columns(1)
    (masked,) = heard_of(own)
    left, drawn = opened[0], list[int]()  # of the pack that holds the row of this query
    for place in reversed(PLACES):
        drawn.append((left + (1 << place - 1)) >> place)
        left -= drawn[-1] << place
    read = masked + np.array([one % (1 << 64) for one in reversed(drawn)], np.uint64)
    return read.view(np.int64).tolist(), own[0].tolist()


def test_an_arbiter_that_deviates_opens_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    read, own = read_by_large_numbers(monkeypatch)
    assert not set(read) & set(own)


def test_masks_of_a_length_give_all_columns_to_an_arbiter_that_deviates(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault, and the control of the attack."""
    short_masks(monkeypatch, 64 + WORD + SIGMA + 3)
    read, own = read_by_large_numbers(monkeypatch)
    assert read == own


def differences(own: Columns) -> tuple[list[int], list[int]]:
    """Of what the arbiter received of two queries, and of their columns."""
    first, second = heard_of(own)
    return (first - second).view(np.int64).tolist(), (own[0] - own[1]).tolist()


def test_masked_columns_of_two_queries_tell_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    """A prepared row serves one query.  In the control one serves two, and the arbiter reads how their columns
    differ."""
    read, own = differences(columns(2))
    assert not set(read) & set(own)

    def kept(self: Prepared, count: int) -> Any:
        assert self.rows is not None
        return self.rows[:count]

    monkeypatch.setattr(Prepared, "take", kept)
    read, own = differences(columns(2))
    assert read == own
