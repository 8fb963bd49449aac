"""Private set intersection of two parties by Diffie-Hellman on ristretto255, size first, by one key or by several that are tried in order.

Source: Meadows 1986 and Huberman, Franklin, Hogg 1999 (commutative blinding); the size is settled before anything else is opened.
Adversary: honest but curious; points from the peer are validated.  A guest that lies about the size can get past the host's minimum: it then learns which of
its own inputs are members, and no more.

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

Both keep one secret order of their rows for all keys.  A row without a value under a key is blinded as a random text, so that nobody sees which rows these are.
KeyHits marks positions in SortedTags, which the host knows as positions in the guest's secret order: it can leave these out of the next key, and name none.
So the rounds need no opening in between, and the minimum holds for the total.  Where the size alone is asked for, SizeOnly takes the place of 5 to 7.

Who learns what: each party the other's number of rows, how many rows each key matches, and, if their sum is large enough, which of its own rows are matched,
and by which key (of one of several).  The guest sees the host's points of *all* keys for all rows: where a row that an earlier key matched would also match
another of the guest's rows under a later key, it can count that, and after the opening say for which row of its own.  The host cannot.
The shared order is that of the tags: pseudo-random, independent of either table's order.
Cost a row pair and key: four scalar products, two hashes to the group, 80 bytes and 8 more a common id.  Points travel in chunks.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import numpy as np

from protocols.alignment import tags as tagging
from protocols.alignment.ids import Ids
from protocols.alignment.lists import AHEAD, Blinding, check_rows, chunks_of_tags, marked, marks, read_tags, received
from protocols.alignment.outcome import Alignment, Matches, Request, in_shared_order
from protocols.alignment.tags import Tags
from protocols.channel import Channel
from protocols.codec import Int32s, Int64s, check_lengths
from protocols.errors import RemoteProtocolError
from protocols.message import BLINDED, REVEALED, Message
from protocols.ristretto import PointVec
from protocols.session import Session


class BlindedIds(Message, disclosure=BLINDED, learns="how many ids the sender has"):
    points: PointVec  # a chunk of (n,)  H(id)^k, shuffled by the sender
    more: int  # how many chunks are to come


class SortedTags(
    Message,
    disclosure=BLINDED,
    learns="nothing before it compares: tags of its own ids under both secrets, in an order that is not its own",
):
    tags: bytes  # a chunk of (n, 16) of the receiver's points, sorted
    more: int


class UnmatchedTags(
    Message,
    disclosure=REVEALED,
    permit="matched-keys-to-parties",
    learns="how many of its ids no earlier key matched, and with the rows later: by which key each was matched",
):
    tags: bytes  # a chunk of (left, 16) of the receiver's points that no earlier key matched, sorted
    more: int


class KeyHits(
    Message,
    disclosure=REVEALED,
    permit="matched-keys-to-parties",
    learns="how many ids this key matched, and with the rows later: by which key each was matched",
):
    hits: bytes  # bitmap over the tags that the receiver sent last: which of them are common


class IntersectionSize(Message, disclosure=REVEALED, permit="intersection-to-parties", learns="how many ids all parties have in common"):
    size: int


class SizeOnly(
    Message, disclosure=REVEALED, permit="intersection-size-to-parties", learns="how many ids all parties have in common, and no more"
):
    by_key: Int64s  # (keys,)  how many each key matched


class HostRows(Message, disclosure=REVEALED, permit="intersection-to-parties", learns="which of its own ids are common to all parties"):
    rows: Int32s  # (size,)  positions in the host's list, in tag order
    hits: bytes  # bitmap over the tags of the last key: which of them are common


class GuestRows(Message, disclosure=REVEALED, permit="intersection-to-parties", learns="which of its own ids are common to all parties"):
    rows: Int32s  # (size,)  positions in the guest's list, in tag order


def guest(session: Session, keys: Sequence[Ids], ask: Request) -> Alignment:
    """Rows that the host also holds, in the shared order.  Raises DataError below the least intersection, InvalidPoint."""
    (peer,) = session.hosts
    name = peer.peer
    own = Blinding(session, keys)
    matches: list[Matches] = []
    sizes = {session.me: own.rows}
    unmatched = np.ones(0, np.bool_)  # (the host's rows,)
    for key in range(len(keys)):
        theirs = exchange(peer, own, key, ask)  # 1, 2
        if key == 0:
            sizes[name], unmatched = len(theirs), np.ones(len(theirs), np.bool_)
        check_lengths(name, len(unmatched), theirs, what="ids under another key")
        spool = ask.scratch()
        for chunk in received(peer, SortedTags) if key == 0 else received(peer, UnmatchedTags):  # 3
            spool.append(chunk.tags)
        tags = read_tags(name, spool)
        check_lengths(name, own.rows - sum(len(m.left) for m in matches), tags, what="tags of the ids sent")
        if not tagging.ascending(tags):
            raise RemoteProtocolError(f"{name} sent tags that are not in order", party=name)
        at_own, at_theirs = tagging.match(tags, theirs)  # 4
        if (at_own[1:] == at_own[:-1]).any():
            raise RemoteProtocolError(f"{name} sent an id twice", party=name)
        free = unmatched[at_theirs]
        at_own, at_theirs = at_own[free], at_theirs[free]
        unmatched[at_theirs] = False
        matches.append(Matches(tags[at_own], at_own, at_theirs))
        if key < len(keys) - 1:
            peer.send(KeyHits(marked(at_own, len(tags))))
    by_key = tuple(len(m.left) for m in matches)
    if ask.size_only:
        peer.send(SizeOnly(np.array(by_key, np.int64)))
        return Alignment(np.zeros(0, np.int64), np.zeros(0, np.uint8), sizes, by_key)
    peer.send(IntersectionSize(sum(by_key)))  # 5
    ask.check(sum(by_key))
    _, their_rows, matched_by = in_shared_order(matches)
    peer.send(HostRows(their_rows.astype(np.int32), marked(matches[-1].left, len(tags))))  # 6
    rows = peer.recv(GuestRows).rows  # 7
    check_rows(name, rows, sum(by_key), own.rows)
    return Alignment(own.shuffle[rows], matched_by, sizes, by_key)


def host(session: Session, keys: Sequence[Ids], ask: Request) -> Alignment:
    """As `guest`, the other side."""
    peer, name = session.guest, session.roles.guest
    own = Blinding(session, keys)
    matches: list[Matches] = []
    sizes: dict[str, int] = {}
    unmatched = np.zeros(0, np.int64)  # the guest's rows, by their position in its secret order
    for key in range(len(keys)):
        tags = exchange(peer, own, key, ask)  # 1, 2
        if key == 0:
            sizes, unmatched = {name: len(tags), session.me: own.rows}, np.arange(len(tags))
        check_lengths(name, sizes[name], tags, what="ids under another key")
        tags = tags[unmatched] if key else tags
        order = tagging.order(tags)
        for chunk, more in chunks_of_tags(tags, order):
            peer.send(SortedTags(chunk, more) if key == 0 else UnmatchedTags(chunk, more))  # 3
        positions = unmatched[order]
        if key < len(keys) - 1:
            hits = marks(name, peer.recv(KeyHits).hits, len(positions))  # 4
            matches.append(Matches(tags[order[hits]], hits, positions[hits]))
            unmatched = np.sort(np.delete(positions, hits))
    before = tuple(len(m.left) for m in matches)
    if ask.size_only:
        by_key = tuple(peer.recv(SizeOnly).by_key.tolist())
        check_lengths(name, len(keys), by_key, what="keys")
        if by_key[:-1] != before or not 0 <= by_key[-1] <= len(unmatched):
            raise RemoteProtocolError(f"{name} counted otherwise than it marked", party=name)
        return Alignment(np.zeros(0, np.int64), np.zeros(0, np.uint8), sizes, by_key)
    size = peer.recv(IntersectionSize).size  # 5
    ask.check(size)
    answer = peer.recv(HostRows)  # 6
    check_rows(name, answer.rows, size, own.rows)
    hits = marks(name, answer.hits, len(positions))
    if sum(before) + len(hits) != size:
        raise RemoteProtocolError(f"{name} marked another number of hits than it announced", party=name)
    matches.append(Matches(tags[order[hits]], hits, positions[hits]))
    _, their_rows, matched_by = in_shared_order(matches)
    peer.send(GuestRows(their_rows.astype(np.int32)))  # 7
    return Alignment(own.shuffle[answer.rows], matched_by, sizes, (*before, len(hits)))


def exchange(peer: Channel, own: Blinding, key: int, ask: Request) -> Tags:
    """Sends this party's blinded ids and returns the tags of the peer's under both secrets, in the peer's order; both lists chunk by chunk."""
    mine = (BlindedIds(points, more) for points, more in own.points(key))
    for message in islice(mine, AHEAD):
        peer.send(message)
    spool = ask.scratch()
    for theirs in received(peer, BlindedIds):
        spool.append((theirs.points * own.scalars[key]).tag_bytes())
        for message in islice(mine, 1):
            peer.send(message)
    for message in mine:
        peer.send(message)
    return read_tags(peer.peer, spool)
