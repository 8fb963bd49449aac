"""Private set intersection of three or more data parties: only the intersection of all becomes known to them.

The arbiter passes each list round the ring of data parties until it is under every party's secret, and compares.  At no
time does a data party see two lists under the same set of secrets: the list that reaches it after t steps is under t of
them.  Each party also puts each chunk of another's list into an order of its own.  So the arbiter, even with the list's
owner, cannot tell which row a place in the final list is: it opens the places that are common, and no others, by way of
all other parties, each of which undoes its own order.

     data party P_i, ids, secrets k_i                                   arbiter
 0   ListSize to the guest, ListSizes from it: relayed lists have these lengths
     for each key, in order; chunk by chunk:
 1   shuffle          BlindedIds H(id)^k_i    ---------------------->
     for t = 1 .. m-1:                                                  (a later key: without the rows that an earlier one matched)
 2                                            <----------------------   RelayedIds: the list of P_(i-t), under t secrets
     shuffle          ReblindedIds: ^k_i      ---------------------->
 3                                                                      m lists under k_1 ... k_m: compares their tags
     for t = m-1 .. 1, of the last key after 4:
 3'                                           <----------------------   PlacesAfter: common places in the list of P_(i-t), in tag order
     undo the shuffle PlacesBefore            ---------------------->

 4                                            <----------------------   AgreedSize; all stop here if it is too small
 5                                            <----------------------   MatchedKeys, if there are several keys
                                              <----------------------   CommonRows: P_i's own rows, in tag order

Adversary: honest but curious.  The arbiter holds none of the secrets.  Together with a data party it learns of which of
that party's chunks (of 8,192 to 16,384 rows, in that party's secret order) how many rows each set of other parties
holds, and of which rows only where all hold them; under a later key a chunk is what the keys before have left of it.
Together with all but one data party it could test guesses of that one's ids.  An arbiter that deviates can bring
guesses instead of a list, at most as many as the list's owner has rows, and can ask for no more places than it then
announces as common.

All parties match by the same key, or the row is tried with the next key: a row that two parties share by the first key
and a third by the second is not common.
Secret orders, rows without a value and the size alone are as in ecdh.py.

Who learns what: the arbiter the size of every intersection, key by key; a data party the others' numbers of rows, how
many of them each key but the last matched, the size of the intersection of all and, if that is large enough, which of
its own rows are in it, and by which key (of several).
Cost per key: m scalar products and one hash to the group per id, 64 m bytes, and 8 (m - 1) bytes per party and common
id.
Steps 1 and 2 can be interrupted between blocks of chunks, NextPart from each and to each (before 4 from each alone):
what is kept of a block is, at the arbiter, its tags, and at a data party how long the chunks of the others are; its
orders follow from its run seed.
"""  # noqa: E501

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols.alignment import lists
from protocols.alignment.away import IdsAway
from protocols.alignment.ecdh import BlindedIds, NextPart, SizeOnly
from protocols.alignment.lists import Blinding, check_more, check_rows
from protocols.alignment.orders import Orders
from protocols.alignment.outcome import Alignment, Request
from protocols.channel import Channel, broadcast
from protocols.codec import Int32s, Int64s, check_lengths
from protocols.errors import RemoteProtocolError
from protocols.ids import Ids
from protocols.message import BLINDED, REVEALED, Message
from protocols.recovery.checkpoint import Arrays
from protocols.ristretto import PointVec
from protocols.session import Session

MOST_ROWS = lists.MAX_MESSAGES * lists.CHUNK  # of a list


class RelayedIds(
    Message,
    disclosure=BLINDED,
    learns="how many ids another party has (with several keys: how many that no earlier key matched)",
    most_bytes=lists.POINTS_BYTES,
):
    points: PointVec  # a chunk of (n,)  under the secrets of t parties, none of them the receiver's
    more: int  # how many chunks are to come


class ReblindedIds(
    Message,
    disclosure=REVEALED,
    permit="intersection-sizes-to-arbiter",
    learns="once a list is under every party's secret: how many ids any set of parties has in common",
    most_bytes=lists.POINTS_BYTES,
):
    points: PointVec  # that chunk  under one secret more


class ListSize(
    Message,
    disclosure=BLINDED,
    learns="how many ids the sender has; of rows to be scored, how many of them the model can score",
):
    rows: int


class ListSizes(Message, disclosure=BLINDED, learns="how many ids each data party has"):
    rows: Int64s  # (data parties,)  in the job's order


class PlacesAfter(
    Message,
    disclosure=BLINDED,
    learns=(
        "nothing but the number of ids that a key matched: the common positions in another party's list, in an order "
        "that the list's owner does not know"
    ),
):
    places: Int32s  # (matched,)  in tag order


class PlacesBefore(
    Message,
    disclosure=BLINDED,
    learns=(
        "nothing but the number of ids that a key matched: these positions before the sender shuffled the list, and "
        "in the end in the list owner's secret order"
    ),
):
    places: Int32s  # (matched,)  in tag order


class AgreedSize(
    Message, disclosure=REVEALED, permit="intersection-to-parties", learns="how many ids all parties have in common"
):
    by_key: Int64s  # (keys,)  how many each key matched


class MatchedKeys(
    Message,
    disclosure=REVEALED,
    permit="matched-keys-to-parties",
    learns="by which key each of its common ids was matched",
):
    keys: bytes  # (size,)  in tag order


class CommonRows(
    Message,
    disclosure=REVEALED,
    permit="intersection-to-parties",
    learns="which of its own ids are common to all parties",
):
    rows: Int32s  # (size,)  positions in the receiver's list, in tag order


def data_party(session: Session, keys: Sequence[Ids | IdsAway], ask: Request) -> Alignment:
    """Rows that every data party holds, in the shared order.  Raises DataError below the least intersection,
    InvalidPoint."""
    arbiter, ring = session.arbiter, session.roles.data_parties
    own = Blinding(session, keys)
    seed = session.seed("psi relay orders", b"".join(ids.digest() for ids in keys))
    sizes = _exchange_sizes(session, own.rows)  # 0
    before = [ring[(ring.index(session.me) - t) % len(ring)] for t in range(1, len(ring))]
    matched: list[int] = []
    for key in range(len(keys)):
        orders = [Orders(seed, key, owner) for owner in before]
        passing = Passing(arbiter, own, key, orders, [sizes[owner] for owner in before])
        session.grow(passing)  # 1, 2
        for owner, order in zip(before if not key else (), orders, strict=False):
            check_lengths(arbiter.peer, sizes[owner], range(order.rows), what="relayed ids")
        if key < len(keys) - 1:
            matched.append(session.once(partial(_undo, arbiter, orders), _save_count, _load_count))  # 3'
    return session.once(partial(_learn, arbiter, own, orders, matched, sizes, ask), Alignment.save, Alignment.load)


def _exchange_sizes(session: Session, rows: int) -> dict[str, int]:
    """How many rows each data party has, by way of the guest: the arbiter has no part in it."""
    ring = session.roles.data_parties
    if session.me == session.roles.guest:
        told = ListSizes(np.array([rows, *(host.recv(ListSize).rows for host in session.hosts)], np.int64))
        broadcast(session.hosts, told)
    else:
        session.guest.send(ListSize(rows))
        told = session.guest.recv(ListSizes)
    sizes = dict(zip(ring, told.rows.tolist(), strict=False))
    if (
        len(told.rows) != len(ring)
        or sizes[session.me] != rows
        or not all(0 <= size <= MOST_ROWS for size in sizes.values())
    ):
        raise RemoteProtocolError(f"{session.roles.guest} announced impossible sizes", party=session.roles.guest)
    for party in ring:
        if party != session.me:
            session.allowance.partner_rows(party, sizes[party], rows)
    return sizes


class Passing:
    """A data party's way through the ring under one key, a block of each list at a time; each block keeps how far the
    lists are."""

    def __init__(
        self, arbiter: Channel, own: Blinding, key: int, orders: Sequence[Orders], sizes: Sequence[int]
    ) -> None:
        """orders, sizes: this party's orders of each other party's list, and how many rows that has."""
        self._arbiter, self._own, self._key, self._orders, self._sizes = arbiter, own, key, orders, sizes
        self._begun = 0  # own chunks
        self._left: list[int | None] = [None] * len(orders)  # chunks of the others that are to come

    def over(self) -> bool:
        """Whether all lists are through."""
        return self._begun >= self._own.chunks and not any(more != 0 for more in self._left)

    def step(self) -> Arrays:
        """The next block of each list, where it has one."""
        arbiter, left, lengths = self._arbiter, list(self._left), [list[int]() for _ in self._orders]
        if self._begun:
            arbiter.send(NextPart(True))
            arbiter.recv(NextPart)
        mine = self._own.points(self._key, self._begun)
        for number in range(lists.BLOCK):
            for points, more in islice(mine, 1):
                arbiter.send(BlindedIds(points, more))  # 1
            for i in (i for i, more in enumerate(left) if more != 0):
                relayed = arbiter.recv(RelayedIds)
                left[i] = check_more(arbiter.peer, relayed, left[i])
                lengths[i].append(len(relayed.points))
                if self._orders[i].rows + sum(lengths[i]) > self._sizes[i]:
                    raise RemoteProtocolError(
                        f"{arbiter.peer} relays more ids than their owner has", party=arbiter.peer
                    )
                (reblinded,) = self._own.hands.reblind([relayed.points], self._own.scalars[self._key])
                arbiter.send(ReblindedIds(self._orders[i].shuffled(reblinded, self._begun + number)))  # 2
        return {"left": np.array(left, np.int64)} | {
            f"lengths {i}": np.array(found, np.int64) for i, found in enumerate(lengths)
        }

    def add(self, part: Mapping[str, NDArray[Any]]) -> None:
        """How far the lists are after a block."""
        self._begun, self._left = self._begun + lists.BLOCK, part["left"].tolist()
        for i, order in enumerate(self._orders):
            order.add(part[f"lengths {i}"].tolist())


def _undo(arbiter: Channel, orders: Sequence[Orders]) -> int:
    """Undoes this party's orders of the common places in each other party's list, the last first; returns how many are
    common."""
    counts = set[int]()
    for order in reversed(orders):
        places = arbiter.recv(PlacesAfter).places
        check_rows(arbiter.peer, places, len(places), order.rows)
        counts.add(len(places))
        arbiter.send(PlacesBefore(order.back(places.astype(np.int64)).astype(np.int32)))
    if len(counts) != 1:
        raise RemoteProtocolError(f"{arbiter.peer} opens more places of one list than of another", party=arbiter.peer)
    return counts.pop()


def _save_count(count: int) -> Arrays:
    return {"count": np.array(count)}


def _load_count(saved: Mapping[str, NDArray[Any]]) -> int:
    return int(saved["count"])


def _learn(
    arbiter: Channel,
    own: Blinding,
    orders: Sequence[Orders],
    matched: Sequence[int],
    sizes: dict[str, int],
    ask: Request,
) -> Alignment:
    arbiter.send(NextPart(True))
    sizes_told = arbiter.recv(SizeOnly) if ask.size_only else arbiter.recv(AgreedSize)  # 4
    by_key, keys = tuple(sizes_told.by_key.tolist()), len(matched) + 1
    check_lengths(arbiter.peer, keys, by_key, what="keys")
    if min(by_key) < 0 or sum(by_key) > min(sizes.values()):
        raise RemoteProtocolError(f"{arbiter.peer} sent an impossible size", party=arbiter.peer)
    _check_counts(arbiter, by_key[:-1], matched)
    if ask.size_only:
        return Alignment(np.zeros(0, np.int64), np.zeros(0, np.uint8), sizes, by_key)
    ask.check(sum(by_key))
    _check_counts(arbiter, by_key[-1:], [_undo(arbiter, orders)])  # 3'
    matched_by = np.zeros(sum(by_key), np.uint8)
    if keys > 1:
        matched_by = np.frombuffer(arbiter.recv(MatchedKeys).keys, np.uint8)
        _check_counts(arbiter, by_key, np.bincount(matched_by, minlength=keys).tolist())
    rows = arbiter.recv(CommonRows).rows  # 5
    check_rows(arbiter.peer, rows, sum(by_key), own.rows)
    return Alignment(own.shuffle.take(rows), matched_by, sizes, by_key)


def _check_counts(arbiter: Channel, told: Sequence[int], found: Sequence[int]) -> None:
    if tuple(told) != tuple(found):
        raise RemoteProtocolError(f"{arbiter.peer} announced other numbers than it sent", party=arbiter.peer)
