"""What releases with Gaussian noise cost together, by dp-accounting (extra `dp`): Renyi divergences are added up, and
turned into epsilon for a delta.

A release is described by its multiplier: the standard deviation of its noise, divided by the largest change (L2) that
one unit can cause.  A discrete Gaussian has Renyi divergences of at most those of the continuous one (argument:
docs/protocols/noise.md).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from protocols.errors import ConfigError
from vfl.data.extras import needed

GRID = 1 << 12  # multipliers are whole multiples of 1 / GRID
MOST = 1 << 24  # of a multiplier
Release = tuple[Fraction | float, int]  # a multiplier, and how many releases have it


@dataclass(frozen=True)
class Spent:
    """What a run costs: with this epsilon and delta, for one row, member or label; by `sums` releases of this
    multiplier."""

    unit: str
    epsilon: float
    delta: float
    multiplier: float
    sums: int


def epsilon(releases: Iterable[Release], delta: float) -> float:
    """What these releases cost together.  Raises ConfigError where dp-accounting is missing."""
    library, rdp = needed("dp_accounting", "[privacy]"), needed("dp_accounting.rdp", "[privacy]")
    accountant = rdp.RdpAccountant()
    for multiplier, times in releases:
        accountant.compose(library.GaussianDpEvent(float(multiplier)), times)
    return float(accountant.get_epsilon(delta))


@lru_cache(maxsize=64)
def multiplier(most: float, delta: float, times: int) -> Fraction:
    """The smallest multiplier, on a grid, with which this number of releases costs at most this epsilon.  Raises
    ConfigError."""
    low, high = 0, GRID * MOST  # of the grid: the first is too small, the second large enough
    if epsilon([(Fraction(high, GRID), times)], delta) > most:
        raise ConfigError(
            f"Privacy: no noise gives epsilon = {most:g} with delta = {delta:g} after {times} sums",
            remedy="Choose a larger epsilon or delta, or fewer rounds",
        )
    while high - low > max(1, low >> 12):  # relative to what noise costs, a finer search gains nothing
        middle = math.isqrt(max(low, 1) * high) if high > 4 * max(low, 1) else (low + high) // 2
        enough = epsilon([(Fraction(middle, GRID), times)], delta) <= most
        low, high = (low, middle) if enough else (middle, high)
    return Fraction(high, GRID)
