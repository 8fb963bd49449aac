"""Attack 10: a host's columns from the rows that go left at its splits.

The rows left of the splits of one column are nested, so they order the rows by a column that nobody names.
TimberStrike (arXiv 2506.07605) puts tables together from statistics of splits in the same way.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vfl.attacks import textbook
from vfl.attacks.attack import Attack
from vfl.attacks.first_gradient import event
from vfl.attacks.gradients import own_of
from vfl.attacks.nodes import Bits, Ints, levels, sets_told
from vfl.attacks.received import Floats
from vfl.attacks.referee import added
from vfl.attacks.scene import Scene, open_trees
from vfl.attacks.sums import BINS, DEPTH, TREES

TOGETHER = 40  # rows that two nodes share, from which it can be said whether their left rows are nested
EMPTY = 4.0  # rows that would lie in the emptiest corner by chance
Fact = tuple[Ints, Bits]  # the rows of a node, and which of them go left


class Directions(Attack):
    number = 10
    name = "A host's columns from directions"
    who = "the guest alone"
    needs = "which rows go left at a host's splits"
    setting = 'membership = "sealed", the default; "open" needs the permission directions-to-guest'
    sentence = "Could the bank put its customers in the order of a partner's column from how they pass through trees?"
    measure = (
        "the part of the order of a host's column beyond its own ones that the guest explains, on rows it has not "
        "seen; the best column"
    )
    chance = 0.0
    bound = 0.03
    reason = "no direction reaches the guest; the best of several columns is a little above 0 by chance"
    succeeds = 0.3
    sizes = (1.0, 0.5, 0.2, 0.1, 0.05, 0.02)
    found = 0.05
    size_of = "the part of the host's splits in the textbook's 40 trees whose directions are opened to the guest"
    textbook_is = (
        "the directions of all of a host's splits in 40 trees of depth 4, which the guest receives (SecureBoost)"
    )

    def unfit(self, scene: Scene) -> str:
        if not scene.kind.startswith("boosted"):
            return "a model without trees has no splits"
        return "the label has more than two values" if len(np.unique(scene.y)) != 2 else ""

    def texts(self, scene: Scene) -> dict[str, str]:
        """Of open trees the rows are sent on purpose."""
        if not open_trees(scene):
            return {}
        return {
            "reason": (
                "fixed for sealed trees, in which no direction reaches the guest; in open trees it receives those of "
                "the hosts' splits (Directions)"
            ),
            "expected": (
                'membership = "open" and the permission directions-to-guest: assume that the guest learns, without '
                "the column's name, the bin of every row in every column that wins"
            ),
        }

    def product(self, scene: Scene, seed: int) -> float:
        run, found = scene.again(seed), [0.0]
        known = np.column_stack([run.x(run.guest), run.y])
        for host in run.hosts:
            facts = [fact for level in levels(run, host) for fact in level.facts()]
            facts += [(np.arange(run.rows), line > 0) for line in sets_told(run, run.guest)]
            found.append(most(facts, known, run.x(host)))
        return max(found)

    def planted(self, scene: Scene, seed: int, size: float) -> float:
        run = scene.drawn(seed)
        x, own = own_of(run, run.guest)
        seen = textbook.boosting(x, event(run.y), own, TREES, DEPTH, BINS)[::2]
        facts = [(one.rows, one.left_rows) for one in seen if one.of_host]
        told = np.random.default_rng([seed, 10]).permutation(len(facts))[: max(1, round(size * len(facts)))]
        return most([facts[k] for k in told], np.column_stack([x[:, own], run.y]), x[:, ~own])

    def textbook(self, scene: Scene, seed: int) -> float:
        return self.planted(scene, seed, 1.0)


def most(facts: Sequence[Fact], known: Floats, theirs: Floats) -> float:
    """The part of the order of a column that facts explain beyond what is known; of the best column."""
    from scipy.stats import rankdata

    lines = orders(facts, len(theirs))
    return max(added(lines, known, rankdata(column)) for column in theirs.T)


def orders(facts: Sequence[Fact], rows: int) -> Floats:
    """(lines, rows) each fact, and for each group of nested ones the order of rows that they give together."""
    told = [fact for fact in facts if 0 < fact[1].sum() < len(fact[1])]
    lines = np.zeros((len(told), rows))
    for line, (inside, left) in zip(lines, told, strict=True):
        line[inside] = np.where(left, 1.0, -1.0)
    together = [sum_of(lines[group]) for group in groups(lines)]
    return np.vstack([lines, *together]) if together else lines


def groups(lines: Floats) -> list[list[int]]:
    """Facts, the largest first, each with the first group in which it is nested in every one; others stand alone."""
    found = list[list[int]]()
    for k in np.argsort(-(lines != 0).sum(axis=1), kind="stable"):
        for group in found:
            if all(nested(lines[k], lines[other]) for other in group):
                group.append(int(k))
                break
        else:
            found.append([int(k)])
    return [group for group in found if len(group) > 1]


def nested(first: Floats, second: Floats) -> bool:
    """Whether one of the four corners of two facts is empty, which by chance it would not be."""
    both = (first != 0) & (second != 0)
    if both.sum() < TOGETHER:
        return False
    corners = np.array([((first[both] == a) & (second[both] == b)).mean() for a in (1, -1) for b in (1, -1)])
    a, b = corners[0] + corners[1], corners[0] + corners[2]
    expected = np.array([a * b, a * (1 - b), (1 - a) * b, (1 - a) * (1 - b)]) * both.sum()
    at = int(np.argmin(corners))
    return bool(corners[at] == 0 and expected[at] > EMPTY)


def sum_of(group: Floats) -> Floats:
    """The order of rows, of facts that may point either way: turned to agree with the first."""
    return np.asarray((group * np.where(group @ group[0] < 0, -1.0, 1.0)[:, None]).sum(axis=0))
