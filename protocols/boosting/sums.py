"""A host's encrypted sums: histograms of its bins, prefix sums over bins, siblings by subtraction, shuffled and padded lists."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from protocols.binning import Binned, Candidates
from protocols.boosting.packing import Ints
from protocols.cipher import CipherVec
from protocols.randomness import Seed


class SumTable:
    """For every node of a level and every used column: the encrypted sums over bins 0..b, of a categorical one over bin b alone, without and with the missing values.

    Elements stand as (nodes, columns, variants, bins), with the sum over all its rows at the end of each node: `variants` is 2 where the party has
    missing values, else 1.
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
        named = np.array([binned.binner.categories[f] is not None for f in columns])
        return cls(binned, candidates, left_sums(join(sums), named, bins, cells - bins), len(rows))

    @property
    def _block(self) -> int:
        return len(self._columns) * self._variants * self._binned.missing + 1

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


def left_sums(cells: CipherVec, single: NDArray[np.bool_], bins: int, missing: int) -> CipherVec:
    """cells (nodes, columns, bins, and one more where `missing` is 1); returns what `SumTable` holds.  single (columns,): which are categorical."""
    blocks = len(cells) // (bins + missing)
    start = np.arange(blocks) * (bins + missing)
    alone = [cells.take(start + b) for b in range(bins)]
    parts = [*itertools.accumulate(alone, operator.add), *(alone if single.any() else [])]
    variant = len(parts)
    if missing:
        last = cells.take(start + bins)
        parts += [part + last for part in parts]
    first = np.tile(single, blocks // len(single)) * bins
    part = first[:, None, None] + np.arange(1 + missing)[:, None] * variant + np.arange(bins)
    order = (part * blocks + np.arange(blocks)[:, None, None]).reshape(blocks // len(single), -1)
    whole = (missing * variant + bins - 1) * blocks + np.arange(0, blocks, len(single))
    return join(parts).take(np.column_stack([order, whole]).ravel())


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
