"""Matrices modulo 2^128 as vectors: (k, n) is k n integers, row after row."""

from __future__ import annotations

import numpy as np

from protocols._native import PlainVec

BITS = 128

Shape = tuple[int, int]


def row_sums(values: PlainVec, shape: Shape) -> PlainVec:
    """(k,) the sum of each row."""
    rows, width = shape
    return PlainVec.join([values.slice(k * width, (k + 1) * width).sum() for k in range(rows)])


def columns_of(values: PlainVec, shape: Shape, here: slice) -> PlainVec:
    """Some columns of a matrix of this shape."""
    places = np.arange(shape[0] * shape[1], dtype=np.int64).reshape(shape)[:, here]
    return values.take(np.ascontiguousarray(places).ravel())


def spread(values: PlainVec, columns: int) -> PlainVec:
    """(k columns,) each of (k,) integers along its row."""
    return values.take(np.repeat(np.arange(len(values), dtype=np.int64), columns))
