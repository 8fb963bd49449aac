"""The discrete Gaussian, drawn exactly: noise on numbers that are revealed.

N_Z(0, sigma^2) gives the integer x a probability proportional to exp(-x^2 / (2 sigma^2)).  Source: Canonne, Kamath and
Steinke, The discrete Gaussian for differential privacy (NeurIPS 2020): a discrete Laplace variable is drawn, and kept
with a certain probability, all by integers.  No float decides anything, so that no rounding shows (Mironov, CCS 2012).

 1   U uniform in 0..sigma-1, kept with probability exp(-U/sigma); V the number of successes of exp(-1) in a row
 2   X = U + sigma V with a random sign, and not -0: the discrete Laplace of scale sigma
 3   kept with probability exp(-(|X| - sigma)^2 / (2 sigma^2))

Step 3 is a product of events that small integers decide, since |X| - sigma = U + sigma (V - 1).  With f = U/sigma and
k = V - 1, the exponent is k^2/2 + k f + f^2/2 for k >= 0, and (1 - f)^2/2 for V = 0.  An event of probability exp(-g),
g <= 1, is the parity of how many events of probabilities g, g/2, g/3, ... follow each other (Forsyth).  One of
probability (a/b)^2 / (2 j) is four events: a/b twice, 1/2, and 1/j.  So numbers stay below 2^63 for every sigma below
2^62, and whole vectors are drawn at once.

The time of a draw depends on what is drawn, like that of every rejection.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols.randomness import Seed

Integers = NDArray[np.int64]
Events = NDArray[np.bool_]
WORDS = 4096  # at once
MOST_SIGMA = 1 << 48  # so that a drawn number, of fewer than 2^13 sigma, stays below 2^62


def discrete_gaussian(seed: Seed, length: int, sigma: int) -> Integers:
    """(length,) independent draws of N_Z(0, sigma^2), whose standard deviation is at most sigma."""
    if not (isinstance(sigma, int) and 1 <= sigma <= MOST_SIGMA):
        raise ValueError(f"sigma is a whole number from 1 to {MOST_SIGMA}")
    draws, found, missing = _Draws(seed), [np.zeros(0, np.int64)], length
    while missing:
        kept = _proposed(draws, missing + missing // 2 + 16, sigma)[:missing]
        found.append(kept)
        missing -= len(kept)
    return np.concatenate(found)


class _Draws:
    """Uniform integers out of one seed, each word of which is used once."""

    def __init__(self, seed: Seed) -> None:
        self._seed, self._streams, self._left = seed, 0, np.zeros(0, np.uint64)

    def below(self, bound: int, count: int) -> Integers:
        """(count,) uniform in 0..bound-1: words that are too large to be fair are drawn again."""
        fair, words = (1 << 64) // bound * bound - 1, self._words(count)
        while (unfair := words > np.uint64(fair)).any():
            words[unfair] = self._words(int(unfair.sum()))
        return np.asarray((words % np.uint64(bound)).astype(np.int64))

    def _words(self, count: int) -> NDArray[np.uint64]:
        while len(self._left) < count:
            self._streams += 1
            fresh = self._seed.child(f"noise {self._streams}").words(max(count, WORDS))
            self._left = np.concatenate([self._left, fresh])
        found, self._left = self._left[:count].copy(), self._left[count:]
        return found


Chance = Callable[[NDArray[Any]], Events]  # of the elements at these places, an event each


def _proposed(draws: _Draws, count: int, sigma: int) -> Integers:
    """Those of `count` proposals that are kept, in order."""
    small = draws.below(sigma, count)
    small = small[_exp(draws, count, lambda at: draws.below(sigma, len(at)) < small[at])]  # 1
    whole = _successes(draws, len(small))
    negative = draws.below(2, len(small)) == 1
    real = ~(negative & (small == 0) & (whole == 0))  # 2
    small, whole, negative = small[real], whole[real], negative[real]
    kept = _kept(draws, small, whole, sigma)
    found = (small + sigma * whole)[kept]
    return np.asarray(np.where(negative[kept], -found, found))


def _successes(draws: _Draws, count: int) -> Integers:
    """(count,) how many events of probability exp(-1) follow each other."""
    found, going = np.zeros(count, np.int64), np.arange(count)
    while len(going):
        going = going[_exp(draws, len(going), lambda at: np.ones(len(at), np.bool_))]
        found[going] += 1
    return found


def _kept(draws: _Draws, small: Integers, whole: Integers, sigma: int) -> Events:
    """3: whether each proposal is kept."""
    kept = np.ones(len(small), np.bool_)
    beyond = whole - 1
    halves, parts = beyond**2 * (beyond > 0), beyond * (beyond > 0)
    near = np.where(whole == 0, sigma - small, small)  # (1 - f) sigma, or f sigma

    def half(at: NDArray[Any]) -> Events:
        return np.asarray(draws.below(2, len(at)) == 1)

    def part(at: NDArray[Any]) -> Events:
        return np.asarray(draws.below(sigma, len(at)) < small[at])

    def square(at: NDArray[Any]) -> Events:
        first, second = (draws.below(sigma, len(at)) < near[at] for _ in range(2))
        return np.asarray(first & second & half(at))

    for times, chance in ((halves, half), (parts, part), (np.ones_like(whole), square)):
        for done in range(int(times.max(initial=0))):
            at = np.flatnonzero(kept & (times > done))
            kept[at] = _exp(draws, len(at), lambda places, at=at, chance=chance: chance(at[places]))  # type: ignore[misc]
    return kept


def _exp(draws: _Draws, count: int, chance: Chance) -> Events:
    """(count,) events of probability exp(-g), where `chance` gives events of probability g <= 1."""
    found, going, j = np.zeros(count, np.bool_), np.arange(count), 1
    while len(going):
        going = going[chance(going) & (draws.below(j, len(going)) == 0)]
        found[going] ^= True
        j += 1
    return ~found
