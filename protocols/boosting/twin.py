"""The plaintext twin: the same trees from all tables in one place, without messages and without encryption.

Same bins, same quantised g and h, same limits, same ties.  It is what the protocols must equal bit for bit, and what encryption is measured against.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from protocols.binning import Binned, Candidates
from protocols.boosting.ensemble import Rounds, may_end
from protocols.boosting.levels import own_columns
from protocols.boosting.packing import Floats, Ints, Quantised
from protocols.boosting.params import Params
from protocols.boosting.split import choose
from protocols.boosting.support import Node, Support
from protocols.boosting.tree import Bits, Growing, Split, Tree, own_split, plain_offer


@dataclass(eq=False)
class Limits:
    """One host's lists at the nodes of the present level; rows: of each node, those in the tree's sample."""

    support: Support
    nodes: list[Node]

    @classmethod
    def root(cls, binned: Binned, candidates: Candidates, least: int, sampled: Bits) -> Limits:
        support = Support(binned, candidates, least)
        return cls(support, [support.root(np.flatnonzero(sampled))])

    def go_down(self, parents: Sequence[int], rows: Sequence[Ints]) -> None:
        firsts = [len(left) <= len(right) for left, right in zip(rows[::2], rows[1::2], strict=True)]
        splits = [
            (self.nodes[parent], *((left, len(right)) if first else (right, len(left))))
            for parent, left, right, first in zip(parents, rows[::2], rows[1::2], firsts, strict=True)
        ]
        pairs = self.support.descend(splits)
        self.nodes = [node for pair, first in zip(pairs, firsts, strict=True) for node in (pair if first else pair[::-1])]

    @property
    def listed(self) -> Bits:
        return np.array([node.listed for node in self.nodes])


def train(blocks: Sequence[Binned], p: Params, rounds: Rounds) -> list[Tree]:
    """blocks: the guest's rows, then each host's.  Trees name columns and cuts of all parties; `rounds` ends with the margins."""
    columns = [b.columns for b in blocks]
    for number in rounds.numbers:
        g, h, sampled = rounds.gradients(number)
        used = blocks if number >= p.guest_only_trees else blocks[:1]
        candidates = [b.candidates(own_columns(p, number, columns, k)) for k, b in enumerate(used)]
        rounds.add([grow(used, candidates, p, tree, g[:, k], h[:, k], sampled) for k, tree in enumerate(p.trees_of(number))])
        if may_end(p, number) and rounds.stops():
            break
    return list(rounds.ensemble(b"").trees)


def grow(
    blocks: Sequence[Binned], candidates: Sequence[Candidates], p: Params, tree: int, g: Floats, h: Floats, sampled: Bits
) -> tuple[Tree, Floats]:
    """One tree, and its step of every row's margin."""
    q, least = Quantised.of(p, tree, g, h, sampled), p.min_bin_rows if p.membership == "shared" else 1
    limits = [Limits.root(b, c, least, sampled) for b, c in zip(blocks[1:], candidates[1:], strict=True)]
    growing = Growing(len(sampled))
    for _ in range(p.max_depth):
        valid = [None, *(limit.listed for limit in limits)]
        offers = [plain_offer(b, c, growing, q, v) for b, c, v in zip(blocks, candidates, valid, strict=True)]
        choices, rows = choose(p, q, offers, *growing.totals(q)), growing.rows_of()
        splits: list[Split | None] = [own_split(candidates[c.party], c) if c else None for c in choices]
        lefts = [blocks[s[0]].goes_left(here, *s[1:4]) if s else None for s, here in zip(splits, rows, strict=True)]
        growing.split(splits, lefts, rows)
        if not len(growing.active):
            break
        below = [here[sampled[here]] for here in growing.rows_of()]
        for limit in limits:
            limit.go_down([k for k, c in enumerate(choices) if c], below)
    return growing.finish(p, g, h, sampled)
