"""Scores of sealed trees on their grid: shares of a margin become a whole number of steps of the grid, rounded up or
down by a number that nobody knows, and nothing finer is opened.

Source: the number that decides is one of learning with rounding (Banerjee, Peikert, Rosen, EUROCRYPT 2012); its shares
by a dealt product, Beaver (CRYPTO 1991).
Adversary: honest but curious, one party alone.

     guest: m_G, a                        arbiter: m_A, K                     first host
   for each row: alpha, beta, c uniform
 1         <---------------------------------------------------------------   DealtRounding alpha, alpha beta - c
                                                        <------------------   DealtRounding beta, c; of both: what four exact cuts need
 2   MaskedNumbers a - alpha  -------->
                  <-------------------  MaskedKey K - beta
     S_G = alpha (K - beta) + (alpha beta - c)        S_A = (a - alpha) K + c:    S = <a, K>
 3   shares of M = floor(m / 2^(t - 10))    <---------- exact_cut.py --------->
 4   shares of F = floor((M + S) / 2^10) - floor(S / 2^10)     <------------->
 5                <-------------------  OpenedScores F_A
     F = F_G + F_A, modulo 2^(48 - t)

2^t is one step of the grid.  F is m / 2^t rounded down or up: up where the ten bits of m below the grid and the ten
lowest of S carry, which has the probability of the fraction.  All cuts are exact, so F is a function of the margin, the
model, the customer's id and the guest's bins: the same in every batch and order, and for one row alone.
a: NUMBERS numbers that the guest hashes, under a secret key in its part of the model, from model, id and its own bins of
the row.  K: as many for each output, from a secret key in the arbiter's part.  What the guest adds in the clear, its own trees and the base, it adds
after the opening (`margins`): before, it could move a margin to and fro across a step.
Who learns what.  Guest: F, and so of S whether it carries: its numbers a with one rounded bit of <a, K> each are samples
of learning with rounding, which do not tell K.  Another row, or other columns, have another S.
Arbiter and hosts: nothing, not even which rows are the same customer.  Guest and first host together: K, and margins.
Arbiter and first host together: margins, and a: which rows are the same customer with the same bins.  Without the
guest's key they could hash all bins and compare.
Cost of each row and output, at 10 score_bits: 840 bytes dealt to the arbiter, 866 to the guest; 286 from the guest to
the arbiter, 30 back, and 256 for each output and block.
"""  # noqa: E501

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from protocols._native import DpfKeys
from protocols.binning.quantile import Bins
from protocols.boosting import exact_cut, rings
from protocols.boosting.exact_cut import Cuts, Step, numbers_of, ones, steps_of
from protocols.boosting.rings import Words
from protocols.boosting.sealed_parts import ArbiterTrees, GuestTrees, alone
from protocols.channel import Channel
from protocols.codec import check_lengths
from protocols.errors import RemoteProtocolError
from protocols.glm.sealed_link import UNIT
from protocols.message import BLINDED, REVEALED, Message
from protocols.parts import WIDE, Part, Parts, parts
from protocols.randomness import Seed
from protocols.row_blocks import pace, taken
from protocols.session import Session

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Shorts = NDArray[np.uint16]
BELOW = exact_cut.MOST  # bits below the grid that decide the rounding
NUMBERS = 128  # of a and K
KEY = 32  # bytes


class DealtRounding(
    Message,
    disclosure=BLINDED,
    learns="nothing: for each row and output one of two shares of random masks, and of what is computed under them",
    in_blocks=True,
):
    seed: bytes  # (32,)
    keys: DpfKeys  # (numbers, cells)
    upper: bytes  # (numbers, cells) of 6 bytes, the guest's; the arbiter's come from its seed
    products: bytes  # (cells,) of 2 bytes, the same


class MaskedNumbers(
    Message,
    disclosure=BLINDED,
    learns="nothing: for each row and output 128 uniform numbers",
    in_blocks=True,
):
    numbers: bytes  # (cells, NUMBERS) of 2 bytes


class MaskedKey(
    Message, disclosure=BLINDED, learns="nothing: for each output of the model 128 uniform numbers", in_blocks=True
):
    numbers: bytes  # (outputs, NUMBERS) of 2 bytes


class OpenedScores(
    Message,
    disclosure=REVEALED,
    permit="scores-to-guest",
    learns=(
        "for each row the joint trees' part of its score, rounded up or down to a grid of 2^-score_bits; the same "
        "each time the row is scored with the same columns"
    ),
    in_blocks=True,
):
    shares: bytes  # (cells,) of 6 bytes


@dataclass(frozen=True, eq=False)
class Material:
    """What one holder was dealt for a block of cells: rows, each with all its outputs.

    pads: at the guest alpha (cells, NUMBERS), at the arbiter beta (outputs, NUMBERS); products (cells,): shares of
    alpha beta.
    """

    cuts: Cuts
    pads: Shorts = field(repr=False)
    products: Shorts = field(repr=False)

    def take(self, first: int, last: int) -> Material:
        """That of the cells from `first` on, `last` left out."""
        pads = self.pads[first:last] if self.cuts.first else self.pads
        return Material(self.cuts.take(first, last), pads, self.products[first:last])


def guest(session: Session, share: Words, part: GuestTrees, names: Sequence[bytes], binned: Bins) -> Ints:
    """F (outputs, rows) of shares (outputs, rows) modulo 2^48; names: the canonical id of each row; binned: the guest's
    rows.  Raises ProtocolError."""
    (outputs, rows), bits, found = share.shape, part.params.score_bits, list[Ints]()
    for block in blocks(rows, outputs, bits):
        material = receive(session, block, outputs, bits)
        here, bins = block.rows, binned.take(np.arange(block.first, block.last)).bins
        found.append(guest_block(session, material, share[:, here], part, names[here], bins, block))
        taken(session.channels[session.roles.hosts[0]], block)
    return np.concatenate(found, axis=1)


def guest_block(
    session: Session,
    material: Material,
    share: Words,
    part: GuestTrees,
    names: Sequence[bytes],
    bins: NDArray[np.int16],
    block: Part,
) -> Ints:
    """The same of one block of rows, from what was dealt for it."""
    outputs, rows = share.shape
    numbers = np.repeat(hashed(part.rounding_key, part.model_id, names, bins), outputs, axis=0)
    session.arbiter.send(MaskedNumbers((numbers - material.pads).tobytes()), block)  # 2
    masked = shorts(session.roles.arbiter, session.arbiter.recv(MaskedKey, block).numbers, outputs)
    draw = dots(material.pads, np.tile(masked, (rows, 1))) + material.products
    mine = carried(session, session.arbiter, material, share.T.ravel(), draw, block)  # 3, 4
    theirs = session.arbiter.recv(OpenedScores, block).shares
    whole = mine + rings.from_bytes(theirs, mine.shape, session.roles.arbiter)  # 5
    unused = 64 - rings.BITS + UNIT - part.params.score_bits
    signed = (whole << np.uint64(unused)).view(np.int64) >> unused
    return np.asarray(signed.reshape(rows, outputs).T)


def arbiter(session: Session, share: Words, part: ArbiterTrees) -> None:
    """The arbiter's side.  Learns: how many rows.  Raises ProtocolError."""
    outputs, rows = share.shape
    for block in blocks(rows, outputs, part.score_bits):
        material = receive(session, block, outputs, part.score_bits)
        arbiter_block(session, material, share[:, block.rows], part, block)


def arbiter_block(session: Session, material: Material, share: Words, part: ArbiterTrees, block: Part) -> None:
    """The same of one block of rows, from what was dealt for it."""
    outputs, rows = share.shape
    key = pads_of(Seed(session.me, part.rounding_key), outputs)
    session.guest.send(MaskedKey((key - material.pads).tobytes()), block)  # 2
    masked = shorts(session.roles.guest, session.guest.recv(MaskedNumbers, block).numbers, rows * outputs)
    draw = dots(masked, np.tile(key, (rows, 1))) + material.products
    mine = carried(session, session.guest, material, share.T.ravel(), draw, block)  # 3, 4
    used = rings.BITS - (UNIT - part.score_bits)
    session.guest.send(OpenedScores(rings.to_bytes(mine & ones(used))), block)  # 5


def host(session: Session, outputs: int, rows: int, score_bits: int) -> None:
    """At every host: the first deals.  Learns: nothing."""
    if session.me != session.roles.hosts[0]:
        return
    for block in blocks(rows, outputs, score_bits):
        pace([session.guest], block)
        first, second = deal(session.seed("rounding deal"), len(block), outputs, score_bits)
        session.guest.send(first, block)  # 1
        session.arbiter.send(second, block)


def margins(part: GuestTrees, found: Ints, binned: Bins) -> Floats:
    """The guest's margins (rows, outputs): what was opened (outputs, rows), in steps of the grid, plus its own trees
    and the base, which are rounded to whole units of a share.  All of these are integers that fit into a float."""
    own = np.rint(alone(part.own, binned).T / part.margin_unit).astype(np.int64)
    return np.asarray(((found << (UNIT - part.params.score_bits)) + own).T * part.margin_unit)


def deal(seed: Seed, rows: int, outputs: int, score_bits: int) -> tuple[DealtRounding, DealtRounding]:
    """Step 1: both holders' material for a block of rows.  The seed must deal once."""
    (first, second), cells, steps = (seed.child(k) for k in ("guest", "arbiter")), rows * outputs, steps_at(score_bits)
    keys, upper = exact_cut.deal((first, second), seed.child("keys"), cells, steps)
    products = dots(pads_of(first, cells), np.tile(pads_of(second, outputs), (rows, 1))) - products_of(second, cells)
    mine = DealtRounding(first.secret, keys[0], rings.to_bytes(upper), products.tobytes())
    return mine, DealtRounding(second.secret, keys[1], b"", b"")


def receive(session: Session, block: Part, outputs: int, score_bits: int) -> Material:
    """At guest and arbiter: what the first host has dealt for a block of rows.  Raises RemoteProtocolError unless it is
    for these rows and this party."""
    sender, first = session.roles.hosts[0], session.me == session.roles.guest
    dealt, cells, steps = (
        session.channels[sender].recv(DealtRounding, block),
        len(block) * outputs,
        steps_at(score_bits),
    )
    count = numbers_of(steps) * cells
    check_lengths(sender, KEY, dealt.seed, what="bytes of a seed")
    check_lengths(sender, count, dealt.keys)
    if dealt.keys.bits != exact_cut.TABLE or dealt.keys.party != (0 if first else 1):
        raise RemoteProtocolError(f"{sender} dealt keys of another table", party=sender)
    check_lengths(sender, rings.BYTES * count if first else 0, dealt.upper, what="bytes of shares")
    check_lengths(sender, 2 * cells if first else 0, dealt.products, what="bytes of products")
    seed, upper, products = Seed(sender, dealt.seed), None, np.frombuffer(dealt.products, dtype="<u2")
    if first:
        upper = rings.unpacked(dealt.upper, (numbers_of(steps), cells))
    else:
        products = products_of(seed, cells)
    cuts = exact_cut.material(seed, dealt.keys, upper, cells, steps)
    return Material(cuts, pads_of(seed, cells if first else outputs), products)


def carried(session: Session, channel: Channel, material: Material, margin: Words, draw: Shorts, part: Part) -> Words:
    """Steps 3 and 4 at a holder: its shares (cells,) of F."""
    cuts, last, number = material.cuts, len(material.cuts.steps) - 1, draw.astype(np.uint64)
    for k in range(last):
        margin = cuts.cut(k, margin[np.newaxis], channel, part, session.look_up)[0]
    up, without = cuts.cut(last, np.stack([margin + number, number]), channel, part, session.look_up)
    return np.asarray(up - without)


def steps_at(score_bits: int) -> list[Step]:
    """What is cut for each row and output: the margin down to BELOW bits below the grid, then two numbers by these."""
    drop = UNIT - score_bits - BELOW
    return [*steps_of(drop, rings.BITS), Step(2, BELOW, rings.BITS - drop)]


def blocks(rows: int, outputs: int, score_bits: int) -> Parts:
    """A key is as large as many numbers."""
    return parts(rows, WIDE * outputs * numbers_of(steps_at(score_bits)))


def hashed(key: bytes, model_id: bytes, names: Sequence[bytes], bins: NDArray[np.int16]) -> Shorts:
    """a (rows, NUMBERS), from the guest's key, the model, each customer's id and the guest's bins."""
    rows, found = np.ascontiguousarray(bins, dtype="<i2"), np.empty((len(names), NUMBERS), dtype="<u2")
    for k, name in enumerate(names):
        framed = b"".join(len(one).to_bytes(4, "big") + one for one in (key, model_id, name, rows[k].tobytes()))
        found[k] = np.frombuffer(hashlib.shake_256(framed).digest(2 * NUMBERS), dtype="<u2")
    return found


def dots(a: Shorts, b: Shorts) -> Shorts:
    """The products (cells,) of the rows of two matrices, modulo 2^16."""
    return np.asarray(np.einsum("cn,cn->c", a.astype(np.uint32), b.astype(np.uint32)), dtype=np.uint16)


def pads_of(seed: Seed, count: int) -> Shorts:
    """(count, NUMBERS) uniform modulo 2^16."""
    return seed.child("numbers").words(count * NUMBERS // 4).view(np.uint16).reshape(count, NUMBERS)


def products_of(seed: Seed, cells: int) -> Shorts:
    """The arbiter's shares of alpha beta."""
    return seed.child("products").words(cells).astype(np.uint16)


def shorts(sender: str, data: bytes, count: int) -> Shorts:
    """(count, NUMBERS) as received; raises RemoteProtocolError where it is another number."""
    check_lengths(sender, 2 * NUMBERS * count, data, what="bytes of numbers")
    return np.frombuffer(data, dtype="<u2").reshape(count, NUMBERS)
