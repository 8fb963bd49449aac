"""Weights of rows in prepared iterations: shares of f v, where the guest knows the weights f, and guest and arbiter
share the numbers v.

Source: products of shares by dealt numbers, Beaver (CRYPTO 1991).
Adversary: honest but curious; the dealer colludes with neither of the two.

     dealer: the job's first host         guest: f, v_G                               arbiter: v_A
 1   x, y, c_A uniform; c_G = x y - c_A
     WeightDeal: seed of x ------------>
     WeightProduct: c_G --------------->
     WeightDeal: seed of y and c_A -------------------------------------------------->
 2                                        WeightLessPad f - x  --------------------->
                                                        <--------------------------  WeightLessPad v_A - y
 3                                        f v_G + f (v_A - y) + c_G                   (f - x) y + c_A

All modulo 2^RING; the results, as signed integers, add up to f v except with probability |f v| / 2^RING.
Who learns what: nobody anything.
Cost per row: dealt 32 bytes to the guest, exchanged 32 each way; no ciphertext.
"""

from __future__ import annotations

from protocols import row_blocks
from protocols._native import PlainVec
from protocols.channel import Channel
from protocols.codec import check_lengths
from protocols.errors import RemoteProtocolError
from protocols.message import BLINDED, Message
from protocols.parts import parts
from protocols.randomness import Seed
from protocols.session import Session

RING = 256  # a linear link's residual, and a weight, are below 2^150
SEED = 32  # bytes


class WeightDeal(Message, disclosure=BLINDED, learns="nothing: the seed of shares of random products", most_bytes=64):
    seed: bytes  # (32,)


class WeightProduct(
    Message, disclosure=BLINDED, learns="nothing: one of two shares of a random product for each row", in_blocks=True
):
    product: PlainVec  # (n,)


class WeightLessPad(
    Message, disclosure=BLINDED, learns="for each row a number that is uniform modulo 2^256", in_blocks=True
):
    values: PlainVec  # (n,)


def deal(session: Session, rows: int) -> None:
    """Step 1, at every host: the first one deals, the others do nothing."""
    if session.me != session.roles.hosts[0]:
        return
    seed = session.seed("row weight deal")
    first, second = seed.child("first"), seed.child("second")
    x, (y, c) = first.integers(rows, RING), of_arbiter(second, rows)
    session.guest.send(WeightDeal(first.secret))
    session.arbiter.send(WeightDeal(second.secret))
    row_blocks.send_vector([session.guest], WeightProduct, (times(x, y) - c).residue(RING))


def guest(session: Session, factors: PlainVec, share: PlainVec) -> PlainVec:
    """The guest's share of factors times v (n,), from its share of v."""
    n, dealer = len(share), session.channels[session.roles.hosts[0]]
    x = accept(dealer).integers(n, RING)
    product = row_blocks.receive_vector(dealer, WeightProduct, n)
    theirs = exchanged(session.arbiter, (factors - x).residue(RING))  # 2
    return (times(factors, share + theirs) + product).residue(RING)  # 3


def arbiter(session: Session, share: PlainVec) -> PlainVec:
    """The arbiter's share."""
    y, c = of_arbiter(accept(session.channels[session.roles.hosts[0]]), len(share))
    return (times(exchanged(session.guest, (share - y).residue(RING)), y) + c).residue(RING)  # 2, 3


def accept(dealer: Channel) -> Seed:
    dealt = dealer.recv(WeightDeal)
    check_lengths(dealer.peer, SEED, dealt.seed, what="bytes of a seed")
    return Seed(dealer.peer, dealt.seed)


def exchanged(channel: Channel, own: PlainVec) -> PlainVec:
    """The other party's numbers, for this party's."""
    found = []
    for part in parts(len(own)):
        channel.send(WeightLessPad(own.slice(part.first, part.last)), part)
        found.append(channel.recv(WeightLessPad, part).values)
        check_lengths(channel.peer, len(part), found[-1])
        if found[-1].max_bits() > RING:
            raise RemoteProtocolError(f"{channel.peer} sent numbers out of range", party=channel.peer)
    return PlainVec.join(found)


def of_arbiter(seed: Seed, rows: int) -> tuple[PlainVec, PlainVec]:
    """y and c_A."""
    return seed.child("y").integers(rows, RING), seed.child("c").integers(rows, RING)


def times(a: PlainVec, b: PlainVec) -> PlainVec:
    """Elementwise."""
    return PlainVec.from_ints([v * w for v, w in zip(a.to_ints(), b.to_ints(), strict=True)])
