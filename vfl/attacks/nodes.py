"""Sets of rows that a party was told of: rows that are together in the nodes of trees, and rows that go left there.

Every field with few values for each row is taken for such sets.  Besides, the messages of open trees are followed from
node to node, since each of them is about the rows that earlier ones left there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vfl.attacks.received import Floats, fields, texts, vectors
from vfl.attacks.scene import Scene
from vfl.taps.transcript import Entry

Ints = NDArray[np.int64]
Bits = NDArray[np.bool_]
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
    """(sets, rows) 0 or 1: of every field that has few values for each row, the rows of each value; in the common order
    of rows, and where there is a secret one that this party knows, in that too."""
    lines = np.array([line for entry in run.entries(party) for line in few_valued(entry, run)]).reshape(-1, run.rows)
    if run.order is not None:
        lines = np.vstack([lines, lines[:, np.argsort(run.order)]])
    return np.array([line == value for line in lines for value in np.unique(line)[1:]], np.float64).reshape(
        -1, run.rows
    )


def few_valued(entry: Entry, run: Scene) -> list[Floats]:
    """Lines with an entry per row, and few values."""
    rows, found = run.rows, list[Floats]()
    for vector in vectors(entry, run.keys):
        if len(vector) and len(vector) % rows == 0:
            found += [*vector.reshape(rows, -1).T, *vector.reshape(-1, rows)]
    for text in texts(entry):
        raw = np.frombuffer(text, np.uint8)
        if len(text) == -(-rows // 8):
            found += [np.unpackbits(raw, count=rows, bitorder=order).astype(np.float64) for order in ("big", "little")]
        for width in (width for width in WIDTHS if text and len(text) % (rows * width) == 0):
            numbers = raw.reshape(-1, width).astype(np.float64) @ 256.0 ** np.arange(width)
            found += [*numbers.reshape(rows, -1).T, *numbers.reshape(-1, rows)]
    return [line for line in found if 1 < len(np.unique(line)) <= FEW]
