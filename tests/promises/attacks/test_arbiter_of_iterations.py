"""An arbiter that deviates encrypts a large number in place of one of those of a chunk, to read the column that is
multiplied by it: a training through the public API."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest

import vfl
from protocols._native import PlainVec
from protocols.cipher import CipherVec, DecryptionKey, EncryptionKey
from protocols.errors import VFLError
from protocols.glm.digits import COARSE
from protocols.glm.plan import FEATURE
from protocols.glm.slots import Slots
from protocols.randomness import Seed
from tests.harness import TOY

ROWS, PARTIES = 40, ("guest", "host")
PLACE = 450  # bits: beyond what masks of a length have, and with a column's values below n


def read(patch: pytest.MonkeyPatch, victim: str) -> tuple[set[int], set[int]]:
    """What such an arbiter makes of what it opens as the victim's second column, of one row in each ciphertext; and the
    first digits of the column's values, up to a unit."""
    asked, opened = list[str](), list[int]()
    honest, whole = Slots.bases, DecryptionKey.open_whole

    def bases(self: Slots, numbers: Sequence[PlainVec]) -> PlainVec:
        asked.append(PARTIES[len(asked) % 2])
        one = honest(self, numbers)
        return one if asked[-1] != victim else PlainVec.from_ints([(k == 1) << PLACE for k in range(len(one))])

    def open_whole(self: DecryptionKey, ciphers: CipherVec) -> PlainVec:
        opened.extend((found := whole(self, ciphers)).to_ints())
        return found

    patch.setattr(Slots, "bases", bases)
    patch.setattr(DecryptionKey, "open_whole", open_whole)
    x = np.random.default_rng(0).normal(size=(ROWS, 4))
    guest = pd.DataFrame({"id": range(ROWS), "y": x.sum(axis=1) > 0, "a": x[:, 0], "b": x[:, 1]}).astype({"y": int})
    host = pd.DataFrame({"id": range(ROWS), "c": x[:, 2], "d": x[:, 3]})
    federation = vfl.Federation.local(guest, {"host": host}, on="id", label="y", cipher=TOY, convergence=False)
    with contextlib.suppress(VFLError):  # the iterations that follow are garbage
        federation.fit(vfl.LogisticRegression(max_iter=5))
    own = x[:, PARTIES.index(victim) * 2 + 1]
    own = COARSE.of_rows(np.rint((own - own.mean()) / own.std() * 2**FEATURE).astype(np.int64)[:, None])[:, 0]
    half = 1 << PLACE - 1
    return {(number + half) >> PLACE for number in opened}, {int(v) + unit for v in own for unit in (-1, 0, 1)}


@pytest.mark.parametrize("victim", PARTIES)
def test_an_arbiter_that_deviates_opens_noise(monkeypatch: pytest.MonkeyPatch, victim: str) -> None:
    found, own = read(monkeypatch, victim)
    assert len(found) >= ROWS / 6
    assert not found & own


@pytest.mark.parametrize("victim", PARTIES)
def test_masks_of_a_length_give_it_a_column(monkeypatch: pytest.MonkeyPatch, victim: str) -> None:
    """The planted fault, and the control of the attack: masks that exceed what they should hide by 80 bits."""

    def bounded(self: EncryptionKey, seed: Seed, length: int) -> PlainVec:
        return seed.integers(length, PLACE - 8)

    monkeypatch.setattr(EncryptionKey, "uniform", bounded)
    found, own = read(monkeypatch, victim)
    assert len(found & own) >= ROWS / 6
