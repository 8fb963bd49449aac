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

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, cast

from protocols import row_blocks
from protocols._native import PlainVec
from protocols.channel import Channel
from protocols.codec import check_lengths
from protocols.errors import RemoteProtocolError
from protocols.kept import between
from protocols.message import BLINDED, Message
from protocols.parts import Part, parts
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
    session.guest.send(ProductDeal(first.secret))
    session.arbiter.send(ProductDeal(second.secret))
    for part in parts(count):
        y, c = of_arbiter(second, part)
        row_blocks.pace([session.guest], part)
        session.guest.send(DealtProducts((times(of_guest(first, part), y) - c).residue(RING)), part)


def guest(session: Session, factors: PlainVec, share: PlainVec) -> PlainVec:
    """The guest's share of factors times v (n,), from its share of v."""
    return PlainVec.join(list(guest_blocks(session, len(share), partial(between, factors), partial(between, share))))


def guest_blocks(
    session: Session, count: int, factors: Callable[[Part], PlainVec], share: Callable[[Part], PlainVec]
) -> Iterator[PlainVec]:
    """The same, block after block; factors, share: those of a block."""
    dealer = session.channels[session.roles.hosts[0]]
    seed = accept(dealer)
    for part, product in row_blocks.receive_blocks(dealer, DealtProducts, count):
        own = factors(part)
        theirs = exchanged_block(session.arbiter, (own - of_guest(seed, part)).residue(RING), part)  # 2
        yield (times(own, share(part) + theirs) + product).residue(RING)  # 3


def arbiter(session: Session, share: PlainVec) -> PlainVec:
    """The arbiter's share."""
    return PlainVec.join(list(arbiter_blocks(session, len(share), partial(between, share))))


def arbiter_blocks(session: Session, count: int, share: Callable[[Part], PlainVec]) -> Iterator[PlainVec]:
    """The same, block after block."""
    seed = accept(session.channels[session.roles.hosts[0]])
    for part in parts(count):
        y, c = of_arbiter(seed, part)
        theirs = exchanged_block(session.guest, (share(part) - y).residue(RING), part)  # 2
        yield (times(theirs, y) + c).residue(RING)  # 3


def accept(dealer: Channel, kind: type[Message] = ProductDeal) -> Seed:
    """The seed that a message of this one field brings."""
    ((name, _),) = kind.schema()
    secret = getattr(dealer.recv(kind), name)
    check_lengths(dealer.peer, SEED, secret, what="bytes of a seed")
    return Seed(dealer.peer, secret)


def exchanged(channel: Channel, own: PlainVec, kind: type[Message] = PaddedFactors, bits: int = RING) -> PlainVec:
    """The other party's numbers modulo 2^bits, for this party's; kind: a class of messages with this one field."""
    each = parts(len(own))
    return PlainVec.join([exchanged_block(channel, between(own, part), part, kind, bits) for part in each])


def exchanged_block(
    channel: Channel, own: PlainVec, part: Part, kind: type[Message] = PaddedFactors, bits: int = RING
) -> PlainVec:
    """The same of one block."""
    ((name, _),), made = kind.schema(), cast(Any, kind)
    channel.send(made(own), part)
    found: PlainVec = getattr(channel.recv(kind, part), name)
    check_lengths(channel.peer, len(part), found)
    if found.max_bits() > bits:
        raise RemoteProtocolError(f"{channel.peer} sent numbers out of range", party=channel.peer)
    return found


def of_guest(seed: Seed, part: Part) -> PlainVec:
    """x of a block."""
    return (seed.child(part.label("x")) if part.number else seed).integers(len(part), RING)


def of_arbiter(seed: Seed, part: Part) -> tuple[PlainVec, PlainVec]:
    """y and c_A of a block."""
    y, c = (seed.child(part.label(what)).integers(len(part), RING) for what in ("y", "c"))
    return y, c


def times(a: PlainVec, b: PlainVec) -> PlainVec:
    """Elementwise."""
    return PlainVec.from_ints([v * w for v, w in zip(a.to_ints(), b.to_ints(), strict=True)])
