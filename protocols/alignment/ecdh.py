"""Private set intersection of two parties by Diffie-Hellman on ristretto255, size first, by one key or by several that
are tried in order.

Source: Meadows 1986 and Huberman, Franklin, Hogg 1999 (commutative blinding); the size is settled before anything else
is opened.
Adversary: honest but curious; points from the peer are validated.  A guest that lies about the size can get past the
host's minimum: it then learns which of its own inputs are members, and no more.

     guest, ids G, secrets a_1, a_2 ..                         host, ids H, secrets b_1, b_2 ..
     for each key k, in order:
 1   shuffle G       BlindedIds H_k(g)^a_k  ------------->
 2                                      <-----------------   BlindedIds H_k(h)^b_k    shuffle H
 3                                      <-----------------   SortedTags of (H_k(g)^a_k)^b_k
                                                             (a later key: UnmatchedTags, of rows that no earlier key matched)
 4   tags of (H_k(h)^b_k)^a_k; compare those of rows that no earlier key matched
                     KeyHits            ----------------->   unless k is the last key
 5                   IntersectionSize   ----------------->   both stop here if the total is too small
 6                   HostRows           ----------------->   its own rows, in tag order
 7                                      <-----------------   GuestRows: the guest's rows, in tag order

Both keep one secret order of their rows for all keys.  A row without a value under a key is blinded as a random text,
so that nobody sees which rows these are.
KeyHits lists positions in SortedTags, which the host knows as positions in the guest's secret order: it leaves them out
of the next key, and can name none.
So the rounds need no opening in between, and the minimum holds for the total.  Where the size alone is asked for,
SizeOnly takes the place of 5 to 7.

Who learns what: each party the other's number of rows, how many rows each key matches, and, if their sum is large
enough, which of its own rows are matched, and by which key (of one of several).  The guest sees the host's points of
*all* keys for all rows: where a row that an earlier key matched would also match another of the guest's rows under a
later key, it can count that, and after the opening say for which row of its own.  The host cannot.
The shared order is that of the tags: pseudo-random, independent of either table's order.
Cost per row pair and key: four scalar products, two hashes to the group, 80 bytes, and 8 more per common id.  Points
travel in chunks.
Steps 1 and 2 can be interrupted between blocks of chunks, NextPart from each to each: what is kept of a block is the
tags of the peer's points under both secrets, which say nothing without the peer's.
"""  # noqa: E501

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from protocols import tags as tagging
from protocols.alignment import lists
from protocols.alignment.away import IdsAway
from protocols.alignment.listed import Listed, ListedAway
from protocols.alignment.lists import (
    AHEAD,
    Blinding,
    TagList,
    at_least,
    check_more,
    check_rows,
    marked,
    marks,
    received,
)
from protocols.alignment.outcome import Alignment, Matches, Request, in_shared_order
from protocols.alignment.spread import Spread
from protocols.allowance import Allowance
from protocols.channel import Channel
from protocols.codec import Int32s, Int64s, check_lengths
from protocols.errors import RemoteProtocolError
from protocols.ids import Ids
from protocols.message import BLINDED, PUBLIC, REVEALED, Message
from protocols.recovery.checkpoint import Arrays
from protocols.ristretto import PointVec
from protocols.session import Session


class BlindedIds(
    Message,
    disclosure=BLINDED,
    learns="how many ids the sender has; of rows to be scored, how many of them the model can score",
    most_bytes=lists.POINTS_BYTES,
):
    points: PointVec  # a chunk of (n,)  H(id)^k, shuffled by the sender
    more: int  # how many chunks are to come


class SortedTags(
    Message,
    disclosure=BLINDED,
    learns="nothing before it compares: tags of its own ids under both secrets, in an order that is not its own",
    most_bytes=lists.TAGS_BYTES,
):
    tags: bytes  # a chunk of (n, 16) of the receiver's points, sorted
    more: int


class UnmatchedTags(
    Message,
    disclosure=REVEALED,
    permit="matched-keys-to-parties",
    learns=(
        "how many of its ids no earlier key matched; later, together with the rows, by which key each id was matched"
    ),
    most_bytes=lists.TAGS_BYTES,
):
    tags: bytes  # a chunk of (left, 16) of the receiver's points that no earlier key matched, sorted
    more: int


class KeyHits(
    Message,
    disclosure=REVEALED,
    permit="matched-keys-to-parties",
    learns="how many ids this key matched; later, together with the rows, by which key each id was matched",
):
    hits: bytes  # bitmap over the tags that the receiver sent last: which of them are common


class IntersectionSize(
    Message, disclosure=REVEALED, permit="intersection-to-parties", learns="how many ids all parties have in common"
):
    size: int


class SizeOnly(
    Message,
    disclosure=REVEALED,
    permit="intersection-size-to-parties",
    learns="how many ids all parties have in common, and nothing else",
):
    by_key: Int64s  # (keys,)  how many each key matched


class HostRows(
    Message,
    disclosure=REVEALED,
    permit="intersection-to-parties",
    learns="which of its own ids are common to all parties",
):
    rows: Int32s  # (size,)  positions in the host's list, in tag order
    hits: bytes  # bitmap over the tags of the last key: which of them are common


class GuestRows(
    Message,
    disclosure=REVEALED,
    permit="intersection-to-parties",
    learns="which of its own ids are common to all parties",
):
    rows: Int32s  # (size,)  positions in the guest's list, in tag order


class NextPart(
    Message,
    disclosure=PUBLIC,
    learns="that the sender has worked through the lists so far (a quarter of a million rows at a time)",
):
    done: bool


STAGES = 2  # of a run, for each key: the lists, and what is compared


def guest(session: Session, keys: Sequence[Ids | IdsAway], ask: Request) -> Alignment:
    """Rows that the host also holds, in the shared order.  Raises DataError below the least intersection,
    InvalidPoint."""
    (peer,) = session.hosts
    own, sizes, matches = Blinding(session, keys), {session.me: 0}, list[Matches]()
    for key in range(len(keys)):
        theirs = exchange(session, peer, own, key, ask)  # 1, 2
        sizes = sizes if key else {session.me: own.rows, peer.peer: len(theirs)}
        check_lengths(peer.peer, sizes[peer.peer], theirs, what="ids under another key")
        if key < len(keys) - 1:
            matches.append(session.once(partial(_hit, peer, theirs, own, matches, ask), Matches.save, Matches.load))
    return session.once(partial(_open, peer, theirs, own, matches, sizes, ask), Alignment.save, Alignment.load)


def _own_tags(peer: Channel, own: Blinding, matches: Sequence[Matches], ask: Request) -> TagList:
    """This party's ids that no earlier key matched, as tags in order."""
    tags = TagList(peer.peer, ask.scratch())
    for chunk in received(peer, UnmatchedTags) if matches else received(peer, SortedTags):  # 3
        tags.append(chunk.tags, ascending=True)
    check_lengths(peer.peer, own.rows - sum(len(m.left) for m in matches), tags, what="tags of the ids sent")
    return tags


def _compare(
    peer: Channel, theirs: TagList, own: Blinding, matches: Sequence[Matches], ask: Request
) -> tuple[Matches, int]:
    """What the next key matches, and among how many rows of this party's own."""
    unmatched = np.ones(len(theirs), np.bool_)
    for before in matches:
        unmatched[before.right] = False
    tags = _own_tags(peer, own, matches, ask).whole()
    at_own, at_theirs = tagging.match(tags, theirs.whole())  # 4
    if (at_own[1:] == at_own[:-1]).any():
        raise _twice(peer)
    free = unmatched[at_theirs]
    at_own, at_theirs = at_own[free], at_theirs[free]
    return Matches(tags[at_own], at_own, at_theirs), len(tags)


def _twice(peer: Channel) -> RemoteProtocolError:
    return RemoteProtocolError(f"{peer.peer} sent an id twice", party=peer.peer)


def _hit(peer: Channel, theirs: TagList, own: Blinding, matches: Sequence[Matches], ask: Request) -> Matches:
    found, length = _compare(peer, theirs, own, matches, ask)
    peer.send(KeyHits(marked(found.left, length)))
    return found


@dataclass(frozen=True)
class Common:
    """What the guest finds: the host's rows and by which key each is matched, in tag order; and a bitmap of its own
    tags under the last key."""

    by_key: tuple[int, ...]
    rows: NDArray[np.int32]
    keys: NDArray[np.uint8]
    hits: bytes


def _common(peer: Channel, theirs: TagList, own: Blinding, matches: Sequence[Matches], ask: Request) -> Common:
    """One key's tags are compared at this party's workers, where it has some."""
    if own.cluster is not None and own.keys == 1:
        found = Spread(own.cluster, _own_tags(peer, own, (), ask).blocks, theirs.blocks).matched()  # 4
        if found is None:
            raise _twice(peer)
        return Common((len(found.rows),), found.rows, np.zeros(len(found.rows), np.uint8), found.hits)
    last, length = _compare(peer, theirs, own, matches, ask)
    _, rows, keys = in_shared_order((*matches, last))
    by_key = tuple(len(m.left) for m in (*matches, last))
    return Common(by_key, rows.astype(np.int32), keys, marked(last.left, length))


def _open(
    peer: Channel, theirs: TagList, own: Blinding, matches: Sequence[Matches], sizes: dict[str, int], ask: Request
) -> Alignment:
    found = _common(peer, theirs, own, matches, ask)
    if ask.size_only:
        peer.send(SizeOnly(np.array(found.by_key, np.int64)))
        return Alignment(np.zeros(0, np.int64), np.zeros(0, np.uint8), sizes, found.by_key)
    size = sum(found.by_key)
    peer.send(IntersectionSize(size))  # 5
    ask.check(size)
    peer.send(HostRows(found.rows, found.hits))  # 6
    rows = peer.recv(GuestRows).rows  # 7
    check_rows(peer.peer, rows, size, own.rows)
    return Alignment(own.shuffle.take(rows), found.keys, sizes, found.by_key)


def host(session: Session, keys: Sequence[Ids | IdsAway], ask: Request) -> Alignment:
    """As `guest`, the other side."""
    peer, name = session.guest, session.roles.guest
    own, sizes, matches = Blinding(session, keys), {name: 0}, list[Matches]()
    unmatched = np.zeros(0, np.int64)  # the guest's rows, by their position in its secret order
    for key in range(len(keys)):
        heard = exchange(session, peer, own, key, ask)  # 1, 2
        sizes = sizes if key else {name: len(heard), session.me: own.rows}
        check_lengths(name, sizes[name], heard, what="ids under another key")
        if own.cluster is not None and own.keys == 1:
            there = ListedAway(own.cluster, heard)
            return session.once(partial(_opened, peer, there, own, (), sizes, ask), Alignment.save, Alignment.load)
        unmatched = unmatched if key else np.arange(len(heard))
        tags = heard.whole()[unmatched] if key else heard.whole()
        listed = Listed(tags, tagging.order(tags), unmatched)
        if key < len(keys) - 1:
            matches.append(session.once(partial(_told, peer, listed, key), Matches.save, Matches.load))
            unmatched = np.setdiff1d(unmatched, matches[-1].right, assume_unique=True)
    return session.once(partial(_opened, peer, listed, own, matches, sizes, ask), Alignment.save, Alignment.load)


def _send(peer: Channel, listed: Listed | ListedAway, kind: type[SortedTags | UnmatchedTags]) -> None:
    for chunk, more in listed.chunks():  # 3
        peer.send(kind(chunk, more))


def _told(peer: Channel, listed: Listed, key: int) -> Matches:
    _send(peer, listed, UnmatchedTags if key else SortedTags)
    return listed.matches(marks(peer.peer, peer.recv(KeyHits).hits, len(listed)))  # 4


def _opened(
    peer: Channel,
    listed: Listed | ListedAway,
    own: Blinding,
    matches: Sequence[Matches],
    sizes: dict[str, int],
    ask: Request,
) -> Alignment:
    name, before = peer.peer, tuple(len(m.left) for m in matches)
    _send(peer, listed, UnmatchedTags if matches else SortedTags)
    if ask.size_only:
        by_key = tuple(peer.recv(SizeOnly).by_key.tolist())
        check_lengths(name, len(matches) + 1, by_key, what="keys")
        if by_key[:-1] != before or not 0 <= by_key[-1] <= len(listed):
            raise RemoteProtocolError(f"{name} announced another number than it listed", party=name)
        return Alignment(np.zeros(0, np.int64), np.zeros(0, np.uint8), sizes, by_key)
    size = peer.recv(IntersectionSize).size  # 5
    ask.check(size)
    answer = peer.recv(HostRows)  # 6
    check_rows(name, answer.rows, size, own.rows)
    their_rows, matched_by = listed.common(peer, matches, answer.hits, size)
    peer.send(GuestRows(their_rows))  # 7
    return Alignment(own.shuffle.take(answer.rows), matched_by, sizes, (*before, size - sum(before)))


def exchange(session: Session, peer: Channel, own: Blinding, key: int, ask: Request) -> TagList:
    """Sends this party's blinded ids and returns the tags of the peer's under both secrets, in the peer's order; both
    lists chunk by chunk."""
    trade = Trade(peer, own, key, TagList(peer.peer, ask.scratch()), session.allowance)
    session.grow(trade)
    return trade.tags


class Trade:
    """The exchange of two lists under one key, a block of each at a time; each block keeps the tags that it brought."""

    def __init__(self, peer: Channel, own: Blinding, key: int, tags: TagList, allowance: Allowance) -> None:
        self._peer, self._own, self._key, self.tags, self._allowance = peer, own, key, tags, allowance
        self._begun, self._left = 0, cast("int | None", None)  # own chunks, and the peer's that are to come

    def over(self) -> bool:
        """Whether both lists are through."""
        return self._left == 0 and self._begun >= self._own.chunks

    def step(self) -> Arrays:
        """The next block of either list, where it has one."""
        peer, left, seen, tags, lanes = self._peer, self._left, len(self.tags), bytearray(), self._own.hands.lanes
        if self._begun:
            peer.send(NextPart(True))
            peer.recv(NextPart)
        mine = (BlindedIds(points, more) for points, more in self._own.points(self._key, self._begun))
        for message in islice(mine, max(AHEAD, lanes)):
            peer.send(message)
        taken = 0
        while left != 0 and taken < lists.BLOCK:
            theirs = list[PointVec]()
            while left != 0 and len(theirs) < min(lanes, lists.BLOCK - taken):
                chunk = peer.recv(BlindedIds)
                theirs.append(chunk.points)
                seen += len(chunk.points)
                self._allowance.partner_rows(peer.peer, at_least(seen, chunk.more), self._own.rows)
                left = check_more(peer.peer, chunk, left)
            for found in self._own.hands.tags(theirs, self._own.scalars[self._key]):
                tags += found
            taken += len(theirs)
            for message in islice(mine, len(theirs)):
                peer.send(message)
        for message in mine:
            peer.send(message)
        return {"tags": np.frombuffer(tags, np.uint8), "left": np.array(left)}

    def add(self, part: Mapping[str, NDArray[Any]]) -> None:
        """A block's tags."""
        self.tags.append(part["tags"].tobytes())
        self._begun, self._left = self._begun + lists.BLOCK, int(part["left"])
