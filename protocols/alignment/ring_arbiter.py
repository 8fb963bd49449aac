"""The arbiter's side of the intersection of three or more data parties: the steps of ring.py's figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols import tags as tagging
from protocols.alignment import lists
from protocols.alignment.ecdh import BlindedIds, NextPart, SizeOnly
from protocols.alignment.lists import TagList, at_least, check_more, check_rows
from protocols.alignment.outcome import Matches, Request, in_shared_order
from protocols.alignment.ring import (
    MOST_ROWS,
    AgreedSize,
    CommonRows,
    MatchedKeys,
    PlacesAfter,
    PlacesBefore,
    ReblindedIds,
    RelayedIds,
)
from protocols.allowance import Allowance
from protocols.channel import Channel, broadcast
from protocols.codec import check_lengths
from protocols.errors import RemoteProtocolError
from protocols.recovery.checkpoint import Arrays
from protocols.ristretto import PointVec
from protocols.session import Session
from protocols.tags import Tags


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
        places = [_places(party, common, own) for party, own in zip(ring, tags, strict=True)]
        if key < keys - 1:
            stood = session.once(partial(_owners_places, ring, places), _save_places, _load_places)
            for i, rows in enumerate(stood):
                matches[i].append(Matches(common, np.arange(len(common)), unmatched[i][rows]))
                unmatched[i] = np.delete(unmatched[i], rows)
    session.once(partial(_tell, ring, matches, common, places, unmatched, ask), lambda _: {}, lambda _: None)


def _places(party: Channel, common: Tags, own: Tags) -> NDArray[np.int64]:
    """Where in a list under all secrets each common tag stands, in tag order."""
    at_common, at_own = tagging.match(common, own)
    if len(at_common) != len(common):
        raise RemoteProtocolError(f"{party.peer} sent an id twice", party=party.peer)
    return at_own


def _owners_places(ring: Sequence[Channel], places: Sequence[NDArray[np.int64]]) -> list[NDArray[np.int64]]:
    """The same places in each list as its owner sent it: all other parties undo their orders, the last first."""
    found, lengths = list(places), [len(own) for own in places]
    for t in range(len(ring) - 1, 0, -1):  # 3'
        for i, own in enumerate(found):
            ring[(i + t) % len(ring)].send(PlacesAfter(own.astype(np.int32)))
        for i, party in ((i, ring[(i + t) % len(ring)]) for i in range(len(ring))):
            answer = party.recv(PlacesBefore).places
            check_rows(party.peer, answer, lengths[i], MOST_ROWS)
            found[i] = answer.astype(np.int64)
    return found


def _save_places(found: Sequence[NDArray[np.int64]]) -> Arrays:
    return {f"places {i}": own for i, own in enumerate(found)}


def _load_places(saved: Mapping[str, NDArray[Any]]) -> list[NDArray[np.int64]]:
    return [saved[f"places {i}"] for i in range(len(saved))]


def _tell(
    ring: Sequence[Channel],
    matches: Sequence[list[Matches]],
    common: Tags,
    places: Sequence[NDArray[np.int64]],
    unmatched: Sequence[NDArray[np.int64]],
    ask: Request,
) -> None:
    """matches: of all keys but the last; common, places, unmatched: of the last."""
    keys = len(matches[0]) + 1
    for party in ring:
        party.recv(NextPart)
    by_key = np.array([*(len(m.left) for m in matches[0]), len(common)], np.int64)
    broadcast(ring, SizeOnly(by_key) if ask.size_only else AgreedSize(by_key))  # 4
    if ask.size_only:
        return
    ask.check(int(by_key.sum()))
    stood = _owners_places(ring, places)
    for party, before, rows, free in zip(ring, matches, stood, unmatched, strict=True):
        _, own, matched_by = in_shared_order([*before, Matches(common, np.arange(len(common)), free[rows])])
        if keys > 1:
            party.send(MatchedKeys(matched_by.tobytes()))
        party.send(CommonRows(own.astype(np.int32)))  # 5


class Relay:
    """The arbiter's way round the ring under one key, a block of each list at a time; each block keeps the tags under
    all secrets.

    unmatched: for a later key, each party's rows that still take part.
    """

    def __init__(
        self, ring: Sequence[Channel], unmatched: Sequence[NDArray[np.int64]], ask: Request, allowance: Allowance
    ) -> None:
        self._ring, self._unmatched, self._allowance = ring, unmatched, allowance
        self._tags, self._seen = [TagList(party.peer, ask.scratch()) for party in ring], [0] * len(ring)
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
        for i, tags in enumerate(self._tags):
            tags.append(part[f"tags {i}"].tobytes())

    def tags(self, sizes: Sequence[int]) -> list[Tags]:
        """Every party's list under all secrets, as tags in that party's order; sizes: of a later key, how long the
        lists were under the first."""
        for party, expected, found in zip(self._ring, sizes, self._seen, strict=False):
            check_lengths(party.peer, expected, range(found), what="ids under another key")
        return [tags.whole() for tags in self._tags]
