"""Vertical gradient-boosted trees whose hosts never learn which rows a node holds: the sealed profile, `membership="hidden"`.

Source: the setting of Cheng et al., SecureBoost (arXiv 1901.08755); here the nodes of a level sit in slots of one plaintext, so that a host adds up all
rows without knowing where they belong, and directions travel by oblivious transfer (transfer.py).
Adversary: honest but curious; the arbiter deals the transfers and colludes with nobody.

 step    guest (labels, sk)                                      host P (features)
  0      opening.py: key, columns, the model's name; where a model is continued, RoundsBefore to the arbiter
 each round: its trees, one a class, grow together
         NextTree, with early stopping            ------------>
  1      DealOrder to the arbiter, which deals one transfer a row, tree, level and host (transfer.py); after the first, at the end of the round before
 each of max_depth levels, whether a node is left or not
  2      in each tree the 2^level places of nodes take seats at random, the same for all hosts
         RowGradients: [[g|h]] in the slot of its node's seat, else 0, for as many classes side by side as pay, encrypted afresh  --->
  3                                                              adds up all rows by (column, bin): one histogram holds all seats of these classes
                        a tree:                   <------------  SeatSums: prefix sums over bins; list shuffled, filled up, packed, other classes masked, re-randomised
  4      opens; the best split of each node over all parties
         SeatWins, a tree: positions in the list  ------------>  takes the first in canonical order, keeps (column, cut) under (tree, level, seat)
  5      Choices: which seat a row has in each tree, masked  ->
                                                  <------------  MaskedBits: whether the row goes left, for every seat; 0 at seats that it did not win
 at the end of a tree
  6      leaf values from exact g and h, at the guest alone

Who learns what.  Guest: at every node the sums of quantised g and h left of boundaries that it cannot name (bins hold min_bin_rows rows or more and nodes twice as
many, but a node's part of a bin can be smaller: of one or two rows the guest recognises some by their g and h); of a row, whether it goes left where a host's split won its node.
Host: how many of its splits won at each level and which, and which others would have gained the same; no node, no row.  Arbiter: rows, levels, trees.
Arbiter and host together: every row's node.  Arbiter and guest together: the directions of all rows at all splits that won.
Cost a tree: max_depth times n encryptions and ciphertexts; hosts n * columns products a level, fewer by joint tables; n bytes and n 2^level bits a level and host.
Classes that share ciphertexts (packing.py) share the encryptions and the products; each then has as many more plaintexts of sums.
Error: none; the trees equal those of twin.py, and of shared.py with min_bin_rows = 1, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from protocols._native import PlainVec
from protocols.binning import Binned, Candidates
from protocols.boosting import transfer
from protocols.boosting.ensemble import Ensemble, HostSplits, Rounds, tells
from protocols.boosting.levels import check_ints, own_columns, own_lefts, segments, splits_of, won
from protocols.boosting.opening import (
    NextTree,
    longest_list,
    open_sums,
    party_of,
    receive_gradients,
    seal_sums,
    send_gradients,
    start_guest,
    start_host,
    stops_after,
)
from protocols.boosting.packing import Ints, Packing, Quantised, shared_by
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
    sums: CipherVec  # (length / groups,) packed; one plaintext holds all seats of a tree, of several boundaries


class SeatWins(
    Message,
    disclosure=REVEALED,
    permit="own-wins-to-host",
    learns="which of its own splits won at this level of a tree, at nodes that it cannot name, and which others would have gained exactly as much",
):
    ties: Int32s  # (2^level,) for each seat how many positions tie; 0: no split of the receiver won there
    positions: Int32s  # in the list


def guest(session: Session, binned: Binned, p: Params, rounds: Rounds, model_id: bytes) -> Ensemble:
    """binned: the guest's n rows; rounds: labels, weights, margins and trees so far; model_id: (16,) bytes, the name of the model.

    Learns: bin sums and directions.  Raises ConfigError (head-room), PlaintextOverflow, ProtocolError.
    """
    packings(p, len(binned), session.scheme.bits)  # where they do not fit, nothing is sent
    key, columns = start_guest(session, binned, model_id, rounds)  # 0
    levels = packings(p, len(binned), session.scheme.bits, columns)
    if rounds.before:
        session.arbiter.send(transfer.RoundsBefore(rounds.numbers.start))
    order = transfer.DealOrder(len(binned) * p.num_class, p.max_depth)
    for number in session.steps("train", rounds.numbers, rounds):
        g, h, sampled = rounds.gradients(number)
        qs = [Quantised.of(p, tree, g[:, k], h[:, k], sampled) for k, tree in enumerate(p.trees_of(number))]
        candidates = binned.candidates(own_columns(p, number, columns, 0))
        hosts = session.hosts if number >= p.guest_only_trees else []
        trees = [Growing(len(binned)) for _ in qs]
        taken: list[list[Ints]] = []  # by level and tree, the seats
        if tells(p, number, rounds.numbers.start):
            broadcast(hosts, NextTree(True))
        if number == max(rounds.numbers.start, p.guest_only_trees):
            session.arbiter.send(order)  # 1
        for packing in levels:
            seats = [session.seed("seats").permutation(packing.nodes) if hosts else np.arange(packing.nodes) for _ in trees]  # 2
            taken.append(seats)
            offers = [[plain_offer(binned, candidates, growing, q)] for growing, q in zip(trees, qs, strict=True)]
            for together in packing.shares(len(trees)) if hosts else []:
                plain = [seated(packing, qs[k], trees[k], seats[k], sampled) for k in together]
                send_gradients(session, key, packing.side_by_side(plain))
            for party, channel in enumerate(hosts, 1):
                for k, (growing, seat) in enumerate(zip(trees, seats, strict=True)):
                    offers[k].append(receive_seat_sums(channel, key, packing, k, seat[growing.pads], longest_list(p, columns[party])))  # 3
            choices = [choose(p, q, found, *growing.totals(q)) for q, found, growing in zip(qs, offers, trees, strict=True)]
            rows = [growing.rows_of() for growing in trees]
            lefts = [own_lefts(binned, candidates, best, here) for best, here in zip(choices, rows, strict=True)]
            for party, channel in enumerate(hosts, 1):
                for best, growing, seat in zip(choices, trees, seats, strict=True):
                    channel.send(seat_wins(best, party, seat[growing.pads], packing.nodes))  # 4
            places = np.concatenate([seat[growing.pad_of] for growing, seat in zip(trees, seats, strict=True)])
            asked = [transfer.Choosing.ask(session.arbiter, channel, places, packing.nodes) for channel in hosts]  # 5
            for party, choosing in enumerate(asked, 1):
                for k, left in enumerate(choosing.take().reshape(len(trees), -1)):
                    for node, _ in won(choices[k], party):
                        lefts[k][node] = left[rows[k][node]]
            for k, (growing, seat) in enumerate(zip(trees, seats, strict=True)):
                growing.split(splits_of(candidates, choices[k], by_seat(seat[growing.pads])), lefts[k], rows[k])
        rounds.seats += [seats[k] for k in range(len(trees)) for seats in taken]
        rounds.add([growing.finish(p, g[:, k], h[:, k], sampled) for k, growing in enumerate(trees)])  # 6
        stops = stops_after(session, p, rounds, number)
        if p.guest_only_trees < p.n_estimators and (hosts or stops):
            session.arbiter.send(transfer.DealOrder(0, 0) if stops or number + 1 == p.n_estimators else order)  # 1, of the next round
        if stops:
            break
    return rounds.ensemble(model_id)


def host(session: Session, binned: Binned, p: Params, held_out: Bits | None = None, before: HostSplits | None = None) -> HostSplits:
    """binned: the host's n rows in the shared order; held_out (n,): rows that no tree is trained on; before: its part of the model that is continued.

    Learns: its own wins.  Raises ConfigError, InvalidKey, ProtocolError.
    """
    packings(p, len(binned), session.scheme.bits)  # where they do not fit, nothing is sent
    columns, splits, first = start_host(session, binned, before)  # 0
    levels = packings(p, len(binned), session.scheme.bits, columns)
    outside = np.zeros(len(binned), dtype=np.bool_) if held_out is None else held_out
    for number in session.steps("train", range(first, p.n_estimators), splits):
        if tells(p, number, first) and not session.guest.recv(NextTree).more:
            break
        if number >= p.guest_only_trees:
            candidates = binned.candidates(own_columns(p, number, columns, party_of(session)))
            rows = np.flatnonzero(p.sampled(number, outside))
            for level, packing in enumerate(levels):
                lists = []
                for k in range(p.num_class):
                    if k % packing.classes == 0:
                        gh = receive_gradients(session, len(rows))  # 2
                        table = SumTable.add_up(binned, candidates, gh, [(rows, np.arange(len(rows)))])
                    lists.append(offer_seats(session, packing, k % packing.classes, table, len(candidates)))  # 3
                words = []
                for tree, offered in zip(p.trees_of(number), lists, strict=True):
                    lefts = take_seat_wins(session, binned, candidates, offered, (tree, level, packing.nodes), splits)  # 4
                    words.append(transfer.bit_words(lefts, len(binned)))
                transfer.answer(session, np.concatenate(words), packing.nodes)  # 5
    return splits


def arbiter(session: Session, p: Params, *, continues: bool = False) -> None:
    """Deals the transfers; continues: whether the job continues a model.  Learns: rows, levels, number of rounds."""
    first = transfer.rounds_before(session, p.n_estimators) if continues else 0  # 0
    transfer.serve_training(session, p.max_depth, range(first, p.n_estimators), p.guest_only_trees)


def packings(p: Params, rows: int, key_bits: int, columns: Sequence[int] = ()) -> list[Packing]:
    """The layout at each level; columns: how many each party has.  Raises ConfigError where the last one does not fit, or for too many rows or levels."""
    if rows * p.num_class > transfer.MOST_ROWS:
        raise ConfigError(
            'membership = "hidden" deals for fewer rows' + (", times classes" if p.num_class > 1 else ""),
            remedy='Sample rows, or use membership = "shared"',
            expected=transfer.MOST_ROWS,
            found=rows * p.num_class,
        )
    if 1 << (p.max_depth - 1) > transfer.MOST:
        raise ConfigError(
            'membership = "hidden" deals for trees less deep',
            remedy='Lower max_depth, or use membership = "shared"',
            expected=f"at most {transfer.MOST.bit_length()}",
            found=p.max_depth,
        )
    plain_bits, hosts = key_bits - HEAD_ROOM - 1, sum(columns[1:])
    alone = [Packing(rows, p.gradient_bits, plain_bits, 1 << level) for level in range(p.max_depth)]
    return [shared_by(one, p.num_class, hosts, hosts * p.max_bin, added=True) for one in alone]


def by_seat(seats: Ints) -> Callable[[int, int], int]:
    """A split's handle is the seat of its node."""
    return lambda party, node: int(seats[node])


def seated(packing: Packing, q: Quantised, growing: Growing, seat: Ints, sampled: Bits) -> PlainVec:
    """(sampled rows,) of one tree: each row's g and h in the slot of its node's seat, 0 where its node is finished."""
    live, taken = sampled & (growing.position() >= 0), seat[growing.pad_of[sampled]]
    plain = packing.rows_plain(np.where(live, q.g, 0)[sampled], np.where(live, q.h, 0)[sampled])
    order = np.argsort(taken, kind="stable")
    parts = segments(order, np.bincount(taken, minlength=packing.nodes))
    placed = PlainVec.zeros(0)
    for number, rows in enumerate(parts):
        placed = placed.concat(plain.take(rows).shift_left(packing.width * number))
    return placed.take(np.argsort(order, kind="stable"))


def offer_seats(session: Session, packing: Packing, place: int, table: SumTable, candidates: int) -> Ints:
    """Step 3 at a host, for the class at `place` of the ciphertexts: sends the list; returns what stands in it, (length,)."""
    lists = shuffled(session.seed("shuffle"), np.ones((1, candidates), dtype=np.bool_), packing.groups)
    session.guest.send(SeatSums(lists.shape[1], seal_sums(session, packing, place, table.listed(lists))))
    return np.asarray(lists[0])


def receive_seat_sums(channel: Channel, key: DecryptionKey, packing: Packing, output: int, seats: Ints, most: int) -> Offer:
    """Step 3 at the guest: one host's offer for a class's tree at the nodes that sit on `seats`; most: how long a list can be."""
    message, groups = channel.recv(SeatSums), packing.groups
    length = message.length
    if length % groups or not 0 < length <= most + groups:
        raise RemoteProtocolError(f"{channel.peer} sent a list of impossible length", party=channel.peer)
    check_lengths(channel.peer, length // groups, message.sums, what="packed sums")
    g, h = open_sums(channel, key, packing, output % packing.classes, message.sums, length)
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
