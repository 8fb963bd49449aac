"""Local training: a member's steps within a round, and the model that it would have by its own rows alone; pure, no
channel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vfl.models.averaging.course import Scaling, scaled
from vfl.models.averaging.families import Family, Floats
from vfl.models.averaging.spec import Averaging


@dataclass(frozen=True, repr=False)
class Rows:
    """Rows of a member, as they are in its table."""

    x: Floats  # (n, columns)
    y: Floats  # (n,)
    names: tuple[str, ...] = ()  # of the columns and the label, for errors


def trained(spec: Averaging, family: Family, start: Floats, x: Floats, y: Floats, number: int, place: int) -> Floats:
    """The weights after the local steps of a round, from those at its start, on standardised rows; number: of the
    round, from 1; place: of the member, from 0."""
    weights, size = start.copy(), spec.batch_size or len(y)
    order = np.random.default_rng([spec.random_state, number, place])
    with np.errstate(over="ignore", invalid="ignore"):  # the caller refuses what diverges
        for _ in range(spec.local_epochs):
            shuffled = order.permutation(len(y)) if size < len(y) else np.arange(len(y))
            for first in range(0, len(y), size):
                batch = shuffled[first : first + size]
                gradient = family.gradient(weights, x[batch], y[batch])
                weights = weights - spec.learning_rate * (gradient + spec.mu * (weights - start))
    return weights


def alone(spec: Averaging, rows: Rows, place: int) -> tuple[Scaling, Floats]:
    """What the same rounds make of these rows alone: their scaling, and the weights after the last round."""
    family, every = Family.of(spec, rows.x.shape[1]), np.column_stack([rows.x, rows.y])
    scaling, weights = scaled(spec, family, every.mean(axis=0), every.var(axis=0))
    x, y = scaling.columns(rows.x), scaling.label(rows.y)
    for number in range(1, spec.rounds + 1):
        weights = trained(spec, family, weights, x, y, number, place)
    return scaling, weights
