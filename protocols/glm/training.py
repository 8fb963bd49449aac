"""Vertical generalised linear models whose weights nobody holds: shared between each data party P and the arbiter, w_P = a_P + b_P.

Source: the vertical setting and its roles are those of Hardy et al. 2017 (arXiv 1711.10677) and Yang et al. 2019; unlike there, no gradient and no
intermediate weight is opened to anybody (why that matters: docs/threat-model.md).
Adversary: honest but curious; collusions are named in docs/threat-model.md.

 step    data party P (a host, or the guest itself)       guest                                arbiter (sk; holds every b_P)
  0      checks n                <-----------------------------------------------------------  PublicKeyOffer (key_offer.py)
                                 <----------------------  TrainingStart: ceil(log2 n) -------> for the scale of steps
         Columns: how many weights it has  -------------------------------------------------->
         (two or more hosts agree on masks: pair_masks.py)
 each pass
  1                              <-----------------------------------------------------------  WeightShare [[b_P]], to each P alone
         [[z_P]] = X_P [[b_P]] + X_P a_P + masks that cancel in the hosts' sum
         re-randomised  Predictor -----------------------> [[z]] = [[z_G]] + sum of [[z_P]]
  2                              <-----------------------  Residual [[d]] = [[mean(z) - y]] by the link (links.py); to every host
  3      [[g_P]] = P_P^T [[d]] + L2 term
         MaskedGradient [[g_P + m_P]], packed, re-randomised -------------------------------->  opens g_P + m_P: blinded
  4      a_P += step (m_P >> shift)                                                        b_P -= step ((g_P + m_P) >> shift)
 at the end
  5                              <-----------------------------------------------------------  FinalShare b_P, rounded, to P alone: w_P = a_P + b_P

Who learns what: P its own final weights (that is the prescribed output); the arbiter ceil(log2 n) and each party's number of columns, and what the link
declares; nobody any gradient, residual, predictor or intermediate weight.
Cost a pass: hosts n re-randomisations and about 2 n d_P products modulo n^2 in step 1 and 3 each; the guest those products; the link; a few decryptions.
Error: the weights equal those of the same integer arithmetic in the clear within 3 units of 2^-24 a pass (docs/protocols/glm.md).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from protocols import key_offer
from protocols._native import PlainVec
from protocols.channel import broadcast
from protocols.cipher import CipherVec, DecryptionKey, EncryptionKey
from protocols.codec import check_lengths
from protocols.errors import RemoteProtocolError
from protocols.glm import pair_masks
from protocols.glm.block import Block, Share, weights
from protocols.glm.links import Link
from protocols.glm.plan import FEATURE, SCORE, SIGMA, WEIGHT, Plan, Step, rows_log2
from protocols.message import BLINDED, PUBLIC, REVEALED, SEALED, Message
from protocols.session import Session

MAX_COLUMNS = 1 << 16
PREDICTOR_MASK = FEATURE + WEIGHT + SCORE + SIGMA  # bits: a predictor's, and 80 more


class TrainingStart(
    Message, disclosure=PUBLIC, learns="the number of training rows, rounded up to a power of two, and a random name of the model"
):
    rows_log2: int
    model_id: bytes  # (16,)


class Columns(Message, disclosure=PUBLIC, learns="how many weights the sender's part of the model has"):
    count: int


class WeightShare(Message, disclosure=SEALED, learns="nothing: the arbiter's share of the receiver's own weights, encrypted"):
    share: CipherVec  # (d_P,)


class Predictor(Message, disclosure=SEALED, learns="nothing: the sender's linear predictors, encrypted"):
    z: CipherVec  # (n,)


class Residual(Message, disclosure=SEALED, learns="nothing: the residuals, encrypted"):
    d: CipherVec  # (n,)


class MaskedGradient(
    Message, disclosure=BLINDED, learns="a number that is uniform (statistically, 80 bits) for each of the sender's weights"
):
    packed: CipherVec  # (ceil(d_P / slots),)


class FinalShare(Message, disclosure=REVEALED, permit="final-weights-to-owner", learns="its own final weights, rounded"):
    share: PlainVec  # (d_P,)


def guest(
    session: Session, x: NDArray[np.float64], y: NDArray[np.float64], link: Link, C: float, passes: int, model_id: bytes
) -> NDArray[np.float64]:
    """x (n, d) float64, standardised and clipped; y (n,) as the link wants it; model_id (16,) bytes, the same for all parts.  Returns weights (d + 1,), the intercept last.

    Learns: its own final weights.  Raises ConfigError (head-room), InvalidKey, ProtocolError.
    """
    key = key_offer.accept(session)
    broadcast([*session.hosts, session.arbiter], TrainingStart(rows_log2(len(x)), model_id))
    plan = make_plan(session, key, rows_log2(len(x)), link, C, passes)
    block = Block.of(x, plan, link.curvature, intercept=True)
    start = np.zeros(block.width, dtype=np.int64)
    start[-1] = round(link.start(y) * 2**WEIGHT)
    share = Share.start(PlainVec.from_i64(start))
    session.arbiter.send(Columns(block.width))
    pair_masks.relay(session)
    for step in session.steps("train", plan.steps()):
        theirs = receive_share(session, block.width)  # 1
        z = block.predictor(theirs, share.point)
        for channel in session.hosts:
            part = channel.recv(Predictor).z
            check_lengths(channel.peer, len(x), part)
            z = z + part
        d = link.residual(session, z, y)
        broadcast(session.hosts, Residual(d))  # 2
        descend(session, plan, block, share, d, theirs, step)  # 3, 4
    return receive_weights(session, share)  # 5


def host(session: Session, x: NDArray[np.float64], link: Link, C: float, passes: int) -> tuple[NDArray[np.float64], bytes]:
    """x (n, d) float64, standardised and clipped, rows in the shared order.  Returns weights (d,) and the model's name.

    Learns: its own final weights.  Raises ConfigError (head-room), InvalidKey, ProtocolError.
    """
    key = key_offer.accept(session)
    start = receive_start(session)
    if start.rows_log2 != rows_log2(len(x)):
        raise RemoteProtocolError(f"{session.roles.guest} trains on another number of rows", party=session.roles.guest)
    plan = make_plan(session, key, start.rows_log2, link, C, passes)
    block = Block.of(x, plan, link.curvature, intercept=False)
    share = Share.start(PlainVec.zeros(block.width))
    session.arbiter.send(Columns(block.width))
    masks = pair_masks.agree(session, "predictor")
    for number, step in session.steps("train", list(enumerate(plan.steps()))):
        theirs = receive_share(session, block.width)  # 1
        z = block.predictor(theirs, share.point).add_plain(masks.integers(number, len(x), PREDICTOR_MASK))
        session.guest.send(Predictor(z.rerandomise(session.seed("predictor", z.digest()))))
        link.deal(session, len(x))
        d = session.guest.recv(Residual).d  # 2
        check_lengths(session.roles.guest, len(x), d)
        descend(session, plan, block, share, d, theirs, step)  # 3, 4
    return receive_weights(session, share), start.model_id  # 5


def arbiter(session: Session, key: DecryptionKey, link: Link, C: float, passes: int, weight_bits: int = WEIGHT) -> bytes:
    """Opens masked gradients and keeps its share of every party's weights, of which it reveals `weight_bits` fractional bits; returns the model's name.

    Learns: sizes only.  Raises PlaintextOverflow, ProtocolError."""
    key_offer.offer(session, key)
    start = receive_start(session)
    plan = make_plan(session, key.public, start.rows_log2, link, C, passes)
    parties = [session.channels[p] for p in session.roles.data_parties]
    columns = {channel.peer: receive_columns(session, channel.peer) for channel in parties}
    shares = {party: Share.start(PlainVec.zeros(count)) for party, count in columns.items()}
    for step in session.steps("train", plan.steps()):
        for channel in parties:
            here = shares[channel.peer].point
            channel.send(WeightShare(key.encrypt(here, session.seed("weight share", here.to_bytes()))))  # 1
        link.serve(session, plan.rows_log2, key)  # 2
        for channel in parties:
            packed = channel.recv(MaskedGradient).packed  # 3
            check_lengths(channel.peer, -(-columns[channel.peer] // plan.slots), packed, what="packed gradients")
            opened = key.open_packed(packed, plan.width, plan.slots, columns[channel.peer], max_bits=plan.mask_bits)
            shares[channel.peer].step(opened, plan.shift, step)  # 4
    for channel in parties:
        channel.send(FinalShare(rounded(shares[channel.peer].point, weight_bits)))  # 5
    return start.model_id


def descend(session: Session, plan: Plan, block: Block, share: Share, residual: CipherVec, theirs: CipherVec, step: Step) -> None:
    """Steps 3 and 4 at a data party: sends its masked gradient and updates its share."""
    gradient = block.gradient(residual, theirs, share.point)
    mask = session.seed("gradient mask", gradient.digest()).integers(block.width, plan.mask_bits)
    packed = gradient.add_plain(mask).pack(plan.width, plan.slots)
    packed = packed.rerandomise(session.seed("masked gradient", packed.digest()), to_holder=True)
    session.arbiter.send(MaskedGradient(packed))
    share.step(-mask, plan.shift, step)


def make_plan(session: Session, key: EncryptionKey, log2: int, link: Link, C: float, passes: int) -> Plan:
    return link.plan(log2, C, passes, len(session.roles.data_parties), key.plain_bits)


def rounded(share: PlainVec, bits: int) -> PlainVec:
    """The nearest multiples of 2^-bits, in units of 2^-WEIGHT: the owner's own share keeps its last bits, so that its weights are right to half of 2^-bits."""
    drop = WEIGHT - bits
    return (share + PlainVec.from_i64(np.full(len(share), (1 << drop) >> 1))).shift_right(drop).shift_left(drop)


def receive_start(session: Session) -> TrainingStart:
    start = session.guest.recv(TrainingStart)
    if not 1 <= start.rows_log2 <= 40 or len(start.model_id) != 16:
        raise RemoteProtocolError(f"{session.roles.guest} announced an impossible training", party=session.roles.guest)
    return start


def receive_columns(session: Session, party: str) -> int:
    count = session.channels[party].recv(Columns).count
    if not 1 <= count <= MAX_COLUMNS:
        raise RemoteProtocolError(f"{party} announced an impossible number of columns", party=party)
    return count


def receive_share(session: Session, width: int) -> CipherVec:
    share = session.arbiter.recv(WeightShare).share
    check_lengths(session.roles.arbiter, width, share, what="weights")
    return share


def receive_weights(session: Session, share: Share) -> NDArray[np.float64]:
    theirs = session.arbiter.recv(FinalShare).share
    check_lengths(session.roles.arbiter, len(share.point), theirs, what="weights")
    return weights(share.point, theirs)
