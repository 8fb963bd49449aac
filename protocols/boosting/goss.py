"""Gradient-based one-side sampling: the trees of a round are trained on the rows with the largest gradients and on some
of the others, which then count for more.

Source: Ke et al., LightGBM (NIPS 2017), algorithm 2.  Hosts must know the rows whose gradients they get, and large
gradients nearly are the label: so only where hosts learn the rows of nodes anyway (open trees), never in the first
round, whose gradients differ by the label alone, and under a permission of its own.
"""

from __future__ import annotations

import numpy as np

from protocols.boosting.levels import pack_bits, unpack_bits
from protocols.boosting.packing import Floats
from protocols.boosting.params import Params
from protocols.boosting.tree import Bits
from protocols.channel import broadcast
from protocols.errors import RemoteProtocolError
from protocols.message import REVEALED, Message
from protocols.session import Session


class SampledRows(
    Message,
    disclosure=REVEALED,
    permit="sampled-rows-to-hosts",
    learns=(
        "which rows the trees of a round are trained on: those with large gradients (this nearly tells the labels), "
        "and some of the others"
    ),
):
    rows: bytes  # bitmap (n,)


def samples(p: Params, number: int) -> bool:
    """Whether the trees of a round are trained on such a sample."""
    return p.top_rate > 0 and number > 0


def sizes(p: Params, rows: int) -> tuple[int, int]:
    """How many of the rows are taken for their gradients, and how many of the others."""
    top = max(1, int(p.top_rate * rows))
    return top, min(max(1, int(p.other_rate * rows)), rows - top)


def draw(p: Params, number: int, g: Floats, trained: Bits) -> tuple[Bits, Floats]:
    """A round's rows (n,), and what g and h of each (n,) are multiplied by; g (n, classes), summed up by size; trained
    (n,): the rows to draw from."""
    rows = np.flatnonzero(trained)
    top, others = sizes(p, len(rows))
    order = rows[np.argsort(-np.abs(g[rows]).sum(axis=1), kind="stable")]
    drawn = np.sort(order[top:])[p.order(number, len(rows) - top)[:others]]
    sampled, factor = np.zeros_like(trained), np.ones(len(g))
    sampled[order[:top]] = sampled[drawn] = True
    factor[drawn] = (len(rows) - top) / max(1, others)
    return sampled, factor


def tell(session: Session, p: Params, number: int, sampled: Bits) -> None:
    """The guest's side, before a round's gradients."""
    if samples(p, number):
        broadcast(session.hosts, SampledRows(pack_bits([sampled])))


def hear(session: Session, p: Params, number: int, trained: Bits) -> Bits:
    """A host's side: the rows of a round, out of those that trees are trained on."""
    if not samples(p, number):
        return p.sampled(number, ~trained)
    guest = session.roles.guest
    sampled = unpack_bits(session.guest.recv(SampledRows).rows, len(trained), guest)
    if (sampled & ~trained).any() or sampled.sum() != sum(sizes(p, int(trained.sum()))):
        raise RemoteProtocolError(f"{guest} sampled other rows than agreed", party=guest)
    return sampled
