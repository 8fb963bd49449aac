"""How the sums of a sealed tree share plaintexts, and how a row's shares become one integer for each level.

A row's g and h at one node are a slot of `width` bits, g below h.  A level is a block, read modulo 2^(its bits): one
slot for the root, and further down one for the left child of each node of the level above; the sums of the right
children are the parents' less these.  A plaintext holds the pads of all levels of a tree, and of several trees where
they fit:

    block of the last level | room | guard | block of another level or tree | room | guard | another block | room ...

room: for the sum of all rows' pads.  guard: GUARD random bits under a block, below 2^GUARD - 1, that hide the carry of
what lies further down; the lowest block of a plaintext needs none.  Sums are read modulo the block: how often they
wrapped would tell how many rows they are over.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from protocols._native import PlainVec
from protocols.boosting.rings import Shares, join
from protocols.cipher import HEAD_ROOM
from protocols.cuts import cut
from protocols.errors import ConfigError
from protocols.randomness import Seed

Ints = NDArray[np.int64]
GUARD = 60  # bits under a block
MASK = 80  # bits of a plaintext that stay free above its blocks, besides the head-room
MOST_TOGETHER = 4  # trees that share plaintexts
SLACK = 7  # one in 2^SLACK values of a sum of h is negative: rounding can make it so


@dataclass(frozen=True)
class Block:
    """Where one level of one tree stands."""

    plane: int  # which of a row's plaintexts
    offset: int  # its lowest bit, guard included
    guard: int
    bits: int

    def window(self, opened: PlainVec) -> PlainVec:
        """Of integers over the whole plaintext: guard and block."""
        return cut(opened, self.offset, self.guard + self.bits)

    def unguarded(self, window: PlainVec) -> PlainVec:
        """The block of a window, in [-2^(bits-1), 2^(bits-1))."""
        return cut(window, self.guard, self.bits)


@dataclass(frozen=True)
class Slots:
    """g and h side by side: |sum of g| < 2^(g_bits - 1), and sums of h from -slack on, below 2^h_bits less that."""

    g_bits: int
    h_bits: int

    @property
    def width(self) -> int:
        return self.g_bits + self.h_bits

    @property
    def slack(self) -> int:
        return 1 << max(0, self.h_bits - SLACK)

    def split(self, sums: PlainVec, nodes: int) -> tuple[Ints, Ints]:
        """G and H (nodes, len(sums)) of opened blocks."""
        g, h, rest = [], [], sums
        for _ in range(nodes):
            low = rest.residue(self.g_bits)
            rest = (rest - low).shift_right(self.g_bits)
            high = rest.residue(self.h_bits).to_i64() & ((1 << self.h_bits) - 1)
            high = np.where(high >= (1 << self.h_bits) - self.slack, high - (1 << self.h_bits), high)
            rest = (rest - PlainVec.from_i64(high)).shift_right(self.h_bits)
            g.append(low.to_i64())
            h.append(high)
        return np.array(g), np.array(h)


@dataclass(frozen=True)
class Layout:
    """The layout of plaintexts for trees of this depth over up to `rows` rows under a key of `key_bits`; raises
    ConfigError where a block does not fit."""

    rows: int
    depth: int
    slots: Slots
    key_bits: int
    together: int = 0  # trees that share a row's plaintexts; 0: as many as make them fewest

    def __post_init__(self) -> None:
        if self.room < self.widest:
            raise ConfigError(
                "the key is too small for this job's head-room",
                remedy="Use a larger key_bits, fewer gradient_bits or a smaller max_depth",
                expected=self.widest,
                found=self.room,
            )

    @property
    def room(self) -> int:
        """Bits of a plaintext that blocks may take: so much shorter than n that sums rarely wrap under a mask that is
        uniform modulo n."""
        return self.key_bits - HEAD_ROOM - 2 - MASK

    @property
    def carry(self) -> int:
        """Bits of the room above a block."""
        return self.rows.bit_length()

    @staticmethod
    def nodes(level: int) -> int:
        """Slots of a block: the root, or the left children of a level."""
        return 1 << max(0, level - 1)

    def bits(self, level: int) -> int:
        return self.slots.width * self.nodes(level)

    @property
    def widest(self) -> int:
        return self.bits(self.depth - 1) + self.carry

    def fill(self, trees: int) -> list[list[Block]]:
        """Blocks by tree and level: the longest first, each in the first plaintext that has room."""
        tops, placed = (
            list[int](),
            [[Block(0, 0, 0, self.bits(level)) for level in range(self.depth)] for _ in range(trees)],
        )
        for level, tree in itertools.product(reversed(range(self.depth)), range(trees)):
            needs = GUARD + self.bits(level) + self.carry
            plane = next((k for k, top in enumerate(tops) if top + needs <= self.room), len(tops))
            at, guard = (tops[plane], GUARD) if plane < len(tops) else (0, 0)
            placed[tree][level] = Block(plane, at, guard, self.bits(level))
            tops[plane:] = [at + guard + self.bits(level) + self.carry, *tops[plane + 1 :]]
        return placed

    @cached_property
    def trees(self) -> int:
        """How many trees share a row's plaintexts."""
        return self.together or min(
            range(1, MOST_TOGETHER + 1), key=lambda trees: (planes_of(self.fill(trees)) / trees, trees)
        )

    @cached_property
    def blocks(self) -> list[list[Block]]:
        return self.fill(self.trees)

    @property
    def planes(self) -> int:
        """Ciphertexts of a row."""
        return planes_of(self.blocks)

    def stacked(self, shares: Shares) -> PlainVec:
        """One integer for each row out of the shares x at the nodes of a block; those of two holders add up to the
        row's slots modulo the block."""
        return join(shares.x).stack(self.slots.width, len(shares.x))


def planes_of(blocks: list[list[Block]]) -> int:
    return max(block.plane for levels in blocks for block in levels) + 1


def pads(seed: Seed, block: Block, rows: int) -> PlainVec:
    """(rows,) uniform modulo the block, in [0, 2^bits)."""
    return seed.integers(rows, block.bits) + PlainVec.from_ints([1 << (block.bits - 1)]).take(
        np.zeros(rows, dtype=np.int64)
    )
