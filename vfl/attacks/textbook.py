"""The textbook protocols, on the same data and in the clear: what they show to each party is what the attacks read.

Regression: Hardy et al. (arXiv 1711.10677) and Yang et al. (2019): in each step a party learns its own gradient of a
batch of rows, X_B^T d_B with residuals d, and at the end its weights.  Trees: SecureBoost (Cheng et al., 2021): the
guest learns the sums of gradients over the rows left of each of a host's unnamed boundaries, in every node.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
BATCH, STEPS, RATE, PENALTY = 50, 80, 0.5, 1e-2


@dataclass(frozen=True)
class Opened:
    """What one step shows to a party: the rows of its batch, and its own gradient."""

    rows: Ints
    gradient: Floats


def regression(
    x: Floats, y: Floats, own: NDArray[np.bool_], seed: int, batch: int = BATCH
) -> tuple[list[Opened], Floats]:
    """What the party with the columns `own` sees while a logistic regression of 0/1 labels (or a linear one) is
    trained, and the weights of all."""
    rng, weights, found = np.random.default_rng([seed, 7]), np.zeros(x.shape[1]), list[Opened]()
    while len(found) < STEPS:
        for rows in np.array_split(rng.permutation(len(y)), max(1, len(y) // batch)):
            residual = predicted(x[rows] @ weights, y) - y[rows]
            gradient = x[rows].T @ residual
            found.append(Opened(rows, gradient[own]))
            weights = weights - RATE * (gradient / len(rows) + PENALTY * weights)
    return found, weights


def predicted(z: Floats, y: Floats) -> Floats:
    """Of a logistic model for 0/1 labels, else of a linear one."""
    return 1 / (1 + np.exp(-z)) if set(np.unique(y)) <= {0.0, 1.0} else z


@dataclass(frozen=True)
class NodeSums:
    """Of one node: its rows, their gradients, and the sums left of each boundary of the host's columns; left_rows:
    which of its rows go left, all of them where it is not split; of_host: whether the split is the host's."""

    rows: Ints
    g: Floats
    left: Floats
    left_rows: NDArray[np.bool_]
    of_host: bool


def boundaries(x: Floats, bins: int) -> tuple[NDArray[np.bool_], Ints]:
    """(boundaries, rows) which rows lie left of each, and of which column each is."""
    left, column = [], []
    for k in range(x.shape[1]):
        for cut in np.unique(np.quantile(x[:, k], np.arange(1, bins) / bins, method="lower"))[:-1]:
            left.append(x[:, k] <= cut)
            column.append(k)
    return np.array(left).reshape(-1, len(x)), np.array(column, dtype=np.int64)


def boosting(x: Floats, y: Floats, own: NDArray[np.bool_], trees: int, depth: int, bins: int) -> list[NodeSums]:
    """The sums over the boundaries of the columns that are not `own` (the hosts'), node by node, of gradients and of
    hessians of boosted trees on all columns."""
    inside, column = boundaries(x, bins)
    left = inside.astype(np.float64)
    theirs, margin, found = ~own[column], np.zeros(len(y)), list[NodeSums]()
    for _ in range(trees):
        p = 1 / (1 + np.exp(-margin))
        g, h = p - y, np.maximum(p * (1 - p), 1e-6)
        level = [np.arange(len(y))]
        for _ in range(depth):
            below = list[Ints]()
            for rows in level:
                sums_g, sums_h = left[:, rows] @ g[rows], left[:, rows] @ h[rows]
                best = split(sums_g, sums_h, g[rows].sum(), h[rows].sum())
                here = inside[best, rows] if best >= 0 else np.ones(len(rows), dtype=np.bool_)
                whose = best >= 0 and bool(theirs[best])
                found += [NodeSums(rows, q[rows], s[theirs], here, whose) for q, s in ((g, sums_g), (h, sums_h))]
                below += [part for part in (rows[here], rows[~here]) if len(part) > 1]
            level = below
        for rows in level:
            margin[rows] -= 0.3 * g[rows].sum() / (h[rows].sum() + 1.0)
    return found


def split(left_g: Floats, left_h: Floats, g: float, h: float) -> int:
    """The boundary with the largest gain; -1 where none has any."""
    right_h = h - left_h
    gain = left_g**2 / (left_h + 1) + (g - left_g) ** 2 / (right_h + 1) - g**2 / (h + 1)
    gain[(left_h < 1e-3) | (right_h < 1e-3)] = -np.inf
    best = int(np.argmax(gain))
    return best if gain[best] > 0 else -1
