"""A network's training in the clear, by the same integers as the protocol's: what the protocol must equal, and what is
measured where the protocol would take long."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols.curves import REST, TABLE_BITS, Curve
from protocols.glm.batches import Batches
from protocols.glm.block import fixed_point
from protocols.glm.links import ROW_WEIGHT
from protocols.glm.plan import WEIGHT, Step
from protocols.network.activations import FRACTION, Curves, output
from protocols.network.descent import CUT
from protocols.network.layers import factors_of
from protocols.network.plan import FINE, PRODUCT, RATE, UNIT, Plan

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def looked_up(curve: Curve, z: Ints) -> Ints:
    """The curve's table at z in units of 2^-curve.unit, in the cell whose middle is the next above."""
    cell = z >> curve.cell
    assert (np.abs(cell) <= 2 ** (TABLE_BITS - 1)).all()
    t = ((z - ((cell + 1) << curve.cell)) >> (curve.unit - REST)) / 2.0**REST
    c = curve.coefficients[:, cell & (2**TABLE_BITS - 1)].astype(np.float64)
    return np.floor(c[0] + t * (c[1] + t * (c[2] + t * c[3]))).astype(np.int64)


@dataclass
class Weights:
    """In units of 2^-FINE, with their momenta; penalised: whether the penalty is of each."""

    values: NDArray[Any]  # of Python's integers
    penalised: NDArray[np.bool_]
    momenta: NDArray[Any] = field(init=False)

    def __post_init__(self) -> None:
        self.values = self.values.astype(object)
        self.momenta = np.zeros_like(self.values)

    @property
    def used(self) -> Ints:
        return (self.values >> CUT).astype(np.int64)

    def step(self, plan: Plan, rows: int, gradient: Ints, unit: int) -> None:
        change = (gradient.astype(object) * plan.rate(rows)) >> (RATE + unit - FINE)
        change = change + np.where(self.penalised, (self.values * plan.decay(rows)) >> RATE, 0)
        self.momenta = ((self.momenta * plan.momentum) >> WEIGHT) - change
        moved = ((self.momenta * plan.momentum) >> WEIGHT) - change if plan.terms.nesterov else self.momenta
        self.values = self.values + moved


class Twin:
    """first (units, columns + 1), the intercept last; further: (W, c) of each layer after; in units of 2^-FINE."""

    def __init__(self, plan: Plan, first: Any, further: list[tuple[Any, Any]]) -> None:
        self.plan = plan
        penalised = np.ones(np.shape(first), dtype=bool)
        penalised[:, -1] = False
        self.first = Weights(np.asarray(first), penalised)
        self.further = [
            (Weights(np.asarray(w), np.ones(np.shape(w), bool)), Weights(np.asarray(c), np.zeros(np.shape(c), bool)))
            for w, c in further
        ]

    def forward(self, x: Ints) -> tuple[list[Ints], list[Ints], Ints]:
        """Of rows (n, columns + 1): activations and slopes of each hidden layer, and the last layer's sums."""
        z, values, slopes = self.first.used @ x.T, list[Ints](), list[Ints]()
        for curves, (w, c) in zip(self.plan.terms.curves, self.further, strict=True):
            values.append(looked_up(curves.value, z))
            slopes.append(self.slope(curves, z, values[-1]))
            z = w.used @ values[-1] + (c.used << FRACTION)[:, np.newaxis]
        return values, slopes, z

    def slope(self, curves: Curves, z: Ints, values: Ints) -> Ints:
        if curves.slope is not None:
            return looked_up(curves.slope, z)
        linear = 1 << FRACTION if self.plan.terms.activation == "tanh" else values
        return np.asarray(((linear << FRACTION) - values * values) >> FRACTION)

    def step(self, x: Ints, y: Ints, weights: Floats | None = None) -> None:
        """Over a batch: x (n, columns + 1), y (n,) in units of 2^-FRACTION; weights (n,) of its rows."""
        values, slopes, z = self.forward(x)
        d = looked_up(output(self.plan.terms.family, PRODUCT), z) - y
        if weights is not None:
            d = (d * factors_of(weights)) >> ROW_WEIGHT
        found = list[tuple[Ints, Ints]]()
        for (w, _), a, s in zip(reversed(self.further), reversed(values), reversed(slopes), strict=True):
            found.append((d @ a.T, d.sum(axis=1)))
            d = (((w.used.T @ d) >> WEIGHT) * s) >> FRACTION
        self.first.step(self.plan, len(x), d @ x, UNIT)
        for (w, c), (of_w, of_c) in zip(reversed(self.further), found, strict=True):
            w.step(self.plan, len(x), of_w, PRODUCT)
            c.step(self.plan, len(x), of_c, FRACTION)

    def train(self, x: Floats, y: Floats, order: Batches, weights: Floats | None = None) -> None:
        """All epochs; x (n, columns)."""
        for epoch in range(self.plan.terms.epochs):
            self.train_epoch(x, y, order, epoch, weights)

    def train_epoch(self, x: Floats, y: Floats, order: Batches, epoch: int, weights: Floats | None = None) -> None:
        fixed, labels = fixed_point(x, True), np.rint(y * 2.0**FRACTION).astype(np.int64)
        for batch in range(self.plan.batches):
            rows = order.of(Step(0, 0, False, epoch * self.plan.batches + batch))
            self.step(fixed[rows], labels[rows], None if weights is None else weights[rows])

    def predictors(self, x: Floats) -> Floats:
        """The last layer's sums of new rows."""
        return self.forward(fixed_point(x, True))[2][0] / 2.0**PRODUCT

    def flat(self) -> Floats:
        """All weights, as numbers."""
        every = [self.first, *(one for both in self.further for one in both)]
        return np.concatenate([one.used.ravel() for one in every]) / 2.0**WEIGHT
