"""Quantised gradients, and how sums of them share one plaintext.

A tree's g and h become integers of `bits` bits by stochastic rounding, floor(value / scale + u) with u uniform in [0, 1) from the job's public seed: the sums
stay unbiased, and every run and the plaintext twin round alike.  The scales stay with the guest.

    one slot:   sign | G, bits + L      | H, bits + L          L = ceil(log2(rows + 1)), so that no sum of rows can spill
    plaintext:  slot | slot | ... | slot                       as many as fit below the key's head-room

Source: quantised training is Shi et al. (NeurIPS 2022); packing g and h into one plaintext is SecureBoost+ (arXiv 2110.10927).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protocols._native import PlainVec
from protocols.boosting.params import Params
from protocols.errors import ConfigError

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Quantised:
    """g and h of one tree: (n,) integers, 0 for rows outside the sample, and what one unit is worth."""

    g: Ints
    h: Ints
    g_unit: float
    h_unit: float

    @classmethod
    def of(cls, p: Params, tree: int, g: Floats, h: Floats, sampled: NDArray[np.bool_]) -> Quantised:
        """g, h (n,) exact.  |g| <= 2^(bits-1) - 1 and 0 <= h <= 2^bits - 1 afterwards."""
        g_top, h_top = 2 ** (p.gradient_bits - 1) - 1, 2**p.gradient_bits - 1
        g_unit = float(np.abs(g[sampled]).max(initial=0.0)) / g_top or 1.0
        h_unit = float(h[sampled].max(initial=0.0)) / h_top or 1.0
        u = p.rounding(tree, len(g))
        g_int = np.clip(np.floor(g / g_unit + u[:, 0]), -g_top, g_top).astype(np.int64)
        h_int = np.clip(np.floor(h / h_unit + u[:, 1]), 0, h_top).astype(np.int64)
        return cls(np.where(sampled, g_int, 0), np.where(sampled, h_int, 0), g_unit, h_unit)


@dataclass(frozen=True)
class Packing:
    """The layout of plaintexts for sums over up to `rows` rows under a key of `plain_bits` usable bits; `nodes` slots stay together.

    Raises ConfigError if not even these fit.
    """

    rows: int
    bits: int
    plain_bits: int
    nodes: int = 1

    def __post_init__(self) -> None:
        if self.groups < 1:
            raise ConfigError(
                "the key is too small for this job's head-room",
                remedy="Use a larger key_bits, fewer gradient_bits or a smaller max_depth",
                expected=self.width * self.nodes,
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
    def group_width(self) -> int:
        """Bits of `nodes` slots."""
        return self.width * self.nodes

    @property
    def groups(self) -> int:
        """So many groups of `nodes` slots share a plaintext."""
        return self.plain_bits // self.group_width

    def rows_plain(self, g: Ints, h: Ints) -> PlainVec:
        """One plaintext a row: g above h."""
        return PlainVec.from_i64(g).shift_left(self.h_width) + PlainVec.from_i64(h)

    def split(self, sums: PlainVec) -> tuple[Ints, Ints]:
        """G and H of opened slots."""
        high = sums.shift_right(self.h_width)
        return high.to_i64(), (sums - high.shift_left(self.h_width)).to_i64()
