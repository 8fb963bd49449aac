"""Additive shares of guest and arbiter, in two rings: Z_2^48 for membership, leaves and margins; Z_2^128 for what is
lifted into a block of slots.

Numbers modulo 2^48 are kept in 64-bit words whose upper bits mean nothing, and travel in 6 bytes.  A number modulo 2^128 is a signed integer, and shares of a
small number v add up to v as integers except with probability |v| / 2^127: so they can be shifted into any wider ring.
"""  # noqa: E501

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protocols._native import PlainVec
from protocols.codec import check_lengths
from protocols.errors import RemoteProtocolError
from protocols.marked import Marked
from protocols.parts import Part
from protocols.randomness import Seed

BITS, WIDE = 48, 128
BYTES = BITS // 8
Words = NDArray[np.uint64]
MASK = np.uint64((1 << BITS) - 1)


def to_bytes(words: Words) -> bytes:
    """Any shape, in C order; 6 bytes for each word."""
    return np.ascontiguousarray(words).view(np.uint8).reshape(-1, 8)[:, :BYTES].tobytes()


def from_bytes(data: bytes, shape: tuple[int, ...], sender: str) -> Words:
    """Raises RemoteProtocolError unless the bytes fill the shape."""
    check_lengths(sender, BYTES * int(np.prod(shape)), data, what="bytes of shares")
    return unpacked(data, shape)


def unpacked(data: bytes, shape: tuple[int, ...]) -> Words:
    """What `to_bytes` has made of this party's own words."""
    count = int(np.prod(shape))
    wide = np.zeros((count, 8), dtype=np.uint8)
    wide[:, :BYTES] = np.frombuffer(data, dtype=np.uint8).reshape(count, BYTES)
    return wide.view(np.uint64).reshape(shape)


def signed(words: Words) -> NDArray[np.int64]:
    """The representative in [-2^47, 2^47)."""
    return (words << np.uint64(64 - BITS)).view(np.int64) >> (64 - BITS)


def plain(words: Words) -> PlainVec:
    """As integers in [0, 2^48)."""
    return PlainVec.from_i64((words & MASK).ravel().view(np.int64))


def add(a: PlainVec, b: PlainVec) -> PlainVec:
    """Modulo 2^128."""
    return a.add_mod_2_128(b)


def sub(a: PlainVec, b: PlainVec) -> PlainVec:
    """Modulo 2^128."""
    return a.sub_mod_2_128(b)


def join(parts: Sequence[PlainVec]) -> PlainVec:
    """One after the other."""
    return PlainVec.join(parts)


def cut(whole: PlainVec, parts: int) -> list[PlainVec]:
    """Into this number of parts of one length."""
    size = len(whole) // parts if parts else 0
    return [whole.slice(k * size, (k + 1) * size) for k in range(parts)]


def check(sender: str, share: PlainVec, length: int) -> None:
    """Raises RemoteProtocolError unless it is `length` numbers modulo 2^128."""
    check_lengths(sender, length, share)
    if share.max_bits() > WIDE:
        raise RemoteProtocolError(f"{sender} sent shares out of range", party=sender)


def dot(values: Words, rows: Words) -> Words:
    """values (k,) times rows (k, n): (n,)."""
    total = np.zeros(rows.shape[1], dtype=np.uint64)
    for value, row in zip(values, rows, strict=True):
        total += value * row
    return total


@dataclass(frozen=True, eq=False)
class Shares:
    """One holder's shares at some places (nodes): x of the rows that a tree is trained on, modulo 2^128, one vector for
    each place, or none;
    u, whether a row is at the place, (places, rows) modulo 2^48."""

    x: tuple[PlainVec, ...]
    u: Words

    def take(self, places: NDArray[np.int64]) -> Shares:
        return Shares(tuple(self.x[k] for k in places) if self.x else (), self.u[places])

    def within(self, part: Part, sampled: Marked | None) -> Shares:
        """Those of a block of rows; sampled: the rows that have an x."""
        first, last = (0, 0) if sampled is None else (sampled.before(part.first), sampled.before(part.last))
        x = tuple(v.slice(first, last) for v in self.x) if first < last else ()
        return Shares(x, self.u[:, part.rows])

    def followed(self, blocks: Iterable[Shares]) -> Shares:
        """Others of the same rows, out of those of consecutive blocks of rows."""
        each = list(blocks)
        having = [shares.x for shares in each if shares.x]
        return Shares(tuple(map(join, zip(*having, strict=True))), np.concatenate([s.u for s in each], axis=1))

    def combine(self, other: Shares, sign: int) -> Shares:
        """self + other, or self - other where sign is -1."""
        plus = sign > 0
        x = tuple(add(a, b) if plus else sub(a, b) for a, b in zip(self.x, other.x, strict=True))
        return Shares(x, self.u + other.u if plus else self.u - other.u)

    def __add__(self, other: Shares) -> Shares:
        return self.combine(other, 1)

    def __sub__(self, other: Shares) -> Shares:
        return self.combine(other, -1)


def uniform(seed: Seed, places: int, rows: int, sampled: int) -> Shares:
    """Uniform numbers for this number of places; sampled: how many rows have an x, 0 for none."""
    u = seed.child("u").words(places * rows).reshape(places, rows)
    return Shares(tuple(seed.child(f"x{k}").ring(sampled) for k in range(places)) if sampled else (), u)
