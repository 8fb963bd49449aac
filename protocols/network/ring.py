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
BLOCK = 1 << 18  # terms of a product that libraries compute in one thread: more cost more than they help, under load
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
    _, m, k = a.shape
    n = b.shape[2]
    if k > MOST:
        raise ValueError("a product of matrices has too many inner terms for exact sums")
    left, right = (in_blocks(a, 2, m * n), in_blocks(b, 1, m * n)) if k > n else (a, in_blocks(b, 2, m * k))
    found, carry = np.empty((m, n, DIGITS), dtype="<u2"), np.zeros((m, n), dtype=np.uint64)
    for place in range(DIGITS):
        at = sum(left[i] @ right[place - i] for i in range(place + 1))
        whole = at.sum(axis=0) if k > n else at.transpose(1, 0, 2).reshape(m, -1)[:, :n]
        carry += whole.astype(np.uint64)
        found[:, :, place] = carry & np.uint64((1 << DIGIT) - 1)
        carry >>= np.uint64(DIGIT)
    low, high = np.moveaxis(found.reshape(-1, DIGITS).view("<i8"), 1, 0)
    high = high + (low < 0)
    return (PlainVec.from_i64(high).shift_left(64) + PlainVec.from_i64(np.ascontiguousarray(low))).mod_2_128()


def in_blocks(one: Digits, axis: int, others: int) -> Digits:
    """(DIGITS, blocks, rows, columns): cut along this axis, filled up with zeros, so that one product has at most BLOCK
    terms; others: the product of the other two lengths."""
    size = max(1, BLOCK // others)
    count = -(-one.shape[axis] // size)
    filled = np.zeros([count * size if k == axis else length for k, length in enumerate(one.shape)])
    filled[tuple(slice(length) for length in one.shape)] = one
    if axis == 1:
        return filled.reshape(DIGITS, count, size, one.shape[2])
    return np.ascontiguousarray(filled.reshape(DIGITS, one.shape[1], count, size).transpose(0, 2, 1, 3))


def transposed(one: Digits) -> Digits:
    return one.transpose(0, 2, 1)


def row_sums(values: PlainVec, shape: Shape) -> PlainVec:
    """(k,) the sum of each row."""
    rows, width = shape
    return PlainVec.join([values.slice(k * width, (k + 1) * width).sum() for k in range(rows)])


def spread(values: PlainVec, columns: int) -> PlainVec:
    """(k columns,) each of (k,) integers along its row."""
    return values.take(np.repeat(np.arange(len(values), dtype=np.int64), columns))
