"""Shares of f v, where the guest knows the factors f, and guest and arbiter share the numbers v: rows times their
weights in prepared iterations (links_on_shares.py), labels times predictors and squares in sums of losses (losses.py).

Source: products of shares by dealt numbers, Beaver (CRYPTO 1991).
Adversary: honest but curious; the dealer colludes with neither of the two.

     dealer: the job's first host         guest: f, v_G                               arbiter: v_A
 1   x, y, c_A uniform; c_G = x y - c_A
     ProductDeal: seed of x ----------->
     DealtProducts: c_G --------------->
     ProductDeal: seed of y and c_A ------------------------------------------------->
 2                                        PaddedFactors f - x  -------------------->
                                                        <-------------------------  PaddedFactors v_A - y
 3                                        f v_G + f (v_A - y) + c_G                   (f - x) y + c_A

All modulo 2^RING; the results, as signed integers, add up to f v except with probability |f v| / 2^RING.
Who learns what: nobody anything.
Cost per product: dealt 32 bytes to the guest, exchanged 32 each way; no ciphertext.
"""

from __future__ import annotations

from typing import Any, cast

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


class ProductDeal(Message, disclosure=BLINDED, learns="nothing: the seed of shares of random products", most_bytes=64):
    seed: bytes  # (32,)


class DealtProducts(
    Message, disclosure=BLINDED, learns="nothing: one of two shares of each of the random products", in_blocks=True
):
    product: PlainVec  # (n,)


class PaddedFactors(
    Message, disclosure=BLINDED, learns="for each product a number that is uniform modulo 2^256", in_blocks=True
):
    values: PlainVec  # (n,)


def deal(session: Session, count: int) -> None:
    """Step 1, at every host: the first one deals, the others do nothing."""
    if session.me != session.roles.hosts[0]:
        return
    seed = session.seed("product deal")
    first, second = seed.child("first"), seed.child("second")
    x, (y, c) = first.integers(count, RING), of_arbiter(second, count)
    session.guest.send(ProductDeal(first.secret))
    session.arbiter.send(ProductDeal(second.secret))
    row_blocks.send_vector([session.guest], DealtProducts, (times(x, y) - c).residue(RING))


def guest(session: Session, factors: PlainVec, share: PlainVec) -> PlainVec:
    """The guest's share of factors times v (n,), from its share of v."""
    n, dealer = len(share), session.channels[session.roles.hosts[0]]
    x = accept(dealer).integers(n, RING)
    product = row_blocks.receive_vector(dealer, DealtProducts, n)
    theirs = exchanged(session.arbiter, (factors - x).residue(RING))  # 2
    return (times(factors, share + theirs) + product).residue(RING)  # 3


def arbiter(session: Session, share: PlainVec) -> PlainVec:
    """The arbiter's share."""
    y, c = of_arbiter(accept(session.channels[session.roles.hosts[0]]), len(share))
    return (times(exchanged(session.guest, (share - y).residue(RING)), y) + c).residue(RING)  # 2, 3


def accept(dealer: Channel, kind: type[Message] = ProductDeal) -> Seed:
    """The seed that a message of this one field brings."""
    ((name, _),) = kind.schema()
    secret = getattr(dealer.recv(kind), name)
    check_lengths(dealer.peer, SEED, secret, what="bytes of a seed")
    return Seed(dealer.peer, secret)


def exchanged(channel: Channel, own: PlainVec, kind: type[Message] = PaddedFactors, bits: int = RING) -> PlainVec:
    """The other party's numbers modulo 2^bits, for this party's; kind: a class of messages with this one field."""
    ((name, _),), made, found = kind.schema(), cast(Any, kind), list[PlainVec]()
    for part in parts(len(own)):
        channel.send(made(own.slice(part.first, part.last)), part)
        found.append(getattr(channel.recv(kind, part), name))
        check_lengths(channel.peer, len(part), found[-1])
        if found[-1].max_bits() > bits:
            raise RemoteProtocolError(f"{channel.peer} sent numbers out of range", party=channel.peer)
    return PlainVec.join(found)


def of_arbiter(seed: Seed, count: int) -> tuple[PlainVec, PlainVec]:
    """y and c_A."""
    return seed.child("y").integers(count, RING), seed.child("c").integers(count, RING)


def times(a: PlainVec, b: PlainVec) -> PlainVec:
    """Elementwise."""
    return PlainVec.from_ints([v * w for v, w in zip(a.to_ints(), b.to_ints(), strict=True)])
