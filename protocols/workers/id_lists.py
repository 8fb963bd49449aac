"""Operations on the ids that a worker has read itself: a tuple of `Ids`, those under each key."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from protocols._native import PointVec
from protocols.ids import Ids, filler
from protocols.workers.calls import Answer, State

ENDS, BYTES = range(2)  # what `part` returns


def blind(state: State, values: list[Any], ciphers: Sequence[bytes]) -> Answer:
    """H(id)^k of the ids of some rows, in their order, and of a random text for each row that has none."""
    name, key, first, rows, domain, scalar, secret = values
    items = [
        item or filler(secret, key, first + row)
        for item, row in zip(state.get(name)[key].at(rows), rows.tolist(), strict=True)
    ]
    return Answer((), (PointVec.hash_to_group(items, domain).mul(scalar).to_bytes(),))


def part(state: State, values: list[Any], ciphers: Sequence[bytes]) -> Answer:
    """Of rows first to last: where each id ends among this worker's, or all their bytes."""
    name, key, kind, first, last = values
    ids: Ids = state.get(name)[key]
    rows = slice(first, last)
    return Answer((ids.ends(rows)[1:],)) if kind == ENDS else Answer((ids.bytes_of(rows).tobytes(),))


def hashes(state: State, values: list[Any], ciphers: Sequence[bytes]) -> Answer:
    """Which of rows first to last have an id, and 16 bytes of each of these: equal ids have equal ones, and nobody
    who lacks the secret can tell which id it is."""
    name, key, secret, first, last = values
    ids, base = state.get(name)[key], hashlib.blake2b(key=secret, digest_size=16)
    rows, found = np.arange(first, last), list[bytes]()
    rows = rows[ids.lengths[first:last] > 0]
    for value in ids.at(rows):
        own = base.copy()
        own.update(value)
        found.append(own.digest())
    return Answer((rows,), (b"".join(found),))


ID_OPERATIONS = {"ids blind": blind, "ids part": part, "ids hashes": hashes}
