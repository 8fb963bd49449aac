"""Attack 8: a linear system over sums of gradients.

Every sum over the rows left of a boundary is one equation in the unknown 0/1 vector of these rows, with coefficients
that the guest knows (Dinur and Nissim, 2003): its own gradients, and who is in the node.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vfl.attacks import textbook
from vfl.attacks.attack import Attack
from vfl.attacks.first_gradient import event
from vfl.attacks.gradients import own_of
from vfl.attacks.received import Floats, per_row
from vfl.attacks.referee import added
from vfl.attacks.scene import Scene

TREES, DEPTH, BINS = 40, 4, 12


class NodeSums(Attack):
    number = 8
    name = "A host's columns from sums over nodes"
    who = "the guest alone"
    needs = "sums of gradients over the rows left of a host's boundaries, or any number per row that hangs on a column"
    setting = 'membership = "sealed", the default; "open" needs the permission bin-sums-to-guest'
    sentence = "Could the bank work out a partner's data about each customer from the totals that training exchanges?"
    measure = (
        "the part of a host's column beyond its own ones that the guest explains, on rows it has not seen; the best"
    )
    chance = 0.0
    bound = 0.03
    reason = (
        "nothing that arrives depends on a host's column; the best of several columns is a little above 0 by chance"
    )
    succeeds = 0.3
    sizes = (1.0, 0.5, 0.2, 0.1, 0.05, 0.02)
    found = 0.02
    size_of = "the part of the sums of the textbook's 40 trees that is opened to the guest"
    textbook_is = "the sums of 40 trees of depth 4 over unnamed boundaries opened to the guest (SecureBoost)"

    def unfit(self, scene: Scene) -> str:
        if getattr(scene.asked.estimator, "membership", None) == "open":
            return "the guest of open trees opens these sums (bin-sums-to-guest): assume that it learns every row's bin"
        return "" if len(np.unique(scene.y)) == 2 else "the label has more than two values"

    def product(self, scene: Scene, seed: int) -> float:
        run = scene.again(seed)
        known, lines = run.x(run.guest), per_row(run.entries(run.guest), run.keys, run.rows)
        if run.order is not None:  # rows in the secret order too, which the guest knows
            back = np.argsort(run.order)
            lines = np.vstack([lines, lines[:, back]])
        known = np.column_stack([known, run.y])
        return max(added(lines, known, column) for host in run.hosts for column in run.x(host).T)

    def planted(self, scene: Scene, seed: int, size: float) -> float:
        run = scene.drawn(seed)
        x, own = own_of(run, run.guest)
        rng = np.random.default_rng([seed, 8])
        seen = textbook.boosting(x, event(run.y), own, TREES, DEPTH, BINS)
        few = [seen[k] for k in np.sort(rng.permutation(len(seen))[: max(1, round(size * len(seen)))])]
        lines = vectors(few, x[:, ~own])
        known = np.column_stack([x[:, own], run.y])
        return max(added(lines, known, column) for column in x[:, ~own].T)

    def textbook(self, scene: Scene, seed: int) -> float:
        return self.planted(scene, seed, 1.0)


def vectors(seen: Sequence[textbook.NodeSums], theirs: Floats) -> Floats:
    """(boundaries, rows) for each unnamed boundary the shortest vector near its share that gives all its sums."""
    rows = len(theirs)
    equations = np.zeros((len(seen), rows))
    for k, one in enumerate(seen):
        equations[k, one.rows] = one.g
    sums = np.array([one.left for one in seen])
    scale = np.maximum(np.linalg.norm(equations, axis=1, keepdims=True), 1e-9)
    equations, sums = equations / scale, sums / scale
    share = textbook.boundaries(theirs, BINS)[0].mean(axis=1)
    rest = sums - equations.sum(axis=1, keepdims=True) * share
    return np.asarray(share[:, None] + np.linalg.lstsq(equations, rest, rcond=1e-6)[0].T)
