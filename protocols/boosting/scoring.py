"""Scoring aligned rows with trees whose splits lie at several parties: the guest walks down, hosts say left or right.

Source: the walk is that of Cheng et al., SecureBoost (arXiv 1901.08755); here without telling hosts where a row is.
Adversary: honest but curious; in `hidden` the arbiter deals the transfers and colludes with nobody.

     guest                                                        host P
 0   TreesName: all hold parts of the same model  ----------->
 shared
 1                                                <-----------    AllDirections: for each of its splits, which rows go left
 hidden, for every block of rows
 1   DealOrder: rows times trees, to the arbiter
     each level, all trees at once
 2   Choices: which seat a row has, masked        ----------->
                                                  <-----------    MaskedBits: whether the row goes left, for every seat of every tree
 3   adds up the leaf values

Who learns what.  Guest, shared: which rows go left at each split of a host.  Guest, hidden: that of the splits on a row's paths only.  Hosts: nothing; the
arbiter: rows, trees, levels.  Cost: shared one bit a row and split; hidden 2^depth bits and depth bytes a row, tree and host.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from protocols.binning import Binned
from protocols.boosting import transfer
from protocols.boosting.ensemble import Ensemble, HostSplits
from protocols.boosting.levels import pack_bits, unpack_bits
from protocols.boosting.packing import Floats, Ints
from protocols.boosting.tree import GUEST, Bits, Tree
from protocols.channel import broadcast
from protocols.errors import ModelError, RemoteProtocolError
from protocols.message import PUBLIC, REVEALED, Message
from protocols.session import Session

BLOCK = 1 << 22  # rows times trees that are under way at once


class TreesName(Message, disclosure=PUBLIC, learns="the random name of the model that scores, and how many of its trees it uses"):
    model_id: bytes  # (16,)
    trees: int


class AllDirections(
    Message,
    disclosure=REVEALED,
    permit="directions-to-guest",
    learns="for each of the sender's splits which rows go left, but not what it splits on",
):
    splits: int
    left: bytes  # bitmap (splits, rows)


def guest(session: Session, binned: Binned, part: Ensemble) -> Floats:
    """Margins (rows, outputs) of the guest's rows.  Learns: directions.  Raises ModelError, ProtocolError."""
    hosts = session.hosts
    broadcast(hosts, TreesName(part.model_id, len(part.trees)))  # 0
    if part.params.membership == "shared":
        tables = [receive_all(session, k, len(binned), part) for k in range(len(hosts))]  # 1
        steps = [tree.value[tree.route(len(binned), walker(binned, tree, tables))] for tree in part.trees]
        return part.margin(steps, len(binned))
    blocks = row_blocks(len(binned), len(part.trees))
    margins = [part.margin(walk_sealed(session, Binned(binned.binner, binned.bins[rows]), part), len(rows)) for rows in blocks]
    session.arbiter.send(transfer.DealOrder(0, 0))
    return np.concatenate([part.margin([], 0), *margins])


def host(session: Session, binned: Binned, part: HostSplits, depth: int) -> None:
    """A host's side; depth: of the trees in profile `hidden`, 0 in `shared`.  Learns: nothing.  Raises ModelError."""
    name = session.guest.recv(TreesName)
    if name.model_id != part.model_id:
        raise ModelError(
            f"{session.roles.guest} scores with another model than this party's part belongs to",
            remedy="Give every party the model folder of the same run",
            party=session.me,
        )
    if not 0 <= name.trees <= transfer.MOST_ROWS:
        raise RemoteProtocolError(f"{session.roles.guest} scores with an impossible number of trees", party=session.roles.guest)
    every = np.arange(len(binned))
    if not depth:
        lefts = [part.goes_left(binned, every, k) for k in range(len(part))]
        session.guest.send(AllDirections(len(part), pack_bits(lefts)))  # 1
        return
    handles = {where: k for k, where in enumerate(part.seat)}
    for rows in row_blocks(len(binned), name.trees):
        for level in range(depth):
            words = []
            for tree in range(name.trees):
                found = [handles.get((tree, level, seat)) for seat in range(1 << level)]
                columns = [None if k is None else part.goes_left(binned, rows, k) for k in found]
                words.append(transfer.bit_words(columns, len(rows)))
            transfer.answer(session, np.concatenate(words) if words else np.zeros(0, dtype=np.uint64), 1 << level)  # 2


def arbiter(session: Session) -> None:
    """Deals the transfers of profile `hidden`."""
    transfer.serve(session)


def row_blocks(rows: int, trees: int) -> list[Ints]:
    """Consecutive rows whose transfers fit into memory."""
    size = max(1, BLOCK // max(1, trees))
    return [np.arange(start, min(start + size, rows)) for start in range(0, rows, size)]


def receive_all(session: Session, k: int, rows: int, part: Ensemble) -> NDArray[np.bool_]:
    """The directions (splits, rows) of host k."""
    channel = session.hosts[k]
    message = channel.recv(AllDirections)
    needed = max((int(t.feature[t.owner == k + 1].max(initial=-1)) for t in part.trees), default=-1) + 1
    if not needed <= message.splits < 1 << 24:
        raise ModelError(
            f"{channel.peer} has fewer splits than this party's part of the model names",
            remedy="Give every party the model folder of the same run",
            party=channel.peer,
        )
    return unpack_bits(message.left, message.splits * rows, channel.peer).reshape(message.splits, rows)


def walker(binned: Binned, tree: Tree, tables: Sequence[NDArray[np.bool_]]) -> Callable[[int, Ints], Bits]:
    """Directions at the nodes of one tree, from the guest's own columns and what the hosts sent."""

    def goes_left(node: int, rows: Ints) -> Bits:
        owner, feature = int(tree.owner[node]), int(tree.feature[node])
        if owner == GUEST:
            return binned.goes_left(rows, feature, int(tree.cut[node]), bool(tree.missing_left[node]))
        return np.asarray(tables[owner - 1][feature, rows])

    return goes_left


def walk_sealed(session: Session, binned: Binned, part: Ensemble) -> list[Floats]:
    """Each tree's step of each row, level by level; all trees at once."""
    rows, trees, depth = len(binned), part.trees, part.params.max_depth
    session.arbiter.send(transfer.DealOrder(rows * max(1, len(trees)), depth))  # 1
    at, place = np.zeros((len(trees), rows), dtype=np.int64), np.zeros((len(trees), rows), dtype=np.int64)
    for level in range(depth):
        seats = np.array([part.seats[t * depth + level][place[t]] for t in range(len(trees))]).reshape(-1)
        asked = [transfer.Choosing.ask(session.arbiter, channel, seats, 1 << level) for channel in session.hosts]  # 2
        bits = [choosing.take().reshape(len(trees), rows) for choosing in asked]
        for t, tree in enumerate(trees):
            owner, here = tree.owner[at[t]], at[t]
            left = np.ones(rows, dtype=np.bool_)
            for k, answered in enumerate(bits, 1):
                left = np.where(owner == k, answered[t], left)
            for node in np.flatnonzero(tree.owner == GUEST):
                mine = np.flatnonzero(here == node)
                left[mine] = binned.goes_left(mine, int(tree.feature[node]), int(tree.cut[node]), bool(tree.missing_left[node]))
            inner = owner >= GUEST
            at[t] = np.where(inner, np.where(left, tree.left[here], tree.left[here] + 1), here)
            place[t] = 2 * place[t] + (inner & ~left)
    return [tree.value[at[t]] for t, tree in enumerate(trees)]  # 3
