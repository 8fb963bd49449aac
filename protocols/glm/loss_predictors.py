"""Shares of the predictors of the rows whose loss is evaluated (stopping.py), at guest and arbiter.

Prepared iterations prepare the evaluations of a chunk too, by step 1 of preparation.py over these rows, and each is
step 1 of prepared.py under pads of its own.  The direct protocol:

     host P                              guest                                               arbiter (sk; holds every b_P)
 0                                       LossRows n  ------------------------------------->
 1            <--------------------------------------------------------------------------  WeightShare [[b_P]], to each P alone
     Predictor [[X_P w_P]], masked  -->  [[z]], as in predictors.py
 2                                       MaskedPredictors [[z + r]], as in sealed_link.py -->  opens it: blind
                                         its share of z: -r                                  its share of z: z + r

Who learns what: the arbiter how many rows there are; nobody anything else.
"""  # noqa: E501

from __future__ import annotations

from collections.abc import Mapping

from protocols import row_blocks
from protocols.cipher import DecryptionKey
from protocols.errors import RemoteProtocolError
from protocols.glm import predictors, prepared, sealed_link
from protocols.glm.block import Block, Share
from protocols.glm.chunks import Ready
from protocols.glm.pair_masks import PairMasks
from protocols.kept import KeptVec
from protocols.message import PUBLIC, Message
from protocols.parts import parts
from protocols.session import Session


class LossRows(Message, disclosure=PUBLIC, learns="on how many rows the loss is evaluated", most_bytes=16):
    rows: int


def guest(session: Session, block: Block, share: Share, ready: Ready | None) -> KeptVec:
    """The guest's share of z (n,), over the rows of `block`; ready: None in the direct protocol."""
    if ready is not None:
        return prepared.receive_predictors(session, ready, block, share)[1]
    session.arbiter.send(LossRows(len(block)))  # 0
    theirs, found = predictors.receive_share(session, block.width), KeptVec([], [])
    for part in parts(len(block)):
        z = predictors.guest(session, block.take(part.rows), share, theirs, part)  # 1
        row_blocks.pace([session.arbiter], part)
        found.add(sealed_link.masked(session, z, part), session.keep)  # 2
        for channel in session.hosts:
            row_blocks.taken(channel, part)
    return found


def host(session: Session, block: Block, share: Share, masks: PairMasks, use: int, ready: Ready | None) -> None:
    """A host's side; masks, use: other ones than in training."""
    if ready is not None:
        prepared.send_predictors(session, ready, block, share, masks, use)
        return
    theirs = predictors.receive_share(session, block.width)
    for part in parts(len(block)):
        row_blocks.pace([session.guest], part)
        predictors.host(session, block.take(part.rows), share, theirs, masks, use, part)  # 1


def arbiter(
    session: Session, key: DecryptionKey, shares: Mapping[str, Share], bounds: tuple[int, int], ready: Ready | None
) -> KeptVec:
    """The arbiter's share of z (n,).  Raises RemoteProtocolError for a number of rows that there cannot be."""
    if ready is not None:
        return prepared.serve_predictors(session, ready, shares)
    rows = session.guest.recv(LossRows).rows  # 0
    if not bounds[0] <= rows <= bounds[1]:
        raise RemoteProtocolError(
            f"{session.roles.guest} evaluates the loss on another number of rows than there can be",
            party=session.roles.guest,
        )
    predictors.serve(session, key, shares)  # 1
    found = KeptVec([], [])
    for part in parts(rows):
        packed = session.guest.recv(sealed_link.MaskedPredictors, part).packed
        found.add(sealed_link.opened(session, key, packed, len(part)), session.keep)  # 2
        row_blocks.taken(session.guest, part)
    return found
