"""Margins of a few rows by sealed trees, from shares of the directions of all splits: nobody sees where a row goes.

Source: products of shared bits by dealt triples, Beaver (CRYPTO 1991); leaves by a dealt product of a bit and a number.
Adversary: honest but curious, one party alone; and a guest that sends any bits that it likes.

     guest: s_G, u_G                                                arbiter: s_A, u_A, leaf values
 1   for each level but the root's, with triples of dealing.py:
     WalkBits u_G ^ a_G, s_G ^ b_G  --------------------------->
                                      <-------------------------  WalkBits u_A ^ a_A, s_A ^ b_A
     both: shares of u s, the left children; the right ones are u less that
 2   WalkMembership u_G ^ p  ---------------------------------->  e = u_G ^ p ^ u_A,  g = leaf (1 - 2 e)
                                      <-------------------------  WalkValues g - B
     m_G = p (g - B) + s                                            m_A = leaf e + (p B - s)

Bits are shared by exclusive or: the bit of a split is s_G ^ s_A, whether a row is at a node u_G ^ u_A.  A node without
a split sends all rows to its left child.  Numbers are modulo 2^48; p is a bit, and u = p ^ e = e + p (1 - 2 e).
Who learns what: nothing, each message is uniform to its receiver, whatever the other sends.  No host hears anything.
A guest that deviates flips bits: also whether a leaf is added, but each is added once or not at all.
Cost for each row: two bits each way for each product, in depth - 1 rounds; for each leaf a bit, and then 6 bytes back.
"""

from __future__ import annotations

import numpy as np

from protocols.boosting import rings
from protocols.boosting.product import seats_of
from protocols.boosting.sealed_parts import ArbiterTrees, Shape
from protocols.channel import Channel
from protocols.codec import check_lengths
from protocols.message import BLINDED, Message
from protocols.online.asking import MOST_AT_ONCE
from protocols.online.dealing import Pads, by_output
from protocols.online.records import MOST_LEAVES, Bits, Walk, Words, packed, row_bytes, unpacked

MOST = MOST_AT_ONCE * rings.BYTES * MOST_LEAVES + 64


class WalkBits(
    Message,
    disclosure=BLINDED,
    learns="nothing: for each row and node of a level two uniform bits",
    most_bytes=MOST,
):
    at_node: bytes  # (rows, places) bits
    left: bytes  # (rows, places) bits


class WalkMembership(
    Message, disclosure=BLINDED, learns="nothing: for each row and leaf a uniform bit", most_bytes=MOST
):
    u: bytes  # (rows, leaves) bits


class WalkValues(
    Message, disclosure=BLINDED, learns="nothing: for each row and leaf a uniform number", most_bytes=MOST
):
    values: bytes  # (rows, leaves) of 6 bytes


def guest(channel: Channel, shape: Shape, walk: Walk, left: list[Bits], pads: Pads) -> Words:
    """The guest's shares (n, outputs); left: by level (n, places) its shares of the directions."""
    u = descend(channel, shape, left, pads, first=True)  # 1
    channel.send(WalkMembership(packed(u ^ pads.leaves.astype(np.uint8))))  # 2
    other = rings.from_bytes(channel.recv(WalkValues).values, u.shape, channel.peer)
    return by_output(pads.leaves * other, walk) + pads.sums


def arbiter(channel: Channel, part: ArbiterTrees, walk: Walk, left: list[Bits], pads: Pads) -> Words:
    """The arbiter's shares (n, outputs)."""
    u = descend(channel, part.shape, left, pads, first=False)  # 1
    value = part.value.ravel().view(np.uint64)[np.newaxis]
    e = u ^ _bits(channel, channel.recv(WalkMembership).u, u)  # 2
    channel.send(WalkValues(rings.to_bytes(np.where(e == 1, -value, value) - pads.leaves)))
    return by_output(value * e.astype(np.uint64), walk) + pads.sums


def descend(channel: Channel, shape: Shape, left: list[Bits], pads: Pads, *, first: bool) -> Bits:
    """This party's shares (rows, leaves) of which leaf a row is in; first: of the two parties, who adds what both
    know."""
    start = np.full_like(left[0], 1 if first else 0)
    u, at = _children(start, left[0], shape, 1), 0
    for level in range(1, shape.depth):
        count = u.shape[1]
        a, b, c = (each[:, at : at + count] for each in (pads.a, pads.b, pads.c))
        at += count
        d, e = _opened(channel, u ^ a, left[level] ^ b)  # 1
        product = (d & b) ^ (e & a) ^ c
        u = _children(u, product ^ (d & e) if first else product, shape, level + 1)
    return u


def _opened(channel: Channel, u: Bits, left: Bits) -> tuple[Bits, Bits]:
    """What both parties' masked bits add up to."""
    channel.send(WalkBits(packed(u), packed(left)))
    other = channel.recv(WalkBits)
    return u ^ _bits(channel, other.at_node, u), left ^ _bits(channel, other.left, u)


def _bits(channel: Channel, data: bytes, like: Bits) -> Bits:
    """As many masked bits as are received for those of this party.  Raises RemoteProtocolError for another number."""
    check_lengths(channel.peer, len(like) * row_bytes(like.shape[1]), data, what="bytes of masked bits")
    return unpacked(data, *like.shape)


def _children(u: Bits, left: Bits, shape: Shape, level: int) -> Bits:
    """Shares of the nodes of a level, from those of the level above and of their left children."""
    seats = seats_of(u.shape[1], shape.level(level)[1] if level < shape.depth else None)
    found = np.empty((len(u), 2 * u.shape[1]), np.uint8)
    found[:, seats[:, 0]], found[:, seats[:, 1]] = left, u ^ left
    return found
