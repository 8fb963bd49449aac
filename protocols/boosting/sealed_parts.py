"""What each party keeps of sealed trees.  The parts are never joined: guest and arbiter know the shape and who owns
which split, owners what their splits are, the arbiter alone what leaves are worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols.binning.quantile import Bins
from protocols.boosting.ensemble import Ensemble
from protocols.boosting.params import Params
from protocols.boosting.tree import walker
from protocols.parts import parts
from protocols.recovery.checkpoint import Arrays

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
NO_SPLIT, GUEST = -1, 0
NODE_FIELDS = ("owner", "order")


@dataclass(frozen=True, eq=False)
class Shape:
    """The shape of trees that all have `depth` levels: node 2^l - 1 + s is seat s of level l.  A node without a split
    sends all rows to its left child.

    owner (trees, 2^depth - 1): NO_SPLIT, GUEST, or the number of a host from 1.  order: for each seat which child of
    the level above sits there, counted from the left; nobody but guest and arbiter knows that.
    """

    depth: int
    owner: Ints
    order: Ints

    @classmethod
    def empty(cls, depth: int) -> Shape:
        nothing = np.zeros((0, (1 << depth) - 1), dtype=np.int64)
        return cls(depth, nothing, nothing.copy())

    def __len__(self) -> int:
        return len(self.owner)

    def level(self, level: int) -> tuple[Ints, Ints]:
        """owner and order (trees, 2^level)."""
        nodes = slice((1 << level) - 1, (2 << level) - 1)
        return self.owner[:, nodes], self.order[:, nodes]

    def plus(self, owner: Sequence[Ints], order: Sequence[Ints]) -> Shape:
        """With one more tree, given by its levels."""
        return replace(
            self,
            owner=np.vstack([self.owner, np.concatenate(owner)]),
            order=np.vstack([self.order, np.concatenate(order)]),
        )

    def first(self, trees: int) -> Shape:
        return replace(self, owner=self.owner[:trees], order=self.order[:trees])

    def splits(self, party: int) -> int:
        """How many splits a party owns."""
        return int((self.owner == party).sum())


@dataclass(frozen=True, eq=False)
class GuestTrees:
    """The guest's part: first trees of its own in the clear, then the shape of the joint ones and its own splits in
    them.

    feature, cut, missing_left (trees, 2^depth - 1): at nodes that the guest owns.  margin_unit: what a unit of a margin
    is worth.  rounding_key (32,) secret bytes: under them it hashes its rows' bins (rounding.py).
    """

    own: Ensemble  # with the base, and the trees on the guest's columns alone
    shape: Shape
    feature: Ints
    cut: Ints
    missing_left: NDArray[np.bool_]
    margin_unit: float
    rounding_key: bytes = field(repr=False)

    @property
    def params(self) -> Params:
        return self.own.params

    @property
    def model_id(self) -> bytes:
        return self.own.model_id

    @property
    def trees(self) -> int:
        """Of all kinds: tree t adds to output t % num_class."""
        return len(self.own.trees) + len(self.shape)

    def goes_left(self, binned: Bins, rows: Ints | slice, tree: int, node: int) -> NDArray[np.bool_]:
        """At a joint tree's node that the guest owns."""
        return binned.goes_left(
            rows, int(self.feature[tree, node]), int(self.cut[tree, node]), bool(self.missing_left[tree, node])
        )

    def importance(self) -> dict[tuple[int, int], int]:
        """Numbers of splits by (party, column) at the guest (party 0), and by (party, -1) for each host."""
        found: dict[tuple[int, int], int] = {}
        for tree in self.own.trees:
            for column in tree.feature[tree.owner == GUEST].tolist():
                found[0, column] = found.get((0, column), 0) + 1
        for column in self.feature[self.shape.owner == GUEST].tolist():
            found[0, column] = found.get((0, column), 0) + 1
        for party in np.unique(self.shape.owner[self.shape.owner > GUEST]).tolist():
            found[party, -1] = self.shape.splits(party)
        return found


@dataclass(frozen=True, eq=False)
class ArbiterTrees:
    """The arbiter's part: the shape of the joint trees and their leaf values (trees, 2^depth), in units that the guest
    knows; joint tree t adds to output t % num_class.  score_bits: scores are opened on a grid of 2^-score_bits;
    rounding_key (32,) secret bytes: what their rounding follows from (rounding.py)."""

    model_id: bytes
    num_class: int
    score_bits: int
    shape: Shape
    value: Ints = field(repr=False)
    rounding_key: bytes = field(repr=False)


def saved_shape(shape: Shape) -> Arrays:
    return {name: getattr(shape, name) for name in NODE_FIELDS}


def loaded_shape(depth: int, saved: Mapping[str, NDArray[Any]]) -> Shape:
    return Shape(depth, *(saved[name] for name in NODE_FIELDS))


def alone(part: Ensemble, binned: Bins) -> Floats:
    """Margins (rows, outputs) of the trees on the guest's columns alone, base included."""
    found = np.tile(part.base, (len(binned), 1))
    for block in parts(len(binned)) if part.trees else ():
        own = binned.take(np.arange(block.first, block.last))
        steps = [tree.value[tree.route(len(own), walker(own, tree, ()))] for tree in part.trees]
        found[block.rows] = part.margin(steps, len(own))
    return found
