"""An arbiter that deviates encrypts large numbers in the place of its shares or pads, to read columns from what parties
mask: predictors and gradients of the direct protocol (`preparation = "none"`), and sums of pads of sealed trees.

Masks are uniform modulo n.  The control of each attack are masks that exceed by 80 bits what they should hide, as of
earlier builds.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from protocols._native import PlainVec
from protocols.binning.quantile import Binner
from protocols.boosting import prepare
from protocols.boosting.blocks import MASK, Layout, Slots
from protocols.boosting.sums import Lefts
from protocols.cipher import CipherVec, DecryptionKey, Paillier
from protocols.glm import sealed_link, training
from protocols.glm.block import Block, Share
from protocols.glm.links import LOGISTIC_LINKS
from protocols.glm.plan import FEATURE, Penalty, rows_log2
from protocols.marked import Marked
from protocols.message import Message
from protocols.parts import Part
from protocols.randomness import Seed
from tests.harness import short_masks

KEY = Paillier(1024).generate("arbiter", Seed("arbiter", b"k" * 32))


class Victim:
    """A session of a party whose only channel is to the arbiter, and what it sends there."""

    def __init__(self, *received: Message) -> None:
        self.received, self.sent, self.draws = list(received), list[Message](), 0
        self.arbiter: Any = SimpleNamespace(
            peer="arbiter",
            send=lambda message, part=None: self.sent.append(message),
            recv=lambda kind, part=None: self.received.pop(0),
        )
        self.roles = SimpleNamespace(arbiter="arbiter")

    def seed(self, label: str, value: bytes = b"") -> Seed:
        self.draws += 1
        return Seed("guest", f"{label} {self.draws}".encode().ljust(32)[:32])


def sealed(numbers: list[int]) -> CipherVec:
    return KEY.encrypt(PlainVec.from_ints(numbers), Seed("arbiter", b"e" * 32))


def opened(key: DecryptionKey, vector: CipherVec, large: int) -> list[int]:
    """What the arbiter opens, in units of the large number that it encrypted."""
    return [(v + large // 2) // large for v in key.open_whole(vector).to_ints()]


# -- predictors: `large` is the arbiter's share of one weight


def predictor() -> tuple[list[int], list[int]]:
    """What the arbiter reads of a row, and the value of the column in it."""
    bits = sealed_link.WIDTH  # 80 more than a predictor
    x = np.random.default_rng(0).integers(-(6 << FEATURE), 6 << FEATURE, (1, 3))
    victim: Any = Victim()
    sealed_link.masked(victim, sealed([0, 1 << bits + FEATURE, 0]).matmul(x), Part(0, 1, 0, 1))
    return opened(KEY, victim.sent[0].packed, 1 << bits + FEATURE), [int(x[0, 1])]


# -- gradients: `large` is the arbiter's part of one row's residual


def gradient() -> tuple[list[int], list[int]]:
    """What the arbiter reads of a row of P = X M, and this row: all columns."""
    rng = np.random.default_rng(1)
    x = np.clip(rng.normal(size=(50, 3)), -6, 6)
    plan = LOGISTIC_LINKS["exact"].plan(rows_log2(50), Penalty(1.0), 10, 2, KEY.public.plain_bits)
    block = Block.of(x, plan, intercept=False)
    large, victim = 1 << 3 * plan.width, Victim()
    session: Any = victim
    slope = block.slope(sealed([large * (row == 7) for row in range(50)]))
    share = Share.start(PlainVec.zeros(3))
    training.descend(session, plan, block, share, slope, sealed([0, 0, 0]), plan.steps()[0])
    sent: Any = victim.sent[0]
    return opened(KEY, sent.packed, large), PlainVec.from_i64(block.preconditioned[:][7]).pack(plan.width, 3).to_ints()


# -- sealed trees: `large` in the place of pads of chosen rows, each a power of two


def bins() -> tuple[list[int], list[int]]:
    """What the arbiter reads of which of 30 rows lie left of a party's candidate splits, and what is true."""
    rows = 60
    binned = Binner.fit(np.random.default_rng(2).normal(size=(rows, 2)), 6, 5).transform(
        np.random.default_rng(2).normal(size=(rows, 2))
    )
    layout = Layout(rows, 1, Slots(20, 20), KEY.public.raw.bits)
    large = 1 << layout.room + MASK
    pads = [large << row if row < 30 else 0 for row in range(rows)]
    candidates = binned.candidates(np.arange(2))
    victim: Any = Victim(prepare.EncryptedPads(sealed(pads)))
    owned = prepare.owner(victim, binned, candidates, layout, Marked(np.ones(rows, dtype=np.bool_)))
    lefts = Lefts(binned, candidates)
    marks: NDArray[np.int64] = np.array([1 << row if row < 30 else 0 for row in range(rows)])
    true = lefts.of(lefts.cells(PlainVec.from_i64(marks), np.arange(rows))).take(owned.order)
    return opened(KEY, victim.sent[0].sums, large), true.to_ints()


ATTACKS = {
    "predictors": (predictor, sealed_link.WIDTH),
    "gradients": (gradient, 400),
    "bins": (bins, 980),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_arbiter_that_deviates_opens_noise(attack: str) -> None:
    read, true = ATTACKS[attack][0]()
    assert len(read) == len(true) > 0
    assert not set(read) & set(true)


@pytest.mark.parametrize("attack", ATTACKS)
def test_masks_of_a_length_give_columns_to_an_arbiter_that_deviates(
    attack: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, bits = ATTACKS[attack]
    short_masks(monkeypatch, bits)
    read, true = run()
    assert read == true
