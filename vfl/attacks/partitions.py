"""Attack 9: labels from the rows that nodes hold (ID2Graph, arXiv 2307.10318).

Rows that are often together in small nodes have similar labels, so labels that the host knows tell others.  A host that
learns the rows of nodes needs no message about labels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vfl.attacks import textbook
from vfl.attacks.attack import Attack
from vfl.attacks.first_gradient import event
from vfl.attacks.gradients import own_of
from vfl.attacks.nodes import levels, sets_told
from vfl.attacks.received import Floats
from vfl.attacks.referee import added, by_all
from vfl.attacks.scene import Scene, open_trees
from vfl.attacks.sums import BINS, DEPTH, TREES


class Partitions(Attack):
    number = 9
    name = "Labels from the rows of nodes"
    who = "each host alone"
    needs = "which rows a node of a tree holds, or which rows a round is trained on"
    setting = 'membership = "sealed", the default; "open" needs the permission partition-to-hosts'
    sentence = "Could a partner work out who defaulted from which customers fall into the same branch of a tree?"
    measure = (
        "the part of the labels' variance beyond its own columns that the host explains, on rows that it has not seen"
    )
    chance = 0.0
    bound = 0.02
    reason = (
        "no message says where a row goes; what a host receives of rows is uniform, which explains nothing of others"
    )
    succeeds = 0.2
    sizes = (1.0, 0.5, 0.2, 0.1, 0.05, 0.02)
    found = 0.02
    size_of = "the part of the nodes of the textbook's 40 trees whose rows the host learns"
    textbook_is = "the rows of every node of 40 trees of depth 4, which all hosts receive (SecureBoost)"

    def unfit(self, scene: Scene) -> str:
        if not scene.kind.startswith("boosted"):
            return "a model without trees has no nodes"
        return "the label has more than two values" if len(np.unique(scene.y)) != 2 else ""

    def texts(self, scene: Scene) -> dict[str, str]:
        """Of open trees the rows are sent on purpose."""
        if not open_trees(scene):
            return {}
        return {
            "reason": (
                "fixed for sealed trees, in which no message says where a row goes; in open trees hosts receive the "
                "rows of each node (NodeRows)"
            ),
            "expected": (
                'membership = "open" and the permission partition-to-hosts: hosts receive the rows of each node; '
                "assume that they learn the labels"
            ),
        }

    def product(self, scene: Scene, seed: int) -> float:
        run, found = scene.again(seed), [0.0]
        for host in run.hosts:
            nodes = [rows for level in levels(run, host) for rows in level.nodes if len(rows) < run.rows]
            sets = np.vstack([sets_told(run, host), indicators(nodes, run.rows)])
            found.append(added(weighted(sets), run.x(host), run.y, by_all))
        return max(found)

    def planted(self, scene: Scene, seed: int, size: float) -> float:
        run = scene.drawn(seed)
        x, own = own_of(run, run.hosts[0])
        nodes = [one.rows for one in textbook.boosting(x, event(run.y), own, TREES, DEPTH, BINS)[::2]]
        few = [k for k in range(len(nodes)) if len(nodes[k]) < run.rows]
        told = np.random.default_rng([seed, 9]).permutation(few)[: max(1, round(size * len(few)))]
        return added(weighted(indicators([nodes[k] for k in told], run.rows)), x[:, own], run.y, by_all)

    def textbook(self, scene: Scene, seed: int) -> float:
        return self.planted(scene, seed, 1.0)


def indicators(nodes: Sequence[np.ndarray], rows: int) -> Floats:
    """(nodes, rows)."""
    found = np.zeros((len(nodes), rows))
    for line, inside in zip(found, nodes, strict=True):
        line[inside] = 1.0
    return found


def weighted(sets: Floats) -> Floats:
    """(lines, rows) the sets of several rows, but not of all: the smaller one is, the more it counts that two rows are
    together in it."""
    told = sets[(sets.sum(axis=1) > 1) & (sets.min(axis=1) < 1)]
    return np.asarray(told / np.sqrt(told.sum(axis=1, keepdims=True)))
