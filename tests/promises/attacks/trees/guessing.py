"""What attacks on boosted trees start from: tables, a training with both views of it, the directions and sums that a
guest of open trees has."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from queue import Queue
from typing import Any

import numpy as np
import pytest

from protocols.binning.quantile import Binned
from protocols.boosting import open as open_trees
from protocols.boosting.params import Params
from protocols.boosting.sealed_parts import GUEST
from protocols.boosting.tree import Growing
from protocols.cipher import Identity
from tests.harness import Recording, Sent
from tests.promises.attacks.trees.attacks import Bits, Fact, Floats, Ints, solved
from tests.promises.attacks.trees.views import Level, View, computed
from tests.unit.protocols.boosting.samples import drawn_from
from tests.unit.protocols.boosting.world import Trained, bin_blocks, joined, train

HOST = 1


def table(rows: int, columns: int) -> tuple[Floats, Floats, Floats]:
    """The guest's three columns, the host's, and labels; all columns share three causes, and the label depends on
    all."""
    rng = np.random.default_rng(7)
    causes = rng.normal(size=(rows, 3))
    mine, theirs = (
        causes + rng.normal(size=(rows, 3)),
        causes @ (rng.normal(size=(3, columns)) * 0.6) + rng.normal(size=(rows, columns)),
    )
    score = mine.sum(axis=1) * 0.4 + theirs @ rng.normal(size=columns) * 0.5 + rng.normal(size=rows)
    return mine, theirs, (score > np.quantile(score, 0.75)).astype(np.float64)


@dataclass
class Run:
    """A training, and what both data parties saw of it; everything in the order of training."""

    mine: Floats
    theirs: Floats
    y: Floats
    blocks: list[Binned]
    trained: Trained
    guest: View
    host: View
    levels: list[Level]
    order: Ints

    @property
    def bins(self) -> Ints:
        return self.blocks[HOST].bins[self.order]

    @property
    def truth(self) -> Floats:
        return self.bins.astype(np.float64)

    @property
    def rows(self) -> Ints:
        return np.arange(len(self.y))

    def splits(self, party: int) -> Bits:
        """(splits, rows): which of all rows go left at a party's winning splits: what sealed trees keep from everybody
        but the party."""
        block = Binned(self.blocks[party].binner, self.blocks[party].bins[self.order])
        return np.array(
            [
                block.goes_left(self.rows, int(tree.feature[v]), int(tree.cut[v]), bool(tree.missing_left[v]))
                for tree in joined(self.trained)
                for v in np.flatnonzero(tree.owner == party)
            ]
        )


def run(
    rows: int, columns: int, trees: int, depth: int, membership: str = "sealed", recorded: list[Sent] | None = None
) -> Run:
    """recorded: where what the guest sends goes."""
    mine, theirs, y = table(rows, columns)
    p = Params(n_estimators=trees, max_depth=depth, membership=membership)  # type: ignore[arg-type]
    blocks, views, levels = bin_blocks([mine, theirs], p), [View("guest", rows), View("host1", rows)], list[Level]()
    with computed(views[0], levels):
        taps = {"guest": [views[0], Recording("guest", [] if recorded is None else recorded)], "host1": [views[1]]}
        trained = train(blocks, y, p, Identity(), taps=taps, randomness=drawn_from(5, 1))
    order = np.arange(rows) if trained.opened.order is None else trained.opened.order
    return Run(mine[order], theirs[order], y[order], blocks, trained, *views, levels, order)


# -- open trees: what the guest has


@dataclass
class Sums:
    """Of each level of each tree: the node of each row (-1: none), rounded g and h, and the sums left of each of the
    host's candidates, (nodes, candidates)."""

    nodes: list[Ints]
    g: list[Ints]
    h: list[Ints]
    left_g: list[Ints]
    left_h: list[Ints]

    def columns(self, binned: Binned) -> Floats:
        """(columns, rows) from the sums alone.  Which sum belongs to which candidate is granted: the lists of open
        trees are shuffled."""
        equations = [
            (np.where(at == v, q, 0), s[v])
            for g, h, a, b, at in self.each()
            for q, s in ((g, a), (h, b))
            for v in range(len(a))
        ]
        coefficients, sums = (
            np.array([e for e, _ in equations], dtype=np.float64),
            np.array([s for _, s in equations], dtype=np.float64).T,
        )
        found = binned.candidates(range(binned.columns))
        share = np.array([(binned.bins[:, f] <= c).mean() for f, c in zip(found.feature, found.cut, strict=True)])
        vectors = solved(coefficients, sums, share)
        return np.array([-vectors[found.feature == f].sum(axis=0) for f in range(binned.columns)])

    def each(self) -> Iterator[tuple[Ints, Ints, Ints, Ints, Ints]]:
        return zip(self.g, self.h, self.left_g, self.left_h, self.nodes, strict=True)


@contextmanager
def opened_sums() -> Iterator[Sums]:
    sums, lists = Sums([], [], [], [], []), Queue[Ints]()
    offer, choose, totals = open_trees.HostTree.offer, open_trees.choose, Growing.totals

    def offering(self: Any, *args: Any) -> Any:
        stood = offer(self, *args)
        lists.put(stood)
        return stood

    def position(self: Any, q: Any) -> Any:
        sums.nodes.append(self.position().copy())
        return totals(self, q)

    def choosing(p: Any, q: Any, offers: Any, *rest: Any) -> Any:
        sums.g.append(q.g[:].copy())
        sums.h.append(q.h[:].copy())
        stood = lists.get(timeout=60)
        for found, kept in ((offers[HOST].g, sums.left_g), (offers[HOST].h, sums.left_h)):
            own = np.zeros((len(stood), stood.max() + 1), dtype=np.int64)
            for node, line in enumerate(stood):
                own[node, line[line >= 0]] = found[node, line >= 0]
            kept.append(own)
        return choose(p, q, offers, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(open_trees.HostTree, "offer", offering)
        patch.setattr(Growing, "totals", position)
        patch.setattr(open_trees, "choose", choosing)
        yield sums


def directions(run: Run) -> list[Fact]:
    """At every node that a split of the host won, its rows and which go left: what the guest of open trees is told."""
    facts = list[Fact]()
    for tree in joined(run.trained):
        at = np.zeros(len(run.y), dtype=np.int64)
        for v in np.flatnonzero(tree.left >= 0):
            here, block = np.flatnonzero(at == v), run.blocks[tree.owner[v]]
            left = block.goes_left(run.order[here], int(tree.feature[v]), int(tree.cut[v]), bool(tree.missing_left[v]))
            if tree.owner[v] != GUEST:
                facts.append((here, left))
            at[here] = np.where(left, tree.left[v], tree.left[v] + 1)
    return facts
