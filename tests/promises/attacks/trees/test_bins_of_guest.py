"""Arbiter and first host look for the bins of the guest's rows in the numbers that decide how scores are rounded.

The arbiter receives these numbers masked, and the first host dealt the masks.  So the two know them, and can compare
them with what every combination of bins hashes to, offline.  They know model and ids; the guest's key stops them.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray

from protocols.boosting import rounding
from protocols.boosting.rounding import NUMBERS, DealtRounding, MaskedNumbers
from protocols.channel import Tap
from protocols.cipher.keys import Keyring
from protocols.codec import decode
from protocols.message import Message
from protocols.randomness import Seed
from tests.online_trees import CODES, CUTS, MODEL, TreeWorld

ROWS = 8
NAMES = [b"id %d" % k for k in range(1, ROWS + 1)]
COMBINATIONS = np.array([*product(range(CUTS + 1), range(CUTS + 2), range(CODES))], dtype=np.int16)


class Coalition(Tap):
    """The numbers that the arbiter receives, and the masks that the first host deals to the guest."""

    masked: NDArray[np.uint16]
    masks: NDArray[np.uint16]

    def received(self, peer: str, kind: type[Message], data: bytes) -> None:
        if kind is MaskedNumbers:
            found = decode(data, MaskedNumbers, peer, Keyring())
            self.masked = np.frombuffer(found.numbers, "<u2").reshape(ROWS, NUMBERS)

    def sent(self, peer: str, kind: type[Message], data: bytes) -> None:
        if kind is DealtRounding and peer == "guest":
            dealt = decode(data, DealtRounding, "h0", Keyring())
            self.masks = rounding.pads_of(Seed("h0", dealt.seed), ROWS)


def found(world: TreeWorld, keys: Sequence[bytes]) -> float:
    """The part of the rows all of whose bins the two find, if they hash under these keys."""
    own, both = world.own(ROWS), Coalition()
    world.batch(own, np.arange(ROWS), NAMES, taps={"arbiter": [both], "h0": [both]})
    numbers, right = both.masked + both.masks, 0
    for row, name in enumerate(NAMES):
        for key in keys:
            tried = rounding.hashed(key, MODEL, [name] * len(COMBINATIONS), COMBINATIONS)
            hits = COMBINATIONS[(tried == numbers[row]).all(axis=1)]
            right += len(hits) == 1 and np.array_equal(hits[0], own.bins[row])
    return right / ROWS


def test_arbiter_and_first_host_find_no_bins_of_the_guests_rows() -> None:
    """With all keys of theirs; with the guest's they would find all, so that they do look at the right numbers."""
    world = TreeWorld(rows=12, trees=4)
    theirs = [b"", bytes(32), world.arbiter.rounding_key, world.splits["h0"].score_key]
    assert found(world, theirs) == 0
    assert found(world, [world.guest.rounding_key]) == 1


def test_control_a_hash_without_a_key_tells_them_every_bin(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = rounding.hashed
    monkeypatch.setattr(rounding, "hashed", lambda key, *known: honest(b"", *known))
    assert found(TreeWorld(rows=12, trees=4), [b""]) == 1
