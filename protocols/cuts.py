"""Numbers that stand side by side in one integer, and how each holder of a share of it cuts them out alone: in prepared
iterations, shares of Gram matrices and sealed trees.

    | number at offset o + w | number at offset o |  ..  |      V = s_1 + s_2 + .. as integers

`PlainVec.stack` puts numbers side by side.  A cut of V is floor(V / 2^offset) modulo 2^bits.  The cuts of the shares
add up to it, modulo 2^bits, less one unit at most for each share but one: what is carried from below.
"""

from __future__ import annotations

from protocols._native import PlainVec


def cut(share: PlainVec, offset: int, bits: int) -> PlainVec:
    """The number at `offset` of each, in [-2^(bits - 1), 2^(bits - 1))."""
    return share.shift_right(offset).residue(bits)
