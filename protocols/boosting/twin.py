"""The plaintext twins: the same trees from all tables in one place, without messages and without encryption.

Same bins, same rounded g and h, same limits and constraints, same ties.  They are what the protocols must equal bit for
bit, and what encryption is measured against.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from protocols.binning.quantile import Bins, Candidates
from protocols.boosting.ensemble import Rounds, may_end
from protocols.boosting.levels import own_columns
from protocols.boosting.packing import Gradients, Ints, Quantised
from protocols.boosting.params import Params
from protocols.boosting.split import Choice, choose, leaf_values
from protocols.boosting.tree import Growing, Nodes, Split, Tree, own_split, plain_offer

# Which of the candidates that tie is taken: of a level and a place among its 2^level nodes.
Pick = Callable[[int, int, Choice], int]


def train(blocks: Sequence[Bins], p: Params, rounds: Rounds) -> list[Tree]:
    """Trees with exact leaf values, as open trees have them.  blocks: the guest's rows, then each host's.  Trees name
    columns and cuts of all parties; `rounds` ends with the margins."""
    columns = [b.columns for b in blocks]
    for number in rounds.numbers:
        gradients = rounds.gradients(number)
        used = blocks if number >= p.guest_only_trees else blocks[:1]
        candidates = [b.candidates(own_columns(p, number, columns, k)) for k, b in enumerate(used)]
        rounds.add([grow(used, candidates, p, tree, gradients, k) for k, tree in enumerate(p.trees_of(number))])
        if may_end(p, number) and rounds.stops():
            break
    return list(rounds.ensemble(b"").trees)


def grow(
    blocks: Sequence[Bins],
    candidates: Sequence[Candidates],
    p: Params,
    tree: int,
    gradients: Gradients,
    k: int,
) -> tuple[Tree, Nodes]:
    """One tree of class k, and the leaf of every row."""
    growing = grown(blocks, candidates, p, Quantised.of(p, tree, gradients, k), first_tie)
    return growing.finish(p, gradients, k)


def grow_rounded(
    blocks: Sequence[Bins], candidates: Sequence[Candidates], p: Params, q: Quantised, margin_unit: float, pick: Pick
) -> tuple[Tree, Ints]:
    """One sealed tree from rounded gradients (0 for rows that it is not trained on), its leaf values in units of
    margins; and every row's step.  pick: how ties were drawn."""
    growing = grown(blocks, candidates, p, q, pick)
    g, h = (np.bincount(growing.at, weights=v[:], minlength=len(growing.owner)).astype(np.float64) for v in (q.g, q.h))
    bounds = growing.bounds if p.monotone_constraints else None
    steps = np.rint(leaf_values(p, g * q.g_unit, h * q.h_unit, bounds) / margin_unit)
    tree = growing.tree(steps)
    return tree, tree.value[growing.at].astype(np.int64)


def grown(blocks: Sequence[Bins], candidates: Sequence[Candidates], p: Params, q: Quantised, pick: Pick) -> Growing:
    growing = Growing(len(q.g))
    for level in range(p.max_depth):
        offers = [plain_offer(b, c, growing, q) for b, c in zip(blocks, candidates, strict=True)]
        choices, rows = choose(p, q, offers, *growing.totals(q), growing.active_bounds(p)), growing.rows_of()
        splits: list[Split | None] = [
            own_split(candidates[c.party], c, pick(level, int(place), c)) if c else None
            for c, place in zip(choices, growing.pads, strict=True)
        ]
        lefts = [blocks[s[0]].goes_left(here, *s[1:4]) if s else None for s, here in zip(splits, rows, strict=True)]
        growing.split(choices, splits, lefts, rows)
        if not len(growing.active):
            break
    return growing


def first_tie(level: int, place: int, choice: Choice) -> int:
    return int(choice.ties[0])
