"""When two tables hold labels of the same customers: at least half of the ids under one of their keys, or of the rows'
contents, are in both.

The label itself does not count: turned over, in another unit or of another outcome, it may tell the same.  Estimated
from sketches (Bar-Yossef et al. 2002: the least of the keyed hashes of all), so that no id and no value is stored.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from vfl.data import Table

SKETCH = 256  # hashes of 8 bytes; the estimate of an overlap of one half is then right to 6% (two standard deviations)
SAME = 0.5
STEP = 1 << 16  # hashes that are held at a time
FORM = re.compile(rb"[^0-9a-z\x80-\xff]")  # what normalisers differ in


def sketches_of(table: Table, key: bytes) -> tuple[bytes, ...]:
    """Of the ids under each key, whatever normaliser made them; and of the rows' numbers, where at least half of the
    rows differ from all others in them: a job that aligns by another column of the same file has these in common."""
    return table.once(("sketches", key), lambda: _sketches(table, key))


def _sketches(table: Table, key: bytes) -> tuple[bytes, ...]:
    found = [_least((FORM.sub(b"", name.lower()) for name in ids if name), key, b"id") for ids in table.keys]
    if len(table.texts) < len(table.columns):
        rows = _different(table)
        if 2 * len(rows) >= len(table):
            found.append(_least(_each(rows), key, b"row"))
    return tuple(found)


def _different(table: Table) -> NDArray[np.uint64]:
    """Hashes of the numbers of those rows that differ from all others in them."""
    names = sorted((name for name in table.columns if name not in table.texts), key=str)
    blocks = (pd.util.hash_pandas_object(frame[names], index=False).to_numpy() for frame in table.blocks())
    found = np.concatenate([*blocks])
    found.sort()
    other = np.ones(len(found) + 1, np.bool_)  # than the one before
    np.not_equal(found[1:], found[:-1], out=other[1:-1])
    return np.asarray(found[other[1:] & other[:-1]])


def _each(rows: NDArray[np.uint64]) -> Iterator[bytes]:
    for start in range(0, len(rows), STEP):
        yield from (row.to_bytes(8, "little") for row in rows[start : start + STEP].tolist())


def paired(table: Table, key: bytes) -> bytes:
    """The sketch of all (id, label), by which releases before the file's format 4 knew labels."""
    return table.once(("paired", key), lambda: _paired(table, key))


def _paired(table: Table, key: bytes) -> bytes:
    label = table.label
    assert label is not None
    values = label.to_numpy("<f8").tobytes()
    pairs = ((name, values[8 * row : 8 * row + 8]) for row, name in enumerate(table.ids))
    return _sketch(hashlib.blake2b(name, digest_size=8, key=key, salt=value).digest() for name, value in pairs)


def _least(values: Iterable[bytes], key: bytes, what: bytes) -> bytes:
    return _sketch(hashlib.blake2b(value, digest_size=8, key=key, person=what).digest() for value in values)


def _sketch(hashes: Iterable[bytes]) -> bytes:
    """The least of all, some at a time."""
    least, hashes = np.zeros(0, np.uint64), iter(hashes)
    while some := b"".join(itertools.islice(hashes, STEP)):
        least = np.unique(np.concatenate([least, np.frombuffer(some, np.uint64)]))[:SKETCH]
    return least.tobytes()


def overlaps(first: bytes, second: bytes) -> bool:
    """Whether two sketches are of the same rows."""
    return overlap(np.frombuffer(first, np.uint64), np.frombuffer(second, np.uint64)) >= SAME


def overlap(first: NDArray[np.uint64], second: NDArray[np.uint64]) -> float:
    """The share that two sketches have in common, of all in either: exact below SKETCH hashes, an estimate above."""
    least = np.union1d(first, second)[:SKETCH]
    return float(np.mean(np.isin(least, first) & np.isin(least, second))) if len(least) else 0.0
