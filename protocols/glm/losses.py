"""The sum of the rows' losses at shared weights, as a ciphertext that the guest holds and nobody has seen: by a look-up
on shares, or from blinded squares.

Adversary: honest but curious; for the look-up as in sealed_link.py.

 sealed links: loss(z, y) = F(z) - y z, F the antiderivative of the mean
        guest                                                     arbiter (sk)
 1      f_G  <-- shares of F(z), as in sealed_link.py, steps 1 to 3 -->  f_A
        EdgeShare  ------------------------------------------>    stops if a row is near the table's edge
 2      [[sum c F - c y z]] = sum c [[f_A]] + sum c f_G - sum c y [[z]]         LossShare [[f_A]], or without weights [[sum f_A]] (stopping.py)

 linear links: loss = d^2 / (2 slope), d = slope z + middle - y, up to a constant
 1      r uniform, 80 bits longer than v d;  v^2 the row's weight
        MaskedResiduals [[v d + r]], packed  ---------------->    opens s: blind
 2      [[sum (v d)^2]] = [[sum s^2]] - 2 sum r [[v d]] - sum r^2               LossShare [[sum s^2]]

Rows go block by block (row_blocks.py), with one EdgeShare after the last.

Who learns what: the arbiter the number of rows, and how many of them are near the edge of the table; nobody anything
else.
Cost per row: a look-up (sealed_link.py), and with weights one more encryption; or a packed decryption and a product
with an integer of 150 bits.
Error of the mean loss: logistic at most 6e-5, 1e-6 on average; counts the same, times the row's mean; linear none
beyond the weights' 16 bits.
"""  # noqa: E501

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protocols import parts, row_blocks
from protocols._native import PlainVec
from protocols.cipher import CipherVec, DecryptionKey, EncryptionKey
from protocols.curves import Curve
from protocols.errors import RemoteProtocolError
from protocols.glm import sealed_link
from protocols.glm.plan import GUARD, SIGMA
from protocols.glm.sealed_link import UNIT
from protocols.message import BLINDED, Message
from protocols.parts import Part
from protocols.session import Session

FACTOR = 20  # bits of a row's weight beside the heaviest row's
ROOT = 16  # bits of its square root
SEALED_BITS = UNIT + FACTOR  # fractional bits of a sum of losses under a sealed link


class MaskedResiduals(
    Message,
    disclosure=BLINDED,
    learns="how many rows there are, and for each a number that is uniform (statistically, 80 bits)",
    in_blocks=True,
):
    packed: CipherVec  # (ceil(n / slots),)


@dataclass(frozen=True)
class Measured:
    """At the guest: the sum is `rest` plus `factors` times what the arbiter holds, which is one number, or with `each`
    one for each row.  edges: its share of how many rows are near the edge of the table, where there is one."""

    factors: NDArray[np.int64]
    rest: CipherVec  # (1,)
    each: bool = False
    edges: tuple[PlainVec, ...] = ()

    def __add__(self, other: Measured) -> Measured:
        """That of the next block too."""
        factors = np.concatenate([self.factors, other.factors]) if self.each else self.factors
        return Measured(factors, self.rest + other.rest, self.each, self.edges + other.edges)


def sealed(
    session: Session,
    z: CipherVec,
    curve: Curve,
    y: NDArray[np.float64],
    weights: NDArray[np.float64] | None,
    part: Part,
) -> Measured:
    """At the guest, step 1 of a block of rows: z (n,) with the hosts' fresh factors, curve: F, weights (n,) in (0, 1];
    in units of 2^-SEALED_BITS."""
    own, edge = sealed_link.evaluate(session, z, curve, part)
    scale = 2.0**FACTOR * (np.ones(len(y)) if weights is None else weights)
    each, labelled = (np.rint(v).astype(np.int64) for v in (scale, scale * y))
    each = each << (UNIT - curve.fraction)
    rest = z.t_matmul(-labelled[:, np.newaxis]).add_plain(own.t_matmul(each[:, np.newaxis]))
    return Measured(each if weights is not None else each[:1], rest, weights is not None, (edge,))


def serve_sealed(
    session: Session, key: DecryptionKey, curve: Curve, rows: tuple[int, int], *, each: bool
) -> tuple[PlainVec, int]:
    """The same at the arbiter: its share of every row's F, or of their sum, and how many rows are beyond the curve's
    knee."""
    shares, edges = list[PlainVec](), list[PlainVec]()
    for _, share, edge in sealed_link.serve(session, key, curve, rows):
        shares.append(share if each else share.sum())
        edges.append(edge)
    beyond = sealed_link.receive_edge(session, edges)
    return PlainVec.join(shares) if each else PlainVec.join(shares).sum(), beyond


def squares(session: Session, d: CipherVec, bits: int, weights: NDArray[np.float64] | None, part: Part) -> Measured:
    """At the guest, step 1 of a block of rows: |d| < 2^bits (n,) with the hosts' fresh factors, weights (n,) in (0, 1];
    the sum of v^2 d^2 with v in units of 2^-ROOT."""
    if weights is not None:
        d = d.mul_plain(PlainVec.from_i64(np.rint(np.sqrt(weights) * 2.0**ROOT).astype(np.int64)))
    mask = session.seed("loss mask", d.digest()).integers(len(d), mask_bits(bits))
    width, slots = layout(d.key, bits)
    packed = d.add_plain(mask).pack_for_holder(width, slots, session.seed("masked residuals", d.digest()))
    row_blocks.pace([session.arbiter], part)
    session.arbiter.send(MaskedResiduals(packed), part)
    rest = d.mul_plain(mask.scale(-2)).sum().add_plain(PlainVec.from_ints([-squared(mask)]))
    if weights is not None:
        return Measured(np.ones(1, np.int64), rest)
    whole = 1 << (2 * ROOT)
    return Measured(np.full(1, whole), rest.mul_plain(PlainVec.from_ints([whole])))


def serve_squares(session: Session, key: DecryptionKey, bits: int, rows: tuple[int, int]) -> PlainVec:
    """The same at the arbiter: (1,) the sum of the squares that it sees, blind."""
    width, slots = layout(key.public, bits)
    full, total = -(-parts.ROWS // slots), 0
    most = rows[1] // parts.ROWS * full + -(-(rows[1] % parts.ROWS) // slots)
    for part, message in row_blocks.arriving(session.guest, MaskedResiduals, lambda one: len(one.packed), most, full):
        n = len(message.packed) * slots
        if not part.more and part.number * parts.ROWS + n < rows[0]:
            raise RemoteProtocolError(
                f"{session.roles.guest} sent fewer residuals than were announced", party=session.roles.guest
            )
        total += squared(key.open_packed(message.packed, width, slots, n, max_bits=mask_bits(bits)))
        row_blocks.taken(session.guest, part)
    return PlainVec.from_ints([total])


def squared(values: PlainVec) -> int:
    """The sum of their squares."""
    return sum(v * v for v in values.to_ints())


def mask_bits(bits: int) -> int:
    return bits + ROOT + SIGMA + 1


def layout(key: EncryptionKey, bits: int) -> tuple[int, int]:
    """(width, slots) of packed residuals."""
    width = mask_bits(bits) + GUARD
    return width, key.plain_bits // width
