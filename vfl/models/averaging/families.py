"""The models that are averaged: a vector of weights, its mean loss, gradient and predictions; numpy alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vfl.models.averaging.spec import Averaging, Estimator

Floats = NDArray[np.float64]
MOST = 500.0  # of a predictor of counts: above, its mean would not be finite


class Layers(NamedTuple):
    """The weights of a perceptron: hidden (columns, units), its intercepts (units,), output (units,), its intercept."""

    hidden: Floats
    hidden_intercept: Floats
    output: Floats
    intercept: Floats


@dataclass(frozen=True)
class Family:
    """A model of this number of columns.  Regressions: the weights of the columns, then the intercept; a perceptron:
    its layers, one after the other."""

    estimator: Estimator
    columns: int
    hidden: int
    alpha: float

    @classmethod
    def of(cls, spec: Averaging, columns: int) -> Family:
        """What a spec describes."""
        return cls(spec.estimator, columns, spec.hidden, spec.alpha)

    @property
    def size(self) -> int:
        """The number of weights."""
        if self.estimator == "mlp":
            return (self.columns + 2) * self.hidden + 1
        return self.columns + 1

    def start(self, mean: float, random_state: int) -> Floats:
        """The weights before the first round: predictions are the label's mean; a perceptron's hidden layer is drawn
        as Glorot and Bengio 2010 do."""
        weights = np.zeros(self.size)
        if self.estimator == "mlp":
            bound = np.sqrt(6 / (self.columns + self.hidden))
            entries = self.columns * self.hidden
            weights[:entries] = np.random.default_rng(random_state).uniform(-bound, bound, entries)
        weights[-1] = self._link(mean)
        return weights

    @property
    def mean_at_0(self) -> float:
        """What weights of 0 predict."""
        return float(self._mean(np.zeros(1))[0])

    def _link(self, mean: float) -> float:
        if self.estimator == "linear":
            return mean
        if self.estimator == "poisson":
            return float(np.log(max(mean, 1e-9)))
        inside = min(max(mean, 1e-9), 1 - 1e-9)
        return float(np.log(inside / (1 - inside)))

    def layers(self, weights: Floats) -> Layers:
        """A perceptron's weights by layer."""
        ends = np.cumsum([self.columns * self.hidden, self.hidden, self.hidden])
        hidden, before, output, intercept = np.split(weights, ends)
        return Layers(hidden.reshape(self.columns, self.hidden), before, output, intercept)

    def predictor(self, weights: Floats, x: Floats) -> Floats:
        """(n,) predictors of the rows x (n, columns)."""
        if self.estimator == "mlp":
            own = self.layers(weights)
            return np.asarray(np.tanh(x @ own.hidden + own.hidden_intercept) @ own.output + own.intercept)
        return np.asarray(x @ weights[:-1] + weights[-1])

    def mean(self, weights: Floats, x: Floats) -> Floats:
        """(n,) predicted means: probabilities of the event, numbers or counts."""
        return self._mean(self.predictor(weights, x))

    def _mean(self, eta: Floats) -> Floats:
        if self.estimator == "linear":
            return eta
        if self.estimator == "poisson":
            return np.asarray(np.exp(np.minimum(eta, MOST)))
        return np.asarray(0.5 * (1 + np.tanh(eta / 2)))

    def loss(self, weights: Floats, x: Floats, y: Floats) -> float:
        """The mean loss of the rows, with the penalty: half the squared error, log-loss, or Poisson's less a
        constant."""
        eta = self.predictor(weights, x)
        if self.estimator == "linear":
            losses = (eta - y) ** 2 / 2
        elif self.estimator == "poisson":
            losses = self._mean(eta) - y * eta
        else:
            losses = np.logaddexp(0, eta) - y * eta
        penalised = weights[self._penalised]
        return float(losses.mean() + self.alpha / 2 * (penalised @ penalised))

    @property
    def _penalised(self) -> NDArray[np.bool_]:
        """(size,) all but intercepts."""
        if self.estimator != "mlp":
            return np.arange(self.size) < self.columns
        ends = np.array([self.columns * self.hidden, (self.columns + 1) * self.hidden, self.size - 1])
        at = np.arange(self.size)
        return np.asarray((at < ends[0]) | ((at >= ends[1]) & (at < ends[2])))

    def gradient(self, weights: Floats, x: Floats, y: Floats) -> Floats:
        """(size,) of the loss."""
        penalty = self.penalty(weights)
        if self.estimator != "mlp":
            residual = (self.mean(weights, x) - y) / len(y)
            return np.append(residual @ x, residual.sum()) + penalty
        own = self.layers(weights)
        active = np.tanh(x @ own.hidden + own.hidden_intercept)
        residual = (self._mean(active @ own.output + own.intercept) - y) / len(y)
        back = np.outer(residual, own.output) * (1 - active**2)
        parts = ((x.T @ back).ravel(), back.sum(axis=0), active.T @ residual, np.array([residual.sum()]))
        return np.concatenate(parts) + penalty

    def penalty(self, weights: Floats) -> Floats:
        """(size,) the gradient of the penalty."""
        return self.alpha * weights * self._penalised

    def row_gradients(self, weights: Floats, x: Floats, y: Floats) -> Floats:
        """(n, size) of each row's loss, without the penalty; the bits of a row do not depend on the other rows, as
        those of a product of matrices may."""
        if self.estimator != "mlp":
            residual = self._mean(np.einsum("ij,j->i", x, weights[:-1]) + weights[-1]) - y
            return np.column_stack([residual[:, None] * x, residual])
        own = self.layers(weights)
        active = np.tanh(np.einsum("ij,jk->ik", x, own.hidden) + own.hidden_intercept)
        residual = self._mean(np.einsum("ij,j->i", active, own.output) + own.intercept) - y
        back = residual[:, None] * own.output * (1 - active**2)
        entries = (x[:, :, None] * back[:, None, :]).reshape(len(x), -1)
        return np.column_stack([entries, back, residual[:, None] * active, residual])
