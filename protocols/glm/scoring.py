"""Scoring aligned rows: the guest learns the sum of the hosts' predictors, rounded to the job's grid, and adds its own.

With several hosts each adds masks that cancel in the sum (pair_masks.py).
Adversary: honest but curious (a guest that replaces the relayed keys could unmask a single host: docs/threat-model.md).

     host P                                                     guest
 0                                 <--------------------------  ModelName: both hold parts of the same model
 1   (two or more hosts: pair_masks.py)
 2   round(z_P / grid) + masks that cancel in the hosts' sum, mod 2^64
                          Scores  --------------------------->  adds all up, mod 2^64: masks cancel; adds its own predictor

Who learns what: the guest, for each row, the sum of the hosts' rounded predictors; with a single host that is this host's own.
Cost: 8 bytes a row and host; no encryption.  Error: half a grid step, 2^-(score_bits + 1), a host.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from protocols.channel import broadcast
from protocols.codec import Int64s, check_lengths
from protocols.errors import DataError, ModelError
from protocols.glm import pair_masks
from protocols.message import PUBLIC, REVEALED, Message
from protocols.session import Session

MAX_SCORE = 2.0**20


class ModelName(Message, disclosure=PUBLIC, learns="the random name of the model that scores"):
    model_id: bytes  # (16,)


class Scores(
    Message,
    disclosure=REVEALED,
    permit="scores-to-guest",
    learns="for each row the sum of the hosts' linear predictors, rounded (with a single host: that host's own)",
):
    masked: Int64s  # (n,) mod 2^64


def guest(session: Session, rows: int, model_id: bytes, score_bits: int) -> NDArray[np.float64]:
    """The sum of the hosts' predictors (rows,), each rounded to 2^-score_bits.  Learns: that sum."""
    broadcast(session.hosts, ModelName(model_id))  # 0
    pair_masks.relay(session)  # 1
    total = np.zeros(rows, dtype=np.uint64)
    for channel in session.hosts:
        masked = channel.recv(Scores).masked  # 2
        check_lengths(channel.peer, rows, masked)
        total += masked.view(np.uint64)
    return total.view(np.int64) / 2.0**score_bits


def host(session: Session, predictor: NDArray[np.float64], model_id: bytes, score_bits: int) -> None:
    """Sends this host's linear predictor (rows,), rounded to 2^-score_bits.  Raises ModelError if the guest scores another model, DataError beyond 2^20."""
    if session.guest.recv(ModelName).model_id != model_id:  # 0
        raise ModelError(
            f"{session.roles.guest} scores with another model than this party's part belongs to",
            remedy="Give every party the model folder of the same run",
            party=session.me,
        )
    if not np.all(np.abs(predictor) < MAX_SCORE):
        raise DataError("a score is not finite or beyond 2^20", remedy="Look for extreme values in the columns", party=session.me)
    total = np.rint(predictor * 2.0**score_bits).astype(np.int64).view(np.uint64)
    masks = pair_masks.agree(session, "score")  # 1
    session.guest.send(Scores((total + masks.words(len(total))).view(np.int64)))  # 2
