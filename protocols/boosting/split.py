"""How good a split is, from the sums on its left, and which one wins: pure arithmetic that one party does: the arbiter
of sealed trees, the guest of open ones.

Source: the gain of Chen and Guestrin (KDD 2016), without the factor 1/2, as xgboost compares it with `gamma`; L1 by
soft thresholding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protocols.boosting.params import Params

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

LEAST_GAIN = 1e-6


@dataclass(frozen=True)
class Units:
    """What one unit of a rounded g and h is worth."""

    g_unit: float
    h_unit: float


@dataclass(frozen=True, eq=False)
class Offer:
    """One party's candidates at the nodes of a level: sums on the left (nodes, candidates)."""

    g: Ints
    h: Ints


@dataclass(frozen=True, eq=False)
class Choice:
    """The best split of one node: its party (position in the offers), all its candidates with this gain, the gain."""

    party: int
    ties: Ints
    gain: float


def shrink(p: Params, g: Floats) -> Floats:
    """g moved towards 0 by reg_alpha."""
    return np.asarray(np.sign(g) * np.maximum(np.abs(g) - p.reg_alpha, 0.0))


def score(p: Params, g: Floats, h: Floats) -> Floats:
    total = h + p.reg_lambda
    return np.asarray(np.divide(shrink(p, g) ** 2, total, out=np.zeros_like(total), where=total > 0))


def gains(p: Params, units: Units, offer: Offer, g: Ints, h: Ints) -> Floats:
    """(nodes, candidates), -inf where a split is not allowed; g, h (nodes,) are the nodes' own sums."""
    g_left, h_left = offer.g, offer.h
    g_right, h_right = g[:, None] - g_left, h[:, None] - h_left
    lightest = np.minimum(h_left, h_right)
    allowed = (lightest >= 1) & (lightest * units.h_unit >= p.min_child_weight)

    def worth(g_sum: Ints, h_sum: Ints) -> Floats:
        return score(p, g_sum.astype(np.float64) * units.g_unit, h_sum.astype(np.float64) * units.h_unit)

    left, right, whole = worth(g_left, h_left), worth(g_right, h_right), worth(g, h)[:, None]
    return np.where(allowed, left + right - whole, -np.inf)


def choose(p: Params, units: Units, offers: Sequence[Offer], g: Ints, h: Ints) -> list[Choice | None]:
    """The best split of each node over all parties' offers; None where nothing gains enough.  Of equal gains the first
    party's is taken."""
    tables = [gains(p, units, offer, g, h) for offer in offers]
    best = np.array([t.max(axis=1, initial=-np.inf) for t in tables])
    choices: list[Choice | None] = []
    for node in range(len(g)):
        party = int(np.argmax(best[:, node]))
        gain = float(best[party, node])
        good = gain > LEAST_GAIN and gain >= p.gamma
        choices.append(Choice(party, np.flatnonzero(tables[party][node] == gain), gain) if good else None)
    return choices


def leaf_values(p: Params, g: Floats, h: Floats) -> Floats:
    """(leaves,) steps of the margin from exact sums."""
    total = h + p.reg_lambda
    return np.asarray(-p.learning_rate * np.divide(shrink(p, g), total, out=np.zeros_like(total), where=total > 0))
