"""1-of-K oblivious transfer of bits, dealt in advance: the guest gets one of K bits a row, the host does not learn which.

Source: Beaver, Precomputing Oblivious Transfer (CRYPTO 1995), for K bits at once and with a dealer.
Adversary: honest but curious; the dealer (arbiter) colludes with nobody.  Each deal is used once.

     arbiter                                guest, place j                                host, bits b_0 .. b_(K-1)
 1                                          DealOrder: rows, levels (to the arbiter)
 2   for each row: pads p_0 .. p_(K-1),     <-- ChosenPads: c, p_c     PadSeed: p -->
     an index c; all random
 3                                          e = (c - j) mod K      Choices  --------->
 4                                          <---------  MaskedBits   y_i = b_i xor p_((i + e) mod K), for all i
 5                                          b_j = y_j xor p_c

Who learns what.  Guest: b_j; the other y_i are masked by pads that it does not have.  Host: e, which is uniform because c is.  Arbiter: how many rows and levels.
Together: arbiter and host learn every j; arbiter and guest every b_i.
Cost a row: a byte from the guest, K bits from the host, a bit from the arbiter (pads and indices travel as seeds).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols.boosting.levels import pack_bits, unpack_bits
from protocols.boosting.packing import Ints
from protocols.boosting.tree import Bits
from protocols.channel import Channel
from protocols.checkpoint import Arrays
from protocols.codec import check_lengths
from protocols.errors import RemoteProtocolError
from protocols.message import BLINDED, PUBLIC, REVEALED, Message
from protocols.randomness import Seed
from protocols.session import Session

MOST = 64  # bits a row: a word holds the pads of one
MOST_ROWS = 1 << 24  # of one deal: about half a gigabyte at the dealer
Words = NDArray[np.uint64]


class DealOrder(
    Message, disclosure=PUBLIC, learns="how many rows (times trees) and levels the next round, or the next rows to score, need; 0: no more"
):
    rows: int
    levels: int


class RoundsBefore(
    Message,
    disclosure=PUBLIC,
    learns="how many rounds the model that is continued has: what it was asked to deal for in scoring tells as much",
):
    rounds: int


class PadSeed(Message, disclosure=BLINDED, learns="nothing: a random seed of pads"):
    seed: bytes  # (32,)


class ChosenPads(Message, disclosure=BLINDED, learns="nothing: random indices, and of each row's random pads the one with that index"):
    seed: bytes  # (32,) of the indices
    pads: bytes  # bitmap


class Choices(Message, disclosure=BLINDED, learns="nothing: a uniform index for each row"):
    shifts: bytes  # (rows,)


class MaskedBits(
    Message,
    disclosure=REVEALED,
    permit="directions-to-guest",
    learns="for each row, at its own node only, whether it goes left there if a split of the sender won; the other bits are masked",
):
    bits: bytes  # bitmap (rows, K)


def serve(session: Session) -> None:
    """The arbiter's side in scoring: deals what the guest orders until it has enough.  Learns: rows and levels.  Keeps nothing.

    The guest's part of the model says how much it needs, and a deal may have what fits into memory.
    """
    while (order := session.guest.recv(DealOrder)).rows:
        deal(session, order)


@dataclass
class Dealt:
    """What the dealer of a training remembers: of how many rows the first deal was; 0 before it."""

    rows: int = 0

    def save(self) -> Arrays:
        return {"rows": np.array(self.rows)}

    def load(self, saved: Mapping[str, NDArray[Any]]) -> None:
        self.rows = int(saved["rows"])

    def goes_on(self, guest: Channel, depth: int) -> bool:
        """Hears whether there is another deal, which must be like the first."""
        order = guest.recv(DealOrder)
        if not order.rows:
            return False
        if order.levels != depth or order.rows != (self.rows or order.rows):
            raise impossible(guest)
        self.rows = order.rows
        return True


def rounds_before(session: Session, most: int) -> int:
    """At the arbiter, where a model is continued: how many rounds it has, fewer than `most`."""
    rounds = session.guest.recv(RoundsBefore).rounds
    if not 0 <= rounds < most:
        raise RemoteProtocolError(f"{session.roles.guest} continues a model of an impossible number of rounds", party=session.roles.guest)
    return rounds


def serve_training(session: Session, depth: int, rounds: range, joint_from: int) -> None:
    """As `serve`, where the job bounds what can be ordered: for each of `rounds` from `joint_from` on a deal of `depth` levels, all of as many rows as the first.

    Nobody answers a deal.  So a step ends with the order of the next, which the guest gives when it has all hosts' answers: the dealer cannot run ahead.
    """
    guest, dealt = session.guest, Dealt()
    for number in session.steps("train", rounds, dealt):
        if number >= joint_from:
            if not dealt.rows and not dealt.goes_on(guest, depth):  # training has stopped early, with the guest's own trees
                break
            deal(session, DealOrder(dealt.rows, depth))
            more, last = dealt.goes_on(guest, depth), number + 1 == rounds.stop
            if more and last:
                raise impossible(guest)
            if not more and not last:  # training has stopped early
                break


def deal(session: Session, order: DealOrder) -> None:
    """Step 2, for every level and host."""
    if not (0 < order.rows <= MOST_ROWS and 0 < order.levels < 64 and 1 << (order.levels - 1) <= MOST):
        raise impossible(session.guest)
    for level in range(order.levels):
        for host in session.hosts:
            pads, chosen = session.seed("pads"), session.seed("indices")
            host.send(PadSeed(pads.secret))  # 2
            index = indices(chosen.secret, order.rows, 1 << level)
            session.guest.send(ChosenPads(chosen.secret, pack_bits([lowest(pads_of(pads.secret, order.rows, 1 << level) >> index)])))


def impossible(guest: Channel) -> RemoteProtocolError:
    return RemoteProtocolError(f"{guest.peer} ordered an impossible deal", party=guest.peer)


@dataclass(frozen=True, eq=False)
class Choosing:
    """The guest's side of one deal with one host: `ask`, then `take`."""

    channel: Channel
    places: Ints
    size: int
    pads: Bits

    @classmethod
    def ask(cls, dealer: Channel, channel: Channel, places: Ints, size: int) -> Choosing:
        """places (rows,): which of the host's `size` bits of each row the guest wants."""
        deal = dealer.recv(ChosenPads)
        check_lengths(dealer.peer, 32, deal.seed, what="bytes of a seed")
        shifts = (indices(deal.seed, len(places), size) - places.astype(np.uint64)) & np.uint64(size - 1)
        channel.send(Choices(shifts.astype(np.uint8).tobytes()))  # 3
        return cls(channel, places, size, unpack_bits(deal.pads, len(places), dealer.peer))

    def take(self) -> Bits:
        """(rows,) the chosen bits."""
        masked = unpack_bits(self.channel.recv(MaskedBits).bits, len(self.places) * self.size, self.channel.peer)
        return masked.reshape(-1, self.size)[np.arange(len(self.places)), self.places] ^ self.pads  # 5


def answer(session: Session, bits: Words, size: int) -> None:
    """The host's side of one deal: bits (rows,), bit i of a word is b_i."""
    deal = session.arbiter.recv(PadSeed)
    check_lengths(session.roles.arbiter, 32, deal.seed, what="bytes of a seed")
    data = session.guest.recv(Choices).shifts
    check_lengths(session.roles.guest, len(bits), data)
    shifts = np.frombuffer(data, dtype=np.uint8).astype(np.uint64)
    if len(shifts) and shifts.max() >= size:
        raise RemoteProtocolError(f"{session.roles.guest} chose beyond the bits that there are", party=session.roles.guest)
    pads = pads_of(deal.seed, len(bits), size)
    rest = (np.uint64(size) - shifts) & np.uint64(63)  # a shift by 64 is undefined: where shifts = 0 the second part repeats the first
    masked = bits ^ ((pads >> shifts) | np.where(shifts > 0, pads << rest, pads))
    session.guest.send(MaskedBits(pack_bits([lowest(masked[:, None] >> np.arange(size, dtype=np.uint64)).ravel()])))  # 4


def pads_of(seed: bytes, rows: int, size: int) -> Words:
    """(rows,) words of `size` random bits."""
    return Seed("dealer", seed).words(rows) >> np.uint64(64 - size)


def indices(seed: bytes, rows: int, size: int) -> Words:
    """(rows,) uniform in [0, size), a power of two."""
    return Seed("dealer", seed).words(rows) & np.uint64(size - 1)


def lowest(words: Words) -> Bits:
    return (words & np.uint64(1)).astype(np.bool_)


def bit_words(columns: Sequence[Bits | None], rows: int) -> Words:
    """(rows,) words: bit i is columns[i], 0 where that is None."""
    words = np.zeros(rows, dtype=np.uint64)
    for i, column in enumerate(columns):
        if column is not None:
            words |= column.astype(np.uint64) << np.uint64(i)
    return words
