"""Numbers that stand side by side in one integer, and how each holder of a share of it cuts them out alone: in
regressions, shares of Gram matrices and sealed trees.

    | number at offset o + w | number at offset o |  ..  |      V = s_1 + s_2 + .. as integers

`PlainVec.stack` puts numbers side by side.  A cut of V is floor(V / 2^offset) modulo 2^bits.  The cuts of the shares
add up to it, modulo 2^bits, less one unit at most for each share but one: what is carried from below.  Where V is the
difference of two uniform numbers, and a number in it is far shorter than its slot, the difference of their cuts is that
number, except with a probability of 2 |number| / 2^(bits of the slot).
"""

from __future__ import annotations

import numpy as np

from protocols._native import PlainVec


def cut(share: PlainVec, offset: int, bits: int) -> PlainVec:
    """The number at `offset` of each, in [-2^(bits - 1), 2^(bits - 1))."""
    return share.shift_right(offset).residue(bits)


def cut_packed(share: PlainVec, width: int, slots: int, length: int) -> PlainVec:
    """The `length` numbers that `CipherVec.pack(width, slots)` has packed, in a share of the packs, modulo 2^width."""
    places = PlainVec.join([cut(share, k * width, width) for k in range(slots)])
    number = np.arange(length, dtype=np.int64)
    return places.take(number % slots * len(share) + number // slots)
