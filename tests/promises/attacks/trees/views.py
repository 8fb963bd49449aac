"""Everything that a party of a training received or computed for each row, as columns of 0 and 1 that an attack can
use.

A number that must be uniform can tell something in any of its bits: the lowest (of a share of a direction, the
direction), the highest (of a small number, its sign) and some between are kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from protocols._native import PlainVec
from protocols.boosting import gradients, product, rings
from protocols.channel import Tap
from protocols.cipher import CipherVec, Keyring
from protocols.codec import decode
from protocols.message import Message
from protocols.parts import Part

Bits = NDArray[np.bool_]
WIDE, NARROW = (0, 1, 20, 63), (0, 1, 20, 47)


@dataclass
class View(Tap):
    """A party's; kinds: how many columns each kind of message gave.  rows: in the order of training, none of them held
    out."""

    me: str
    rows: int
    columns: list[Bits] = field(default_factory=list)
    kinds: dict[str, int] = field(default_factory=dict)
    messages: list[Message] = field(default_factory=list)  # those without a number for each row
    waiting: dict[str, list[Any]] = field(default_factory=dict)

    def received(self, peer: str, kind: type[Message], data: bytes) -> None:
        if any(t is CipherVec for _, t in kind.schema()):
            self.kinds.setdefault(kind.kind, 0)
            return
        message, before = decode(data, kind, peer, Keyring()), len(self.columns)
        for name, _ in kind.schema():
            self.take(getattr(message, name))
        if kind is product.ShareLessPad:
            self.together(peer, message)
        self.kinds[kind.kind] = self.kinds.get(kind.kind, 0) + len(self.columns) - before
        if len(self.columns) == before:
            self.messages.append(message)

    def take(self, value: Any) -> None:
        if isinstance(value, PlainVec) and len(value) and len(value) % self.rows == 0:
            self.columns += [
                bit
                for k in WIDE
                for bit in cut((value.shift_right(k).residue(2).to_i64() & 1).astype(np.bool_), self.rows)
            ]
        elif isinstance(value, bytes) and value and len(value) % (rings.BYTES * self.rows) == 0:
            self.words(rings.from_bytes(value, (len(value) // rings.BYTES // self.rows, self.rows), self.me))
        elif isinstance(value, np.ndarray) and value.size and value.size % self.rows == 0:
            self.columns += [bit for k in (0, 8) for bit in cut((value.ravel() >> k & 1).astype(np.bool_), self.rows)]

    def words(self, words: NDArray[np.uint64]) -> None:
        self.columns += [bit for k in NARROW for bit in (words >> np.uint64(k) & np.uint64(1)).astype(np.bool_)]

    def shares(self, shares: rings.Shares) -> None:
        self.words(shares.u)
        for x in shares.x:
            self.take(x)

    def together(self, peer: str, message: Any) -> None:
        """A host adds up what guest and arbiter send it of one product."""
        self.waiting.setdefault(peer, []).append(message)
        if len(self.waiting) == 2 and all(self.waiting.values()):
            first, second = (line.pop(0) for line in self.waiting.values())
            self.take(rings.add(first.x, second.x))
            shape = (len(first.u) // rings.BYTES // self.rows, self.rows)
            self.words(rings.from_bytes(first.u, shape, peer) + rings.from_bytes(second.u, shape, peer))

    def lines(self) -> Bits:
        """(columns, rows)."""
        return np.array(self.columns, dtype=np.bool_).reshape(-1, self.rows)


def cut(bits: Bits, rows: int) -> list[Bits]:
    return list(bits.reshape(-1, rows))


@dataclass
class Level:
    """What the guest knows of a level of a training: owners of its places (class by class), and its own shares of left
    children."""

    label: str
    owners: NDArray[np.int64]
    lefts: rings.Shares


@contextmanager
def computed(guest: View, levels: list[Level]) -> Iterator[None]:
    """The guest's own shares go into its view too."""
    honest_product, honest_gradients = product.guest, gradients.guest

    def left(session: Any, keys: Any, level: Any, shares: Any, owners: Any, bits: Any, orders: Any) -> Any:
        found = honest_product(session, keys, level, shares, owners, bits, orders)
        whole = found.within(Part(0, 1, 0, level.rows), level.sampled)
        lefts = whole.take(product.seats_of(len(owners), orders)[:, 0])
        levels.append(Level(level.label, owners, lefts))
        guest.shares(lefts)
        return found

    def pair(*args: Any) -> Any:
        found = honest_gradients(*args)
        for value in (found.g, found.h):
            guest.take(value.whole())
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(product, "guest", left)
        patch.setattr(gradients, "guest", pair)
        yield
