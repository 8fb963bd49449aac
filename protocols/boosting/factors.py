"""Shares of w v for an integer w that the guest knows and a number v that guest and arbiter share: rows' weights, and
labels in a loss.

     guest: w                             arbiter                             helper (the first host)
   key of arbiter and helper: a, c; of guest and arbiter: w_A
 1   D = v - a   <----------------------  FactorLessPad v_A - a
 2   FactorShare w_A - w  ------------------------------------------------->
 3               <---------------------------------------------------------   FactorProduct a w_H + c,  w_H = w - w_A
     w D + (a w_H + c)                    a w_A - c

As a split of the guest in product.py, with a number in place of a bit, everything modulo 2^128.  Who learns what:
nothing, each message is uniform.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from protocols._native import PlainVec
from protocols.boosting import rings
from protocols.boosting.keys import PairKeys
from protocols.message import BLINDED, Message
from protocols.parts import Part
from protocols.session import Session


class FactorLessPad(
    Message,
    disclosure=BLINDED,
    learns="nothing: for each row uniform numbers, shares minus a pad",
    in_blocks=True,
):
    v: PlainVec  # (quantities * rows,)


class FactorShare(
    Message,
    disclosure=BLINDED,
    learns="nothing: for each row a uniform number, a share of the guest's factor",
    in_blocks=True,
):
    w: PlainVec  # (rows,)


class FactorProduct(
    Message,
    disclosure=BLINDED,
    learns="nothing: for each row uniform numbers, shares of a product",
    in_blocks=True,
):
    v: PlainVec  # (quantities * rows,)


def guest(
    session: Session, keys: PairKeys, label: str, factor: NDArray[np.int64], values: Sequence[PlainVec], part: Part
) -> list[PlainVec]:
    """The guest's shares of the products of a block of rows, whose label is its own; factor (rows,), values: its shares
    of several quantities, (rows,) each."""
    rows, count, arbiter_name, helper = len(factor), len(values), session.roles.arbiter, session.roles.hosts[0]
    w = PlainVec.from_i64(factor)
    other = received(session, arbiter_name, FactorLessPad, part, count)  # 1
    share = rings.sub(keys.with_(arbiter_name, f"{label} w").ring(rows), w)
    session.channels[helper].send(FactorShare(share), part)  # 2
    back = received(session, helper, FactorProduct, part, count)  # 3
    return [rings.add(w.mul_mod_2_128(rings.add(v, o)), b) for v, o, b in zip(values, other, back, strict=True)]


def arbiter(session: Session, keys: PairKeys, label: str, values: Sequence[PlainVec], part: Part) -> list[PlainVec]:
    """The arbiter's shares."""
    rows = len(values[0])
    a, c = pads(keys, session.roles.hosts[0], label, rows, len(values))
    less = rings.join([rings.sub(v, p) for v, p in zip(values, a, strict=True)])
    session.guest.send(FactorLessPad(less), part)  # 1
    share = keys.with_(session.roles.guest, f"{label} w").ring(rows)
    return [rings.sub(p.mul_mod_2_128(share), r) for p, r in zip(a, c, strict=True)]


def host(session: Session, keys: PairKeys, label: str, part: Part, count: int) -> None:
    """The helper's part."""
    a, c = pads(keys, session.roles.arbiter, label, len(part), count)
    share = session.guest.recv(FactorShare, part).w
    rings.check(session.roles.guest, share, len(part))
    product = rings.join([rings.sub(r, p.mul_mod_2_128(share)) for p, r in zip(a, c, strict=True)])
    session.guest.send(FactorProduct(product), part)  # 3


def pads(keys: PairKeys, party: str, label: str, rows: int, count: int) -> list[list[PlainVec]]:
    """a and c, which helper and arbiter draw."""
    return [[keys.with_(party, f"{label} {name}{k}").ring(rows) for k in range(count)] for name in "ac"]


def received(
    session: Session, sender: str, kind: type[FactorLessPad] | type[FactorProduct], part: Part, count: int
) -> list[PlainVec]:
    v = session.channels[sender].recv(kind, part).v
    rings.check(sender, v, len(part) * count)
    return rings.cut(v, count)
