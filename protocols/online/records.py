"""Lists of an epoch of sealed trees: for each row the bits of a host's splits, and the pads that hide them; pure, no
channel.

A record is a whole number of 64-bit words: first the splits of the root level, in the order of trees and seats, then
those of the next level.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protocols._native import DpfKeys, DpfRecords
from protocols.binning.quantile import Binned
from protocols.boosting.ensemble import HostSplits
from protocols.boosting.sealed_parts import Shape
from protocols.errors import ConfigError
from protocols.parts import Part
from protocols.randomness import Seed

WORD = 64  # bits
MOST_LEAVES = 1 << 16  # of all trees
MOST_LIST = 1 << 29  # bytes of a host's list
MOST_OUTPUTS = 256
Bits = NDArray[np.uint8]  # 0 or 1
Words = NDArray[np.uint64]
BATCHES = "Score its rows in batches, with vfl node predict"


@dataclass(frozen=True)
class Walk:
    """How large a walk is: joint trees, their depth, and outputs; score_bits: of the grid."""

    trees: int
    depth: int
    outputs: int
    score_bits: int

    @property
    def leaves(self) -> int:
        return self.trees << self.depth

    @property
    def products(self) -> int:
        """Of two shared bits each."""
        return self.trees * ((1 << self.depth) - 2)


def width_of(splits: int) -> int:
    """Words of a record."""
    return max(1, -(-splits // WORD))


def check_walk(trees: int, depth: int, party: str) -> None:
    """Raises ConfigError for trees that are too many to be walked while somebody waits."""
    if trees << depth > MOST_LEAVES:
        raise ConfigError(
            f"{party}: the model has too many leaves to be scored online",
            expected=f"at most {MOST_LEAVES:,}, which is {MOST_LEAVES >> depth:,} trees of depth {depth}",
            found=f"{trees << depth:,}",
            remedy=f"{BATCHES}, or train fewer trees or less depth",
            party=party,
        )


def check_list(splits: int, bits: int, party: str) -> None:
    """Raises ConfigError for a host's list that takes too long to be read for each query; bits: of its length."""
    if 8 * width_of(splits) << bits > MOST_LIST:
        raise ConfigError(
            f"{party}: its customers times its splits of the model are too many for online scores",
            expected=f"at most {MOST_LIST >> 20} MiB, which is {MOST_LIST // (8 * width_of(splits)):,} customers",
            found=f"{8 * width_of(splits) << bits >> 20:,} MiB",
            remedy=f"{BATCHES}, or publish the customers of one region or product at a time",
            party=party,
        )


def records_of(binned: Binned, splits: HostSplits, depth: int, rows: NDArray[np.int64]) -> Words:
    """(rows, width) the records of some rows."""
    handles = [handle for level in splits.handles_by_level(depth) for handle in level]
    packed = np.zeros((len(rows), 8 * width_of(len(handles))), np.uint8)
    for at in range(0, len(handles), 8):
        each = np.stack([splits.goes_left(binned, rows, handle) for handle in handles[at : at + 8]], axis=1)
        packed[:, at // 8] = np.packbits(each, axis=1, bitorder="little")[:, 0]
    return packed.view(np.uint64)


def bits_of_records(records: Words, shape: Shape, host: int) -> list[Bits]:
    """By level (n, trees << level): the bits of records (n, width) at the seats of a host's splits, numbered from 1; 0
    at all others."""
    flat = np.unpackbits(np.ascontiguousarray(records).view(np.uint8), axis=1, bitorder="little")
    found, at = list[Bits](), 0
    for level in range(shape.depth):
        mine = np.flatnonzero(shape.level(level)[0].ravel() == host)
        bits = np.zeros((len(records), len(shape) << level), np.uint8)
        bits[:, mine] = flat[:, at : at + len(mine)]
        at += len(mine)
        found.append(bits)
    return found


def pads_of_block(seed: Seed, part: Part, width: int) -> Words:
    """(places of a block, width) what hides them."""
    return seed.words_between(part.first * width, part.last * width).reshape(len(part), width)


def pads_at(seed: Seed, places: Sequence[int], width: int) -> Words:
    """(places, width) what hides single places."""
    return np.stack([seed.words_between(place * width, (place + 1) * width) for place in places])


def answer_mask(secret: bytes, number: int, rows: int, width: int) -> Words:
    """(rows, width) what both servers change their answers number `number` by."""
    seed = Seed("", hmac.digest(secret, b"vfl online bits|" + number.to_bytes(8, "big"), "sha256"))
    return seed.words(rows * width).reshape(rows, width)


def looked_up(keys: DpfKeys, records: DpfRecords) -> Words:
    """(queries, width) this server's shares, by exclusive or, of the records at the keys' points."""
    found: Words = records.look_up(keys).reshape(len(keys), -1)
    return found


def packed(bits: Bits) -> bytes:
    """Each row in whole bytes."""
    return np.packbits(bits, axis=1, bitorder="little").tobytes()


def row_bytes(bits: int) -> int:
    """Of a row of this number of bits."""
    return -(-bits // 8)


def unpacked(data: bytes, rows: int, bits: int) -> Bits:
    """What `packed` has made of (rows, bits)."""
    flat = np.frombuffer(data, np.uint8).reshape(rows, row_bytes(bits))
    return np.unpackbits(flat, axis=1, count=bits, bitorder="little")
