"""Attack 11: 0/1 columns from linear scores.

If all columns of the only host are 0/1, its part of a score is a sum of some of its weights.  Rows with the same values
have the same part, within the rounding, so the parts stand in groups; two groups that differ in one column only are one
weight apart, whatever the others are, so this distance is the most frequent.  Columns of many values blur the groups,
as far as their weights go: so wider and wider groups are tried.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vfl.attacks.attack import Attack
from vfl.attacks.received import Floats
from vfl.attacks.scene import Scene, standardised
from vfl.attacks.weights import optimum
from vfl.models.splitting import Split

RIGHT = 0.99  # a column counts as found if so many of its values are right
RARER = 0.05  # of the rows, at least, have the rarer value of a column: else a guess is right for RIGHT of them
WIDER = 7  # times that the distance between groups is doubled
Bits = NDArray[np.bool_]


class BinaryColumns(Attack):
    number = 11
    name = "0/1 columns from linear scores"
    who = "the guest alone, which knows its own weights"
    needs = "one joint score of each row"
    setting = "model.score_bits; policy.score_vectors; the permission few-columns"
    sentence = "Could the bank read each customer's yes or no answers at a partner from the joint scores?"
    measure = "the part of the host's 0/1 columns that are found for at least 99% of the rows, up to a flip"
    chance = 0.0
    bound = 0.1
    reason = "a guess is right for 99% of the rows by chance only if nearly all its values are equal"
    succeeds = 0.9
    sizes = (10.0, 6.0, 4.0, 3.0, 2.0)
    found = 10.0
    size_of = "the binary digits after the point of the scores of a host with three 0/1 columns"
    textbook_is = "scores with 20 binary digits after the point"

    def unfit(self, scene: Scene) -> str:
        if scene.kind != "logistic-regression" or len(scene.hosts) != 1 or scene.asked.more.get("preprocess"):
            return "made for a logistic regression with one host and without preprocessing"
        if len(np.unique(scene.y)) != 2:
            return "the label has more than two values"
        if not len(two_valued(scene.x(scene.hosts[0]))):
            return f"no column of the host has two values, each for {RARER:.0%} of the rows or more"
        return ""

    def product(self, scene: Scene, seed: int) -> float:
        run = scene.with_tables(scene.sample(seed), reveal=("guest",), split=Split(test=0.5, seed=seed))
        own, theirs = (run.trained.fitted[party] for party in (run.guest, run.hosts[0]))
        at = np.flatnonzero(own.held_out)
        x = own.part.standardiser.transform(own.aligned.take(at).features, run.guest)
        z = (
            own.scores[:, 0]
            - np.column_stack([x, np.ones(len(x))])[:, : own.part.weights.shape[1]] @ own.part.weights[0]
        )
        truth = two_valued(standardised(theirs.aligned.take(at).features))
        steps = 2.0 ** (np.arange(WIDER) - own.part.score_bits)
        return max(right(found_columns(z, step, len(truth)), truth) for step in steps) if len(truth) else 0.0

    def planted(self, scene: Scene, seed: int, size: float) -> float:
        rows, rng = 400, np.random.default_rng([seed, 11])
        causes = rng.normal(size=(rows, 2))
        truth = causes @ rng.normal(size=(2, 3)) + rng.normal(size=(rows, 3)) > 0.7 * rng.normal(size=3)
        x = (truth - truth.mean(axis=0)) / np.maximum(truth.std(axis=0), 1e-9)
        y = np.asarray(x.sum(axis=1) * 0.6 + rng.logistic(size=rows) > 0, np.float64)
        step = 2.0**-size
        scores = x @ optimum(x, y) + rng.uniform(-step / 2, step / 2, rows)
        return right(found_columns(scores, step, 3), truth.T)

    def textbook(self, scene: Scene, seed: int) -> float:
        return self.planted(scene, seed, 20.0)


def two_valued(x: Floats) -> Bits:
    """(columns, rows) those with two values, none of them rare."""
    both = [column > column.min() for column in x.T if len(np.unique(column)) == 2]
    return np.array([one for one in both if RARER <= one.mean() <= 1 - RARER]).reshape(-1, len(x))


def found_columns(part: Floats, step: float, columns: int) -> Bits:
    """(columns, rows) 0/1 columns, in no order and up to a flip, from a host's part of the scores of all rows."""
    order = np.argsort(part)
    apart = np.diff(part[order]) > step
    group = np.empty(len(part), dtype=np.int64)
    group[order] = np.r_[0, np.cumsum(apart)]
    centre = np.bincount(group, part) / np.bincount(group)
    folded, bits = centre.copy(), np.zeros((columns, len(centre)), dtype=np.bool_)
    for column in range(columns):
        levels = merged(folded, step)
        distance = frequent(levels, step)
        if distance == 0.0:
            break
        near = np.abs(levels[:, None] - distance - levels[None, :]).min(axis=1) < 1.5 * step
        upper = near[np.abs(folded[:, None] - levels[None, :]).argmin(axis=1)]
        bits[column] = upper
        folded = folded - distance * upper
    return bits[:, group]


def merged(values: Floats, step: float) -> Floats:
    """The distinct ones."""
    line = np.sort(values)
    return np.array([chunk.mean() for chunk in np.split(line, np.flatnonzero(np.diff(line) > step) + 1)])


def frequent(levels: Floats, step: float) -> float:
    """The distance that most pairs of levels have; 0 where there is one level."""
    apart = np.abs(levels[:, None] - levels[None, :])[np.triu_indices(len(levels), 1)]
    if not len(apart):
        return 0.0
    line = np.sort(apart)
    count = np.searchsorted(line, line + 2 * step) - np.arange(len(line))
    best = int(np.argmax(count))
    return float(line[best : best + count[best]].mean())


def right(found: Bits, truth: Bits) -> float:
    """The part of the true columns (columns, rows) that are found for nearly all rows, up to a flip."""
    agree = np.array([[max((a == b).mean(), (a != b).mean()) for a in found] for b in truth])
    return float((agree.max(axis=1) >= RIGHT).mean())
