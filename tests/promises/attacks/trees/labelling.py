"""What a host of boosted trees makes of the nodes that it is told: the labels of their rows.

The split that won a node gained more there than any split of the host's own columns.  Under a guess of the labels the
host computes margins, gradients and gains as the guest does; so it climbs to a guess under which what won wins
everywhere: mean-field ascent on a prior, the guess's entropy, and at each node a softmax over gains, the first trees
first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from protocols.boosting.params import Params
from tests.promises.attacks.trees.attacks import Bits, Floats, Ints

STEP, FAR = 0.15, 6.0


@dataclass(frozen=True)
class Nodes:
    """Some nodes of a tree that do not overlap: which of them each row is in (-1: none), and whether it goes left
    there."""

    place: Ints
    left: Bits

    @property
    def count(self) -> int:
        return int(self.place.max()) + 1


Told = Sequence[Sequence[Nodes]]  # of each tree, in its order


def guessed_labels(told: Told, bins: Ints, p: Params, prior: Floats, known: Bits, y: Floats, turns: int = 80) -> Floats:
    """(rows,) log-odds of label 1.  prior: the log-odds before anything was told; known: the rows whose label `y` the
    host has."""
    guess, mean, square = prior.copy(), np.zeros(len(prior)), np.zeros(len(prior))
    leaf = [leaves(nodes, len(prior)) for nodes in told]
    for turn in range(1, turns + 1):
        used = min(len(told), 3 + 3 * len(told) * turn // (2 * turns))
        labels = np.where(known, y, expit(guess))
        uphill = prior - guess + slope(told[:used], leaf, bins, p, labels)
        mean, square = 0.9 * mean + 0.1 * uphill, 0.99 * square + 0.01 * uphill**2
        size = mean / (1 - 0.9**turn) / (np.sqrt(square / (1 - 0.99**turn)) + 1e-9)  # Kingma and Ba, Adam (2015)
        guess = np.clip(guess + STEP * size, -FAR, FAR)
    return guess


def leaves(nodes: Sequence[Nodes], rows: int) -> Ints:
    """(rows,) the finest parts that the nodes of a tree tell apart."""
    part = np.zeros(rows, dtype=np.int64)
    for level in nodes:
        side = np.where(level.place >= 0, 2 * level.place + level.left + 1, 0)
        part = np.unique(part * (side.max() + 1) + side, return_inverse=True)[1]
    return part


def slope(told: Told, leaf: Sequence[Ints], bins: Ints, p: Params, labels: Floats) -> Floats:
    """(rows,) by how much the log-likelihood of all winners grows with each label."""
    found = np.zeros(len(labels))
    base = np.clip(labels.mean(), 0.02, 0.98)
    margin = np.full(len(labels), np.log(base / (1 - base)))
    for nodes, part in zip(told, leaf, strict=False):
        mean = expit(margin)
        g, h = mean - labels, mean * (1 - mean)
        for level in nodes:
            if level.count:
                here = np.flatnonzero(level.place >= 0)
                found[here] -= of_winners(level.place[here], level.left[here], bins[here], g[here], h[here], p)
        margin += (-p.learning_rate * np.bincount(part, g) / (np.bincount(part, h) + p.reg_lambda))[part]
    return found


def of_winners(node: Ints, left: Bits, bins: Ints, g: Floats, h: Floats, p: Params) -> Floats:
    """(rows,) the slope in g of the sum over nodes of log softmax(gains)[winner], over the winner and all of the host's
    own splits."""
    columns = bins.shape[1]
    nodes, size = int(node.max()) + 1, int(bins.max()) + 1
    cell = ((node[:, None] * columns + np.arange(columns)) * size + bins).ravel()

    def sums(values: Floats) -> tuple[Floats, Floats, Floats]:
        """Left of each cut (nodes, columns, cuts), left of the winner's and in all (nodes,)."""
        table = (
            np.bincount(cell, np.repeat(values, columns), nodes * columns * size)
            .reshape(nodes, columns, size)
            .cumsum(axis=2)
        )
        return table[:, :, :-1], np.bincount(node, values * left, nodes), table[:, 0, -1]

    (g_left, g_won, g_all), (h_left, h_won, h_all) = sums(g), sums(h)
    g_right, h_right = g_all[:, None, None] - g_left, h_all[:, None, None] - h_left
    up, down = (
        g_left / (h_left + p.reg_lambda),
        g_right / (h_right + p.reg_lambda),
    )  # half the slopes of a gain in its g on the left and on the right
    up_won, down_won = g_won / (h_won + p.reg_lambda), (g_all - g_won) / (h_all - h_won + p.reg_lambda)
    gains = np.where(np.minimum(h_left, h_right) >= p.min_child_weight, g_left * up + g_right * down, -np.inf)
    won = g_won * up_won + (g_all - g_won) * down_won
    best = np.maximum(gains.max(axis=(1, 2)), won)
    chance, chance_won = np.exp(gains - best[:, None, None]), np.exp(won - best)
    whole = chance.sum(axis=(1, 2)) + chance_won
    chance, miss = chance / whole[:, None, None], 1 - chance_won / whole
    none = np.zeros((nodes, columns, 1))
    of_bin = np.concatenate([(chance * up)[:, :, ::-1].cumsum(axis=2)[:, :, ::-1], none], axis=2)
    of_bin += np.concatenate([none, (chance * down).cumsum(axis=2)], axis=2)
    others = of_bin[node[:, None], np.arange(columns), bins].sum(axis=1)
    return np.asarray(2 * (miss[node] * np.where(left, up_won[node], down_won[node]) - others))
