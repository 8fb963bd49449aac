"""Leaf values that the arbiter alone knows, added to every row's margin, which nobody knows.

     guest: u_G                           arbiter: u_A, leaf                     first host
   key of guest and first host: P (rows, leaves), c (rows); of arbiter and first host: b (leaves)
                                                               <---------------  DealtLeaves P b - c
 1   MaskedMembership u_G - P  --------->
                              <---------  MaskedLeaves leaf - b
 2   m_G += P (leaf - b) + c              m_A += u_A leaf + (u_G - P) leaf + (P b - c)

Everything is modulo 2^48; u is shared, (rows, leaves): which leaf a row is in.  Who learns what: nothing, each message
is uniform to its receiver.
Cost for each row and leaf: 6 bytes from the guest, and 6 bytes for each row from the host.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from protocols.boosting import rings
from protocols.boosting.keys import PairKeys
from protocols.boosting.rings import Words
from protocols.message import BLINDED, Message
from protocols.parts import Part, parts
from protocols.row_blocks import pace, taken
from protocols.session import Session


class DealtLeaves(Message, disclosure=BLINDED, learns="nothing: a uniform number for each row", in_blocks=True):
    rest: bytes  # (rows,) of 6 bytes


class MaskedMembership(
    Message, disclosure=BLINDED, learns="nothing: for each row and leaf a uniform number", in_blocks=True
):
    u: bytes  # (leaves, rows) of 6 bytes


class MaskedLeaves(Message, disclosure=BLINDED, learns="nothing: for each leaf a uniform number"):
    values: bytes  # (leaves,) of 6 bytes


def host(session: Session, keys: PairKeys, label: str, leaves: int, rows: int) -> None:
    """At every host: the first deals."""
    if session.me != session.roles.hosts[0]:
        return
    b = keys.with_(session.roles.arbiter, f"{label} b").words(leaves)
    for part in parts(rows, leaves):
        pads, rest = guest_pads(keys, session.roles.guest, part.label(label), leaves, len(part))
        pace([session.arbiter], part)
        session.arbiter.send(DealtLeaves(rings.to_bytes(rings.dot(b, pads) - rest)), part)


def guest(
    session: Session, keys: PairKeys, label: str, shape: tuple[int, ...], u: Callable[[Part], Words]
) -> Iterator[tuple[Part, Words]]:
    """shape: leaves and rows; u: of a block of rows, (leaves, rows).  What is added to the guest's share of each
    margin, block by block (rows,)."""
    (leaves, rows), masked = shape, np.zeros(0, dtype=np.uint64)
    for part in parts(rows, leaves):
        pads, rest = guest_pads(keys, session.roles.hosts[0], part.label(label), leaves, len(part))
        pace([session.arbiter], part)
        session.arbiter.send(MaskedMembership(rings.to_bytes(u(part) - pads)), part)  # 1
        if not part.number:
            masked = rings.from_bytes(session.arbiter.recv(MaskedLeaves).values, (leaves,), session.roles.arbiter)
        yield part, rings.dot(masked, pads) + rest  # 2


def arbiter(
    session: Session, keys: PairKeys, label: str, rows: int, u: Callable[[Part], Words], values: NDArray[np.int64]
) -> Iterator[tuple[Part, Words]]:
    """values (leaves,); rows, u: as the guest's.  What is added to the arbiter's share, block by block (rows,)."""
    leaves = len(values)
    helper, leaf = session.roles.hosts[0], values.view(np.uint64)
    b = keys.with_(helper, f"{label} b").words(leaves)
    session.guest.send(MaskedLeaves(rings.to_bytes(leaf - b)))  # 1
    dealer = session.channels[helper]
    for part in parts(rows, leaves):
        masked = session.guest.recv(MaskedMembership, part).u
        other = rings.from_bytes(masked, (leaves, len(part)), session.roles.guest)
        rest = rings.from_bytes(dealer.recv(DealtLeaves, part).rest, (len(part),), helper)
        more = rings.dot(leaf, u(part) + other) + rest  # 2
        for channel in (session.guest, dealer):
            taken(channel, part)
        yield part, more


def guest_pads(keys: PairKeys, party: str, label: str, leaves: int, rows: int) -> tuple[Words, Words]:
    """P (leaves, rows) and c (rows,), which guest and first host draw."""
    seed = keys.with_(party, label)
    return seed.child("P").words(leaves * rows).reshape(leaves, rows), seed.child("c").words(rows)
