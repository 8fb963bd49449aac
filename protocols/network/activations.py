"""The functions of a network as tables of cubics for a look-up on shares (protocols/look_up.py): activations with their
slopes, and what the last layer's sums are turned into.

The slopes of `tanh` and `logistic` are polynomials of the values, 1 - a^2 and a - a^2, so that they cost a dealt square
instead of a second table.

`relu` is rounded off: within KNEE of 0 it is a polynomial with three continuous derivatives, at most 0.08 above relu.
The cells of a table overlap, so that a jump of the slope would be a jump of the share, by chance to either side.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Literal, get_args

import numpy as np

from protocols._native import PlainVec
from protocols.curves import Curve, Floats, logistic, softplus

Activation = Literal["tanh", "logistic", "relu", "softplus"]
ACTIVATIONS: tuple[Activation, ...] = get_args(Activation)
Family = Literal["logistic", "linear"]
FRACTION = 24  # fractional bits of activations, slopes and residuals
KNEE = 0.5
RANGE = {"tanh": 6, "logistic": 6, "relu": 5, "softplus": 6}  # log2 of the tables' half-ranges
OUT_RANGE = {"logistic": 7, "linear": 6}


def tanh(z: Floats) -> Floats:
    return np.asarray(2.0 * logistic(2.0 * z) - 1.0)


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


FUNCTIONS: dict[Activation, tuple[Callable[[Floats], Floats], Callable[[Floats], Floats] | None]] = {
    "tanh": (tanh, None),
    "logistic": (logistic, None),
    "relu": (relu, relu_slope),
    "softplus": (softplus, logistic),
}  # and slopes, where there is a table of them
OUTPUTS: dict[Family, Callable[[Floats], Floats]] = {"logistic": logistic, "linear": identity}


@dataclass(frozen=True)
class Curves:
    """An activation and its slope, for sums with this number of fractional bits; slope: None where it comes from the
    value's square (`slope_of`)."""

    value: Curve
    slope: Curve | None

    @property
    def tables(self) -> list[Curve]:
        """What is looked up in training."""
        return [self.value] if self.slope is None else [self.value, self.slope]


@cache
def hidden(activation: Activation, unit: int) -> Curves:
    """Of a hidden layer."""
    made = [f and Curve(f, unit, RANGE[activation], fraction=FRACTION) for f in FUNCTIONS[activation]]
    assert made[0] is not None
    return Curves(made[0], made[1])


def slope_of(activation: Activation, values: PlainVec, squares: PlainVec, *, first: bool) -> PlainVec:
    """A holder's shares of slopes, from its shares of values and of their squares modulo 2^128."""
    one = PlainVec.from_i64(np.full(len(values), int(first) << FRACTION))
    linear = one if activation == "tanh" else values
    return linear.shift_left(FRACTION).sub_mod_2_128(squares).shift_right(FRACTION)


@cache
def output(family: Family, unit: int) -> Curve:
    """Of the last layer: the mean, of which the label is subtracted."""
    return Curve(OUTPUTS[family], unit, OUT_RANGE[family], fraction=FRACTION)
