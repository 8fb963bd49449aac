"""Scoring aligned rows with trees whose splits belong to several parties.

Source: with open trees the walk is that of Cheng et al., SecureBoost (arXiv 1901.08755).
Adversary: honest but curious, one party alone.

     guest                                 arbiter                            host P
 open trees
 1   TreesName: all hold parts of the same model  ------------------------->
                                                  <-------------------------  AllDirections: for each of its splits, which rows go left
 2   adds up the leaf values
 sealed trees
 1                ScoreGrid: score_bits  ------------------------------------->  the first host
     walk.py: m = m_G + m_A, shares of what the joint trees add to every row's margin, which nobody sees
 2   rounding.py: the guest opens it, rounded to a grid
 3   adds its own trees and the base

Who learns what.  Guest, open: which rows go left at each split of a host.  Guest, sealed: what joint trees add to each
margin, rounded up or down to the grid of 2^-score_bits, the same whenever the row is scored with the same columns of
the guest's.  Arbiter: how many rows.  Hosts, sealed: nothing.
Many scores of one row, with other columns of the guest's each time, tell the host's columns: hosts count score vectors,
and how often a row is scored (vfl.run.budget).
"""  # noqa: E501

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protocols.binning.quantile import Bins
from protocols.boosting import rounding, walk
from protocols.boosting.ensemble import Ensemble, HostSplits
from protocols.boosting.keys import agree
from protocols.boosting.levels import pack_bits, unpack_bits
from protocols.boosting.packing import Floats
from protocols.boosting.sealed_parts import ArbiterTrees, GuestTrees
from protocols.boosting.tree import walker
from protocols.channel import broadcast, misplaced
from protocols.codec import check_lengths
from protocols.errors import ModelError, RemoteProtocolError
from protocols.kept import Kept
from protocols.message import PUBLIC, REVEALED, Message
from protocols.parts import Part, Parts, parts
from protocols.row_blocks import pace, taken
from protocols.session import Session

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


class ScoreGrid(Message, disclosure=PUBLIC, learns="that scores are opened on a grid of 2^-score_bits", most_bytes=16):
    score_bits: int


def guest(session: Session, binned: Bins, part: Ensemble | GuestTrees, names: Sequence[bytes]) -> Floats:
    """Margins (rows, outputs) of the guest's rows, of sealed trees rounded; names: the canonical id of each row.

    Learns: of open trees directions, of sealed ones the rounded scores.  Raises ModelError, ProtocolError.
    """
    if isinstance(part, GuestTrees):
        return guest_sealed(session, binned, part, names)
    broadcast(session.hosts, TreesName(part.model_id))  # 1
    tables = [receive_all(session, k, len(binned), part) for k in range(len(session.hosts))]
    found = np.empty((len(binned), len(part.base)))
    for block in blocks_of(len(binned), max((table.splits for table in tables), default=0)):
        here, lefts = binned.take(np.arange(block.first, block.last)), [table.within(block) for table in tables]
        steps = [tree.value[tree.route(len(here), walker(here, tree, lefts))] for tree in part.trees]
        found[block.rows] = part.margin(steps, len(here))  # 2
    return found


def guest_sealed(session: Session, binned: Bins, part: GuestTrees, names: Sequence[bytes]) -> Floats:
    share = walk.guest(session, agree(session), binned, part)  # 1
    found = rounding.guest(session, share, part, names, binned)  # 2
    return rounding.margins(part, found, binned)  # 3


def host(
    session: Session,
    binned: Bins,
    part: HostSplits,
    depth: int,
    allow: Callable[[int], None] | None = None,
) -> None:
    """A host's side; depth: of sealed trees, 0 of open ones; allow: receives the number of outputs of sealed trees that
    will be opened, and raises if it does not agree.  Learns: as above.  Raises ModelError, ProtocolError."""
    if not depth:
        name = session.guest.recv(TreesName)
        if name.model_id != part.model_id:
            raise walk.another_model(session)
        for block in blocks_of(len(binned), len(part)):
            here = binned.take(np.arange(block.first, block.last))
            left = pack_bits([part.goes_left(here, slice(None), k) for k in range(len(part))])
            pace([session.guest], block)
            session.guest.send(AllDirections(len(part), left), block)  # 1
        return
    keys = agree(session)
    bits = score_bits(session) if session.me == session.roles.hosts[0] else 0  # 1
    outputs = walk.host(session, keys, binned, part, depth, allow)
    rounding.host(session, outputs, len(binned), bits)  # 2


def score_bits(session: Session) -> int:
    """At the first host: the grid on which scores are opened."""
    bits = session.arbiter.recv(ScoreGrid).score_bits
    if not 0 <= bits <= MOST_SCORE_BITS:
        raise RemoteProtocolError(
            f"{session.roles.arbiter} opens scores on an impossible grid", party=session.roles.arbiter
        )
    return bits


def arbiter(session: Session, part: ArbiterTrees) -> None:
    """The arbiter's side, of sealed trees.  Learns: how many rows.  Raises ModelError, ProtocolError."""
    keys = agree(session)
    session.channels[session.roles.hosts[0]].send(ScoreGrid(part.score_bits))  # 1
    rounding.arbiter(session, walk.arbiter(session, keys, part), part)  # 2


@dataclass(frozen=True, eq=False)
class KeptDirections:
    """Those of one host: how many splits it has, and of each block of rows what reads the bitmap (splits, rows)."""

    sender: str
    splits: int
    blocks: list[tuple[Part, Kept]]

    def within(self, block: Part) -> NDArray[np.bool_]:
        """(splits, rows) of a block of rows."""
        found = [np.zeros((self.splits, 0), dtype=np.bool_)]
        for own, read in self.blocks:
            first, last = max(own.first, block.first), min(own.last, block.last)
            if first < last:
                bits = unpack_bits(read(), self.splits * len(own), self.sender).reshape(self.splits, len(own))
                found.append(bits[:, first - own.first : last - own.first])
        return np.concatenate(found, axis=1)


def receive_all(session: Session, k: int, rows: int, part: Ensemble) -> KeptDirections:
    """The directions of host k."""
    channel, found = session.hosts[k], list[tuple[Part, Kept]]()
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
        check_lengths(channel.peer, -(-splits * len(block) // 8), message.left, what="bytes of a bitmap")
        found.append((block, session.keep(message.left)))
        taken(channel, block)
    return KeptDirections(channel.peer, splits, found)


def blocks_of(rows: int, splits: int) -> Parts:
    """The blocks of rows' directions, whose bits are packed."""
    return parts(rows, -(-splits // 64))
