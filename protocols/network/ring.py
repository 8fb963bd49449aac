"""Products of matrices modulo 2^128, exact, by floating-point products of their 16-bit digits.

A matrix (k, n) is a vector of k n integers, row after row.  A product of two digits is below 2^32 and eight of them
meet in one digit of the result, so that sums over MOST inner terms stay below 2^53, where floating-point numbers are
exact.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from protocols._native import PlainVec

BITS = 128
DIGIT = 16
DIGITS = BITS // DIGIT
MOST = 1 << (53 - 2 * DIGIT - 3)  # inner terms of a product
HEADER = 12  # bytes of a vector before its limbs

Shape = tuple[int, int]
Digits = NDArray[np.float64]


def words(values: PlainVec) -> NDArray[np.uint64]:
    """(n, 2) the low and the high half of each integer modulo 2^128."""
    data = values.mod_2_128().to_bytes()
    found = np.frombuffer(data, dtype="<u8", offset=HEADER).reshape(len(values), -1)
    if found.shape[1] == 2:
        return found
    low = found.reshape(-1)
    return np.stack([low, (low.view(np.int64) >> 63).view(np.uint64)], axis=1)


def digits(values: PlainVec, shape: Shape) -> Digits:
    """(DIGITS, *shape) from the lowest digit on."""
    each = np.ascontiguousarray(words(values)).view("<u2").reshape(*shape, DIGITS)
    return np.ascontiguousarray(np.moveaxis(each, -1, 0), dtype=np.float64)


def product(a: Digits, b: Digits) -> PlainVec:
    """a @ b modulo 2^128, of the digits of matrices (m, k) and (k, n): (m n,)."""
    if a.shape[2] > MOST:
        raise ValueError("a product of matrices has too many inner terms for exact sums")
    total = PlainVec.zeros(a.shape[1] * b.shape[2])
    for place in range(DIGITS):
        at = sum(a[i] @ b[place - i] for i in range(place + 1))
        total = total + PlainVec.from_i64(np.asarray(at, dtype=np.int64).reshape(-1)).shift_left(DIGIT * place)
    return total.mod_2_128()


def transposed(one: Digits) -> Digits:
    return one.transpose(0, 2, 1)


def row_sums(values: PlainVec, shape: Shape) -> PlainVec:
    """(k,) the sum of each row."""
    rows, width = shape
    return PlainVec.join([values.slice(k * width, (k + 1) * width).sum() for k in range(rows)])


def spread(values: PlainVec, columns: int) -> PlainVec:
    """(k columns,) each of (k,) integers along its row."""
    return values.take(np.repeat(np.arange(len(values), dtype=np.int64), columns))
