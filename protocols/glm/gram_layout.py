"""Where Gram matrices are computed on shares (gram.py): how their numbers are laid into slots and cut out of shares, and
for which trainings that is cheaper.  Nothing here touches a channel.

A slot of `width` bits holds v 2^GUARD.  Of shares as integers, s_1 + s_2 = the packed number, each holder takes floor(s /
2^(j width)) modulo 2^width.  Both parts add up to v 2^GUARD, or to one or two less: a carry, and a negative number below.
So floor(part / 2^GUARD) of both add up to v - 1, whatever that was, unless the lowest GUARD bits of one part are all 0 or
1: the shares are exact except with probability 2^(2 - GUARD), and off by one unit of their last place then.

    | v_2 2^GUARD | v_1 2^GUARD | v_0 2^GUARD |      a row: columns of the guest;  a column of a share: rows of the matrix

Moduli.  Gradients are shared modulo 2^g_bits, LIFT bits above their bound, as in slots.py, and so are the blocks of the
matrix.  A product of shares of blocks and of weights fits into its slot whole.
"""  # noqa: E501

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protocols import cuts
from protocols._native import PlainVec
from protocols.cipher import HEAD_ROOM
from protocols.glm.plan import SIGMA, Plan
from protocols.glm.slots import LIFT

GUARD = 20  # bits of a slot below its number
GROWTH = 17  # bits by which momentum makes a share of a weight longer than its first change
LIMB = 62  # bits of the parts of a number by which ciphertexts are multiplied
MOST = 1 << 10  # weights of all parties
# what the rule counts, in products modulo n^2: an encryption by the key's holder; a row and column; a ciphertext that
# is masked and opened, and one of an iteration, with a base of it; a row and prepared iteration, at least; a key of
# 2048 bits with its proof, which grows with their square
ENCRYPTION, COLUMN, OPENED, PRODUCT, BASE, PREPARED, KEY = 64, 3, 1000, 2200, 14, 70, 1_400_000
FEW = 40  # iterations within which it has to pay, where a verdict may end training


@dataclass(frozen=True)
class Layout:
    """guest, host: how many weights each has; models: how many are trained; room: bits of the numbers under a mask.

    g_bits: log2 of the modulus of gradients and blocks; share_bits: of the longest share of a weight."""

    guest: int
    host: int
    models: int
    g_bits: int
    share_bits: int
    room: int

    @classmethod
    def of(cls, plan: Plan, guest: int, host: int, models: int) -> Layout:
        g_bits = plan.gradient_bits + 1 + LIFT
        share_bits = g_bits - plan.shift + GROWTH
        return cls(guest, host, models, g_bits, share_bits, plan.plain_bits + HEAD_ROOM - SIGMA)

    @property
    def weights(self) -> int:
        """Of all parties."""
        return self.guest + self.host

    # -- the guest's columns, a row in a ciphertext

    @property
    def block_width(self) -> int:
        return self.g_bits + GUARD

    @property
    def block_slots(self) -> int:
        return self.room // self.block_width

    @property
    def columns(self) -> int:
        """What the guest encrypts of each row: its columns, each model's offset, and its preconditioned columns."""
        return 2 * self.guest + self.models

    @property
    def plain(self) -> int:
        """How many of these the host multiplies by its preconditioned columns; the others by its own."""
        return self.guest + self.models

    @property
    def groups(self) -> list[range]:
        """Which of them share a ciphertext."""
        return _groups(self.columns, self.block_slots)

    # -- shares of the matrix, a column in a ciphertext

    @property
    def product_width(self) -> int:
        return self.g_bits + self.share_bits + math.ceil(math.log2(self.weights)) + GUARD

    @property
    def product_slots(self) -> int:
        return self.room // self.product_width

    @property
    def product_groups(self) -> list[range]:
        """Which of the matrix's rows share a ciphertext."""
        return _groups(self.weights, self.product_slots)

    @property
    def limbs(self) -> int:
        """Of a share of a weight."""
        return -(-(self.share_bits + 1) // LIMB)

    # -- the rule

    @property
    def fits(self) -> bool:
        return min(self.block_slots, self.product_slots) > 0 and self.weights <= MOST

    def pays(self, plan: Plan) -> bool:
        """Whether this is cheaper than prepared iterations, by products modulo n^2: a function of what all parties
        know."""
        if not self.fits:
            return False
        rows, used = plan.rows[0], sum((g.start < self.plain) + (g.stop > self.plain) for g in self.groups)
        made, whole = min(plan.passes, FEW) if plan.settles else plan.passes, len(self.product_groups)
        keys = 2 * KEY * (self.room + SIGMA + 1) ** 2 // 2048**2
        once = rows * (ENCRYPTION * len(self.groups) + COLUMN * self.host * used) + OPENED * self.host * used
        encrypted = 2 * whole * self.weights * ENCRYPTION
        each = 2 * whole * (PRODUCT + BASE * self.weights) * self.models
        return keys + once + encrypted + each * made < PREPARED * rows * made * self.models


def _groups(count: int, slots: int) -> list[range]:
    return [range(first, min(first + slots, count)) for first in range(0, count, slots)]


def packed(vectors: list[PlainVec], width: int) -> PlainVec:
    """One number for each element, with those of the vectors in its slots."""
    return PlainVec.join(vectors).stack(width, len(vectors)).shift_left(GUARD)


def cut(share: PlainVec, slot: int, width: int, *, opened: bool) -> PlainVec:
    """A slot's number of each element of a share; opened: the share is what was opened, the other one is the mask."""
    part = cuts.cut(share, slot * width + GUARD, width - GUARD)
    return part + PlainVec.from_ints([1] * len(part)) if opened else part


def limbs_of(values: PlainVec, count: int) -> NDArray[np.int64]:
    """(n, count): numbers as sums of limbs times powers of 2^LIMB."""
    found = list[NDArray[np.int64]]()
    for _ in range(count - 1):
        low = values.residue(LIMB)
        found.append(low.to_i64())
        values = (values - low).shift_right(LIMB)
    return np.ascontiguousarray(np.stack([*found, values.to_i64()], axis=1))
