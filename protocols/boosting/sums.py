"""A host's encrypted sums: histograms of its bins, prefix sums over bins, siblings by subtraction, shuffled and padded lists."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from protocols.binning import Binned, Candidates
from protocols.boosting.packing import Ints
from protocols.cipher import CipherVec
from protocols.randomness import Seed


class SumTable:
    """For every node of a level and every used column: the encrypted sums over bins 0..b, without and with the missing values.

    Elements stand as (nodes, columns, variants, bins): `variants` is 2 where the party has missing values, else 1.  The last one of a node is the
    sum over all its rows; it stands alone where no column can split.
    """

    def __init__(self, binned: Binned, candidates: Candidates, table: CipherVec, nodes: int) -> None:
        self._binned, self._candidates, self._table, self.nodes = binned, candidates, table, nodes
        self._columns, self._place = np.unique(candidates.feature, return_inverse=True)
        self._variants = 2 if binned.any_missing else 1

    @classmethod
    def add_up(cls, binned: Binned, candidates: Candidates, gh: CipherVec, rows: Sequence[tuple[Ints, Ints]]) -> SumTable:
        """rows: of each node its rows, and where their ciphertexts stand in `gh`.

        Cost: about rows * columns products or fewer (joint tables of several columns), and nodes * columns * bins.
        """
        columns, bins = np.unique(candidates.feature), binned.missing
        if not len(columns):
            return cls(binned, candidates, join([gh.take(places).sum() for _, places in rows]), len(rows))
        cells = bins + (1 if binned.any_missing else 0)
        nodes = [gh if len(places) == len(gh) else gh.take(places) for _, places in rows]  # a node of all rows has them in order
        sums = [
            node.histogram(binned.bins[np.ix_(here, columns)].astype(np.int64), cells) for node, (here, _) in zip(nodes, rows, strict=True)
        ]
        blocks = len(rows) * len(columns)
        return cls(binned, candidates, prefix_sums(join(sums), blocks, bins, cells > bins), len(rows))

    @property
    def _block(self) -> int:
        return max(1, len(self._columns) * self._variants * self._binned.missing)

    def with_siblings(self, above: SumTable, parents: Ints, smaller_first: Sequence[bool]) -> SumTable:
        """The table of a whole level from this one of the smaller children: the others are the differences from `parents`, nodes of the level above."""
        block = np.arange(self._block)
        rest = above._table.take((parents[:, None] * self._block + block).ravel()) - self._table
        both = self._table.concat(rest)
        pairs = [(k, k + len(parents)) if first else (k + len(parents), k) for k, first in enumerate(smaller_first)]
        order = np.array(pairs, dtype=np.int64).reshape(-1, 1) * self._block + block
        return SumTable(self._binned, self._candidates, both.take(order.ravel()), 2 * len(parents))

    def listed(self, lists: Ints) -> CipherVec:
        """lists (nodes, length): candidates, or -1 for the sum over the whole node.  Raw: pack and re-randomise before it leaves."""
        c, bins = self._candidates, self._binned.missing
        index = np.append((self._place * self._variants + c.missing_left) * bins + c.cut, self._block - 1)  # -1: the whole node
        return self._table.take((np.arange(self.nodes)[:, None] * self._block + index[lists]).ravel())


def prefix_sums(cells: CipherVec, blocks: int, bins: int, missing: bool) -> CipherVec:
    """cells (blocks, bins, and one more where `missing`); returns (blocks, variants, bins)."""
    start = np.arange(blocks) * (bins + missing)
    running = cells.take(start)
    parts = [running]
    for b in range(1, bins):
        running = running + cells.take(start + b)
        parts.append(running)
    if missing:
        last = cells.take(start + bins)
        parts += [part + last for part in parts]
    order = np.arange(len(parts) * blocks).reshape(len(parts), blocks).T
    return join(parts).take(np.ascontiguousarray(order.ravel()))


def join(vectors: Sequence[CipherVec]) -> CipherVec:
    """All of `vectors` (at least one) one after the other; copies each element log2(len) times."""
    while len(vectors) > 1:
        pairs = [a.concat(b) for a, b in zip(vectors[::2], vectors[1::2], strict=False)]
        vectors = pairs + list(vectors[len(pairs) * 2 :])
    return vectors[0]


def shuffled(seed: Seed, listed: NDArray[np.bool_], group: int) -> Ints:
    """listed (nodes, candidates): lists (nodes, length) of candidates in an order that only `seed` knows, all of one length, a multiple of `group`.

    Shorter ones are filled up with repeats of their own candidates, drawn at random; where a node has none, with -1.
    """
    nodes = len(listed)
    longest = max(int(listed.sum(axis=1).max(initial=0)), 1)
    length = -(-longest // group) * group
    words = seed.words(2 * nodes * length).reshape(2, nodes, length)
    lists = np.full((nodes, length), -1, dtype=np.int64)
    for node in range(nodes):
        own = np.flatnonzero(listed[node])
        if len(own):
            lists[node] = own[(words[0, node] % np.uint64(len(own))).astype(np.int64)]
            lists[node, : len(own)] = own
    return np.asarray(np.take_along_axis(lists, np.argsort(words[1], axis=1, kind="stable"), axis=1))
