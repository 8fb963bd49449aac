"""Scores of rows that a model was not trained on, straight from the shares of its weights: for cross-validation, where nobody needs the weights.

Source: the masked opening of sealed_link.py, in place of training.py's step 5.
Adversary: honest but curious; collusions are named in docs/threat-model.md.

     data party P                                    guest                                  arbiter (sk; holds every b_P)
 1                                                   [[z]] of the fold's rows (predictors.py)
 2                                                   r uniform, 80 bits longer than z
                                                     [[z + r]], packed
                                                     MaskedScores  ----------------------->  opens s = z + r: blind
 3                                                         <-------------------------------  RoundedScores: s, rounded to the grid
                                                     z = s - r
 4          <--------------------------------------  FoldScored

Who learns what: the guest each row's joint predictor, within an interval of one grid step (2^-score_bits) whose place its own r decides; it does not even learn
its own part of it.  The arbiter how many rows the fold has.  Hosts nothing.  Nobody learns a weight of the model.
Cost: of n rows, hosts and guest about n d_P products modulo n^2, hosts n re-randomisations; the packs of n masked numbers, opened by the arbiter.
Error: half a grid step.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from protocols._native import Overflow, PlainVec
from protocols.cipher import CipherVec, DecryptionKey
from protocols.codec import check_lengths
from protocols.errors import RemoteProtocolError
from protocols.glm import predictors
from protocols.glm.block import Block, Share
from protocols.glm.pair_masks import PairMasks
from protocols.glm.plan import FEATURE, WEIGHT
from protocols.glm.sealed_link import MASK, WIDTH, slots
from protocols.message import BLINDED, REVEALED, Message
from protocols.scored_folds import await_fold, end_fold
from protocols.session import Session

UNIT = FEATURE + WEIGHT  # fractional bits of a predictor
MAX_ROWS = 1 << 40


class MaskedScores(
    Message, disclosure=BLINDED, learns="how many rows a fold has, and for each a number that is uniform (statistically, 80 bits)"
):
    rows: int
    packed: CipherVec  # (ceil(rows / slots),)


class RoundedScores(
    Message,
    disclosure=REVEALED,
    permit="scores-to-guest",
    learns="for each row of a fold the joint linear predictor of a model that was trained without it, rounded; no party's own part of it",
):
    rounded: PlainVec  # (rows,) masked by the receiver's own numbers, in units of 2^-score_bits


def guest(session: Session, block: Block, share: Share, x: NDArray[np.float64], score_bits: int) -> NDArray[np.float64]:
    """x (n, d) float64: the fold's rows, standardised and clipped as the block's.  Returns their joint predictors (n,).  Learns: these."""

    def score() -> NDArray[np.float64]:
        z, _ = predictors.guest(session, block.at(x), share)  # 1
        mask = session.seed("score mask", z.digest()).integers(len(x), MASK)  # 2
        packed = z.add_plain(mask).pack_for_holder(WIDTH, slots(z.key), session.seed("masked scores", z.digest()))
        session.arbiter.send(MaskedScores(len(x), packed))
        rounded = session.arbiter.recv(RoundedScores).rounded  # 3
        check_lengths(session.roles.arbiter, len(x), rounded)
        try:
            found = (rounded.shift_left(UNIT - score_bits) - mask).to_i64() / 2.0**UNIT
        except Overflow:
            raise RemoteProtocolError(f"{session.roles.arbiter} opened a score that is none", party=session.roles.arbiter) from None
        end_fold(session.hosts)  # 4
        return np.asarray(found)

    return session.once(score, lambda found: {"scores": found}, lambda saved: saved["scores"])


def host(session: Session, block: Block, share: Share, masks: PairMasks, model: int, x: NDArray[np.float64]) -> None:
    """A host's side; masks: of this use alone; model: which of the training's models; x (n, d) float64: the fold's rows."""

    def score() -> None:
        predictors.host(session, block.at(x), share, masks, model)  # 1
        await_fold(session)  # 4

    session.once(score, lambda _: {}, lambda _: None)


def arbiter(session: Session, key: DecryptionKey, shares: dict[str, Share], score_bits: int) -> None:
    """The arbiter's side.  Learns: how many rows the fold has.  Raises PlaintextOverflow, ProtocolError."""

    def score() -> None:
        predictors.serve(session, key, shares)  # 1
        masked = session.guest.recv(MaskedScores)  # 2
        if not 1 <= masked.rows < MAX_ROWS:
            raise RemoteProtocolError(f"{session.roles.guest} scores an impossible number of rows", party=session.roles.guest)
        check_lengths(session.roles.guest, -(-masked.rows // slots(key.public)), masked.packed, what="packed scores")
        opened = key.open_packed(masked.packed, WIDTH, slots(key.public), masked.rows, max_bits=MASK)
        drop = UNIT - score_bits
        half = PlainVec.from_i64(np.full(masked.rows, (1 << drop) >> 1))
        session.guest.send(RoundedScores((opened + half).shift_right(drop)))  # 3

    session.once(score, lambda _: {}, lambda _: None)
