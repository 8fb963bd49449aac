"""Vertical gradient-boosted trees whose hosts never learn which rows a node holds: the sealed profile, `membership="hidden"`.

Source: the setting of Cheng et al., SecureBoost (arXiv 1901.08755); here the nodes of a level sit in slots of one plaintext, so that a host adds up all
rows without knowing where they belong, and directions travel by oblivious transfer (transfer.py).
Adversary: honest but curious; the arbiter deals the transfers and colludes with nobody.

 step    guest (labels, sk)                                      host P (features)
  0      opening.py: key, columns, the model's name
 each tree
         NextTree, with early stopping            ------------>
  1      DealOrder to the arbiter, which deals one transfer a row, level and host (transfer.py); after the first, at the end of the tree before
 each of max_depth levels, whether a node is left or not
  2      the 2^level places of nodes take seats at random, the same for all hosts
         RowGradients: [[g|h]] in the slot of its node's seat, else 0, encrypted afresh  --->
  3                                                              adds up all rows by (column, bin): one histogram holds all seats
                                                  <------------  SeatSums: prefix sums over bins; list shuffled, filled up, packed, re-randomised
  4      opens; the best split of each node over all parties
         SeatWins: positions in the list, a seat  ------------>  takes the first in canonical order, keeps (column, cut) under (tree, level, seat)
  5      Choices: which seat a row has, masked    ------------>
                                                  <------------  MaskedBits: whether the row goes left, for every seat; 0 at seats that it did not win
 at the end of a tree
  6      leaf values from exact g and h, at the guest alone

Who learns what.  Guest: at every node the sums of quantised g and h left of boundaries that it cannot name (bins hold min_bin_rows rows or more and nodes twice as
many, but a node's part of a bin can be smaller: of one or two rows the guest recognises some by their g and h); of a row, whether it goes left where a host's split won its node.
Host: how many of its splits won at each level and which, and which others would have gained the same; no node, no row.  Arbiter: rows, levels, trees.
Arbiter and host together: every row's node.  Arbiter and guest together: the directions of all rows at all splits that won.
Cost a tree: max_depth times n encryptions and ciphertexts; hosts n * columns products a level, fewer by joint tables; n bytes and n 2^level bits a level and host.
Error: none; the trees equal those of twin.py, and of shared.py with min_bin_rows = 1, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from protocols._native import PlainVec
from protocols.binning import Binned, Candidates
from protocols.boosting import transfer
from protocols.boosting.ensemble import Ensemble, HostSplits, Rounds, begins_round
from protocols.boosting.levels import check_ints, own_columns, own_lefts, segments, splits_of, won
from protocols.boosting.opening import (
    NextTree,
    longest_list,
    open_sums,
    party_of,
    receive_gradients,
    send_gradients,
    start_guest,
    start_host,
    stops_after,
)
from protocols.boosting.packing import Ints, Packing, Quantised
from protocols.boosting.params import Params
from protocols.boosting.split import Choice, Offer, choose
from protocols.boosting.sums import SumTable, shuffled
from protocols.boosting.tree import Bits, Growing, plain_offer
from protocols.channel import Channel, broadcast
from protocols.cipher import HEAD_ROOM, CipherVec, DecryptionKey
from protocols.codec import Int32s, check_lengths
from protocols.errors import ConfigError, RemoteProtocolError
from protocols.message import REVEALED, Message
from protocols.session import Session


class SeatSums(
    Message,
    disclosure=REVEALED,
    permit="bin-sums-to-guest",
    learns="at each node, the sums of quantised g and h left of boundaries that it cannot name; a bin holds at least min_bin_rows rows over all nodes together",
):
    length: int  # of the list, repeats included
    sums: CipherVec  # (length / groups,) packed; one plaintext holds all seats of several boundaries


class SeatWins(
    Message,
    disclosure=REVEALED,
    permit="own-wins-to-host",
    learns="which of its own splits won at this level, at nodes that it cannot name, and which others would have gained exactly as much",
):
    ties: Int32s  # (2^level,) for each seat how many positions tie; 0: no split of the receiver won there
    positions: Int32s  # in the list


def guest(session: Session, binned: Binned, p: Params, rounds: Rounds, model_id: bytes) -> Ensemble:
    """binned: the guest's n rows; rounds: labels, weights, margins and trees so far; model_id: (16,) bytes, the name of the model.

    Learns: bin sums and directions.  Raises ConfigError (head-room), PlaintextOverflow, ProtocolError.
    """
    levels = packings(p, len(binned), session.scheme.bits)
    key, columns = start_guest(session, binned, model_id, rounds)  # 0
    order = transfer.DealOrder(len(binned), p.max_depth)
    for tree in session.steps("train", range(rounds.first, p.trees), rounds):
        g, h, sampled = rounds.gradients(tree)
        q = Quantised.of(p, tree, g, h, sampled)
        candidates = binned.candidates(own_columns(p, tree, columns, 0))
        hosts = session.hosts if tree >= p.joint_from else []
        growing = Growing(len(binned))
        if begins_round(p, tree, rounds.first):
            broadcast(hosts, NextTree(True))
        if tree == max(rounds.first, p.joint_from):
            session.arbiter.send(order)  # 1
        for packing in levels:
            seat = session.seed("seats").permutation(packing.nodes) if hosts else np.arange(packing.nodes)  # 2
            rounds.seats.append(seat)
            offers = [plain_offer(binned, candidates, growing, q)]
            if hosts:
                live = sampled & (growing.position() >= 0)
                plain = packing.rows_plain(np.where(live, q.g, 0)[sampled], np.where(live, q.h, 0)[sampled])
                send_gradients(session, key, seated(packing, plain, seat[growing.pad_of[sampled]]))
            for k, channel in enumerate(hosts, 1):
                offers.append(receive_seat_sums(channel, key, packing, seat[growing.pads], longest_list(p, columns[k])))  # 3
            choices, rows = choose(p, q, offers, *growing.totals(q)), growing.rows_of()
            lefts = own_lefts(binned, candidates, choices, rows)
            for party, channel in enumerate(hosts, 1):
                channel.send(seat_wins(choices, party, seat[growing.pads], packing.nodes))  # 4
            asked = [transfer.Choosing.ask(session.arbiter, c, seat[growing.pad_of], packing.nodes) for c in hosts]  # 5
            for party, choosing in enumerate(asked, 1):
                left = choosing.take()
                for node, _ in won(choices, party):
                    lefts[node] = left[rows[node]]
            growing.split(splits_of(candidates, choices, by_seat(seat[growing.pads])), lefts, rows)
        rounds.add(tree, *growing.finish(p, g, h, sampled))  # 6
        stops = stops_after(session, p, rounds, tree)
        if p.joint_from < p.trees and (hosts or stops):
            session.arbiter.send(transfer.DealOrder(0, 0) if stops or tree + 1 == p.trees else order)  # 1, of the next tree
        if stops:
            break
    return rounds.ensemble(model_id)


def host(session: Session, binned: Binned, p: Params, held_out: Bits | None = None, before: HostSplits | None = None) -> HostSplits:
    """binned: the host's n rows in the shared order; held_out (n,): rows that no tree is trained on; before: its part of the model that is continued.

    Learns: its own wins.  Raises ConfigError, InvalidKey, ProtocolError.
    """
    levels = packings(p, len(binned), session.scheme.bits)
    columns, splits, first = start_host(session, binned, before)  # 0
    outside = np.zeros(len(binned), dtype=np.bool_) if held_out is None else held_out
    for tree in session.steps("train", range(first, p.trees), splits):
        if begins_round(p, tree, first) and not session.guest.recv(NextTree).more:
            break
        if tree >= p.joint_from:
            candidates = binned.candidates(own_columns(p, tree, columns, party_of(session)))
            rows = np.flatnonzero(p.sampled(tree, outside))
            for level, packing in enumerate(levels):
                gh = receive_gradients(session, len(rows))  # 2
                lists = offer_seats(
                    session, packing, SumTable.add_up(binned, candidates, gh, [(rows, np.arange(len(rows)))]), len(candidates)
                )
                lefts = take_seat_wins(session, binned, candidates, lists, (tree, level, packing.nodes), splits)  # 4
                transfer.answer(session, transfer.bit_words(lefts, len(binned)), packing.nodes)  # 5
    return splits


def arbiter(session: Session, p: Params) -> None:
    """Deals the transfers.  Learns: rows, levels, number of trees."""
    transfer.serve_training(session, p.max_depth, range(p.joint_from, p.trees))


def packings(p: Params, rows: int, key_bits: int) -> list[Packing]:
    """The layout at each level; raises ConfigError where the last one does not fit, or for too many rows, before anything is sent."""
    if rows > transfer.MOST_ROWS:
        raise ConfigError(
            'membership = "hidden" deals for fewer rows',
            remedy='Sample rows, or use membership = "shared"',
            expected=transfer.MOST_ROWS,
            found=rows,
        )
    plain_bits = key_bits - HEAD_ROOM - 1
    return [Packing(rows, p.gradient_bits, plain_bits, 1 << level) for level in range(p.max_depth)]


def by_seat(seats: Ints) -> Callable[[int, int], int]:
    """A split's handle is the seat of its node."""
    return lambda party, node: int(seats[node])


def seated(packing: Packing, plain: PlainVec, seats: Ints) -> PlainVec:
    """Each row's value in the slot of its seat (rows,)."""
    order = np.argsort(seats, kind="stable")
    parts = segments(order, np.bincount(seats, minlength=packing.nodes))
    placed = PlainVec.zeros(0)
    for seat, rows in enumerate(parts):
        placed = placed.concat(plain.take(rows).shift_left(packing.width * seat))
    return placed.take(np.argsort(order, kind="stable"))


def offer_seats(session: Session, packing: Packing, table: SumTable, candidates: int) -> Ints:
    """Step 3 at a host: sends the list; returns what stands in it, (length,)."""
    lists = shuffled(session.seed("shuffle"), np.ones((1, candidates), dtype=np.bool_), packing.groups)
    packed = table.listed(lists).pack(packing.group_width, packing.groups)
    packed = packed.rerandomise(session.seed("bin sums", packed.digest()), to_holder=True)
    session.guest.send(SeatSums(lists.shape[1], packed))
    return np.asarray(lists[0])


def receive_seat_sums(channel: Channel, key: DecryptionKey, packing: Packing, seats: Ints, most: int) -> Offer:
    """Step 3 at the guest: one host's offer at the nodes that sit on `seats`; most: how long a list can be."""
    message, groups = channel.recv(SeatSums), packing.groups
    length = message.length
    if length % groups or not 0 < length <= most + groups:
        raise RemoteProtocolError(f"{channel.peer} sent a list of impossible length", party=channel.peer)
    check_lengths(channel.peer, length // groups, message.sums, what="packed sums")
    opened = open_sums(channel, key, message.sums, packing.group_width, groups, length)
    g, h = packing.split(opened.unpack(packing.width, packing.nodes, length * packing.nodes))
    return Offer(g.reshape(length, -1).T[seats], h.reshape(length, -1).T[seats])


def seat_wins(choices: Sequence[Choice | None], party: int, seats: Ints, size: int) -> SeatWins:
    """Step 4: what a host is told of its wins, by seat."""
    mine = {int(seats[node]): choice.ties for node, choice in won(choices, party)}
    ties = [mine.get(s, np.zeros(0, dtype=np.int64)) for s in range(size)]
    return SeatWins(np.array([len(t) for t in ties], dtype=np.int32), np.concatenate(ties).astype(np.int32))


def take_seat_wins(
    session: Session, binned: Binned, candidates: Candidates, lists: Ints, where: tuple[int, int, int], splits: HostSplits
) -> list[Bits | None]:
    """Step 4 at a host: keeps the splits that won; returns for every seat which rows go left, or None.  where: tree, level, seats."""
    guest, message, (tree, level, size) = session.roles.guest, session.guest.recv(SeatWins), where
    check_lengths(guest, size, message.ties, what="seats")
    ties = check_ints(guest, message.ties, 0, len(lists) + 1, "counts of ties")
    positions = check_ints(guest, message.positions, 0, len(lists), "positions in a list")
    check_lengths(guest, int(ties.sum()), positions, what="positions in a list")
    every, lefts = np.arange(len(binned)), list[Bits | None]()
    for seat, tied in enumerate(segments(positions, ties)):
        first = int(lists[tied].min()) if len(tied) else None
        if first is not None and first < 0:
            raise RemoteProtocolError(f"{guest} named a position where nothing stands", party=guest)
        lefts.append(None if first is None else splits.goes_left(binned, every, splits.keep(candidates, first, (tree, level, seat))))
    return lefts
