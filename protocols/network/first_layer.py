"""The first layer of a network: an iteration of the prepared regression (protocols/glm/prepared.py) for all hidden units at
once, whose pads stand next to those of other iterations in the slots (protocols/glm/preparation.py).

Adversary: honest but curious.  u, r: the pads of this iteration that the arbiter drew, of each unit.

 host P                                              guest                                       arbiter (holds every b_P)
 1             <------------------------------------------------------------------------------  WeightsLessPad b_P - u_P, of each unit
     X_P (a_P + b_P - u_P) + its share of X u + a small error + masks that cancel in the hosts' sum
     PaddedPredictor  --------------------------->  its share of z: the sum of all parts         its share of z
 2   (layers.py)                                    D_0 propagated to the sums, as shares of the guest and the arbiter
                                                    <------------------------------------------  MeanLessPad, its share of D_0 less r
     ResidualLessPad e = D_0 - r  <---------------  e = its share of D_0 + that
 3   X_P^T e + its share of X_P^T r: its share of the gradient                                   its own share of it

Who learns what: nobody anything.  All numbers are one-time pads, and so is a PaddedPredictor.
Vectors of all units: unit after unit, in each the rows or weights of the data party.
"""  # noqa: E501

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from protocols import row_blocks
from protocols._native import PlainVec
from protocols.cipher import DecryptionKey
from protocols.codec import check_lengths
from protocols.glm import preparation
from protocols.glm.block import Block, fixed_point
from protocols.glm.digits import EXACT
from protocols.glm.pair_masks import PairMasks
from protocols.glm.preparation import Pad, Pads
from protocols.glm.prepared import (
    MeanLessPad,
    PaddedPredictor,
    ResidualLessPad,
    WeightsLessPad,
    check_range,
    received,
)
from protocols.network.descent import Share
from protocols.network.plan import Plan
from protocols.parts import parts
from protocols.session import Session


@dataclass(frozen=True, eq=False)
class UnitPads:
    """A party's pads of one iteration, those of each unit in turn."""

    units: list[Pad] = field(repr=False)

    @property
    def predictor(self) -> PlainVec:
        return PlainVec.join([one.predictor.whole() for one in self.units])

    def gradient(self, party: str) -> PlainVec:
        return PlainVec.join([one.gradient[party] for one in self.units])

    def weights(self, party: str) -> PlainVec:
        return PlainVec.join([one.weights[party] for one in self.units])

    @property
    def residual(self) -> PlainVec:
        return PlainVec.join([one.residual for one in self.units if one.residual is not None])


def spend(plan: Plan, groups: list[Pads], epoch: int) -> UnitPads:
    """The pads of an epoch of a chunk, over one batch; groups: as `Plan.slots`."""
    units = plan.terms.units
    places = [(pads, t) for pads, slots in zip(groups, plan.slots, strict=True) for t in range(slots.passes)]
    return UnitPads([pads.spend(t) for pads, t in places[epoch * units : (epoch + 1) * units]])


def block_of(x: NDArray[np.float64], *, intercept: bool) -> Block:
    """A data party's columns (n, d), standardised and limited, as integers; with `intercept` a last column of ones, by
    which the guest has the units' intercepts."""
    fixed = fixed_point(x, intercept)
    return Block(fixed, fixed, np.zeros((fixed.shape[1], 0), np.int64), 0, intercept)


def prepare_guest(session: Session, plan: Plan, block: Block, name: bytes, *, trains: bool = True) -> list[Pads]:
    return [preparation.guest(session, slots, block, name, trains=trains) for slots in plan.slots]


def prepare_host(session: Session, plan: Plan, block: Block, name: bytes, *, trains: bool = True) -> list[Pads]:
    return [preparation.host(session, slots, block, name, trains=trains) for slots in plan.slots]


def prepare_arbiter(
    session: Session, key: DecryptionKey, plan: Plan, columns: Mapping[str, int], rows: int, name: bytes
) -> list[Pads]:
    return [preparation.arbiter(session, key, s, columns, (rows, rows), None, name) for s in plan.slots]


def forward_guest(
    session: Session, plan: Plan, pads: UnitPads, block: Block, share: Share
) -> tuple[PlainVec, PlainVec]:
    """Step 1 at the guest: its weights less the arbiter's pad, and its share of z (units n,)."""
    moved = less_pad(session, plan, share)
    z, bits = predictors(session, plan, pads, block, moved), plan.slots[0].z_bits
    for channel in session.hosts:
        z = z + received(channel, PaddedPredictor, len(z), bits)
    return moved, z.residue(bits)


def forward_host(
    session: Session, plan: Plan, pads: UnitPads, block: Block, share: Share, masks: PairMasks, use: int
) -> PlainVec:
    """The same at a host: its weights less the arbiter's pad."""
    moved = less_pad(session, plan, share)
    z, bits = predictors(session, plan, pads, block, moved), plan.slots[0].z_bits
    for part in parts(len(z)):
        values = z.slice(part.first, part.last) + masks.integers(use, part, bits)
        row_blocks.pace([session.guest], part)
        session.guest.send(PaddedPredictor(values.residue(bits)), part)
    return moved


def forward_arbiter(session: Session, plan: Plan, pads: UnitPads, shares: Mapping[str, Share]) -> PlainVec:
    """The same at the arbiter: its share of z."""
    for party, share in shares.items():
        values = (share.used - pads.weights(party)).residue(plan.slots[0].g_bits)
        session.channels[party].send(WeightsLessPad(values))
    return pads.predictor


def less_pad(session: Session, plan: Plan, share: Share) -> PlainVec:
    """Step 1 at a data party: its weights less the arbiter's pad, modulo 2^g_bits."""
    bits, values = plan.slots[0].g_bits, session.arbiter.recv(WeightsLessPad).values
    check_lengths(session.roles.arbiter, len(share.weights), values, what="weights")
    check_range(session.roles.arbiter, values, bits)
    return (share.used + values).residue(bits)


def predictors(session: Session, plan: Plan, pads: UnitPads, block: Block, moved: PlainVec) -> PlainVec:
    """A data party's part of its share of z, with its error."""
    units, width, n = plan.terms.units, block.width, len(block)
    found = [moved.slice(k * width, (k + 1) * width).matmul(block.x[:]) for k in range(units)]
    error = session.seed("predictor error").integers(units * n, EXACT.error_bits(n))
    return PlainVec.join(found) + pads.predictor + error


def propagate_guest(session: Session, plan: Plan, share: PlainVec) -> PlainVec:
    """Step 2 at the guest: e (units n,), from its share of D_0."""
    bits = plan.slots[0].g_bits
    e = (received(session.arbiter, MeanLessPad, len(share), bits) + share).residue(bits)
    row_blocks.send_vector(session.hosts, ResidualLessPad, e)
    return e


def propagate_host(session: Session, plan: Plan, rows: int) -> PlainVec:
    """The same at a host."""
    return received(session.guest, ResidualLessPad, plan.terms.units * rows, plan.slots[0].g_bits)


def propagate_arbiter(session: Session, plan: Plan, pads: UnitPads, share: PlainVec) -> None:
    """The same at the arbiter."""
    row_blocks.send_vector([session.guest], MeanLessPad, (share - pads.residual).residue(plan.slots[0].g_bits))


def gradient(session: Session, plan: Plan, pads: UnitPads, block: Block, e: PlainVec) -> PlainVec:
    """Step 3 at a data party: its share of X^T D_0 (units d,), which with the arbiter's adds up as integers."""
    n, found = len(block), list[PlainVec]()
    for k in range(plan.terms.units):
        found.append(e.slice(k * n, (k + 1) * n).t_matmul(block.preconditioned[:]))
    return (PlainVec.join(found) + pads.gradient(session.me)).residue(plan.slots[0].g_bits)
