"""Scoring aligned rows: the guest learns the sum of the hosts' predictors, rounded to the job's grid, and adds its own.

With several hosts each adds pairwise masks that cancel in the sum (as in Bonawitz et al., CCS 2017, without drop-outs: a run needs every host), keyed by
X25519 between the hosts and relayed by the guest.
Adversary: honest but curious (a guest that replaces the relayed keys could unmask a single host: docs/threat-model.md).

     host P                                                     guest
 0                                 <--------------------------  ModelName: both hold parts of the same model
 1   (two or more hosts)  MaskKey  -------------------------->
                                   <--------------------------  MaskKeys, of all hosts
 2   round(z_P / grid) + sum of masks to later hosts - sum of masks from earlier ones, mod 2^64
                          Scores  --------------------------->  adds all up, mod 2^64: masks cancel; adds its own predictor

Who learns what: the guest, for each row, the sum of the hosts' rounded predictors; with a single host that is this host's own.
Cost: 8 bytes a row and host; no encryption.  Error: half a grid step, 2^-(score_bits + 1), a host.
"""

from __future__ import annotations

import numpy as np
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from numpy.typing import NDArray

from protocols.channel import broadcast
from protocols.codec import Int64s, check_lengths
from protocols.errors import DataError, ModelError, RemoteProtocolError
from protocols.message import PUBLIC, REVEALED, Message
from protocols.randomness import Seed
from protocols.session import Session

MAX_SCORE = 2.0**20


class ModelName(Message, disclosure=PUBLIC, learns="the random name of the model that scores"):
    model_id: bytes  # (16,)


class MaskKey(Message, disclosure=PUBLIC, learns="a one-time public key of the sender"):
    public: bytes  # (32,) X25519


class MaskKeys(Message, disclosure=PUBLIC, learns="the one-time public keys of all hosts"):
    publics: bytes  # (hosts, 32) in the job's order


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
    if len(session.hosts) > 1:
        publics = b"".join(channel.recv(MaskKey).public for channel in session.hosts)  # 1
        broadcast(session.hosts, MaskKeys(publics))
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
    if len(session.roles.hosts) > 1:
        for mask, sign in pairwise_masks(session, len(predictor)):
            total = total + mask if sign > 0 else total - mask
    session.guest.send(Scores(total.view(np.int64)))  # 2


def pairwise_masks(session: Session, rows: int) -> list[tuple[NDArray[np.uint64], int]]:
    """For each other host, (rows,) words that both derive, and this host's sign."""
    secret = X25519PrivateKey.from_private_bytes(session.seed("score mask").secret)
    own = secret.public_key().public_bytes_raw()
    session.guest.send(MaskKey(own))  # 1
    publics = session.guest.recv(MaskKeys).publics
    hosts = session.roles.hosts
    check_lengths(session.roles.guest, 32 * len(hosts), publics, what="bytes of keys")
    keys = dict(zip(hosts, (publics[i : i + 32] for i in range(0, len(publics), 32)), strict=True))
    if keys[session.me] != own or len(set(keys.values())) < len(hosts):
        raise RemoteProtocolError(f"{session.roles.guest} relayed other keys than the hosts sent", party=session.roles.guest)
    return [(pair_mask(secret, keys, session.me, other, rows), 1 if session.me < other else -1) for other in hosts if other != session.me]


def pair_mask(secret: X25519PrivateKey, keys: dict[str, bytes], me: str, other: str, rows: int) -> NDArray[np.uint64]:
    first, second = sorted((me, other))
    try:
        shared = secret.exchange(X25519PublicKey.from_public_bytes(keys[other]))
    except ValueError:
        raise RemoteProtocolError(f"the key relayed for {other} is not valid", party=other) from None
    context = b"vfl score mask v1|" + f"{first}|{second}|{rows}|".encode() + keys[first] + keys[second]
    return Seed(me, HKDF(hashes.SHA256(), 32, salt=None, info=context).derive(shared)).words(rows)
