"""Products of integer matrices with ciphertexts, as native/core/src/paillier/matrix.rs and joint.rs plan them: by
buckets where there are many bases, by tables of windows that several bases share where there are many results."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple

WIDTHS = range(2, 13)  # bits of a digit; of a table
ROWS = 1 << 17  # of tables at a time
INVERSE, SIDE = 2.4, 3.4  # products of an inverse; of a second accumulator of a result

Bases = Sequence[tuple[int, int]]  # how large numbers are either way, and how many bases have such


class Plan(NamedTuple):
    """products; rows: of the tables that stand at a time."""

    products: float
    rows: int


def bounds(largest: int, width: int) -> list[int]:
    """By digit, the lowest first, how large it is."""
    half, found = 1 << (width - 1), list[int]()
    while largest > 0:
        found.append(min(largest, half))
        largest = (largest + half) >> width if largest > half else 0
    return found


def shared(digits: Sequence[int], counts: Sequence[int], states: int) -> Iterator[tuple[list[tuple[int, int]], int]]:
    """Windows of digits, the largest first: of each kind its digits with their number, and how many there are."""
    here, product = list[tuple[int, int]](), 1
    for digit, count in zip(digits, counts, strict=True):
        own, left = 2 * digit + 1, count
        while left:
            if here and product * own > states:
                yield here, 1
                here, product = [], 1
            fit = 1
            while product * own ** (fit + 1) <= states and fit < left:
                fit += 1
            if not here and left >= 2 * fit:
                yield [(digit, fit)], left // fit - 1
                left -= fit * (left // fit - 1)
                continue
            here, product, left = [*here, (digit, fit)], product * own**fit, left - fit
    if here:
        yield here, 1


def filled(window: Sequence[tuple[int, int]]) -> tuple[float, int]:
    """Products that fill its table, and the rows of it."""
    ascending = [digit for digit, count in reversed(window) for _ in range(count)]
    cost, low = 0.0, 1
    for digit in ascending[:-1]:
        cost += INVERSE + 2 * (digit - 1) + (2 * digit * low if low > 1 else 0)
        low *= 2 * digit + 1
    top = ascending[-1]
    return cost + top - 1 + (top * low if low > 1 else 0), (low * (2 * top + 1) - 1) // 2


def by_tables(bases: Bases, results: float) -> Plan:
    found = list[Plan]()
    for width in WIDTHS:
        counted, squarings = dict[int, int](), 0
        for largest, count in bases:
            cut = bounds(largest, width)
            squarings += count * width * max(0, len(cut) - 1)
            for digit in cut:
                counted[digit] = counted.get(digit, 0) + count
        digits = sorted(counted, reverse=True)
        for bits in range(width, WIDTHS.stop):
            each, cost, rows = SIDE, float(squarings), 0
            for window, times in shared(digits, [counted[digit] for digit in digits], (1 << bits) + 1):
                fill, size = filled(window)
                cost, rows = cost + times * fill, rows + times * size
                each += times * (1 - 1 / (2 * size + 1))
            found.append(Plan(cost + results * (each + 2 * (rows // ROWS)), min(rows, ROWS)))
    return min(found)


def by_buckets(bases: Bases, results: float) -> Plan:
    largest, count = max(largest for largest, _ in bases), sum(count for _, count in bases)
    found = list[Plan]()
    for width in WIDTHS:
        sizes = bounds(largest, width)
        used = sum(count * len(bounds(one, width)) for one, count in bases)
        cells = sum(min(size, count) + 2 * width for size in sizes)
        found.append(Plan(min(INVERSE * count + results * (used + cells), results * (SIDE + used + 2 * cells)), 0))
    return min(found)


@cache
def _cheapest(bases: tuple[tuple[int, int], ...], results: float) -> Plan:
    return min(by_tables(bases, results), by_buckets(bases, results))


def cheapest(bases: Bases, results: float) -> Plan:
    """For this number of results, each a product of all bases."""
    return _cheapest(tuple((largest, round(count)) for largest, count in bases), results)
