"""Sets of rows that a party learned of: rows that are together in the nodes of trees, and rows that go left there.

Every field with few values for each row is taken for such sets.  Besides, the messages of open trees are followed from
node to node, since each of them is about the rows that earlier ones left there.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protocols._native import PlainVec
from protocols.cipher import CipherVec
from protocols.codec import Int32s, Int64s
from vfl.attacks.received import Floats, fields
from vfl.attacks.scene import Scene
from vfl.taps.transcript import Entry

Ints = NDArray[np.int64]
Bits = NDArray[np.bool_]
Words = NDArray[np.uint64]
PROBE = 40  # rows at which a line is looked at first
FEW = 8  # values that a field has for rows whose nodes or directions it tells
WIDTHS = (1, 2, 4, 6, 8)  # bytes of a number


@dataclass(frozen=True)
class Level:
    """The rows of each node of a level, and which nodes a host's splits won; left: of the rows of these, one after
    another, which go left."""

    nodes: list[Ints]
    won: list[int]
    left: Bits

    def facts(self) -> Iterator[tuple[Ints, Bits]]:
        """Of each node that the host won: its rows, and which of them go left."""
        first = 0
        for node in self.won:
            rows = self.nodes[node]
            yield rows, self.left[first : first + len(rows)]
            first += len(rows)


def levels(run: Scene, host: str) -> list[Level]:
    """Of open trees, level by level, from what a host and the guest received; none of other models."""
    told = iter([entry for entry in run.entries(run.guest) if entry.peer == host and entry.message == "Directions"])
    depth, found = int(getattr(run.asked.estimator, "max_depth", 0)), list[Level]()
    nodes, level = [np.arange(run.rows)], 0
    for entry in run.entries(host):
        values = {name: value for name, _, value in fields(entry)} if entry.message in ("OwnWins", "NodeRows") else {}
        if entry.message == "OwnWins":
            won = np.frombuffer(values["nodes"], "<i4").tolist()
            size = sum(len(nodes[node]) for node in won)
            left = bits(dict(_named(next(told)))["left"], size) if won else np.zeros(0, np.bool_)
            found.append(Level(nodes, won, left))
            nodes, level = (nodes, level) if level + 1 < depth else ([np.arange(run.rows)], 0)
        elif entry.message == "NodeRows":
            nodes, level = children(nodes, values), level + 1
            if not nodes:
                nodes, level = [np.arange(run.rows)], 0
    return found


def _named(entry: Entry) -> Iterator[tuple[str, bytes]]:
    return ((name, value) for name, _, value in fields(entry))


def children(nodes: list[Ints], values: dict[str, bytes]) -> list[Ints]:
    """Of the nodes that are split, the rows that go left and those that go right."""
    split = np.flatnonzero(bits(values["split"], len(nodes))).tolist()
    left, first, found = bits(values["left"], sum(len(nodes[k]) for k in split)), 0, list[Ints]()
    for k in split:
        here = left[first : first + len(nodes[k])]
        found += [nodes[k][here], nodes[k][~here]]
        first += len(nodes[k])
    return found


def bits(text: bytes, length: int) -> Bits:
    return np.unpackbits(np.frombuffer(text, np.uint8), count=length).astype(np.bool_)


def sets_told(run: Scene, party: str) -> Floats:
    """(sets, rows) 0 or 1: of every field that has few values for each row, and of the sums of two peers' fields, which
    may be shares, the rows of each value; in the common order of rows, and where there is a secret one that this party
    knows, in that too."""
    entries, found = run.entries(party), list[Floats]()
    told = [list(words(entry, run.rows)) for entry in entries]
    for fields_of in told:
        found += [line for _, numbers in fields_of for line in few_valued(numbers, run.rows)]
    for one, other in from_two_peers(entries):
        for (width, a), (_, b) in zip(told[one], told[other], strict=False):
            if len(a) == len(b):
                found += few_valued((a + b) & np.uint64((1 << width) - 1), run.rows)
    lines = np.array(found).reshape(-1, run.rows)
    if run.order is not None:
        lines = np.vstack([lines, lines[:, np.argsort(run.order)]])
    sets = [line == value for line in lines for value in np.unique(line)[1:]]
    return np.array(sets, np.float64).reshape(-1, run.rows)


def from_two_peers(entries: Sequence[Entry]) -> Iterator[tuple[int, int]]:
    """Places of the k-th messages of a kind from two peers, for each k."""
    sent = dict[str, dict[str, list[int]]]()
    for place, entry in enumerate(entries):
        sent.setdefault(entry.message, {}).setdefault(entry.peer, []).append(place)
    for by_peer in sent.values():
        for one, other in itertools.combinations(by_peer.values(), 2):
            yield from zip(one, other, strict=False)


def words(entry: Entry, rows: int) -> Iterator[tuple[int, Words]]:
    """Every field that can stand for rows as unsigned numbers, and how many bits these have."""
    for _, of, value in fields(entry):
        if of is PlainVec:
            yield 64, np.array([v % (1 << 64) for v in PlainVec.from_bytes(value).to_ints()], np.uint64)
        elif of in (Int32s, Int64s):
            yield 64, np.frombuffer(value, "<i4" if of is Int32s else "<i8").astype(np.int64).view(np.uint64)
        elif isinstance(value, bytes) and of is not CipherVec:
            raw = np.frombuffer(value, np.uint8)
            if len(raw) == -(-rows // 8):
                for order in ("big", "little"):
                    yield 1, np.unpackbits(raw, count=rows, bitorder=order).astype(np.uint64)
            for width in (width for width in WIDTHS if len(raw) and len(raw) % (rows * width) == 0):
                padded = np.zeros((len(raw) // width, 8), np.uint8)
                padded[:, :width] = raw.reshape(-1, width)
                yield 8 * width, padded.view(np.uint64)[:, 0]


def few_valued(numbers: Words, rows: int) -> list[Floats]:
    """Lines with an entry per row, and few values: which of these each row has."""
    if not len(numbers) or len(numbers) % rows:
        return []
    lines = [*numbers.reshape(rows, -1).T, *numbers.reshape(-1, rows)]
    few = [np.unique(line, return_inverse=True) for line in lines if len(set(line[:PROBE].tolist())) <= FEW]
    return [inverse.astype(np.float64) for values, inverse in few if 1 < len(values) <= FEW]
