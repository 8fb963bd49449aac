"""Features and weights as prepared predictors take them (preparation.py).  Nothing here touches a channel.

A predictor x w needs few bits after the point, and a product of two exact numbers has as many as both together.  So a
feature is cut into digits, and a digit meets a weight that is exact only where this counts:

    x w  =  x_0 w_0  +  x_1 w_1  +  x_2 w_2        x_0 in units of 2^-6, w_0 of 2^-18;  x_1 of 2^-11, w_1 of 2^-13;
                                                   x_2 in units of 2^-16, w_2 of 2^-8;  all products of 2^-24

A weight is cut by each holder of a share alone, one downwards and one upwards: what the cuts leave is 0 in the mean.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protocols._native import PlainVec
from protocols.glm.plan import FEATURE, WEIGHT


@dataclass(frozen=True)
class Digits:
    """features, weights: by digit the fractional bits of what it holds of a feature, and of the weights that it meets;
    the two add up to the same for every digit.

    error: a data party's error of a predictor is drawn for weights in units of 2^-error.  fine: fractional bits, of
    the weights' last unit, of a data party's error of its weights; 0: there is none.
    """

    features: tuple[int, ...]
    weights: tuple[int, ...]
    error: int
    fine: int

    @property
    def count(self) -> int:
        return len(self.features)

    @property
    def unit(self) -> int:
        """Predictors come in units of 2^-unit."""
        return self.features[0] + self.weights[0]

    @property
    def below(self) -> int:
        """By how many bits predictors are coarser than products of exact features and weights."""
        return FEATURE + WEIGHT - self.unit

    @property
    def dropped(self) -> int:
        """By how many bits the weights of the first digit are coarser than exact ones."""
        return WEIGHT - self.weights[0]

    def of_rows(self, x: NDArray[np.int64]) -> NDArray[np.int64]:
        """(n, count d) the digits of features (n, d) in units of 2^-FEATURE: the first of all columns, then the next;
        each but the first is at most half a unit of the one before."""
        if self.features == (FEATURE,):
            return x
        found, rest = np.empty((len(x), self.count, x.shape[1]), dtype=np.int64), x
        for k, bits in enumerate(self.features):
            shift = FEATURE - bits
            digit = found[:, k]
            np.right_shift(rest + (1 << shift >> 1), shift, out=digit)
            if k + 1 < self.count:
                rest = rest - (digit << shift)
        return found.reshape(len(x), -1)

    def of_share(self, share: PlainVec, *, upwards: bool) -> PlainVec:
        """(count d,) a share of weights (d,) in units of 2^-WEIGHT, cut for each digit."""

        def cut(shift: int) -> PlainVec:
            return -(-share).shift_right(shift) if upwards else share.shift_right(shift)

        return PlainVec.join([cut(WEIGHT - bits) if bits < WEIGHT else share for bits in self.weights])

    def error_bits(self, rows: int) -> int:
        """Bits of the error that a data party adds to its predictors of this many rows: whoever knows its columns,
        which are standardised, then finds its weights only to about a unit of 2^-error, however many rows there are."""
        return self.unit - self.error + 2 + rows.bit_length() // 2


EXACT = Digits((FEATURE,), (WEIGHT,), error=WEIGHT, fine=0)
COARSE = Digits((6, 11, 16), (18, 13, 8), error=21, fine=8)  # of look-ups, whose own error is larger
