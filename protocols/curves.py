"""Smooth functions as public tables for a look-up on shares (look_up.py): 2^TABLE_BITS cells, each with a cubic.

With the middle of cell k at (k + 1) widths, t in [-width, width) and z = middle + t:  f(z) = c0(k) + c1(k) t + c2(k)
t^2 + c3(k) t^3, interpolated at Chebyshev's four nodes.  So neighbours overlap, and a z may be found in either of two;
the error is at most width^4 / 192 times the largest fourth derivative in both.

Both parties compute the tables, and shares from two tables that differ in one bit add up to noise.  So the tables are
the same on every machine: floating-point + - * / sqrt, which IEEE 754 defines to the bit, and `exp` and `softplus` from
here, since numpy's differ between CPUs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Context, Decimal, localcontext
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

TABLE_BITS = 9
DEGREE = 3
REST = 16  # fractional bits of t
BEYOND = 32  # rows beyond the knee are counted in units of 2^32, together with those near the edge


@dataclass(frozen=True)
class Curve:
    """A function of z, its range and its units.

    The table covers [-2^range_log2, 2^range_log2); rows may lie in the inner half, and at the end below the knee.
    value: of arrays of any shape, the same to the bit on every machine (see above).  unit: fractional bits of z, REST
    at least.
    fraction: fractional bits of the result.  knee: where a higher derivative jumps, a multiple of `width`; rows at or
    above it are counted as beyond, from a width below it on they may be.
    """

    value: Callable[[Floats], Floats]
    unit: int
    range_log2: int = 7
    knee: float | None = None
    fraction: int = 24

    def __post_init__(self) -> None:
        if self.unit < REST or (self.knee is not None and self.knee % self.width):
            raise ValueError(
                "a curve's unit must have the bits of the rest, and its knee lie on the border of two cells"
            )

    @property
    def width(self) -> float:
        return 2.0 ** (self.range_log2 + 1 - TABLE_BITS)

    @property
    def cell(self) -> int:
        """log2 of the width, in units of z."""
        return self.range_log2 + 1 + self.unit - TABLE_BITS

    @property
    def middles(self) -> Floats:
        """(2^TABLE_BITS,) of the cells, k counted as a signed number."""
        k = np.arange(2**TABLE_BITS)
        return (np.where(k < 2 ** (TABLE_BITS - 1), k, k - 2**TABLE_BITS) + 1.0) * self.width

    @cached_property
    def coefficients(self) -> NDArray[np.int64]:
        """(DEGREE + 1, 2^TABLE_BITS) c0 to c3, in units of 2^-fraction."""
        outer, inner = (
            self.width * math.sqrt(2 + sign * math.sqrt(2)) / 2 for sign in (1, -1)
        )  # the nodes, on either side
        (even, odd), (even2, odd2) = (self._parts(node) for node in (outer, inner))
        apart = outer * outer - inner * inner
        c2, c3 = (even - even2) / apart, (odd - odd2) / apart
        c = np.stack([even - c2 * (outer * outer), odd - c3 * (outer * outer), c2, c3])
        return np.rint(c * 2.0**self.fraction).astype(np.int64)

    def _parts(self, node: float) -> tuple[Floats, Floats]:
        """Of the values at `node` on either side of the middles: their mean, and the slope between them."""
        above, below = self.value(self.middles + node), self.value(self.middles - node)
        return (above + below) / 2, (above - below) / (2 * node)

    @property
    def counted(self) -> NDArray[np.int64]:
        """(2^TABLE_BITS,) 1 for cells in the outer half, and 2^BEYOND for those at the knee or above."""
        near = np.abs(self.middles) >= 2.0 ** (self.range_log2 - 1)
        beyond = np.zeros(len(near)) if self.knee is None else (self.middles >= self.knee) * 2.0**BEYOND
        return (near + beyond).astype(np.int64)


def exactly(function: Callable[[Decimal], Decimal]) -> Callable[[Floats], Floats]:
    """The function by decimal arithmetic, which gives the same result on every machine; some microseconds per
    element."""

    def values(z: Floats) -> Floats:
        with localcontext(Context(prec=20)):
            return np.reshape([float(function(Decimal(v))) for v in np.ravel(z).tolist()], np.shape(z))

    return values


exp = exactly(Decimal.exp)
softplus = exactly(lambda z: max(z, Decimal(0)) + (1 + (-abs(z)).exp()).ln())  # log(1 + exp(z))


def logistic(z: Floats) -> Floats:
    return np.asarray(1.0 / (1.0 + exp(-z)))


def logistic_slope(z: Floats) -> Floats:
    p = logistic(z)
    return np.asarray(p * (1.0 - p))
