"""How good a split is, from the sums on its left, and which one wins: pure arithmetic that one party does: the arbiter
of sealed trees, the guest of open ones.

Source: the gain of Chen and Guestrin (KDD 2016), without the factor 1/2, as xgboost compares it with `gamma`; L1 by
soft thresholding.  Monotone constraints as in xgboost: a split is refused where the children's weights contradict its
sign; below a split with a sign one child stays at or above the mean of both weights, the other at or below it.
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
    """One party's candidates at the nodes of a level: sums on the left (nodes, candidates); signs (candidates,) or
    (nodes, candidates): of their monotone constraints, None for no constraints at all."""

    g: Ints
    h: Ints
    signs: Ints | None = None


@dataclass(frozen=True, eq=False)
class Bounds:
    """Between what the weights of nodes must lie (nodes,): what the splits with a sign above them leave."""

    low: Floats
    high: Floats

    @classmethod
    def none(cls, nodes: int) -> Bounds:
        """Of roots."""
        return cls(np.full(nodes, -np.inf), np.full(nodes, np.inf))

    @classmethod
    def join(cls, parts: Sequence[Bounds]) -> Bounds:
        """Of the nodes of all parts, one part after the other."""
        return cls(np.concatenate([b.low for b in parts]), np.concatenate([b.high for b in parts]))

    def take(self, nodes: Ints) -> Bounds:
        """Of these nodes, in this order."""
        return Bounds(self.low[nodes], self.high[nodes])

    def clip(self, weights: Floats) -> Floats:
        """weights (nodes,) or (nodes, candidates), each in the bounds of its node."""
        wide = (-1, *[1] * (weights.ndim - 1))
        return np.asarray(np.clip(weights, self.low.reshape(wide), self.high.reshape(wide)))


@dataclass(frozen=True, eq=False)
class Choice:
    """The best split of one node: its party (position in the offers), all its candidates with this gain, the gain;
    below: bounds of the left and the right child's weight.

    With monotone constraints the candidates that tie also have the same sign and sums, so that all lead to the same
    bounds.
    """

    party: int
    ties: Ints
    gain: float
    below: Bounds


def shrink(p: Params, g: Floats) -> Floats:
    """g moved towards 0 by reg_alpha."""
    return np.asarray(np.sign(g) * np.maximum(np.abs(g) - p.reg_alpha, 0.0))


def score(p: Params, g: Floats, h: Floats) -> Floats:
    total = h + p.reg_lambda
    return np.asarray(np.divide(shrink(p, g) ** 2, total, out=np.zeros_like(total), where=total > 0))


def weights(p: Params, g: Floats, h: Floats) -> Floats:
    """What the loss asks of leaves with these sums, before learning_rate."""
    total = h + p.reg_lambda
    return np.asarray(-np.divide(shrink(p, g), total, out=np.zeros_like(total), where=total > 0))


def score_of(p: Params, g: Floats, h: Floats, w: Floats) -> Floats:
    """`score` of nodes with these weights in place of those that the loss asks for."""
    return np.asarray(-(2 * g * w + (h + p.reg_lambda) * w**2 + 2 * p.reg_alpha * np.abs(w)))


def gains(p: Params, units: Units, offer: Offer, g: Ints, h: Ints, bounds: Bounds | None = None) -> Floats:
    """(nodes, candidates), -inf where a split is not allowed; g, h (nodes,) are the nodes' own sums; bounds: with
    monotone constraints."""
    g_left, h_left = offer.g, offer.h
    g_right, h_right = g[:, None] - g_left, h[:, None] - h_left
    lightest = np.minimum(h_left, h_right)
    allowed = (lightest >= 1) & (lightest * units.h_unit >= p.min_child_weight)

    def worth(g_sum: Ints, h_sum: Ints) -> tuple[Floats, Floats]:
        g_exact, h_exact = g_sum.astype(np.float64) * units.g_unit, h_sum.astype(np.float64) * units.h_unit
        if bounds is None:
            return score(p, g_exact, h_exact), np.zeros(0)
        w = bounds.clip(weights(p, g_exact, h_exact))
        return score_of(p, g_exact, h_exact, w), w

    (left, w_left), (right, w_right), (whole, _) = worth(g_left, h_left), worth(g_right, h_right), worth(g, h)
    if bounds is not None and offer.signs is not None:
        allowed &= offer.signs * (w_right - w_left) >= 0
    return np.where(allowed, left + right - whole[:, None], -np.inf)


def choose(
    p: Params, units: Units, offers: Sequence[Offer], g: Ints, h: Ints, bounds: Bounds | None = None
) -> list[Choice | None]:
    """The best split of each node over all parties' offers; None where nothing gains enough.  Of equal gains the first
    party's is taken.  bounds: of the nodes, with monotone constraints."""
    tables = [gains(p, units, offer, g, h, bounds) for offer in offers]
    best = np.array([t.max(axis=1, initial=-np.inf) for t in tables])
    choices: list[Choice | None] = []
    for node in range(len(g)):
        party = int(np.argmax(best[:, node]))
        gain = float(best[party, node])
        if not (gain > LEAST_GAIN and gain >= p.gamma):
            choices.append(None)
            continue
        ties, below = np.flatnonzero(tables[party][node] == gain), Bounds.none(2)
        if bounds is not None:
            ties = alike(offers[party], node, ties)
            below = bounds_below(p, units, offers[party], (node, int(ties[0])), (g[node], h[node]), bounds)
        choices.append(Choice(party, ties, gain, below))
    return choices


def alike(offer: Offer, node: int, ties: Ints) -> Ints:
    """Of candidates with the same gain those that also share the largest sign and, of these, the largest sums: whoever
    picks one of them, in whatever order they stand, gets the same bounds below."""
    signs = np.zeros(offer.g.shape, dtype=np.int64) if offer.signs is None else offer.signs
    keys = [of[node, ties] for of in (offer.h, offer.g, np.broadcast_to(signs, offer.g.shape))]
    last = np.lexsort(keys)[-1]
    return ties[np.all([key == key[last] for key in keys], axis=0)]


def bounds_below(
    p: Params, units: Units, offer: Offer, at: tuple[int, int], whole: tuple[int, int], bounds: Bounds
) -> Bounds:
    """Of the children of a split (node, candidate); whole: the node's own g and h."""
    left = offer.g[at], offer.h[at]
    g, h = (np.array([part, of - part], dtype=np.float64) for part, of in zip(left, whole, strict=True))
    inherited = bounds.take(np.array([at[0], at[0]]))
    sign = 0 if offer.signs is None else int(np.broadcast_to(offer.signs, offer.g.shape)[at])
    if not sign:
        return inherited
    middle = inherited.clip(weights(p, g * units.g_unit, h * units.h_unit)).mean()
    rising = sign > 0
    low = np.where([not rising, rising], middle, inherited.low)
    return Bounds(low, np.where([rising, not rising], middle, inherited.high))


def leaf_values(p: Params, g: Floats, h: Floats, bounds: Bounds | None = None) -> Floats:
    """(leaves,) steps of the margin from exact sums; bounds: of the leaves' weights, with monotone constraints."""
    exact = weights(p, g, h)
    return np.asarray(p.learning_rate * (exact if bounds is None else bounds.clip(exact)))
