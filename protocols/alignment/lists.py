"""One party's lists on their way: chunk by chunk, so that no list is ever in memory as points, and the next chunk is
computed while the last one travels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from protocols import tags as tagging
from protocols.alignment.away import IdsAway, There
from protocols.alignment.pieces import Hands
from protocols.alignment.spread import PIECE
from protocols.channel import Channel
from protocols.codec import check_lengths
from protocols.errors import RemoteProtocolError
from protocols.ids import Ids, filler
from protocols.message import Message
from protocols.ristretto import PointVec
from protocols.session import Session
from protocols.shuffle import Shuffle
from protocols.tags import TAG_BYTES, Tags, read

M = TypeVar("M", bound=Message)
Rows = NDArray[np.int64]
CHUNK = 1 << 14  # points a message: half a megabyte
AHEAD = 2  # chunks sent before the first of the peer is waited for
BLOCK = 16  # chunks of each list between two marks from which an interrupted run goes on
MAX_MESSAGES = 1 << 20
POINTS_BYTES = 32 * CHUNK + 16  # of a message of points at most, and of one of tags
TAGS_BYTES = 4 * CHUNK * TAG_BYTES + 16
DOMAIN = b"vfl ecdh-psi v1"


class Spool(Protocol):
    """Keeps what is appended: in memory, or wherever a caller with little memory wants it."""

    def append(self, data: bytes) -> None: ...
    def between(self, start: int, stop: int) -> bytes:
        """These bytes of all that was appended; fewer at its end."""

    def bytes(self) -> bytes | bytearray | memoryview: ...


class MemorySpool:
    """Keeps it in memory."""

    def __init__(self) -> None:
        self._data = bytearray()

    def append(self, data: bytes) -> None:
        self._data += data

    def between(self, start: int, stop: int) -> bytes:
        """As `Spool.between`."""
        return bytes(self._data[start:stop])

    def bytes(self) -> bytearray:
        return self._data


Scratch = Callable[[], Spool]


class Blinding:
    """One party's secrets of one run: an order of its rows, the same for every key, and for each key a scalar."""

    def __init__(self, session: Session, keys: Sequence[Ids | IdsAway]) -> None:
        digest = b"".join(ids.digest() for ids in keys)
        self._ids, self.keys, self.rows, self.cluster = keys, len(keys), len(keys[0]), session.cluster
        self.shuffle = Shuffle(session.seed("psi shuffle", digest), self.rows)
        self._filler = session.seed("psi filler", digest).secret
        self.scalars = [session.seed(f"psi scalar {number}", digest).scalar() for number in range(len(keys))]
        self.chunks = len(range(0, max(1, self.rows), CHUNK))
        self.hands = Hands(session.workers)
        self._observer, self._all = session.observer, self.chunks * len(keys)
        self._observer.step("align", 0, self._all)

    @cached_property
    def _there(self) -> There:
        """The ids that are at workers, which read them when they are first asked."""
        assert self.cluster is not None
        assert isinstance(self._ids[0], IdsAway)
        return There(self.cluster, self._ids[0].ranges)

    def points(self, key: int, first: int) -> Iterator[tuple[PointVec, int]]:
        """A block of chunks of H(id)^k in the secret order, from number `first`, each with the number of chunks to
        come; as many are computed at a time as there are workers."""
        last = min(first + BLOCK, self.chunks)
        for start in range(first, last, self.hands.lanes):
            numbers = range(start, min(start + self.hands.lanes, last))
            for number, points in zip(numbers, self._blinded(key, list(map(self._rows, numbers))), strict=True):
                self._observer.step("align", key * self.chunks + number + 1, self._all)
                yield points, self.chunks - 1 - number

    def _rows(self, number: int) -> Rows:
        """The rows of a chunk in the secret order.  Chunks are of nearly equal lengths: none is short."""
        start, stop = (at * self.rows // self.chunks for at in (number, number + 1))
        return self.shuffle.between(start, stop)

    def _blinded(self, key: int, chunks: Sequence[Rows]) -> list[PointVec]:
        ids, scalar = self._ids[key], self.scalars[key]
        if isinstance(ids, IdsAway):
            return self._there.blind(chunks, key, domain(key), scalar, self._filler)
        items = [
            [v or filler(self._filler, key, r) for v, r in zip(ids.at(rows), rows.tolist(), strict=True)]
            for rows in chunks
        ]
        return self.hands.blind(items, domain(key), scalar)


def domain(key: int) -> bytes:
    """The domain of hashing to the group: equal texts under different keys are unrelated points."""
    return DOMAIN if key == 0 else DOMAIN + b", key %d" % (key + 1)


def received(channel: Channel, kind: type[M]) -> Iterator[M]:
    """The messages of one list; each says how many (`more`) are to come."""
    left: int | None = None
    while left != 0:
        message = channel.recv(kind)
        left = check_more(channel.peer, message, left)
        yield message


def check_more(sender: str, message: Any, left: int | None) -> int:
    """How many messages of the list are to come; `left` is what the one before said.  Raises RemoteProtocolError."""
    if not 0 <= message.more <= MAX_MESSAGES or left not in (None, message.more + 1):
        raise RemoteProtocolError(f"{sender} lost count of the messages of a list", party=sender)
    (content,) = (value for name, value in vars(message).items() if name != "more")
    most = CHUNK if isinstance(content, PointVec) else 4 * CHUNK * TAG_BYTES
    if len(content) > most:
        raise RemoteProtocolError(f"{sender} sent a chunk of a list that is larger than a chunk may be", party=sender)
    return int(message.more)


def at_least(seen: int, more: int) -> int:
    """How many points a list has at least, of which `more` chunks are to come: all but the last of these are full."""
    return seen + max(0, more - 1) * CHUNK + (more > 0)


def chunks_of_tags(length: int, found: Callable[[int, int], bytes]) -> Iterator[tuple[bytes, int]]:
    """The bytes of tags in their order, 1 MiB at a time, each with the number of chunks to come; found: those of tags
    first to last."""
    starts = range(0, max(1, length), 4 * CHUNK)
    for left, start in zip(range(len(starts) - 1, -1, -1), starts, strict=True):
        yield found(start, min(start + 4 * CHUNK, length)), left


class TagList:
    """Tags that a peer sent, where they are kept."""

    def __init__(self, sender: str, spool: Spool) -> None:
        self._sender, self._spool, self._length, self._tail = sender, spool, 0, np.zeros((0, 2), np.uint64)

    def __len__(self) -> int:
        return self._length

    def __repr__(self) -> str:
        return f"<TagList of {self._length}>"

    def append(self, data: bytes, *, ascending: bool = False) -> None:
        """Tags that came; ascending: whether they must be in order.  Raises RemoteProtocolError."""
        if len(data) % TAG_BYTES:
            raise RemoteProtocolError(f"{self._sender} sent tags of another size than they have", party=self._sender)
        if ascending:
            after = np.concatenate([self._tail, read(data)])
            if not tagging.ascending(after):
                raise RemoteProtocolError(f"{self._sender} sent tags that are not in order", party=self._sender)
            self._tail = after[-tagging.RUN :]
        self._spool.append(data)
        self._length += len(data) // TAG_BYTES

    def whole(self) -> Tags:
        """All of them."""
        return read(self._spool.bytes())

    def blocks(self) -> Iterator[tuple[Tags, Rows]]:
        """Some at a time, with where they stand."""
        for first in range(0, self._length, PIECE):
            last = min(first + PIECE, self._length)
            yield read(self._spool.between(TAG_BYTES * first, TAG_BYTES * last)), np.arange(first, last)


def marked(hits: Rows, length: int) -> bytes:
    """A bitmap of `length` bits with those at `hits` set."""
    flags = np.zeros(length, np.bool_)
    flags[hits] = True
    return np.packbits(flags).tobytes()


def marks(sender: str, bitmap: bytes, length: int) -> Rows:
    """The positions that `marked` marked; raises RemoteProtocolError for another length."""
    check_marks(sender, bitmap, length)
    return np.flatnonzero(np.unpackbits(np.frombuffer(bitmap, np.uint8), count=length)).astype(np.int64)


def check_marks(sender: str, bitmap: bytes, length: int) -> None:
    """Raises RemoteProtocolError unless this is a bitmap of `length` bits."""
    check_lengths(sender, (length + 7) // 8, bitmap, what="bytes of the bitmap of hits")


def check_rows(sender: str, rows: NDArray[np.int32], size: int, length: int) -> None:
    """Raises RemoteProtocolError unless `rows` are `size` distinct positions below `length`."""
    check_lengths(sender, size, rows, what="common rows")
    ordered = np.sort(rows)
    if len(rows) and (ordered[0] < 0 or ordered[-1] >= length or (ordered[1:] == ordered[:-1]).any()):
        raise RemoteProtocolError(f"{sender} sent row positions that do not exist", party=sender)
