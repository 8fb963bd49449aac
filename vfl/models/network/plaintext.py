"""A network in the clear, with the steps of the sealed one: what the guest's own columns are worth without those of
the host."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from protocols.network import Activation, Family, Plan, Terms

Floats = NDArray[np.float64]


def activated(activation: Activation, z: Floats) -> tuple[Floats, Floats]:
    """Values and slopes."""
    if activation == "tanh":
        value = np.tanh(z)
        return value, 1.0 - value**2
    logistic = 0.5 * (1.0 + np.tanh(z / 2))
    if activation == "logistic":
        return logistic, logistic * (1.0 - logistic)
    if activation == "softplus":
        return np.logaddexp(0.0, z), logistic
    return np.maximum(z, 0.0), (z > 0).astype(np.float64)


@dataclass(frozen=True)
class Rows:
    """x (n, d), y (n,), weights (n,) or None."""

    x: Floats
    y: Floats
    weights: Floats | None = None

    def take(self, rows: NDArray[np.int64]) -> Rows:
        return Rows(self.x[rows], self.y[rows], None if self.weights is None else self.weights[rows])

    @property
    def variance(self) -> float:
        """Of y."""
        return float(np.average((self.y - np.average(self.y, weights=self.weights)) ** 2, weights=self.weights))


@dataclass
class Network:
    """weights: by layer (inputs, units), as scikit-learn's coefs_; intercepts: (units,)."""

    terms: Terms
    weights: list[Floats]
    intercepts: list[Floats]
    momenta: list[Floats] = field(default_factory=list)

    @classmethod
    def start(cls, terms: Terms, columns: int, rng: np.random.Generator) -> Network:
        """Of random weights."""
        sizes, weights, intercepts = (columns, *terms.hidden, 1), list[Floats](), list[Floats]()
        for layer in range(len(sizes) - 1):
            bound = terms.bound(layer, columns)
            weights.append(rng.uniform(-bound, bound, (sizes[layer], sizes[layer + 1])))
            intercepts.append(rng.uniform(-bound, bound, sizes[layer + 1]))
        return cls(terms, weights, intercepts)

    def scores(self, x: Floats) -> Floats:
        """(n,) the last layer's sums."""
        return self._forward(x)[2][:, 0]

    def _forward(self, x: Floats) -> tuple[list[Floats], list[Floats], Floats]:
        """Inputs of each layer, slopes of each hidden one, and the last sums."""
        values, slopes = [x], list[Floats]()
        for w, c in zip(self.weights[:-1], self.intercepts[:-1], strict=True):
            value, slope = activated(self.terms.activation, values[-1] @ w + c)
            values.append(value)
            slopes.append(slope)
        return values, slopes, values[-1] @ self.weights[-1] + self.intercepts[-1]

    def gradients(self, rows: Rows) -> tuple[list[Floats], list[Floats]]:
        """Of the mean loss of some rows, as they are weighted, and the penalty."""
        x, (values, slopes, z) = rows.x, self._forward(rows.x)
        weights = np.ones(len(x)) if rows.weights is None else rows.weights
        d = (mean(self.terms.family, z) - rows.y[:, np.newaxis]) * (weights / weights.sum())[:, np.newaxis]
        of_weights, of_intercepts = list[Floats](), list[Floats]()
        for layer in range(self.terms.last, -1, -1):
            penalty = self.terms.alpha / len(x) * self.weights[layer]
            of_weights.insert(0, values[layer].T @ d + penalty)
            of_intercepts.insert(0, d.sum(axis=0))
            d = (d @ self.weights[layer].T) * slopes[layer - 1] if layer else d
        return of_weights, of_intercepts

    def train(self, rows: Rows, orders: list[NDArray[np.int64]]) -> Network:
        """One more step for each of these batches of rows."""
        terms = self.terms
        self.momenta = momenta = self.momenta or [np.zeros_like(one) for one in (*self.weights, *self.intercepts)]
        for batch in orders:
            of_weights, of_intercepts = self.gradients(rows.take(batch))
            every = [*self.weights, *self.intercepts]
            for k, gradient in enumerate((*of_weights, *of_intercepts)):
                change = terms.rate * gradient
                momenta[k] = terms.momentum * momenta[k] - change
                every[k] += terms.momentum * momenta[k] - change if terms.nesterov else momenta[k]
        return self

    def loss(self, rows: Rows) -> float:
        """The mean over these rows, as they are weighted: logarithmic, or half the squared error."""
        z, y = self.scores(rows.x), rows.y
        each = np.logaddexp(0.0, z) - y * z if self.terms.family == "logistic" else (z - y) ** 2 / 2
        return float(np.average(each, weights=rows.weights))


def mean(family: Family, z: Floats) -> Floats:
    """What the last sums stand for."""
    return z if family == "linear" else np.asarray(0.5 * (1.0 + np.tanh(z / 2)))


def fitted(terms: Terms, rows: Rows, seed: int, held_out: Rows) -> Network:
    """Trained on these rows, in mini-batches of a random order, until those held out say that it is over, where terms
    say that they do."""
    rng, n = np.random.default_rng(seed), len(rows.x)
    batches = Plan(terms, n, 0).batches
    orders = [np.array_split(rng.permutation(n), batches) for _ in range(terms.epochs)]
    made, stops = Network.start(terms, rows.x.shape[1], rng), terms.stopping
    if stops is None:
        return made.train(rows, [batch for order in orders for batch in order])
    best, lowest, kept = 0, np.inf, made
    least = stops.tol * (1.0 if terms.family == "logistic" else held_out.variance / 2)
    for epoch, order in enumerate(orders, 1):
        loss = made.train(rows, order).loss(held_out)
        if loss <= lowest - least:
            best, lowest, kept = epoch, loss, copy.deepcopy(made)
        if epoch - best > stops.patience:
            break
    return kept
