"""An arbiter that deviates hands out large numbers as its shares of weights, to read columns from masked products."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from protocols._native import PlainVec
from protocols.cipher.keys import DecryptionKey
from protocols.glm import scoring, shares
from protocols.glm.plan import FEATURE, SIGMA
from protocols.glm.scoring import VALUE
from protocols.online import query
from tests.harness import TOY, short_masks
from tests.online import OnlineWorld

PLACES = (210, 260, 310)  # bits: beyond a mask that exceeds what it should hide by SIGMA bits, and beyond each other


def opened_of_a_query(patch: pytest.MonkeyPatch) -> tuple[list[int], list[int]]:
    """What such an arbiter makes of one online query as the guest's columns, and these columns."""
    opened = list[int]()

    def serve(session: Any, key: DecryptionKey, party: str, held: Any, rows: int, width: Any = None) -> Any:
        moved = shares.follow(session, party, held)
        plain = PlainVec.from_ints([1 << place for place in PLACES])
        seed = session.seed("shifted weights", plain.to_bytes())
        session.channels[party].send(scoring.ShiftedWeights(key.encrypt(plain, seed)))
        return moved

    def open_whole(self: DecryptionKey, ciphers: Any) -> PlainVec:
        opened.extend((found := honest(self, ciphers)).to_ints())
        return found

    honest = DecryptionKey.open_whole
    patch.setattr(scoring, "serve", serve)
    patch.setattr(DecryptionKey, "open_whole", open_whole)
    world = OnlineWorld(rows=8, width=3, shared="guest")
    own = np.random.default_rng(5).integers(-(6 << FEATURE), 6 << FEATURE, (1, 3))
    world.run(lambda session, epoch: query.ask(session, epoch, [b"id 2"], own), scheme=TOY)
    (left,), read = opened, list[int]()
    for place in reversed(PLACES):
        read.append((left + (1 << place - 1)) >> place)
        left -= read[-1] << place
    return read[::-1], own[0].tolist()


def test_an_arbiter_that_deviates_opens_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    read, own = opened_of_a_query(monkeypatch)
    assert not set(read) & set(own)


def test_masks_of_a_length_give_all_columns_to_an_arbiter_that_deviates(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault, and the control of the attack."""
    short_masks(monkeypatch, 64 + VALUE + SIGMA + 3)
    read, own = opened_of_a_query(monkeypatch)
    assert read == own
