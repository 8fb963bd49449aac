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
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from protocols.alignment import tags as tagging
from protocols.alignment.ids import Ids
from protocols.alignment.lists import Blinding, check_more, check_rows, read_tags, received
from protocols.alignment.outcome import Alignment, Matches, Request, in_shared_order
from protocols.alignment.psi import BlindedIds, SizeOnly
from protocols.alignment.tags import Tags
from protocols.channel import Channel, broadcast
from protocols.codec import Int32s, Int64s, check_lengths
from protocols.errors import RemoteProtocolError
from protocols.message import BLINDED, REVEALED, Message
from protocols.ristretto import PointVec
from protocols.session import Session


class RelayedIds(Message, disclosure=BLINDED, learns="how many ids another party has (of several keys: that no earlier one matched)"):
    points: PointVec  # a chunk of (n,)  under the secrets of t parties, none of them the receiver's
    more: int  # how many chunks are to come


class ReblindedIds(
    Message,
    disclosure=REVEALED,
    permit="intersection-sizes-to-arbiter",
    learns="once a list is under every party's secret: how many ids any set of parties has in common",
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
        mine, left = own.points(key), dict[str, int | None].fromkeys((session.me, *before))
        while any(more != 0 for more in left.values()):
            if left[session.me] != 0:
                points, left[session.me] = next(mine)
                arbiter.send(BlindedIds(points, left[session.me] or 0))  # 1
            for party in (p for p in before if left[p] != 0):
                relayed = arbiter.recv(RelayedIds)
                left[party] = check_more(arbiter.peer, relayed, left[party])
                sizes[party] += len(relayed.points) if key == 0 else 0
                arbiter.send(ReblindedIds(relayed.points * own.scalars[key]))  # 2
    sizes_told = arbiter.recv(SizeOnly) if ask.size_only else arbiter.recv(AgreedSize)  # 3, 4
    by_key = tuple(sizes_told.by_key.tolist())
    check_lengths(arbiter.peer, len(keys), by_key, what="keys")
    if min(by_key) < 0 or sum(by_key) > own.rows:
        raise RemoteProtocolError(f"{arbiter.peer} sent an impossible size", party=arbiter.peer)
    if ask.size_only:
        return Alignment(np.zeros(0, np.int64), np.zeros(0, np.uint8), sizes, by_key)
    ask.check(sum(by_key))
    matched_by = np.zeros(sum(by_key), np.uint8)
    if len(keys) > 1:
        matched_by = np.frombuffer(arbiter.recv(MatchedKeys).keys, np.uint8)
        if tuple(np.bincount(matched_by, minlength=len(keys)).tolist()) != by_key:
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
        tags = round_the_ring(ring, unmatched, sizes, ask)
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


def round_the_ring(ring: Sequence[Channel], unmatched: Sequence[NDArray[np.int64]], sizes: Sequence[int], ask: Request) -> list[Tags]:
    """Every party's list under all secrets, as tags in that party's order; unmatched: for a later key, the rows that still take part."""
    lists = [received(party, BlindedIds) for party in ring]
    spools, seen = [ask.scratch() for _ in ring], [0] * len(ring)
    alive = list(range(len(ring)))
    while alive:
        points: dict[int, PointVec] = {}
        left: dict[int, int] = {}
        for i in alive:
            chunk = next(lists[i])  # 1
            points[i], left[i], start = chunk.points, chunk.more, seen[i]
            seen[i] += len(points[i])
            if unmatched:
                first, last = np.searchsorted(unmatched[i], [start, seen[i]])
                points[i] = points[i].take(unmatched[i][first:last] - start)
        for t in range(1, len(ring)):  # 2
            for i in alive:
                ring[(i + t) % len(ring)].send(RelayedIds(points[i], left[i]))
            for i in alive:
                party = ring[(i + t) % len(ring)]
                answer = party.recv(ReblindedIds).points
                check_lengths(party.peer, len(points[i]), answer, what="re-blinded ids")
                points[i] = answer
        for i in alive:
            spools[i].append(points[i].tag_bytes())
        alive = [i for i in alive if left[i]]
    if sizes:
        for party, expected, found in zip(ring, sizes, seen, strict=True):
            check_lengths(party.peer, expected, range(found), what="ids under another key")
    return [read_tags(party.peer, spool) for party, spool in zip(ring, spools, strict=True)]
