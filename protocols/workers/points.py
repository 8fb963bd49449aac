"""Operations on lists of points and tags, as an alignment has them (protocols/alignment/pieces.py)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from protocols._native import PointVec
from protocols.workers.calls import Answer, State


def blind(state: State, values: list[Any], ciphers: Sequence[bytes]) -> Answer:
    """H(id)^k of ids: their bytes, where each ends, the domain of H, k."""
    data, ends, domain, scalar = values
    points = PointVec.hash_to_group([data[a:b] for a, b in pairwise(ends.tolist())], domain)
    return Answer((), (points.mul(scalar).to_bytes(),))


def reblind(state: State, values: list[Any], ciphers: Sequence[bytes]) -> Answer:
    """Points to the power of a scalar."""
    return Answer((), (PointVec.from_bytes(ciphers[0]).mul(values[0]).to_bytes(),))


def tag(state: State, values: list[Any], ciphers: Sequence[bytes]) -> Answer:
    """The tags of points to the power of a scalar."""
    return Answer((PointVec.from_bytes(ciphers[0]).mul(values[0]).tags(),))
