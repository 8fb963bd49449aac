"""Quantised gradients, and how sums of them share one plaintext.

A tree's g and h become integers of `bits` bits by stochastic rounding, floor(value / scale + u) with u uniform in [0,
1) from the job's public seed: the sums stay unbiased, and every run and the plaintext twin round alike.  The scales
stay with the guest.

    one slot:   sign | G, bits + L      | H, bits + L          L = ceil(log2(rows + 1)), so that no sum of rows can spill
    plaintext:  slot | slot | ... | slot                       as many as fit below the key's head-room

All classes of a round are derived at the same predictions, so that several can share a row's ciphertext and are
encrypted at once:

    one sum:    gap | slots of class 2 | gap | slots of class 1 | gap | slots of class 0

Each sum that is sent is one class's: the host adds a mask to the slots of the others, because the sums of all classes
over the *same* rows would say far more about these rows than sums of one.  The gap is what hides a slot below its mask.
Sums then take more plaintexts, which is why `shared_by` counts what is cheaper.

Source: quantised training is Shi et al. (NeurIPS 2022); packing g and h into one plaintext is SecureBoost+ (arXiv
2110.10927).
"""  # noqa: E501

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from protocols._native import Overflow, PlainVec
from protocols.boosting.params import Params
from protocols.boosting.split import Units
from protocols.errors import ConfigError
from protocols.kept import Keep, Kept, KeptRows, Sliced, in_memory
from protocols.parts import parts
from protocols.randomness import Seed

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
GAP = 80  # bits by which a mask is longer than what it hides
# products modulo n^2
ENCRYPTION = 0.042  # of an encryption, a bit of the key
ANSWER = 0.62  # of an answer's new factor and decryption, a bit of the key
ADDITION = 0.63  # of a row, a column


class Gradients(Protocol):
    """Exact g and h of a round, computed whenever they are needed; sampled (n,): its rows."""

    sampled: NDArray[np.bool_]

    def block(self, rows: slice) -> tuple[Floats, Floats]:
        """g and h (rows, classes) of some consecutive rows."""


@dataclass(frozen=True, eq=False)
class Quantised(Units):
    """g and h of one tree: (n,) integers, 0 for rows outside the sample, and what one unit is worth."""

    g: Sliced[np.signedinteger[Any]]
    h: Sliced[np.signedinteger[Any]]

    @classmethod
    def of(cls, p: Params, tree: int, gradients: Gradients, k: int, keep: Keep = in_memory) -> Quantised:
        """Of class k.  |g| <= 2^(bits-1) - 1 and 0 <= h <= 2^bits - 1 afterwards."""
        rows = len(gradients.sampled)
        bits, every = p.bits(rows), parts(rows)
        g_top, h_top, most = 2 ** (bits - 1) - 1, 2**bits - 1, [0.0, 0.0]
        for part in every:
            inside = gradients.sampled[part.rows]
            own = (np.abs(values[inside, k]).max(initial=0.0) for values in gradients.block(part.rows))
            most = [max(before, float(here)) for before, here in zip(most, own, strict=True)]
        g_unit, h_unit = most[0] / g_top or 1.0, most[1] / h_top or 1.0
        g_kept, h_kept = list[Kept](), list[Kept]()
        for part, u in zip(every, p.rounding(tree, rows), strict=True):
            g, h = (values[:, k] for values in gradients.block(part.rows))
            inside = gradients.sampled[part.rows]
            g_int = np.clip(np.floor(g / g_unit + u[:, 0]), -g_top, g_top)
            h_int = np.clip(np.floor(h / h_unit + u[:, 1]), 0, h_top)
            for kept, whole in ((g_kept, g_int), (h_kept, h_int)):
                kept.append(keep(np.where(inside, whole, 0).astype(np.int32).tobytes()))
        sizes = [len(part) for part in every]
        return cls(g_unit, h_unit, *(KeptRows.holding(kept, sizes, np.int32) for kept in (g_kept, h_kept)))


@dataclass(frozen=True)
class Packing:
    """The layout of plaintexts for sums over up to `rows` rows under a key of `plain_bits` usable bits; `nodes` slots
    of each of `classes` stay together.

    Raises ConfigError if not even these fit.
    """

    rows: int
    bits: int
    plain_bits: int
    nodes: int = 1
    classes: int = 1

    def __post_init__(self) -> None:
        if self.groups < 1:
            raise ConfigError(
                "the key is too small for this job's head-room",
                remedy="Use a larger key_bits, fewer gradient_bits or a smaller max_depth",
                expected=self.group_width,
                found=self.plain_bits,
            )

    @property
    def h_width(self) -> int:
        return self.bits + self.rows.bit_length()

    @property
    def width(self) -> int:
        """Bits of a slot."""
        return self.h_width + self.bits + self.rows.bit_length() + 1

    @property
    def stride(self) -> int:
        """Bits from one class's slots to the next one's."""
        return self.width * self.nodes + (GAP if self.classes > 1 else 0)

    @property
    def group_width(self) -> int:
        """Bits of the slots of all classes that share a ciphertext."""
        return self.stride * self.classes

    @property
    def groups(self) -> int:
        """How many groups of slots share a plaintext."""
        return self.plain_bits // self.group_width

    def shares(self, all_classes: int) -> list[range]:
        """The classes of each ciphertext of a row."""
        return [range(first, min(first + self.classes, all_classes)) for first in range(0, all_classes, self.classes)]

    def side_by_side(self, classes: Sequence[PlainVec]) -> PlainVec:
        """One plaintext per row out of those of its classes, the first lowest."""
        return reduce(operator.add, (plain.shift_left(self.stride * place) for place, plain in enumerate(classes)))

    def masks(self, place: int, below: Seed, above: Seed, sums: int) -> PlainVec:
        """For this number of packed sums: what hides all classes but the one at `place`, each from a range 2^GAP times
        as large as its slots."""
        low, high = self.stride * place - 1, self.stride * (self.classes - 1 - place) - 1
        parts = [below.integers(sums, low)] if low > 0 else []
        parts += [above.integers(sums, high).shift_left(self.stride * (place + 1))] if high > 0 else []
        return reduce(operator.add, parts).pack(self.group_width, self.groups)

    def slots(self, place: int, opened: PlainVec) -> PlainVec:
        """Of opened sums (n,) the slots of the class at `place`, (n * nodes,).  Raises Overflow where they do not fit,
        as those of rows do."""
        if self.classes > 1:
            every = opened.unpack(self.stride, self.classes, len(opened) * self.classes)
            opened = every.take(np.arange(len(opened), dtype=np.int64) * self.classes + place)
        if opened.max_bits() >= self.width * self.nodes:
            raise Overflow
        return opened.unpack(self.width, self.nodes, len(opened) * self.nodes)

    def rows_plain(self, g: NDArray[np.signedinteger[Any]], h: NDArray[np.signedinteger[Any]]) -> PlainVec:
        """One plaintext per row: g above h."""
        upper, lower = (PlainVec.from_i64(values.astype(np.int64)) for values in (g, h))
        return upper.shift_left(self.h_width) + lower

    def split(self, sums: PlainVec) -> tuple[Ints, Ints]:
        """G and H of opened slots."""
        high = sums.shift_right(self.h_width)
        return high.to_i64(), (sums - high.shift_left(self.h_width)).to_i64()


def shared_by(one: Packing, all_classes: int, columns: int, sums: int, *, added: bool) -> Packing:
    """`one` class's layout, or that of as many together as make a round cheapest; columns: of all hosts; sums: that
    they send a class.

    added: whether one histogram serves all classes of a ciphertext, as in profile `hidden`.  Counts products modulo
    n^2, as they grow with the key's size:
    an encryption, a row's additions, and an answer's packing, new factor and decryption.
    """

    def cost(layout: Packing) -> float:
        row = one.plain_bits * ENCRYPTION + (columns * ADDITION if added else 0)
        answer = one.plain_bits * ANSWER + (layout.groups - 1) * layout.group_width
        return -(-all_classes // layout.classes) * one.rows * row + all_classes * -(-sums // layout.groups) * answer

    wide = [(one.width * one.nodes + GAP) * k for k in range(2, all_classes + 1)]
    fitting = [replace(one, classes=k) for k, width in enumerate(wide, 2) if width <= one.plain_bits]
    return min([one, *fitting], key=cost)
