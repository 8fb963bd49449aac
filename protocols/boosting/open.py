"""Vertical gradient-boosted trees as SecureBoost publishes them, `membership="open"`: for measuring, and for partners
who accept what it gives away.

Source: Cheng et al., SecureBoost (arXiv 1901.08755); packing of g and h, and sibling subtraction, as in Chen et al.,
SecureBoost+ (arXiv 2110.10927).
Adversary: honest but curious.  No arbiter: the guest holds the key, because it must open the sums.

 step    guest (labels, sk)                                      host P (features)
  0      makes n   PublicKeyOffer                 ------------>  checks n
                                                  <------------  SplitColumns: how many columns it has
                   TreesStart: the model's name   ------------>
 each round
         NextTree, with early stopping            ------------>
         with top_rate      SampledRows  ------------>  which rows (goss.py)
  1      quantises g, h of the sampled rows for each class, packs, encrypts
         RowGradients [[g|h]], block by block     ------------>
 each tree of the round, one for each class; each level
  2                                                              adds up by (column, bin); of siblings the smaller, the other by subtraction
                                                  <------------  BinSums: prefix sums over bins; list shuffled, filled up, packed, re-randomised
         with monotone constraints                <------------  SignsToGuest: of each candidate of the list (constraints.py)
  3      opens; the best split of each node over all parties
         OwnWins: positions in the list           ------------>  takes the first in canonical order, keeps (column, cut) under the next handle
  4                                               <------------  Directions: which rows of these nodes go left
  5      NodeRows: which rows go where            ------------>  the rows of the next level's nodes
 at the end of a tree
  6      leaf values from exact g and h, at the guest alone

Who learns what.  Guest: at every node the sums of quantised g and h left of each of a host's candidates, none of which
it can name; the rows that go left where a host's split won.  Each sum is an equation in the bins of the host's rows
whose other numbers the guest knows, and directions order the rows by themselves:
assume that the guest learns, without the column's name, the bin of every row in every column that wins.  Host: which
rows a node holds, and so the labels: it searches for those under which every split that won gains more than all of its
own; which of its splits won and which of its others would have gained the same.
Nobody but the guest learns a gradient, sum, gain, count or leaf value.
Cost of a tree: n encryptions and ciphertexts of traffic, fewer where classes share them (packing.py); hosts about n *
columns products for the first level and half of that for each other, fewer by joint tables; about 2 (gradient_bits +
log2 n) squarings for each candidate and node to pack; one decryption for every plaintext full of candidates.
Error: none; the trees equal those of twin.py bit for bit.
"""  # noqa: E501

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from protocols.binning.quantile import Bins, Candidates
from protocols.boosting import constraints, goss
from protocols.boosting.constraints import SignsToGuest
from protocols.boosting.ensemble import Ensemble, HostSplits, Rounds, tells
from protocols.boosting.levels import (
    check_ints,
    own_columns,
    own_lefts,
    pack_bits,
    segments,
    splits_of,
    unpack_bits,
    won,
)
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
from protocols.boosting.tree import Bits, Growing, Rows, plain_offer
from protocols.channel import Channel, broadcast
from protocols.cipher import HEAD_ROOM, CipherVec, DecryptionKey
from protocols.codec import Int32s, check_lengths
from protocols.errors import RemoteProtocolError
from protocols.marked import Marked
from protocols.message import REVEALED, Message
from protocols.parts import parts
from protocols.row_blocks import arriving, pace, taken
from protocols.session import Session


class BinSums(
    Message,
    disclosure=REVEALED,
    permit="bin-sums-to-guest",
    learns="at each node, the sums of quantised g and h left of candidates that it cannot name; many of them "
    "determine the bin of every row",
    in_blocks=True,
):
    length: int  # of each node's list, repeats included
    sums: CipherVec  # (nodes * length / slots,) packed


class OwnWins(
    Message,
    disclosure=REVEALED,
    permit="partition-to-hosts",
    learns="which of its own splits won at which node, and which others would have gained exactly as much",
):
    nodes: Int32s  # (won,) positions among the level's nodes
    ties: Int32s  # (won,) how many positions each has
    positions: Int32s  # in the lists of these nodes


class Directions(
    Message,
    disclosure=REVEALED,
    permit="directions-to-guest",
    learns="which rows go left at the nodes that a split of the sender won",
):
    left: bytes  # bitmap over the rows of these nodes


class NodeRows(
    Message, disclosure=REVEALED, permit="partition-to-hosts", learns="which rows each node of the next level holds"
):
    split: bytes  # bitmap over the level's nodes
    left: bytes  # bitmap over the rows of the nodes that are split


def guest(session: Session, binned: Bins, p: Params, rounds: Rounds, model_id: bytes) -> Ensemble:
    """binned: the guest's n rows; rounds: labels, weights, margins and trees so far; model_id: (16,) bytes, the name of
    the model.

    Learns: bin sums and directions.  Raises ConfigError (head-room), PlaintextOverflow, ProtocolError.
    """
    layout(p, len(binned), session.scheme.bits)  # where it does not fit, nothing is sent
    key, columns = start_guest(session, binned, model_id, rounds)  # 0
    packing = layout(p, len(binned), session.scheme.bits, columns)
    for number in session.steps("train", rounds.numbers, rounds):
        handle = next_handles(rounds, len(columns))
        gradients = rounds.gradients(number)
        sampled, trees = gradients.sampled, p.trees_of(number)
        qs = [Quantised.of(p, tree, gradients, k, session.keep) for k, tree in enumerate(trees)]
        candidates = binned.candidates(own_columns(p, number, columns, 0))
        hosts = session.hosts if number >= p.guest_only_trees else []
        if tells(p, number, rounds.numbers.start):
            broadcast(hosts, NextTree(True))
        if hosts:
            goss.tell(session, p, number, sampled)
        grown = []
        for k, q in enumerate(qs):
            if hosts and k % packing.classes == 0:
                send_gradients(session, key, packing, Marked(sampled), qs[k : k + packing.classes])  # 1
            growing = Growing(len(binned))
            for level in range(p.max_depth):
                nodes = len(growing.active)
                offers = [plain_offer(binned, candidates, growing, q)]
                offers += [
                    receive_offer(c, key, packing, p, k, nodes, longest_list(p, columns[party]))
                    for party, c in enumerate(hosts, 1)
                ]  # 2
                choices, rows = choose(p, q, offers, *growing.totals(q), growing.active_bounds(p)), growing.rows_of()
                lefts = own_lefts(binned, candidates, choices, rows)
                for party, channel in enumerate(hosts, 1):
                    channel.send(wins(choices, party))  # 3
                for party, channel in enumerate(hosts, 1):
                    receive_directions(channel, party, choices, rows, lefts)  # 4
                if hosts and level + 1 < p.max_depth:
                    split = NodeRows(
                        pack_bits([c is not None for c in choices]), pack_bits([v for v in lefts if v is not None])
                    )
                    broadcast(hosts, split)  # 5
                growing.split(choices, splits_of(candidates, choices, handle), lefts, rows)
                rows, lefts = [], []  # not beside those of the next level
                if not len(growing.active):
                    break
            grown.append(growing.finish(p, gradients, k))  # 6
        rounds.add(grown)
        if stops_after(session, p, rounds, number):
            break
    return rounds.ensemble(model_id)


def layout(p: Params, rows: int, key_bits: int, columns: Sequence[int] = ()) -> Packing:
    """Of plaintexts; columns: how many each party has.  Raises ConfigError where not even one sum fits."""
    hosts = sum(columns[1:])
    sums = hosts * p.max_bin * (2**p.max_depth - 1)
    return shared_by(Packing(rows, p.bits(rows), key_bits - HEAD_ROOM - 1), p.num_class, hosts, sums, added=False)


def next_handles(rounds: Rounds, parties: int) -> Callable[[int, int], int]:
    """What numbers each party's splits in the order in which they win."""
    handles = [itertools.count(rounds.won(party)) for party in range(parties)]
    return lambda party, node: next(handles[party])


def host(
    session: Session, binned: Bins, p: Params, held_out: Bits | None = None, before: HostSplits | None = None
) -> HostSplits:
    """binned: the host's n rows in the shared order; held_out (n,): rows that no tree is trained on; before: its part
    of the model that is continued.

    Learns: the rows of nodes, its own wins.  Raises ConfigError, InvalidKey, ProtocolError.
    """
    layout(p, len(binned), session.scheme.bits)  # where it does not fit, nothing is sent
    columns, splits, first = start_host(session, binned, before)  # 0
    packing = layout(p, len(binned), session.scheme.bits, columns)
    outside = np.zeros(len(binned), dtype=np.bool_) if held_out is None else held_out
    for number in session.steps("train", range(first, p.n_estimators), splits):
        if tells(p, number, first) and not session.guest.recv(NextTree).more:
            break
        if number >= p.guest_only_trees:
            candidates = binned.candidates(own_columns(p, number, columns, party_of(session)))
            sampled = goss.hear(session, p, number, ~outside)
            for k in range(p.num_class):
                if k % packing.classes == 0:
                    rows = np.flatnonzero(sampled).astype(np.int32)
                    gh = receive_gradients(session, len(rows))  # 1
                    root = SumTable.add_up(binned, candidates, gh, [(rows, np.arange(len(rows), dtype=np.int32))])
                HostTree(session, binned, p, packing, candidates, sampled, gh, splits).grow(root, k % packing.classes)
    return splits


class HostTree:
    """A host's side of one tree: which rows and which sums each node of the present level has."""

    def __init__(
        self,
        session: Session,
        binned: Bins,
        p: Params,
        packing: Packing,
        candidates: Candidates,
        sampled: Bits,
        gh: Sequence[CipherVec],
        splits: HostSplits,
    ) -> None:
        self.session, self.binned, self.p, self.packing, self.candidates, self.splits = (
            session,
            binned,
            p,
            packing,
            candidates,
            splits,
        )
        self.sampled, self.places, self.gh = sampled, np.cumsum(sampled, dtype=np.int32) - 1, gh
        self.rows: list[Rows] = [np.arange(len(binned), dtype=np.int32)]

    def grow(self, table: SumTable, place: int) -> None:
        """table: of the first node; place: of the tree's class in the ciphertexts."""
        for level in range(self.p.max_depth):
            lists = self.offer(table, place)  # 2
            lefts = self.take_wins(lists)  # 3
            if lefts:
                self.session.guest.send(Directions(pack_bits(lefts)))  # 4
            if level + 1 == self.p.max_depth:
                break
            parents, left_smaller = self.go_down()  # 5
            if not len(parents):
                break
            smaller = [self.rows[2 * k if first else 2 * k + 1] for k, first in enumerate(left_smaller)]
            table = self.add_up(smaller).with_siblings(table, parents, left_smaller)

    def inside(self, rows: Rows) -> Rows:
        """Those of `rows` that are in the tree's sample."""
        return rows[self.sampled[rows]]

    def add_up(self, rows: Sequence[Rows]) -> SumTable:
        inside = [self.inside(r) for r in rows]
        return SumTable.add_up(self.binned, self.candidates, self.gh, [(r, self.places[r]) for r in inside])

    def offer(self, table: SumTable, place: int) -> Ints:
        """Step 2: sends every node's list, of the class at `place` of the ciphertexts; returns what stands in the
        lists, (nodes, length)."""
        lists = shuffled(self.session.seed("shuffle"), len(self.rows), len(self.candidates), self.packing.groups)
        sums = seal_sums(self.session, self.packing, place, table.listed(lists))
        for part in parts(len(sums)):
            here = sums.take(np.arange(part.first, part.last))
            fresh = here.rerandomise(self.session.seed("bin sums", here.digest()))
            pace([self.session.guest], part)
            self.session.guest.send(BinSums(lists.shape[1], fresh), part)
        if self.p.monotone_constraints:
            constraints.tell(self.session.guest, SignsToGuest, constraints.listed(self.candidates, lists))
        return lists

    def take_wins(self, lists: Ints) -> list[Bits]:
        """Step 3: keeps the splits that won; returns which rows of their nodes go left."""
        guest = self.session.roles.guest
        message = self.session.guest.recv(OwnWins)
        nodes = check_ints(guest, message.nodes, 0, len(self.rows), "nodes")
        ties = check_ints(guest, message.ties, 1, lists.shape[1] + 1, "counts of ties")
        positions = check_ints(guest, message.positions, 0, lists.shape[1], "positions in a list")
        check_lengths(guest, len(nodes), ties, what="wins")
        check_lengths(guest, int(ties.sum()), positions, what="positions in a list")
        if (np.diff(nodes) <= 0).any():
            raise RemoteProtocolError(f"{guest} named the nodes out of order", party=guest)
        lefts = []
        for node, tied in zip(nodes, segments(positions, ties), strict=True):
            first = int(lists[node, tied].min())
            if first < 0:
                raise RemoteProtocolError(f"{guest} named an empty position", party=guest)
            handle = self.splits.keep(self.candidates, first)
            lefts.append(self.splits.goes_left(self.binned, self.rows[node], handle))
        return lefts

    def go_down(self) -> tuple[Ints, list[bool]]:
        """Step 5: the next level's rows; returns which nodes were split, and for each whether its left child is the
        smaller one."""
        guest, message = self.session.roles.guest, self.session.guest.recv(NodeRows)
        parents = np.flatnonzero(unpack_bits(message.split, len(self.rows), guest))
        sizes = [len(self.rows[k]) for k in parents]
        left = unpack_bits(message.left, sum(sizes), guest)
        rows, left_smaller = list[Rows](), list[bool]()
        for k, goes_left in zip(parents, segments(left, sizes), strict=True):
            pair = [self.rows[k][goes_left], self.rows[k][~goes_left]]
            rows += pair
            left_smaller.append(len(self.inside(pair[0])) <= len(self.inside(pair[1])))
        self.rows = rows
        return parents, left_smaller


def receive_offer(
    channel: Channel, key: DecryptionKey, packing: Packing, p: Params, output: int, nodes: int, most: int
) -> Offer:
    """Step 2 at the guest: one host's offer for a class's tree; most: how long a list can be."""
    offer = receive_sums(channel, key, packing, output, nodes, most)
    if not p.monotone_constraints:
        return offer
    return replace(offer, signs=constraints.receive(channel, SignsToGuest, offer.g.size).reshape(offer.g.shape))


def receive_sums(channel: Channel, key: DecryptionKey, packing: Packing, output: int, nodes: int, most: int) -> Offer:
    groups, longest = packing.groups, nodes * (most + packing.groups)
    lengths, g, h = set[int](), list[Ints](), list[Ints]()
    for part, message in arriving(channel, BinSums, lambda one: len(one.sums), -(-longest // groups)):
        lengths.add(message.length)
        opened = open_sums(channel, key, packing, output % packing.classes, message.sums, len(part) * groups)
        g.append(opened[0])
        h.append(opened[1])
        taken(channel, part)
    (length, *others), found = lengths, np.concatenate(g)
    if others or length % groups or not 0 < length <= most + groups:
        raise RemoteProtocolError(f"{channel.peer} sent a list of impossible length", party=channel.peer)
    check_lengths(channel.peer, nodes * length, found, what="packed sums")
    return Offer(found.reshape(nodes, length), np.concatenate(h).reshape(nodes, length))


def wins(choices: Sequence[Choice | None], party: int) -> OwnWins:
    """Step 3: what a host learns of its wins."""
    mine = won(choices, party)
    positions = np.concatenate([choice.ties for _, choice in mine]) if mine else np.zeros(0, dtype=np.int64)
    return OwnWins(
        np.array([node for node, _ in mine], dtype=np.int32),
        np.array([len(choice.ties) for _, choice in mine], dtype=np.int32),
        positions.astype(np.int32),
    )


def receive_directions(
    channel: Channel, party: int, choices: Sequence[Choice | None], rows: Sequence[Rows], lefts: list[Bits | None]
) -> None:
    """Step 4 at the guest: fills in `lefts` at the nodes that this host won."""
    nodes = [node for node, _ in won(choices, party)]
    if nodes:
        sizes = [len(rows[node]) for node in nodes]
        left = unpack_bits(channel.recv(Directions).left, sum(sizes), channel.peer)
        for node, part in zip(nodes, segments(left, sizes), strict=True):
            lefts[node] = part
