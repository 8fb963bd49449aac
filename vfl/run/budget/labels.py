"""When two tables hold the same labels: at least half of the (id, label) pairs in either are in both.

Estimated from a sketch of each (Bar-Yossef et al. 2002: the least of the keyed hashes of all pairs), so that no id and no label is stored.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from vfl.data import Table

SKETCH = 256  # hashes of 8 bytes; the estimate of an overlap of one half is then right to 6% (two standard deviations)
SAME = 0.5


def sketch_of(table: Table, key: bytes) -> bytes:
    """The SKETCH least of the keyed hashes of all (id, label) of a table with labels."""
    label = table.label
    assert label is not None
    values = label.to_numpy("<f8").tobytes()
    pairs = ((name, values[8 * row : 8 * row + 8]) for row, name in enumerate(table.ids))
    hashes = b"".join(hashlib.blake2b(name, digest_size=8, key=key, salt=value).digest() for name, value in pairs)
    return np.unique(np.frombuffer(hashes, np.uint64))[:SKETCH].tobytes()


def overlaps(first: bytes, second: bytes) -> bool:
    """Whether two sketches are of the same labels."""
    return overlap(np.frombuffer(first, np.uint64), np.frombuffer(second, np.uint64)) >= SAME


def overlap(first: NDArray[np.uint64], second: NDArray[np.uint64]) -> float:
    """The share of pairs that two sketches have in common, of all pairs in either: exact below SKETCH pairs, an estimate above."""
    least = np.union1d(first, second)[:SKETCH]
    return float(np.mean(np.isin(least, first) & np.isin(least, second))) if len(least) else 0.0
