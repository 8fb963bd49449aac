"""What the first host deals for walks to come, in the time between queries: chunks of rows, which queries take one
after the other.

Source: products of shared bits by dealt triples, Beaver (CRYPTO 1991).
Adversary: honest but curious; the dealer colludes with neither guest nor arbiter.

     first host                                                          guest                     arbiter
     for chunk number k of the epoch, from the keys of pairs of this epoch:
       of host and guest    a_G, b_G, c_G, p (bits)   s (numbers)        the same
       of host and arbiter  a_A, b_A (bits)        B (numbers)                                     the same
     DealtWalks k: c_A = (a_G ^ a_A)(b_G ^ b_A) ^ c_G, and p B - s of each output  ---------------->
     DealtRounding of boosting/rounding.py  ------------------------------>  ---------------------->

A triple has a, b, c for each product of two bits; p has a bit for each leaf, B a number modulo 2^48, and s one for each
output.  A query takes the next rows of the chunk, or the first ones of the next chunk where too few are left.  So all
three count alike, and no row is taken twice.  The chunk after the one in use is always dealt: when a query begins a
chunk, the host deals one more as soon as it has answered.

Who learns what: nothing.  What the arbiter receives is hidden by c_G and s, which it does not know.
Cost for each row: one bit for each product and 6 bytes for each output, and what rounding.py deals.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from protocols.boosting import rings, rounding
from protocols.boosting.keys import PairKeys
from protocols.boosting.rounding import Material
from protocols.codec import check_lengths
from protocols.errors import RemoteProtocolError
from protocols.message import BLINDED, Message
from protocols.online.asking import MOST_AT_ONCE
from protocols.online.records import MOST_LEAVES, Bits, Walk, Words, packed, row_bytes, unpacked
from protocols.parts import Part
from protocols.randomness import Seed
from protocols.session import Session

CHUNK = MOST_AT_ONCE  # rows that are dealt for at a time
AHEAD = 2  # chunks that are dealt before the first query
WHOLE = Part(0, 1, 0, CHUNK)  # rows of a chunk


class DealtWalks(
    Message,
    disclosure=BLINDED,
    learns="nothing: uniform bits and numbers for rows that will be asked about",
    most_bytes=CHUNK * MOST_LEAVES,
):
    chunk: int
    products: bytes  # (CHUNK, products) bits
    sums: bytes  # (CHUNK, outputs) of 6 bytes


@dataclass(frozen=True, eq=False, repr=False)
class Pads:
    """One party's pads of n rows.  a, b, c (n, products): its shares of triples; leaves (n, leaves): p at the guest, B
    at the arbiter; sums (n, outputs): s at the guest, at the arbiter what was dealt."""

    a: Bits
    b: Bits
    c: Bits
    leaves: Words
    sums: Words

    def take(self, rows: slice) -> Pads:
        """Those of some rows."""
        return Pads(self.a[rows], self.b[rows], self.c[rows], self.leaves[rows], self.sums[rows])


@dataclass(frozen=True, eq=False, repr=False)
class Dealt:
    """What one party needs for n rows: for their walk, and for the rounding of their scores."""

    pads: Pads
    rounding: Material
    outputs: int

    def take(self, rows: slice) -> Dealt:
        """Those of some rows."""
        cells = self.rounding.take(rows.start * self.outputs, rows.stop * self.outputs)
        return Dealt(self.pads.take(rows), cells, self.outputs)


class Turns:
    """Which rows of which chunk are the next query's: guest, arbiter and first host count alike."""

    def __init__(self) -> None:
        self.chunk, self._at = 0, 0

    def take(self, rows: int) -> slice:
        """The rows of `chunk` that are the next query's; nobody gets them again."""
        if self._at + rows > CHUNK:
            self.chunk, self._at = self.chunk + 1, 0
        self._at += rows
        return slice(self._at - rows, self._at)


class Stock:
    """At guest and arbiter: the chunks that are dealt and not used up; receive: takes the chunk of a number."""

    def __init__(self, receive: Callable[[int], Dealt]) -> None:
        self._receive, self._turns = receive, Turns()
        self._chunks = {chunk: receive(chunk) for chunk in range(AHEAD)}

    def take(self, rows: int) -> Dealt:
        """Those of the next rows, which nobody gets again."""
        here = self._turns.take(rows)
        for chunk in [number for number in self._chunks if number < self._turns.chunk]:
            del self._chunks[chunk]
        return self._chunks[self._turns.chunk].take(here)

    def refill(self) -> None:
        """After a query, and before the next epoch: what was dealt since."""
        while (chunk := max(self._chunks) + 1) < self._turns.chunk + AHEAD:
            self._chunks[chunk] = self._receive(chunk)


class Dealer:
    """The first host's side: deals each chunk once; deal: that of a number."""

    def __init__(self, deal: Callable[[int], None]) -> None:
        self._deal, self._turns, self._dealt = deal, Turns(), 0
        self.after(0)

    def after(self, rows: int) -> None:
        """A query of this number of rows was answered."""
        self._turns.take(rows)
        for chunk in range(self._dealt, self._turns.chunk + AHEAD):
            self._deal(chunk)
            self._dealt = chunk + 1


def deal(session: Session, keys: PairKeys, walk: Walk, chunk: int) -> None:
    """The first host's side."""
    own, theirs = _guests(keys, session.roles.guest, walk, chunk), _arbiters(keys, session.roles.arbiter, walk, chunk)
    c = ((own.a ^ theirs.a) & (own.b ^ theirs.b)) ^ own.c
    sums = by_output(own.leaves * theirs.leaves, walk) - own.sums
    session.arbiter.send(DealtWalks(chunk, packed(c), rings.to_bytes(sums)))
    first, second = rounding.deal(session.seed("online rounding"), CHUNK, walk.outputs, walk.score_bits)
    session.guest.send(first)
    session.arbiter.send(second)


def of_guest(session: Session, keys: PairKeys, walk: Walk, chunk: int) -> Dealt:
    """What the guest has of a chunk.  Raises RemoteProtocolError."""
    material = rounding.receive(session, WHOLE, walk.outputs, walk.score_bits)
    return Dealt(_guests(keys, session.roles.hosts[0], walk, chunk), material, walk.outputs)


def of_arbiter(session: Session, keys: PairKeys, walk: Walk, chunk: int) -> Dealt:
    """What the arbiter has.  Raises RemoteProtocolError, also where another chunk was dealt."""
    dealer = session.hosts[0]
    message = dealer.recv(DealtWalks)
    if message.chunk != chunk:
        raise RemoteProtocolError(
            f"{dealer.peer} dealt for queries that are not the next ones",
            remedy="Nothing was used. If this occurs again, ask there what was repeated",
            party=dealer.peer,
            expected=chunk,
            found=message.chunk,
        )
    check_lengths(dealer.peer, CHUNK * row_bytes(walk.products), message.products, what="bytes of products")
    c = unpacked(message.products, CHUNK, walk.products)
    sums = rings.from_bytes(message.sums, (CHUNK, walk.outputs), dealer.peer)
    material = rounding.receive(session, WHOLE, walk.outputs, walk.score_bits)
    pads = replace(_arbiters(keys, dealer.peer, walk, chunk), c=c, sums=sums)
    return Dealt(pads, material, walk.outputs)


def _guests(keys: PairKeys, other: str, walk: Walk, chunk: int) -> Pads:
    """What guest and first host draw for a chunk, once; other: the name of the other of the two."""
    seed = keys.with_(other, f"online walks {chunk}")
    a, b, c = (_bits(seed.child(name), walk.products) for name in "abc")
    leaves = _bits(seed.child("leaves"), walk.leaves).astype(np.uint64)
    return Pads(a, b, c, leaves, _numbers(seed.child("sums"), walk.outputs))


def _arbiters(keys: PairKeys, other: str, walk: Walk, chunk: int) -> Pads:
    """What arbiter and first host draw for it; c and sums are dealt."""
    seed = keys.with_(other, f"online walks {chunk}")
    a, b = (_bits(seed.child(name), walk.products) for name in "ab")
    nothing = np.zeros((CHUNK, walk.outputs), np.uint64)
    return Pads(a, b, np.zeros_like(a), _numbers(seed.child("leaves"), walk.leaves), nothing)


def _bits(seed: Seed, count: int) -> Bits:
    """(CHUNK, count)"""
    width = -(-count // 64)
    words = seed.words(CHUNK * width).reshape(CHUNK, width)
    return np.unpackbits(words.view(np.uint8), axis=1, count=count, bitorder="little")


def _numbers(seed: Seed, count: int) -> Words:
    """(CHUNK, count)"""
    return seed.words(CHUNK * count).reshape(CHUNK, count)


def by_output(numbers: Words, walk: Walk) -> Words:
    """(n, outputs) the sums of numbers (n, leaves) over the trees of each output."""
    by_tree = numbers.reshape(len(numbers), walk.trees // walk.outputs, walk.outputs, 1 << walk.depth)
    return np.asarray(by_tree.sum(axis=(1, 3), dtype=np.uint64))
