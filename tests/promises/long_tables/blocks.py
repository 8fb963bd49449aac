"""Parties whose vectors travel in small blocks: what is under way between them is counted, and what one sends can be
replaced."""

from __future__ import annotations

import hashlib
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import msgspec
import pytest

from protocols import codec, parts, row_blocks
from protocols.channel import Channel, Tap
from protocols.cipher import CipherVec
from protocols.message import Message

SCALE = 1 << 10
ROWS = {"3 x 10^6": 3_000_000 // SCALE, "10^7": 10_000_000 // SCALE}
KEY = 3072  # bits of the key in a run: those of the tests are shorter, and messages with them


def shrink(patch: pytest.MonkeyPatch, key_bits: int, *, in_blocks: bool = True) -> None:
    """Blocks and messages 2^10 times smaller, messages as much smaller again as the key is shorter; not in_blocks: the
    planted fault, vectors that are one message each."""
    patch.setattr(codec, "MAX_MESSAGE_BYTES", codec.MAX_MESSAGE_BYTES // SCALE * key_bits // KEY)
    if in_blocks:
        patch.setattr(parts, "ROWS", parts.ROWS // SCALE)


@dataclass
class Underway:
    """Bytes of vectors of ciphertexts that are sent and not yet received, by sender and receiver, and the most there
    ever were."""

    now: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    most: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, party: str) -> list[Tap]:
        """What watches one party's channels."""
        return [_Watch(party, self)]

    def add(self, link: tuple[str, str], size: int) -> None:
        with self.lock:
            self.now[link] += size
            self.most[link] = max(self.most[link], self.now[link])


@dataclass
class _Watch(Tap):
    me: str
    underway: Underway

    def sent(self, peer: str, kind: type[Message], data: bytes) -> None:
        self.underway.add((self.me, peer), size(kind, data))

    def received(self, peer: str, kind: type[Message], data: bytes) -> None:
        self.underway.add((peer, self.me), -size(kind, data))


def size(kind: type[Message], data: bytes) -> int:
    """Of messages of ciphertexts."""
    return len(data) if CipherVec in dict(kind.schema()).values() else 0


def most_underway(key_bits: int, planes: int = 1) -> int:
    """Bytes of the blocks that a sender may be ahead, and of one more; planes: ciphertexts of a row."""
    return (row_blocks.AHEAD + 1) * planes * (parts.ROWS * 2 * key_bits // 8 + 100)


@contextmanager
def sends(fault: str, kind: type[Message], sender: str) -> Iterator[None]:
    """While it lasts one party's blocks 1 and 2 of a kind are missing, repeated, out of order or too long."""
    honest, kept = Channel._put, list[bytes]()

    def put(self: Channel, sent: type[Message], data: bytes, digest: bytes) -> None:
        number = number_of(data, kind) if sent is kind and self.me == sender else 0
        each = [data]
        if number in (1, 2):
            if fault == "missing" and number == 1:
                each = []
            elif fault == "repeated":
                each *= 2
            elif fault == "oversize":
                each = [twice(data, kind)]
            elif fault == "reordered":
                each = [] if number == 1 else [data, *kept]
                kept.append(data)
        for one in each:
            honest(self, sent, one, hashlib.sha256(one).digest())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Channel, "_put", put)
        yield


def number_of(data: bytes, kind: type[Message]) -> int:
    """Which block the bytes of a message are."""
    _, *fields = msgspec.msgpack.decode(data)
    return int(fields[-2]) if len(fields) > len(kind.schema()) else 0


def twice(data: bytes, kind: type[Message]) -> bytes:
    """The bytes of a block whose first vector is there twice."""
    name, vector, *rest = msgspec.msgpack.decode(data)
    field = kind.schema()[0][1]
    if field in (bytes, CipherVec):
        vector += vector[0 if field is bytes else 32 :]  # behind the fingerprint of the key
    else:  # PlainVec
        vector = vector[:4] + (2 * int.from_bytes(vector[4:12], "little")).to_bytes(8, "little") + 2 * vector[12:]
    return msgspec.msgpack.encode([name, vector, *rest])
