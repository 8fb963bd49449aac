"""The joint linear predictors of shared weights, which the guest holds encrypted: step 1 of a training and of each
evaluation of its loss.  Predictors travel in blocks of rows, one by one (row_blocks.py).

     data party P (a host, or the guest itself)               guest                                arbiter (sk; holds every b_P)
 1              <---------------------------------------------------------------------------------  WeightShare [[b_P]], to each P alone
     [[z_P]] = X_P [[b_P]] + X_P a_P + masks that cancel in the hosts' sum
     re-randomised  Predictor ------------------------------> [[z]] = [[z_G]] + sum of [[z_P]]

Who learns what: nobody anything.
"""  # noqa: E501

from __future__ import annotations

from collections.abc import Mapping

from protocols.cipher import CipherVec, DecryptionKey
from protocols.codec import check_lengths
from protocols.glm.block import Block, Share
from protocols.glm.pair_masks import PairMasks
from protocols.glm.plan import FEATURE, SCORE, SIGMA, WEIGHT
from protocols.message import SEALED, Message
from protocols.parts import Part
from protocols.session import Session

MASK = FEATURE + WEIGHT + SCORE + SIGMA  # bits: a predictor's, and 80 more


class WeightShare(
    Message, disclosure=SEALED, learns="nothing: the arbiter's share of the receiver's own weights, encrypted"
):
    share: CipherVec  # (d_P,)


class Predictor(
    Message, disclosure=SEALED, learns="nothing: the sender's linear predictors, encrypted", in_blocks=True
):
    z: CipherVec  # (n,)


def serve(session: Session, key: DecryptionKey, shares: Mapping[str, Share]) -> None:
    """At the arbiter: gives each data party its share of that party's own weights, encrypted."""
    for party, share in shares.items():
        session.channels[party].send(
            WeightShare(key.encrypt(share.point, session.seed("weight share", share.point.to_bytes())))
        )


def guest(session: Session, block: Block, share: Share, theirs: CipherVec, part: Part) -> CipherVec:
    """[[z]] of this block of rows, with the hosts' fresh factors; theirs (d,): [[b]] of the guest's own weights."""
    z = block.predictor(theirs, share.point)
    for channel in session.hosts:
        added = channel.recv(Predictor, part).z
        check_lengths(channel.peer, len(block), added)
        z = z + added
    return z


def host(
    session: Session, block: Block, share: Share, theirs: CipherVec, masks: PairMasks, use: int, part: Part
) -> None:
    """Sends the host's part of z of this block of rows; theirs (d,): [[b]] of its own weights; use: another number for
    each evaluation of any rows."""
    z = block.predictor(theirs, share.point).add_plain(masks.integers(use, part, MASK))
    session.guest.send(Predictor(z.rerandomise(session.seed("predictor", z.digest()))), part)


def receive_share(session: Session, width: int) -> CipherVec:
    """[[b]] (d,) of this party's own weights."""
    share = session.arbiter.recv(WeightShare).share
    check_lengths(session.roles.arbiter, width, share, what="weights")
    return share
