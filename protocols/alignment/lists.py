"""One party's lists on their way: chunk by chunk, so that no list is ever in memory as points, and the next chunk is
computed while the last one travels."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from protocols.alignment.ids import Ids
from protocols.alignment.pieces import Hands
from protocols.channel import Channel
from protocols.codec import check_lengths
from protocols.errors import RemoteProtocolError
from protocols.message import Message
from protocols.ristretto import PointVec
from protocols.session import Session
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
    def bytes(self) -> bytes | bytearray | memoryview: ...


class MemorySpool:
    """Keeps it in memory."""

    def __init__(self) -> None:
        self._data = bytearray()

    def append(self, data: bytes) -> None:
        self._data += data

    def bytes(self) -> bytearray:
        return self._data


Scratch = Callable[[], Spool]


class Blinding:
    """One party's secrets of one run: an order of its rows, the same for every key, and for each key a scalar."""

    def __init__(self, session: Session, keys: Sequence[Ids]) -> None:
        digest = b"".join(ids.digest() for ids in keys)
        self._keys, self.rows = keys, len(keys[0])
        self.shuffle = session.seed("psi shuffle", digest).permutation(self.rows)
        self._filler = session.seed("psi filler", digest).secret
        self.scalars = [session.seed(f"psi scalar {number}", digest).scalar() for number in range(len(keys))]
        self.chunks = len(range(0, max(1, self.rows), CHUNK))
        self.hands = Hands(session.workers)
        self._observer, self._all = session.observer, self.chunks * len(keys)
        self._observer.step("align", 0, self._all)

    def points(self, key: int, first: int) -> Iterator[tuple[PointVec, int]]:
        """A block of chunks of H(id)^k in the secret order, from number `first`, each with the number of chunks to
        come; as many are computed at a time as there are workers."""
        last = min(first + BLOCK, self.chunks)
        for start in range(first, last, self.hands.lanes):
            numbers = range(start, min(start + self.hands.lanes, last))
            chunks = [self._items(key, number) for number in numbers]
            for number, points in zip(numbers, self.hands.blind(chunks, domain(key), self.scalars[key]), strict=True):
                self._observer.step("align", key * self.chunks + number + 1, self._all)
                yield points, self.chunks - 1 - number

    def _items(self, key: int, number: int) -> list[bytes]:
        """The ids of a chunk in the secret order.  Chunks are of nearly equal lengths: none is short."""
        start, stop = (at * self.rows // self.chunks for at in (number, number + 1))
        rows = self.shuffle[start:stop]
        return [
            value or self._fill(key, row) for value, row in zip(self._keys[key].at(rows), rows.tolist(), strict=True)
        ]

    def _fill(self, key: int, row: int) -> bytes:
        """What stands for a row without an id: nobody else can have it, and nobody can tell it from an id."""
        return bytes(4) + hmac.digest(self._filler, key.to_bytes(4, "big") + row.to_bytes(8, "big"), "sha256")


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


def chunks_of_tags(tags: Tags, order: Rows) -> Iterator[tuple[bytes, int]]:
    """The bytes of `tags` in this order, 1 MiB at a time, each with the number of chunks to come."""
    starts = range(0, max(1, len(order)), 4 * CHUNK)
    for left, start in zip(range(len(starts) - 1, -1, -1), starts, strict=True):
        yield tags[order[start : start + 4 * CHUNK]].tobytes(), left


def read_tags(sender: str, spool: Spool) -> Tags:
    """The tags in what `sender` sent."""
    data = spool.bytes()
    if len(data) % 16:
        raise RemoteProtocolError(f"{sender} sent tags of another size than they have", party=sender)
    return read(data)


def marked(hits: Rows, length: int) -> bytes:
    """A bitmap of `length` bits with those at `hits` set."""
    flags = np.zeros(length, np.bool_)
    flags[hits] = True
    return np.packbits(flags).tobytes()


def marks(sender: str, bitmap: bytes, length: int) -> Rows:
    """The positions that `marked` marked; raises RemoteProtocolError for another length."""
    check_lengths(sender, (length + 7) // 8, bitmap, what="bytes of the bitmap of hits")
    return np.flatnonzero(np.unpackbits(np.frombuffer(bitmap, np.uint8), count=length)).astype(np.int64)


def check_rows(sender: str, rows: NDArray[np.int32], size: int, length: int) -> None:
    """Raises RemoteProtocolError unless `rows` are `size` distinct positions below `length`."""
    check_lengths(sender, size, rows, what="common rows")
    if len(rows) and (rows.min() < 0 or rows.max() >= length or len(np.unique(rows)) != len(rows)):
        raise RemoteProtocolError(f"{sender} sent row positions that do not exist", party=sender)
