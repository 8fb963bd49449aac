"""Tables of powers of one base, as native/core/src/paillier/fixed_base.rs lays them out: a larger one costs more once
and less every time."""

from __future__ import annotations

from functools import cache
from itertools import product
from typing import NamedTuple

TABLE = 96 << 20  # of a table
WIDTH = 1.3  # of a ciphertext in memory, to its bytes
DIGITS, ROUNDS = range(3, 13), range(1, 17)  # bits of a digit; how many digits share a window
SQUARING = 0.7  # of a product
FILLING = 2  # products' time of a product that fills a table
BASES, COVERED = 52, 26  # of a factor that covers all units (native/core/src/paillier/cover.rs), and its products
NTH_POWER = 1.2  # products per bit of the key
COVER_TABLE = COVERED * 2**8 + BASES * 2**4


class PowerTable(NamedTuple):
    """rows: of the table; fill: products that fill it; each: of one power, a squaring being one."""

    rows: int
    fill: int
    each: int


def row_bytes(key_bits: int) -> int:
    """Of a ciphertext in memory."""
    return int(WIDTH * 2 * key_bits / 8)


@cache
def cheapest(exponent: int, uses: int, most_rows: int) -> PowerTable:
    """For this number of powers with exponents of this length in bits."""
    found = list[tuple[float, PowerTable]]()
    for digit, rounds in product(DIGITS, ROUNDS):
        windows = -(-exponent // (digit * rounds))
        rows, products = windows << digit, windows * rounds - 1
        if digit > DIGITS[0] and rows > most_rows:
            continue
        squarings = digit * (rounds - 1)
        table = PowerTable(rows, rows + windows * digit * rounds, products + squarings)
        found.append((FILLING * table.fill + uses * (products + SQUARING * squarings), table))
    return min(found)[1]


def powers(exponent: int, uses: float, key_bits: int) -> float:
    """Products of `uses` powers of one base, with the table."""
    table = cheapest(exponent, max(1, round(uses)), TABLE // row_bytes(key_bits))
    return table.fill + uses * table.each


def covered(exponent: int, uses: float, key_bits: int) -> float:
    """Products of `uses` re-randomisations of what was computed, with their table; without what `cover` takes once."""
    return powers(exponent, uses, key_bits) + COVERED * uses


def cover(key_bits: int) -> float:
    """Products that a party computes once per key before it first re-randomises under it."""
    return BASES * NTH_POWER * key_bits + COVER_TABLE
