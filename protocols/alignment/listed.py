"""The guest's tags as the host lists them under one key: in order, and which of them are common.  With a party's own
workers one key's tags are sorted there (spread.py); several keys' are in this process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protocols.alignment.lists import TagList, check_marks, chunks_of_tags, marks
from protocols.alignment.outcome import Matches, in_shared_order
from protocols.alignment.spread import Spread
from protocols.channel import Channel
from protocols.errors import RemoteProtocolError
from protocols.tags import Tags
from protocols.workers.cluster import Cluster

Found = tuple[NDArray[np.int32], NDArray[np.uint8]]  # the guest's rows that are common, in tag order, and by which key


@dataclass(frozen=True)
class Listed:
    """In this process."""

    tags: Tags
    order: NDArray[np.int64]  # in which they are sent
    rows: NDArray[np.int64]  # the guest's, of each tag

    def __len__(self) -> int:
        return len(self.rows)

    def chunks(self) -> Iterator[tuple[bytes, int]]:
        """In order, each chunk with the number of those to come."""
        return chunks_of_tags(len(self), lambda first, last: self.tags[self.order[first:last]].tobytes())

    def matches(self, hits: NDArray[np.int64]) -> Matches:
        return Matches(self.tags[self.order[hits]], hits, self.rows[self.order][hits])

    def common(self, peer: Channel, before: Sequence[Matches], hits: bytes, size: int) -> Found:
        """What all keys matched; hits: a bitmap of these tags, the last key's.  Raises RemoteProtocolError unless that
        is `size` rows."""
        found = marks(peer.peer, hits, len(self))
        _check(peer, sum(len(m.left) for m in before) + len(found), size)
        _, rows, keys = in_shared_order((*before, self.matches(found)))
        return rows.astype(np.int32), keys


class ListedAway:
    """At workers; the only key's."""

    def __init__(self, cluster: Cluster, heard: TagList) -> None:
        self._length, self._spread = len(heard), Spread(cluster, heard.blocks, sort=True)

    def __len__(self) -> int:
        return self._length

    def chunks(self) -> Iterator[tuple[bytes, int]]:
        """As `Listed.chunks`."""
        return chunks_of_tags(len(self), self._spread.exported)

    def common(self, peer: Channel, before: Sequence[Matches], hits: bytes, size: int) -> Found:
        """As `Listed.common`."""
        check_marks(peer.peer, hits, len(self))
        _check(peer, int(np.bitwise_count(np.frombuffer(hits, np.uint8)).sum()), size)
        return self._spread.places(hits, size), np.zeros(size, np.uint8)


def _check(peer: Channel, found: int, size: int) -> None:
    if found != size:
        raise RemoteProtocolError(f"{peer.peer} listed another number of hits than it announced", party=peer.peer)
