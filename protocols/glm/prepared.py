"""An iteration of a training whose predictors and gradients were prepared (preparation.py): it opens one-time pads and
multiplies in the clear.  It takes the place of steps 1 to 4 of training.py.

Adversary: honest but curious.  u, r: the numbers of this iteration that the arbiter drew; B, S: slots.py.

     host P                                          guest                                       arbiter (holds every b_P)
 1             <------------------------------------------------------------------------------  WeightsLessPad b_P - u_P, modulo S, to each P alone
     X_P (a_P + b_P - u_P) + its share of X u + a small error + masks that cancel in the hosts' sum
     PaddedPredictor, modulo B  ------------------>  its share of z modulo B: the sum of all parts    its share of z: that of X u
 2   Deal (look_up.py) --------------------------->  d_G, with its labels  <---- link ---->      d_A:  d_G + d_A = d  (links_on_shares.py)
                                                     EdgeShare (sealed links)  --------------->  how many rows are near the table's edge
                                                     <------------------------------------------  MeanLessPad d_A - r, modulo S
     ResidualLessPad e = d - r, modulo S  <--------  e = d_A - r + d_G
 3   P_P^T e + Q (a_P + b_P - u_P) + its share of P_P^T r + Q u_P: its share of the gradient         its own share of it
 4   a_P += step (share >> shift)                                                                b_P -= step (share >> shift)

Who learns what: the arbiter how many rows are near the table's edge; nobody anything else.  b_P - u_P, d_A - r and d - r
are one-time pads, and so is a PaddedPredictor: its host's share of X u is uniform modulo B.
Why the error, which the guest's part has too.  A share of X u_t also holds X u_(t-1) / 2^width, which spills over from
the slot below.  Arbiter and guest know u, and z = X w with whole-number weights.  Without errors they would find each
host's columns exactly, by lattice reduction (tests/promises/attacks/test_columns_by_lattice.py).
Shares modulo S add up as integers: |gradient| < S / 2^41, so that they wrap with probability 2^-41 per weight.
Cost per row and iteration: 40 bytes and those of the link, about 620; no ciphertext.
"""  # noqa: E501

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial

import numpy as np
from numpy.typing import NDArray

from protocols import row_blocks
from protocols._native import PlainVec
from protocols.channel import Channel
from protocols.cipher import DecryptionKey
from protocols.codec import check_lengths
from protocols.errors import RemoteProtocolError
from protocols.glm import preparation
from protocols.glm.batches import Batches
from protocols.glm.block import Block, Share
from protocols.glm.chunks import Chunk, Prepare, Ready
from protocols.glm.digits import Digits
from protocols.glm.links import Link
from protocols.glm.links_on_shares import on_shares
from protocols.glm.pair_masks import PairMasks
from protocols.glm.plan import Plan, Step
from protocols.glm.preparation import Pads
from protocols.glm.sealed_link import Edge
from protocols.glm.slots import Slots
from protocols.kept import KeptVec, between
from protocols.message import BLINDED, Message
from protocols.parts import Part, parts
from protocols.session import Session


class WeightsLessPad(
    Message, disclosure=BLINDED, learns="for each of its weights a uniform number: the arbiter's share minus a pad"
):
    values: PlainVec  # (digits d_P,)


class PaddedPredictor(
    Message,
    disclosure=BLINDED,
    learns="for each row a uniform number: the sender's predictor under a pad",
    in_blocks=True,
):
    values: PlainVec  # (n,)


class MeanLessPad(
    Message,
    disclosure=BLINDED,
    learns="for each row a uniform number: a share of the residual minus a pad",
    in_blocks=True,
):
    values: PlainVec  # (n,)


class ResidualLessPad(
    Message, disclosure=BLINDED, learns="for each row a uniform number: the residual minus a pad", in_blocks=True
):
    values: PlainVec  # (n,)


def of_guest(session: Session, plan: Plan, block: Block, order: Batches, evaluated: Block | None) -> Prepare:
    """Prepares a chunk at the guest; block: of all rows; evaluated: of those whose loss is."""
    return _of_rows(plan, block, order, evaluated, partial(preparation.guest, session))


def of_host(session: Session, plan: Plan, block: Block, order: Batches, evaluated: Block | None) -> Prepare:
    """The same at a host."""
    return _of_rows(plan, block, order, evaluated, partial(preparation.host, session))


def _of_rows(
    plan: Plan, block: Block, order: Batches, evaluated: Block | None, prepare: Callable[..., Pads]
) -> Prepare:
    """By one party's part of it, of one batch."""

    def prepared(chunk: Chunk, name: bytes) -> list[Pads]:
        pads = [prepare(chunk.slots, block.take(order.of(step)), name) for step in chunk.steps[: plan.batches]]
        if chunk.evaluated and evaluated is not None:
            pads.append(prepare(chunk.loss_slots, evaluated, name, trains=False))
        return pads

    return prepared


def of_arbiter(
    session: Session, key: DecryptionKey, plan: Plan, columns: Mapping[str, int], evaluated: tuple[int, int]
) -> Prepare:
    """The same at the arbiter; evaluated: the fewest and the most rows whose loss is."""

    def prepared(chunk: Chunk, name: bytes) -> list[Pads]:
        bounds, shift = plan.batch_rows, plan.penalty_shift
        each = partial(preparation.arbiter, session, key, chunk.slots, columns, bounds, shift, name)
        pads = [each() for _ in range(plan.batches)]
        if chunk.evaluated:
            pads.append(preparation.evaluations(session, key, chunk.loss_slots, columns, evaluated, name))
        return pads

    return prepared


def guest(
    session: Session,
    plan: Plan,
    ready: Ready,
    link: Link,
    block: Block,
    share: Share,
    y: NDArray[np.float64],
    step: Step,
) -> None:
    """One iteration at the guest, over the rows of `block`."""
    slots, pad = ready.slots, ready.pad
    moved, z = receive_predictors(session, ready, block, share)  # 1
    own = on_shares(link).guest(session, z, y)  # 2
    theirs = received_blocks(session.arbiter, MeanLessPad, len(block), slots.g_bits)
    e = KeptVec.of_blocks(((less + between(own, part)).residue(slots.g_bits) for part, less in theirs), session.keep)
    row_blocks.send_vector(session.hosts, ResidualLessPad, e)
    descend(plan, slots, pad.gradient[session.me], block, share, moved, e, step)  # 3, 4


def host(
    session: Session,
    plan: Plan,
    ready: Ready,
    link: Link,
    block: Block,
    share: Share,
    masks: PairMasks,
    use: int,
    step: Step,
) -> None:
    """The same at a host; masks: of this attempt; use: another number for each iteration of any training."""
    slots, pad = ready.slots, ready.pad
    moved = send_predictors(session, ready, block, share, masks, use)  # 1
    on_shares(link).deal(session, len(block))  # 2
    theirs = received_blocks(session.guest, ResidualLessPad, len(block), slots.g_bits)
    e = KeptVec.of_blocks((values for _, values in theirs), session.keep)
    descend(plan, slots, pad.gradient[session.me], block, share, moved, e, step)  # 3, 4


def arbiter(session: Session, plan: Plan, ready: Ready, link: Link, shares: Mapping[str, Share], step: Step) -> Edge:
    """The same at the arbiter; returns how many rows are near the edge of the link's table, and how many are beyond."""
    slots, pad = ready.slots, ready.pad
    z = serve_predictors(session, ready, shares)  # 1
    assert pad.residual is not None
    own, edge = on_shares(link).arbiter(session, z)  # 2
    for part in parts(len(own)):
        less = (between(own, part) - between(pad.residual, part)).residue(slots.g_bits)
        row_blocks.pace([session.guest], part)
        session.guest.send(MeanLessPad(less), part)
    for party, share in shares.items():
        share.step(pad.gradient[party], plan.shift, step)  # 3, 4
    return edge


def receive_predictors(session: Session, ready: Ready, block: Block, share: Share) -> tuple[PlainVec, KeptVec]:
    """Step 1 at the guest: its weights less the arbiter's pad (digits d,), and its share of z (n,)."""
    moved, bits = less_pad(session, ready.slots, share), ready.slots.z_bits
    z = predictor(session, ready, block, moved)
    for channel in session.hosts:
        theirs = received_blocks(channel, PaddedPredictor, len(block), bits)
        z = KeptVec.of_blocks(((between(z, part) + values).residue(bits) for part, values in theirs), session.keep)
    return moved, exact(session, ready.slots, z)


def send_predictors(session: Session, ready: Ready, block: Block, share: Share, masks: PairMasks, use: int) -> PlainVec:
    """The same at a host: its weights less the arbiter's pad (digits d,)."""
    moved = less_pad(session, ready.slots, share)
    z = predictor(session, ready, block, moved)
    for part in parts(len(block)):
        values = between(z, part) + masks.integers(use, part, ready.slots.z_bits)
        row_blocks.pace([session.guest], part)
        session.guest.send(PaddedPredictor(values.residue(ready.slots.z_bits)), part)
    return moved


def serve_predictors(session: Session, ready: Ready, shares: Mapping[str, Share]) -> KeptVec:
    """The same at the arbiter: its share of z (n,)."""
    slots = ready.slots
    for party, share in shares.items():
        values = slots.digits.of_share(share.point, upwards=False) - ready.pad.weights[party]
        session.channels[party].send(WeightsLessPad(values.residue(slots.u_bits)))
    return exact(session, slots, ready.pad.predictor)


def exact(session: Session, slots: Slots, z: KeptVec) -> KeptVec:
    """A share of z in the units of the link, and so modulo its own modulus."""
    if not slots.digits.below:
        return z
    shifted = (between(z, part).shift_left(slots.digits.below) for part in parts(len(z)))
    return KeptVec.of_blocks(shifted, session.keep)


def predictor(session: Session, ready: Ready, block: Block, moved: PlainVec) -> KeptVec:
    """A data party's part of its share of z (n,), with its errors."""
    seed, bits = session.seed("predictor error", ready.name), error_bits(ready.slots.digits, len(block))
    each = products(session, ready, block, moved.residue(ready.slots.z_bits))
    return KeptVec.of_blocks(
        (
            xu + between(ready.pad.predictor, part) + seed.short_between(part.first, part.last, bits)
            for xu, part in zip(each, parts(len(block)), strict=True)
        ),
        session.keep,
    )


def products(session: Session, ready: Ready, block: Block, weights: PlainVec) -> Iterator[PlainVec]:
    """Its columns times weights (digits d,), block after block; with the error of the weights, where there is one."""
    digits = ready.slots.digits
    if not digits.fine:
        return block.predictors(weights)
    first = session.seed("weight error", ready.name).short(block.width, fine_bits(digits))
    rest = PlainVec.zeros((digits.count - 1) * block.width)
    each = (weights.shift_left(digits.fine) + PlainVec.join([first, rest])).to_i64()
    cut = (digits.of_rows(block.x[part.rows]) for part in parts(len(block)))  # a product holds modulo 2^64, and so
    return (PlainVec.from_i64((x @ each) >> digits.fine) for x in cut)  # modulo 2^(fine + z_bits)


def error_bits(digits: Digits, rows: int) -> int:
    """Bits of the error that a data party adds to its predictors."""
    return digits.error_bits(rows)


def fine_bits(digits: Digits) -> int:
    """Bits of the error that a data party adds to its weights, for its predictors alone: up to two units."""
    return digits.fine + 2


def less_pad(session: Session, slots: Slots, share: Share) -> PlainVec:
    """Step 1 at a data party: its weights less the arbiter's pad, modulo 2^u_bits (digits d,)."""
    values = session.arbiter.recv(WeightsLessPad).values
    check_lengths(session.roles.arbiter, slots.digits.count * len(share.point), values, what="weights")
    check_range(session.roles.arbiter, values, slots.u_bits)
    return (slots.digits.of_share(share.point, upwards=True) + values).residue(slots.u_bits)


def received(channel: Channel, kind: type[Message], rows: int, bits: int) -> PlainVec:
    """Numbers modulo 2^bits of each row."""
    return PlainVec.join([values for _, values in received_blocks(channel, kind, rows, bits)])


def received_blocks(channel: Channel, kind: type[Message], rows: int, bits: int) -> Iterator[tuple[Part, PlainVec]]:
    """The same, block after block."""
    for part, values in row_blocks.receive_blocks(channel, kind, rows):
        check_range(channel.peer, values, bits)
        yield part, values


def check_range(sender: str, values: PlainVec, bits: int) -> None:
    """Raises RemoteProtocolError unless these are numbers modulo 2^bits."""
    if len(values) and values.residue(bits) != values:
        raise RemoteProtocolError(f"{sender} sent numbers out of range", party=sender)


def descend(
    plan: Plan, slots: Slots, pad: PlainVec, block: Block, share: Share, moved: PlainVec, e: KeptVec, step: Step
) -> None:
    """Steps 3 and 4 at a data party."""
    penalty = moved.slice(0, block.width).matmul(block.penalty)
    penalty = penalty.shift_left(block.penalty_shift + slots.digits.dropped)
    gradient = block.slope_of(e) + penalty + pad
    share.step(gradient.residue(slots.g_bits), plan.shift, step)
