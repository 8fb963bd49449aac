"""Scoring aligned rows with trees whose splits belong to several parties.

Source: with open trees the walk is that of Cheng et al., SecureBoost (arXiv 1901.08755).
Adversary: honest but curious, one party alone.

     guest                                 arbiter                            host P
 open trees
 1   TreesName: all hold parts of the same model  ------------------------->
                                                  <-------------------------  AllDirections: for each of its splits, which rows go left
 2   adds up the leaf values
 sealed trees
 1                ScoreGrid: score_bits, and so t  ------------------------->  the first host
     walk.py: m = m_G + m_A, shares of every row's margin, which nobody sees
 2   RowTags  ------------------------------------------------------------->  the first host: rho, pseudo-random, from a secret key of its own, the model,
                                                                              the customer's id, its own bins of this row and the tag
     tau, from the key of guest and first host                                tau, from the same key
                                 RoundingPads (rho mod 2^t) + tau  <------
 3        <--------------------  OpenedScores m_A - (rho mod 2^t) - tau
     floor((m_G + m_A - (rho mod 2^t) - tau + tau) / 2^t) + 1

All of this is modulo 2^48.  tau cancels, so that the guest holds m - (rho mod 2^t), and the opened number is the margin
divided by 2^t, rounded down or up: up with probability equal to the fraction, over rho.  rho is the same whenever the
same row is scored by the same model, so that scoring again, alone or in any batch, gives the same bits and nothing
finer; a row whose columns of the guest or of the first host changed has another rho; changed columns of a further host
leave it as it is.
tau is uniform and new in each scoring, for each row and output: so the numbers that the arbiter receives are uniform
and independent, also together with those of every other scoring, and do not tell it which rows are the same customer.
Who learns what.  Guest, open: which rows go left at each split of a host.  Guest, sealed: each margin less a secret
number below a step of the grid of 2^-score_bits, the same number whenever the row is scored with the same columns.  The
first host, sealed: of a customer that is scored again, whether the guest's bins changed (RowTags: a keyed hash,
different for each customer).  Arbiter: how many rows.
Many scores of one row, with other columns of the guest's each time, tell the margin to about a step divided by their
number, and the host's columns with it: hosts count score vectors, and how often a row is scored (vfl.run.budget).
"""  # noqa: E501

from __future__ import annotations

import hmac
import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from protocols.binning.quantile import Binned
from protocols.boosting import rings, walk
from protocols.boosting.ensemble import Ensemble, HostSplits
from protocols.boosting.keys import PairKeys, agree
from protocols.boosting.levels import pack_bits, unpack_bits
from protocols.boosting.packing import Floats
from protocols.boosting.rings import Words
from protocols.boosting.sealed_parts import ArbiterTrees, GuestTrees, alone
from protocols.boosting.tree import walker
from protocols.channel import broadcast, misplaced
from protocols.codec import check_lengths
from protocols.errors import ModelError, RemoteProtocolError
from protocols.glm.sealed_link import UNIT
from protocols.message import BLINDED, PUBLIC, REVEALED, Message
from protocols.parts import Part, parts
from protocols.row_blocks import pace, taken
from protocols.session import Session

TAG = 16  # bytes
MOST_SPLITS = 1 << 24
MOST_SCORE_BITS = 20


class TreesName(Message, disclosure=PUBLIC, learns="the random name of the model that scores"):
    model_id: bytes  # (16,)


class AllDirections(
    Message,
    disclosure=REVEALED,
    permit="directions-to-guest",
    learns="for each of the sender's splits which rows go left, but not which column or value it splits on",
    in_blocks=True,
):
    splits: int
    left: bytes  # bitmap (splits, rows)


class RowTags(
    Message,
    disclosure=REVEALED,
    permit="scores-to-guest",
    learns=(
        "for each row a keyed hash of the customer and the sender's bins: for a customer scored before, whether "
        "these bins have changed"
    ),
    in_blocks=True,
):
    tags: bytes  # (rows, TAG)


class ScoreGrid(Message, disclosure=PUBLIC, learns="that scores are opened on a grid of 2^-score_bits", most_bytes=16):
    score_bits: int


class RoundingPads(
    Message,
    disclosure=BLINDED,
    learns="nothing: for each row and output a uniform number, a new one each time the row is scored",
    in_blocks=True,
):
    masked: bytes  # (outputs, rows) of 6 bytes


class OpenedScores(
    Message,
    disclosure=REVEALED,
    permit="scores-to-guest",
    learns=(
        "for each row the joint score minus a secret number below a step of 2^-score_bits; this number is the same "
        "each time the row is scored"
    ),
    in_blocks=True,
):
    shares: bytes  # (outputs, rows) of 6 bytes


def guest(session: Session, binned: Binned, part: Ensemble | GuestTrees, names: Sequence[bytes]) -> Floats:
    """Margins (rows, outputs) of the guest's rows, of sealed trees rounded; names: the canonical id of each row.

    Learns: of open trees directions, of sealed ones the rounded scores.  Raises ModelError, ProtocolError.
    """
    if isinstance(part, GuestTrees):
        return guest_sealed(session, binned, part, names)
    broadcast(session.hosts, TreesName(part.model_id))  # 1
    tables = [receive_all(session, k, len(binned), part) for k in range(len(session.hosts))]
    steps = [tree.value[tree.route(len(binned), walker(binned, tree, tables))] for tree in part.trees]
    return part.margin(steps, len(binned))  # 2


def guest_sealed(session: Session, binned: Binned, part: GuestTrees, names: Sequence[bytes]) -> Floats:
    keys, helper = agree(session), session.roles.hosts[0]
    share = walk.guest(session, keys, binned, part)  # 1
    share = share + np.rint(alone(part.own, binned).T / part.margin_unit).astype(np.int64).view(np.uint64)
    tags = hashes(part.score_key, part.model_id, names, binned, b"", TAG)
    for block in parts(len(binned)):
        pace([session.channels[helper]], block)
        session.channels[helper].send(RowTags(b"".join(tags[block.rows])), block)  # 2
    shift, opened = UNIT - part.params.score_bits, list[Words]()
    for block in parts(len(binned), len(share)):
        shares = session.arbiter.recv(OpenedScores, block).shares
        opened.append(rings.from_bytes(shares, (len(share), len(block)), session.roles.arbiter))
        taken(session.arbiter, block)
    less = np.concatenate(opened, axis=1) + pads(keys, helper, share.shape)  # 3
    rounded = (rings.signed(share + less) >> shift) + 1
    whole = rings.signed(rounded.view(np.uint64) << np.uint64(shift))
    return np.asarray(whole.T * part.margin_unit)


def host(
    session: Session,
    binned: Binned,
    part: HostSplits,
    depth: int,
    names: Sequence[bytes],
    allow: Callable[[int], None] | None = None,
) -> None:
    """A host's side; depth: of sealed trees, 0 of open ones; names: as the guest's; allow: receives the number of
    outputs of sealed trees that will be opened, and raises if it does not agree.  Learns: as above.  Raises ModelError,
    ProtocolError."""
    if not depth:
        name = session.guest.recv(TreesName)
        if name.model_id != part.model_id:
            raise walk.another_model(session)
        for block in blocks_of(len(binned), len(part)):
            rows = np.arange(block.first, block.last)
            left = pack_bits([part.goes_left(binned, rows, k) for k in range(len(part))])
            pace([session.guest], block)
            session.guest.send(AllDirections(len(part), left), block)  # 1
        return
    keys, helps = agree(session), session.me == session.roles.hosts[0]
    below = below_grid(session) if helps else np.uint64(0)  # 1
    outputs = walk.host(session, keys, binned, part, depth, allow)
    if helps:
        tags = receive_tags(session, len(binned))  # 2
        drawn = b"".join(hashes(part.score_key, part.model_id, names, binned, tags, rings.BYTES * outputs))
        rho = rings.from_bytes(drawn, (len(binned), outputs), session.me).T
        masked = (rho & below) + pads(keys, session.roles.guest, rho.shape)
        for block in parts(len(binned), outputs):
            pace([session.arbiter], block)
            session.arbiter.send(RoundingPads(rings.to_bytes(masked[:, block.rows])), block)


def receive_tags(session: Session, rows: int) -> bytes:
    """Step 2 at the first host."""
    found = list[bytes]()
    for block in parts(rows):
        found.append(session.guest.recv(RowTags, block).tags)
        check_lengths(session.roles.guest, TAG * len(block), found[-1], what="bytes of tags")
        taken(session.guest, block)
    return b"".join(found)


def below_grid(session: Session) -> np.uint64:
    """At the first host: 2^t - 1, the bits of a margin that are below the grid."""
    bits = session.arbiter.recv(ScoreGrid).score_bits
    if not 0 <= bits <= MOST_SCORE_BITS:
        raise RemoteProtocolError(
            f"{session.roles.arbiter} opens scores on an impossible grid", party=session.roles.arbiter
        )
    return np.uint64((1 << (UNIT - bits)) - 1)


def arbiter(session: Session, part: ArbiterTrees) -> None:
    """The arbiter's side, of sealed trees.  Learns: how many rows.  Raises ModelError, ProtocolError."""
    keys, helper = agree(session), session.roles.hosts[0]
    session.channels[helper].send(ScoreGrid(part.score_bits))  # 1
    share = walk.arbiter(session, keys, part)
    for block in parts(share.shape[1], len(share)):
        masked = session.channels[helper].recv(RoundingPads, block).masked
        less = share[:, block.rows] - rings.from_bytes(masked, (len(share), len(block)), helper)
        taken(session.channels[helper], block)
        pace([session.guest], block)
        session.guest.send(OpenedScores(rings.to_bytes(less)), block)  # 3


def pads(keys: PairKeys, party: str, shape: tuple[int, ...]) -> Words:
    """tau (outputs, rows), which guest and first host draw from the key that they share for this scoring alone."""
    return keys.with_(party, "rounding pads").words(math.prod(shape)).reshape(shape)


def hashes(key: bytes, model_id: bytes, names: Sequence[bytes], binned: Binned, tags: bytes, size: int) -> list[bytes]:
    """`size` pseudo-random bytes for each row, from a secret key, the model, the customer's id, this party's bins and,
    at the first host, the guest's tag."""
    rows = np.ascontiguousarray(binned.bins, dtype="<i2")
    found = []
    for k, name in enumerate(names):
        parts = (model_id, name, rows[k].tobytes(), tags[TAG * k : TAG * (k + 1)])
        seed = hmac.digest(key, b"".join(len(part).to_bytes(4, "big") + part for part in parts), "sha256")
        found.append((seed if size <= len(seed) else expanded(seed, size))[:size])
    return found


def expanded(seed: bytes, size: int) -> bytes:
    return b"".join(hmac.digest(seed, number.to_bytes(4, "big"), "sha256") for number in range(-(-size // 32)))


def receive_all(session: Session, k: int, rows: int, part: Ensemble) -> NDArray[np.bool_]:
    """The directions (splits, rows) of host k."""
    channel, found = session.hosts[k], list[NDArray[np.bool_]]()
    message, place = channel.recv_block(AllDirections)
    splits = message.splits
    needed = max((int(t.feature[t.owner == k + 1].max(initial=-1)) for t in part.trees), default=-1) + 1
    if not needed <= splits < MOST_SPLITS:
        raise ModelError(
            f"{channel.peer} has fewer splits than this party's part of the model names",
            remedy="Give every party the model folder of the same run",
            party=channel.peer,
        )
    for block in blocks_of(rows, splits):
        if block.number:
            message, place = channel.recv_block(AllDirections)
        if place != block.place or message.splits != splits:
            raise misplaced(channel.peer, AllDirections, block.place, place)
        found.append(unpack_bits(message.left, splits * len(block), channel.peer).reshape(splits, len(block)))
        taken(channel, block)
    return np.concatenate(found, axis=1)


def blocks_of(rows: int, splits: int) -> list[Part]:
    """The blocks of rows' directions, whose bits are packed."""
    return parts(rows, -(-splits // 64))
