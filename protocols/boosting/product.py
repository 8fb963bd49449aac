"""Shares of s x for a bit s that one party knows and a number x that guest and arbiter share: this is how rows go down
a level without anybody seeing where.

Source: multiplication with correlated pads that two of three parties derive from a common key, after Araki et al. (CCS
2016) and Beaver (CRYPTO 1991).
Adversary: honest but curious, one party alone.

 a split of host P             guest                              arbiter                            P: s
   a = a1 + a2 and their key:  a1, a2                             a1, a2
   key of arbiter and P:                                          s_A, c                             s_A, c
 1                             ShareLessPad x_G - a1 ------------------------------------------->
                                                                  ShareLessPad x_A - a2 -------->    D = x - a
 2                                           <---------------------------------------------------    DirectionShare s_A - s, ProductShare s D - c
                               a s_G + (s D - c)                  a s_A + c
 a split of the guest          guest: s                           arbiter                            helper (the first host)
   key of arbiter, helper:                                        a, c                               a, c
   key of guest, arbiter:      s_A                                s_A
 1                             D = x - a   <--------------------  ShareLessPad x_A - a
 2                             DirectionShare s_A - s ------------------------------------------>
 3                                           <---------------------------------------------------    ProductShare a s_H + c,  s_H = s - s_A
                               s D + (a s_H + c)                  a s_A - c

Two numbers of a row go down together: x (g and h of the row, 0 elsewhere; modulo 2^128) and u (whether the row is at
the place; modulo 2^48).  s_A is one number of 64 bits for both.  At the last level, and in scoring, only u goes down.
Who learns what: nothing.  Every message is uniform to its receiver: x_G - a1 and x_A - a2 by a pad that P does not
know; s_A - s (up to 2^-62, or exactly where only u goes down) and s D - c by pads of P and the arbiter, who alone could
take them off; a s_H + c by c.  Whoever knows the pads of a product hears nothing of the same product that carries its
result.
Rows go block by block (row_blocks.py), each with pads of its own.
Cost of a place, for each row: 24 bytes for x and 6 for u of each pair of messages, no ciphertext.
"""  # noqa: E501

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from protocols._native import PlainVec
from protocols.boosting import rings
from protocols.boosting.kept_shares import KeptShares
from protocols.boosting.keys import PairKeys
from protocols.boosting.rings import Shares, Words
from protocols.codec import check_lengths
from protocols.errors import RemoteProtocolError
from protocols.marked import Marked
from protocols.message import BLINDED, Message
from protocols.parts import Part, parts
from protocols.randomness import Seed
from protocols.row_blocks import pace, taken
from protocols.session import Session

Ints = NDArray[np.int64]
Bits = NDArray[np.bool_]
Goes = Callable[[Part], Bits]
S = TypeVar("S", Shares, KeptShares)
GUEST = 0


class ShareLessPad(
    Message,
    disclosure=BLINDED,
    learns="nothing: for each row and place two uniform numbers, a share minus a pad",
    in_blocks=True,
):
    x: PlainVec  # (places * sampled rows,), or none
    u: bytes  # (places, rows) of 6 bytes


class DirectionShare(
    Message,
    disclosure=BLINDED,
    learns="nothing: for each row and place a uniform number, a share of a direction",
    in_blocks=True,
):
    s: PlainVec  # (places * rows,) of 64 bits, or none
    low: bytes  # (places, rows) of 6 bytes, where only u goes down


class ProductShare(
    Message,
    disclosure=BLINDED,
    learns="nothing: for each row and place two uniform numbers, a share of a product",
    in_blocks=True,
):
    x: PlainVec  # (places * sampled rows,), or none
    u: bytes  # (places, rows) of 6 bytes


@dataclass(frozen=True, eq=False)
class Level:
    """What all parties know of the products of one level: a label that is used once, how many rows there are, which of
    them have an x (None: only u goes down), the number of places, and which block of the rows it is."""

    label: str
    rows: int
    sampled: Marked | None
    places: int = 1
    part: Part | None = None

    def blocks(self) -> Iterator[tuple[Part, Level]]:
        """The level of each block of rows."""
        for part in parts(self.rows, self.places):
            here = None if self.sampled is None else self.sampled.within(part)
            yield part, Level(part.label(self.label), len(part), here, self.places, part)

    @property
    def wide(self) -> int:
        """How many rows have an x."""
        return 0 if self.sampled is None else len(self.sampled)

    def pads(self, seed: Seed, places: int) -> Shares:
        return rings.uniform(seed, places, self.rows, self.wide)

    def share_of_bits(self, seed: Seed, places: int) -> Words:
        """s_A (places, rows): 64 bits whose difference to a bit is one of 64 bits too."""
        words = seed.child("s").words(places * self.rows).view(np.int64)
        return np.maximum(words, -(2**63) + 2).view(np.uint64).reshape(places, self.rows)

    def times(self, factor: Words, numbers: Shares) -> Shares:
        """factor (places, rows) times each number."""
        x: tuple[PlainVec, ...] = ()
        if self.sampled is not None and numbers.x:
            whole, marks, lines = self.sampled.all, self.sampled.marks, factor.view(np.int64)
            x = tuple(
                n.mul_mod_2_128(PlainVec.from_i64(lines[k] if whole else lines[k, marks]))
                for k, n in enumerate(numbers.x)
            )
        return Shares(x, factor * numbers.u)

    def send_bits(self, channel: Session, party: str, difference: Words) -> None:
        """s_A - s, in as many bytes as it is used in."""
        if self.wide:
            message = DirectionShare(PlainVec.from_i64(difference.ravel().view(np.int64)), b"")
        else:
            message = DirectionShare(PlainVec.zeros(0), rings.to_bytes(difference))
        channel.channels[party].send(message, self.part)

    def receive_bits(self, session: Session, party: str, places: int) -> Words:
        """s - s_A."""
        message = session.channels[party].recv(DirectionShare, self.part)
        if not self.wide:
            check_lengths(party, 0, message.s, what="shares")
            return -rings.from_bytes(message.low, (places, self.rows), party)
        check_lengths(party, places * self.rows, message.s)
        check_lengths(party, 0, message.low, what="bytes of shares")
        return -words_of(message.s, party).reshape(places, self.rows)

    def send(self, session: Session, party: str, kind: type[ShareLessPad] | type[ProductShare], shares: Shares) -> None:
        session.channels[party].send(kind(rings.join(shares.x), rings.to_bytes(shares.u)), self.part)

    def receive(
        self, session: Session, party: str, kind: type[ShareLessPad] | type[ProductShare], places: int
    ) -> Shares:
        message = session.channels[party].recv(kind, self.part)
        rings.check(party, message.x, places * self.wide)
        x = tuple(rings.cut(message.x, places)) if self.wide else ()
        return Shares(x, rings.from_bytes(message.u, (places, self.rows), party))


def guest(
    session: Session, keys: PairKeys, level: Level, shares: S, owners: Ints, left: Goes, orders: Ints | None
) -> S:
    """The guest's shares of the next level (`children`): of places without a split (owner below 0) all rows go left;
    left: of a block of rows, who goes left at its own splits (own places, rows), in order."""

    def blocks() -> Iterator[Shares]:
        for part, here in level.blocks():
            own = shares.within(part, level.sampled)
            lefts = guest_block(session, keys, here, own, owners, left(part))
            if (owners >= 0).any():
                taken(session.arbiter, part)
            yield children(own, lefts, orders)

    return shares.followed(blocks())


def guest_block(session: Session, keys: PairKeys, level: Level, shares: Shares, owners: Ints, left: Bits) -> Shares:
    arbiter, helper = session.roles.arbiter, session.roles.hosts[0]
    pads, found = dict[int, Shares](), list[tuple[Ints, Shares]]()
    for k, host in enumerate(session.roles.hosts, 1):
        mine = np.flatnonzero(owners == k)
        if len(mine):
            first, second = (level.pads(keys.with_(arbiter, f"{level.label} {host} a{i}"), len(mine)) for i in (1, 2))
            level.send(session, host, ShareLessPad, shares.take(mine) - first)  # 1
            pads[k] = first + second
    own = np.flatnonzero(owners == GUEST)
    s = left.astype(np.uint64)
    if len(own):
        difference = level.receive(session, arbiter, ShareLessPad, len(own)) + shares.take(own)
        level.send_bits(
            session, helper, level.share_of_bits(keys.with_(arbiter, f"{level.label} guest"), len(own)) - s
        )  # 2
    for k, host in enumerate(session.roles.hosts, 1):
        if k in pads:
            mine = np.flatnonzero(owners == k)
            bits = level.receive_bits(session, host, len(mine))
            found.append((mine, level.times(bits, pads[k]) + level.receive(session, host, ProductShare, len(mine))))
    if len(own):
        found.append((own, level.times(s, difference) + level.receive(session, helper, ProductShare, len(own))))  # 3
    return placed(shares, found)


def arbiter(session: Session, keys: PairKeys, level: Level, shares: S, owners: Ints, orders: Ints | None) -> S:
    """The arbiter's shares of the next level."""

    def blocks() -> Iterator[Shares]:
        for part, here in level.blocks():
            if (owners >= 0).any():
                pace([session.guest], part)
            own = shares.within(part, level.sampled)
            yield children(own, arbiter_block(session, keys, here, own, owners), orders)

    return shares.followed(blocks())


def arbiter_block(session: Session, keys: PairKeys, level: Level, shares: Shares, owners: Ints) -> Shares:
    guest_name, helper = session.roles.guest, session.roles.hosts[0]
    found = []
    for k, host in enumerate(session.roles.hosts, 1):
        mine = np.flatnonzero(owners == k)
        if len(mine):
            first, second = (
                level.pads(keys.with_(guest_name, f"{level.label} {host} a{i}"), len(mine)) for i in (1, 2)
            )
            level.send(session, host, ShareLessPad, shares.take(mine) - second)  # 1
            bits, rest = own_split_pads(level, keys.with_(host, f"{level.label} own"), len(mine))
            found.append((mine, level.times(bits, first + second) + rest))
    own = np.flatnonzero(owners == GUEST)
    if len(own):
        pad, rest = helper_pads(level, keys.with_(helper, f"{level.label} helper"), len(own))
        level.send(session, guest_name, ShareLessPad, shares.take(own) - pad)  # 1
        bits = level.share_of_bits(keys.with_(guest_name, f"{level.label} guest"), len(own))
        found.append((own, level.times(bits, pad) - rest))
    return placed(shares, found)


def host(session: Session, keys: PairKeys, level: Level, left: Goes, of_guest: int) -> None:
    """A host's part: left: of a block of rows, who goes left at the places that its own splits hold (places, rows), in
    order; of_guest: at how many it helps the guest."""
    for part, here in level.blocks():
        host_block(session, keys, here, left(part), of_guest)


def host_block(session: Session, keys: PairKeys, level: Level, left: Bits, of_guest: int) -> None:
    guest_name, arbiter_name = session.roles.guest, session.roles.arbiter
    if len(left):
        difference = level.receive(session, guest_name, ShareLessPad, len(left))
        difference = difference + level.receive(session, arbiter_name, ShareLessPad, len(left))
        share, rest = own_split_pads(level, keys.with_(arbiter_name, f"{level.label} own"), len(left))
        s = left.astype(np.uint64)
        level.send_bits(session, guest_name, share - s)  # 2
        level.send(session, guest_name, ProductShare, level.times(s, difference) - rest)
    if of_guest:
        pad, rest = helper_pads(level, keys.with_(arbiter_name, f"{level.label} helper"), of_guest)
        bits = level.receive_bits(session, guest_name, of_guest)
        level.send(session, guest_name, ProductShare, level.times(bits, pad) + rest)  # 3


def children(shares: Shares, lefts: Shares, orders: Ints | None) -> Shares:
    """The next level's shares: of each place its left child and its right one, which is the parent less the left.
    orders (trees, places of the next level): which child of its tree sits at each seat; None: as they come."""
    count, rows = shares.u.shape
    u, x = np.empty((2 * count, rows), np.uint64), dict[int, PlainVec]()
    for place, (left, right) in enumerate(seats_of(count, orders).tolist()):  # one place at a time: no copy of all
        u[left] = lefts.u[place]
        np.subtract(shares.u[place], lefts.u[place], out=u[right])
        if shares.x:
            x[left], x[right] = lefts.x[place], rings.sub(shares.x[place], lefts.x[place])
    return Shares(tuple(x[seat] for seat in sorted(x)), u)


def seats_of(count: int, orders: Ints | None) -> Ints:
    """(count, 2): where the left and the right child of each of this number of places sit, counted over all trees."""
    seats = np.arange(2 * count)
    if orders is not None:
        seats = np.argsort((np.arange(len(orders))[:, None] * orders.shape[1] + orders).ravel())
    return seats.reshape(-1, 2)


def own_split_pads(level: Level, seed: Seed, places: int) -> tuple[Words, Shares]:
    """s_A and c, which a host and the arbiter draw."""
    return level.share_of_bits(seed, places), level.pads(seed.child("c"), places)


def helper_pads(level: Level, seed: Seed, places: int) -> tuple[Shares, Shares]:
    """a and c, which helper and arbiter draw."""
    return level.pads(seed.child("a"), places), level.pads(seed.child("c"), places)


def placed(shares: Shares, found: list[tuple[Ints, Shares]]) -> Shares:
    """`shares` with those of some places put in their place."""
    x, u = list(shares.x), shares.u.copy()
    for places, new in found:
        u[places] = new.u
        for k, place in enumerate(places if new.x else ()):
            x[place] = new.x[k]
    return Shares(tuple(x), u)


def words_of(values: PlainVec, sender: str) -> Words:
    """As 64-bit words; raises RemoteProtocolError where one does not fit."""
    if values.max_bits() > 64:
        raise RemoteProtocolError(f"{sender} sent shares out of range", party=sender)
    try:
        return values.to_i64().view(np.uint64)
    except ArithmeticError:
        raise RemoteProtocolError(f"{sender} sent shares out of range", party=sender) from None
