"""Sums over bins, of ciphertexts or of plain integers: histograms, prefix sums, siblings by subtraction, shuffled and
padded lists."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Sequence
from functools import reduce
from typing import Any, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from protocols.binning.quantile import Bins, Candidates
from protocols.boosting.packing import Ints
from protocols.cipher import CipherVec
from protocols.randomness import Seed

Rows = NDArray[np.integer[Any]]


class Addable(Protocol):
    """A vector of ciphertexts, or of integers."""

    def __len__(self) -> int: ...
    def __add__(self, other: Self, /) -> Self: ...
    def take(self, rows: Ints, /) -> Self: ...
    def concat(self, other: Self, /) -> Self: ...
    def histogram(self, bins: Ints, n_bins: int, /) -> Self: ...


V = TypeVar("V", bound=Addable)


class Lefts:
    """What lies left of each of a party's candidates, as sums over bins 0..b, of a categorical column over bin b alone,
    without and with the missing values.

    `cells` adds up rows by column and bin; `of` turns cells into the candidates' sums, in their order.  Candidates must
    not be empty.
    """

    def __init__(self, binned: Bins, candidates: Candidates) -> None:
        self.binned, self.candidates = binned, candidates
        self.columns, self._place = np.unique(candidates.feature, return_inverse=True)
        self._missing = 1 if binned.any_missing else 0
        self._named = np.array([binned.binner.categories[f] is not None for f in self.columns])

    @property
    def block(self) -> int:
        """Sums of a node: (columns, variants, bins), and the sum over all its rows at the end."""
        return len(self.columns) * (1 + self._missing) * self.binned.missing + 1

    @property
    def index(self) -> Ints:
        """Where each candidate stands among them, and at the end the sum over all rows."""
        c, bins = self.candidates, self.binned.missing
        return np.append((self._place * (1 + self._missing) + c.missing_left) * bins + c.cut, self.block - 1)

    def cells(self, values: V, rows: Rows) -> V:
        """values (len(rows),); cost: about rows * columns additions, fewer by joint tables of several columns."""
        bins = np.empty((len(rows), len(self.columns)), dtype=np.int64)
        for k, column in enumerate(self.columns.tolist()):
            bins[:, k] = self.binned.column(column, rows)
        return values.histogram(bins, self.binned.missing + self._missing)

    def all(self, cells: V) -> V:
        """The sums of all nodes out of their cells, one node after the other."""
        return left_sums(cells, self._named, self.binned.missing, self._missing)

    def of(self, cells: V) -> V:
        """The candidates' sums of one node."""
        return self.all(cells).take(self.index[:-1])


class SumTable:
    """For every node of a level the encrypted sums of `Lefts`, and that over all its rows."""

    def __init__(self, lefts: Lefts | None, table: CipherVec, nodes: int) -> None:
        self._lefts, self._table, self.nodes = lefts, table, nodes

    @classmethod
    def add_up(
        cls, binned: Bins, candidates: Candidates, gh: Sequence[CipherVec], rows: Sequence[tuple[Rows, Rows]]
    ) -> SumTable:
        """gh: blocks of ciphertexts; rows: of each node its rows, and where their ciphertexts stand in all blocks, in
        order."""
        if not len(candidates):
            sums = [reduce(operator.add, [here.sum() for here, _ in within(gh, *node)]) for node in rows]
            return cls(None, join(sums), len(rows))
        lefts = Lefts(binned, candidates)
        sums = [reduce(operator.add, [lefts.cells(*block) for block in within(gh, *node)]) for node in rows]
        return cls(lefts, lefts.all(join(sums)), len(rows))

    @property
    def _block(self) -> int:
        return self._lefts.block if self._lefts else 1

    def with_siblings(self, above: SumTable, parents: Ints, smaller_first: Sequence[bool]) -> SumTable:
        """The table of a whole level from this one of the smaller children: the others are the differences from
        `parents`, nodes of the level above."""
        block = np.arange(self._block)
        rest = above._table.take((parents[:, None] * self._block + block).ravel()) - self._table
        both = self._table.concat(rest)
        pairs = [(k, k + len(parents)) if first else (k + len(parents), k) for k, first in enumerate(smaller_first)]
        order = np.array(pairs, dtype=np.int64).reshape(-1, 1) * self._block + block
        return SumTable(self._lefts, both.take(order.ravel()), 2 * len(parents))

    def listed(self, lists: Ints) -> CipherVec:
        """lists (nodes, length): candidates, or -1 for the sum over the whole node.  Raw: pack and re-randomise before
        it leaves."""
        index = self._lefts.index if self._lefts else np.zeros(1, dtype=np.int64)  # -1: the whole node
        return self._table.take((np.arange(self.nodes)[:, None] * self._block + index[lists]).ravel())


def within(blocks: Sequence[CipherVec], rows: Rows, places: Rows) -> list[tuple[CipherVec, Rows]]:
    """Of each block that holds some of these rows their ciphertexts, and which rows these are; of none an empty one."""
    ends = np.cumsum([len(block) for block in blocks])
    borders, found = [0, *np.searchsorted(places, ends).tolist()], list[tuple[CipherVec, Rows]]()
    for block, start, (first, last) in zip(blocks, ends, itertools.pairwise(borders), strict=True):
        if first < last:
            whole = last - first == len(block)
            found.append(
                (
                    block if whole else block.take(places[first:last].astype(np.int64) - (start - len(block))),
                    rows[first:last],
                )
            )
    return found or [(blocks[0].take(places.astype(np.int64)), rows)]


def left_sums(cells: V, single: NDArray[np.bool_], bins: int, missing: int) -> V:
    """cells (nodes, columns, bins, and one more where `missing` is 1); returns what `Lefts` holds.  single (columns,):
    which are categorical."""
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
    joined: V = join(parts)
    return joined.take(np.column_stack([order, whole]).ravel())


def join(vectors: Sequence[V]) -> V:
    """All of `vectors` (at least one) one after the other; copies each element log2(len) times."""
    while len(vectors) > 1:
        pairs = [a.concat(b) for a, b in zip(vectors[::2], vectors[1::2], strict=False)]
        vectors = pairs + list(vectors[len(pairs) * 2 :])
    return vectors[0]


def shuffled(seed: Seed, nodes: int, candidates: int, group: int) -> Ints:
    """(nodes, length) all candidates of each node in an order that only `seed` knows, filled up with repeats, drawn at
    random, to a multiple of `group`;
    -1 where there is no candidate at all."""
    length = -(-max(candidates, 1) // group) * group
    words = seed.words(2 * nodes * length).reshape(2, nodes, length)
    lists = np.full((nodes, length), -1, dtype=np.int64)
    if candidates:
        lists = (words[0] % np.uint64(candidates)).astype(np.int64)
        lists[:, :candidates] = np.arange(candidates)
    return np.asarray(np.take_along_axis(lists, np.argsort(words[1], axis=1, kind="stable"), axis=1))
