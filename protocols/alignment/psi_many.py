"""Private set intersection of three or more data parties: only the intersection of all becomes known to them.

The arbiter passes each list round the ring of data parties until it is under every party's secret, and compares.  At no time does a data party see two
lists under the same set of secrets: the list that reaches it after t steps is under t of them.
Adversary: honest but curious.  The arbiter holds none of the secrets; together with all but one data party it could test guesses of that one's ids.

     data party P_i, ids, secrets k_i                                   arbiter
     for each key, in order; chunk by chunk:
 1   shuffle          BlindedIds H(id)^k_i    ---------------------->
     for t = 1 .. m-1:                                                  (a later key: without the rows that an earlier one matched)
 2                                            <----------------------   RelayedIds: the list of P_(i-t), under t secrets
                      ReblindedIds: ^k_i      ---------------------->
 3                                                                      m lists under k_1 ... k_m: compares their tags

 4                                            <----------------------   AgreedSize; all stop here if it is too small
 5                                            <----------------------   MatchedKeys, if there are several keys
                                              <----------------------   CommonRows: P_i's own rows, in tag order

All parties match by the same key, or the row goes on to the next: a row that two parties share by the first key and a third by the second is not common.
Secret orders, rows without a value and the size alone are as in psi.py.

Who learns what: the arbiter the size of every intersection, key by key; a data party the others' numbers of rows, how many of them each key but the last
matched, the size of the intersection of all and, if that is large enough, which of its own rows are in it, and by which key (of several).
Cost a key: m scalar products and one hash to the group an id, 64 m bytes.
Steps 1 and 2 can be interrupted between blocks of chunks, NextPart from each and to each (before 4 from each alone): what is kept of a block is, at the arbiter, its tags.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols.alignment import lists
from protocols.alignment import tags as tagging
from protocols.alignment.ids import Ids
from protocols.alignment.lists import Blinding, at_least, check_more, check_rows, read_tags
from protocols.alignment.outcome import Alignment, Matches, Request, in_shared_order
from protocols.alignment.psi import BlindedIds, NextPart, SizeOnly
from protocols.alignment.tags import Tags
from protocols.allowance import Allowance
from protocols.channel import Channel, broadcast
from protocols.checkpoint import Arrays
from protocols.codec import Int32s, Int64s, check_lengths
from protocols.errors import RemoteProtocolError
from protocols.message import BLINDED, REVEALED, Message
from protocols.ristretto import PointVec
from protocols.session import Session


class RelayedIds(
    Message,
    disclosure=BLINDED,
    learns="how many ids another party has (of several keys: that no earlier one matched)",
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


class AgreedSize(Message, disclosure=REVEALED, permit="intersection-to-parties", learns="how many ids all parties have in common"):
    by_key: Int64s  # (keys,)  how many each key matched


class MatchedKeys(Message, disclosure=REVEALED, permit="matched-keys-to-parties", learns="by which key each of its common ids was matched"):
    keys: bytes  # (size,)  in tag order


class CommonRows(Message, disclosure=REVEALED, permit="intersection-to-parties", learns="which of its own ids are common to all parties"):
    rows: Int32s  # (size,)  positions in the receiver's list, in tag order


def data_party(session: Session, keys: Sequence[Ids], ask: Request) -> Alignment:
    """Rows that every data party holds, in the shared order.  Raises DataError below the least intersection, InvalidPoint."""
    arbiter, ring = session.arbiter, session.roles.data_parties
    own = Blinding(session, keys)
    before = [ring[(ring.index(session.me) - t) % len(ring)] for t in range(1, len(ring))]
    sizes = {session.me: own.rows} | dict.fromkeys(before, 0)
    for key in range(len(keys)):
        passing = Passing(arbiter, own, key, before, session.allowance)
        session.grow(passing)  # 1, 2
        sizes |= {} if key else dict(zip(before, passing.seen, strict=True))
    return session.once(partial(_learn, arbiter, own, len(keys), sizes, ask), Alignment.save, Alignment.load)


class Passing:
    """A data party's way through the ring under one key, a block of each list at a time; each block keeps how far the lists are."""

    def __init__(self, arbiter: Channel, own: Blinding, key: int, before: Sequence[str], allowance: Allowance) -> None:
        self._arbiter, self._own, self._key, self._before, self._allowance = arbiter, own, key, before, allowance
        self._begun, self.seen = 0, [0] * len(before)  # own chunks, and rows of the others
        self._left: list[int | None] = [None] * len(before)  # chunks of the others that are to come

    def over(self) -> bool:
        """Whether all lists are through."""
        return self._begun >= self._own.chunks and not any(more != 0 for more in self._left)

    def step(self) -> Arrays:
        """The next block of each list, where it has one."""
        arbiter, seen, left = self._arbiter, list(self.seen), list(self._left)
        if self._begun:
            arbiter.send(NextPart(True))
            arbiter.recv(NextPart)
        mine = self._own.points(self._key, self._begun)
        for _ in range(lists.BLOCK):
            for points, more in islice(mine, 1):
                arbiter.send(BlindedIds(points, more))  # 1
            for i in (i for i, more in enumerate(left) if more != 0):
                relayed = arbiter.recv(RelayedIds)
                left[i] = check_more(arbiter.peer, relayed, left[i])
                seen[i] += len(relayed.points)
                self._allowance.partner_rows(self._before[i], at_least(seen[i], relayed.more), self._own.rows)
                arbiter.send(ReblindedIds(relayed.points * self._own.scalars[self._key]))  # 2
        return {"seen": np.array(seen, np.int64), "left": np.array(left, np.int64)}

    def add(self, part: Mapping[str, NDArray[Any]]) -> None:
        """How far the lists are after a block."""
        self._begun, self.seen, self._left = self._begun + lists.BLOCK, part["seen"].tolist(), part["left"].tolist()


def _learn(arbiter: Channel, own: Blinding, keys: int, sizes: dict[str, int], ask: Request) -> Alignment:
    arbiter.send(NextPart(True))
    sizes_told = arbiter.recv(SizeOnly) if ask.size_only else arbiter.recv(AgreedSize)  # 3, 4
    by_key = tuple(sizes_told.by_key.tolist())
    check_lengths(arbiter.peer, keys, by_key, what="keys")
    if min(by_key) < 0 or sum(by_key) > own.rows:
        raise RemoteProtocolError(f"{arbiter.peer} sent an impossible size", party=arbiter.peer)
    if ask.size_only:
        return Alignment(np.zeros(0, np.int64), np.zeros(0, np.uint8), sizes, by_key)
    ask.check(sum(by_key))
    matched_by = np.zeros(sum(by_key), np.uint8)
    if keys > 1:
        matched_by = np.frombuffer(arbiter.recv(MatchedKeys).keys, np.uint8)
        if tuple(np.bincount(matched_by, minlength=keys).tolist()) != by_key:
            raise RemoteProtocolError(f"{arbiter.peer} counted otherwise than it told", party=arbiter.peer)
    rows = arbiter.recv(CommonRows).rows  # 5
    check_rows(arbiter.peer, rows, sum(by_key), own.rows)
    return Alignment(own.shuffle[rows], matched_by, sizes, by_key)


def comparer(session: Session, keys: int, ask: Request) -> None:
    """The arbiter's side.  Raises DataError below the least intersection."""
    ring = [session.channels[p] for p in session.roles.data_parties]
    unmatched: list[NDArray[np.int64]] = []
    matches: list[list[Matches]] = [[] for _ in ring]
    sizes: list[int] = []
    for key in range(keys):
        relay = Relay(ring, unmatched, ask, session.allowance)
        session.grow(relay)
        tags = relay.tags(sizes)
        if key == 0:
            sizes = [len(own) for own in tags]
            unmatched = [np.arange(size) for size in sizes]
        common = tagging.in_all(tags)  # 3
        for i, own in enumerate(tags):
            at_common, at_own = tagging.match(common, own)
            if len(at_common) != len(common):
                raise RemoteProtocolError(f"{ring[i].peer} sent an id twice", party=ring[i].peer)
            matches[i].append(Matches(common, at_common, unmatched[i][at_own]))
            unmatched[i] = np.delete(unmatched[i], at_own)
    session.once(partial(_tell, ring, matches, ask), lambda _: {}, lambda _: None)


def _tell(ring: Sequence[Channel], matches: Sequence[Sequence[Matches]], ask: Request) -> None:
    keys = len(matches[0])
    for party in ring:
        party.recv(NextPart)
    by_key = np.array([len(m.left) for m in matches[0]], np.int64)
    broadcast(ring, SizeOnly(by_key) if ask.size_only else AgreedSize(by_key))  # 4
    if ask.size_only:
        return
    ask.check(int(by_key.sum()))
    for party, found in zip(ring, matches, strict=True):
        _, rows, matched_by = in_shared_order(found)
        if keys > 1:
            party.send(MatchedKeys(matched_by.tobytes()))
        party.send(CommonRows(rows.astype(np.int32)))  # 5


class Relay:
    """The arbiter's way round the ring under one key, a block of each list at a time; each block keeps the tags under all secrets.

    unmatched: for a later key, each party's rows that still take part.
    """

    def __init__(self, ring: Sequence[Channel], unmatched: Sequence[NDArray[np.int64]], ask: Request, allowance: Allowance) -> None:
        self._ring, self._unmatched, self._allowance = ring, unmatched, allowance
        self._spools, self._seen = [ask.scratch() for _ in ring], [0] * len(ring)
        self._left: list[int | None] = [None] * len(ring)

    def over(self) -> bool:
        """Whether all lists are through."""
        return not any(more != 0 for more in self._left)

    def step(self) -> Arrays:
        """The next block of each list, where it has one."""
        ring, seen, left, tags = self._ring, list(self._seen), list(self._left), [bytearray() for _ in self._ring]
        if None not in left:
            for party in ring:
                party.recv(NextPart)
            broadcast(ring, NextPart(True))
        for _ in range(lists.BLOCK):
            alive, points = [i for i, more in enumerate(left) if more != 0], dict[int, PointVec]()
            for i in alive:
                chunk = ring[i].recv(BlindedIds)  # 1
                left[i] = check_more(ring[i].peer, chunk, left[i])
                points[i], start = chunk.points, seen[i]
                seen[i] += len(points[i])
                self._allowance.partner_rows(ring[i].peer, at_least(seen[i], chunk.more), 0)
                if self._unmatched:
                    first, last = np.searchsorted(self._unmatched[i], [start, seen[i]])
                    points[i] = points[i].take(self._unmatched[i][first:last] - start)
            for t in range(1, len(ring)):  # 2
                for i in alive:
                    ring[(i + t) % len(ring)].send(RelayedIds(points[i], left[i] or 0))
                for i in alive:
                    party = ring[(i + t) % len(ring)]
                    answer = party.recv(ReblindedIds).points
                    check_lengths(party.peer, len(points[i]), answer, what="re-blinded ids")
                    points[i] = answer
            for i in alive:
                tags[i] += points[i].tag_bytes()
        found = {f"tags {i}": np.frombuffer(own, np.uint8) for i, own in enumerate(tags)}
        return {"seen": np.array(seen, np.int64), "left": np.array(left, np.int64), **found}

    def add(self, part: Mapping[str, NDArray[Any]]) -> None:
        """A block's tags of every list."""
        self._seen, self._left = part["seen"].tolist(), part["left"].tolist()
        for i, spool in enumerate(self._spools):
            spool.append(part[f"tags {i}"].tobytes())

    def tags(self, sizes: Sequence[int]) -> list[Tags]:
        """Every party's list under all secrets, as tags in that party's order; sizes: of a later key, how long the lists were under the first."""
        for party, expected, found in zip(self._ring, sizes, self._seen, strict=False):
            check_lengths(party.peer, expected, range(found), what="ids under another key")
        return [read_tags(party.peer, spool) for party, spool in zip(self._ring, self._spools, strict=True)]
