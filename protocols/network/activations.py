"""The functions of a network as tables of cubics for a look-up on shares (protocols/look_up.py): activations with their
slopes, and what the last layer's sums are turned into.

`relu` is rounded off: within KNEE of 0 it is a polynomial with three continuous derivatives, at most 0.08 above relu.
The cells of a table overlap, so that a jump of the slope would be a jump of the share, by chance to either side.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Literal, get_args

import numpy as np

from protocols.curves import Curve, Floats, logistic, logistic_slope, softplus

Activation = Literal["tanh", "logistic", "relu", "softplus"]
ACTIVATIONS: tuple[Activation, ...] = get_args(Activation)
Family = Literal["logistic", "linear"]
FRACTION = 24  # fractional bits of activations, slopes and residuals
KNEE = 0.5
RANGE = {"tanh": 6, "logistic": 6, "relu": 5, "softplus": 6}  # log2 of the tables' half-ranges
OUT_RANGE = {"logistic": 7, "linear": 6}


def tanh(z: Floats) -> Floats:
    return np.asarray(2.0 * logistic(2.0 * z) - 1.0)


def tanh_slope(z: Floats) -> Floats:
    return np.asarray(4.0 * logistic_slope(2.0 * z))


def _within(z: Floats) -> Floats:
    """Where z stands between -KNEE and KNEE, from 0 to 1."""
    return np.clip((z + KNEE) / (2 * KNEE), 0.0, 1.0)


def relu(z: Floats) -> Floats:
    """Rounded off within KNEE of 0."""
    u = _within(z)
    return np.asarray(2 * KNEE * (u * u * u * u * (2.5 - 3.0 * u + u * u)) + np.maximum(z - KNEE, 0.0))


def relu_slope(z: Floats) -> Floats:
    u = _within(z)
    return np.asarray(u * u * u * (10.0 - 15.0 * u + 6.0 * u * u))


def identity(z: Floats) -> Floats:
    return z


FUNCTIONS: dict[Activation, tuple[Callable[[Floats], Floats], Callable[[Floats], Floats]]] = {
    "tanh": (tanh, tanh_slope),
    "logistic": (logistic, logistic_slope),
    "relu": (relu, relu_slope),
    "softplus": (softplus, logistic),
}
OUTPUTS: dict[Family, Callable[[Floats], Floats]] = {"logistic": logistic, "linear": identity}


@dataclass(frozen=True)
class Curves:
    """An activation and its slope, for sums with this number of fractional bits."""

    value: Curve
    slope: Curve

    @property
    def both(self) -> list[Curve]:
        return [self.value, self.slope]


@cache
def hidden(activation: Activation, unit: int) -> Curves:
    """Of a hidden layer."""
    value, slope = (Curve(f, unit, RANGE[activation], fraction=FRACTION) for f in FUNCTIONS[activation])
    return Curves(value, slope)


@cache
def output(family: Family, unit: int) -> Curve:
    """Of the last layer: the mean, of which the label is subtracted."""
    return Curve(OUTPUTS[family], unit, OUT_RANGE[family], fraction=FRACTION)
