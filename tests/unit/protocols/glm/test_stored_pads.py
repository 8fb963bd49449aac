"""Pads as arrays, and what they are of."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from protocols._native import PlainVec
from protocols.glm import ahead
from protocols.glm.batches import Batches
from protocols.glm.block import Block
from protocols.glm.preparation import Pads
from protocols.glm.stored_pads import arrays_of, bytes_of, digest_of, pads_of
from protocols.kept import KeptVec, in_memory
from protocols.randomness import Seed


def vectors(*sizes: int) -> list[PlainVec]:
    return [PlainVec.random(bytes([k]) * 32, size, 100) for k, size in enumerate(sizes)]


def contents(pads: Pads) -> dict[str, Any]:
    return vars(pads) | {"predictor": [one.whole() for one in pads.predictor if one is not None]}


def test_pads_come_back_as_they_were() -> None:
    """Of an arbiter and of a data party, of several batches, of more than ten iterations."""
    many = [7] * 12
    wanted = [
        Pads(
            [*map(KeptVec.of, vectors(*many))],
            {"bank": vectors(2, 2)},
            {"bank": vectors(2, 2), "a|b": vectors(1)},
            vectors(*many),
        ),
        Pads([*map(KeptVec.of, vectors(*many))], {"bank": vectors(3)}),
    ]
    found = pads_of(arrays_of(wanted))
    assert [contents(one) for one in found] == [contents(one) for one in wanted]


def test_bytes_are_those_of_the_arrays() -> None:
    """But for a header per vector."""
    z, r = PlainVec.random(bytes(32), 1000, 48), PlainVec.random(bytes(32), 1000, 104)
    taken = sum(array.nbytes for array in arrays_of([Pads([KeptVec.of(z)], {}, {}, [r])]).values())
    assert 0 <= taken - bytes_of(1000, (48, 104)) < 100
    assert ahead.MOST_BYTES == 8 << 30


def test_other_rows_columns_orders_and_penalties_are_told_apart() -> None:
    x = np.arange(12).reshape(6, 2)
    block, order = Block(x, x + 1, np.eye(2, dtype=np.int64), 0, False), Batches(6)
    others = [
        (replace(block, x=x[::-1].copy()), order),
        (replace(block, x=x.reshape(2, 6)), order),
        (replace(block, preconditioned=x), order),
        (replace(block, penalty=2 * block.penalty), order),
        (block, Batches(6, 2, Seed("bank", bytes(32)))),
        (block, Batches(6, 2, Seed("bank", b"x" * 32))),
        (block, Batches(6, 2, Seed("bank", bytes(32)), hold=3)),
    ]
    digests = {digest_of(*one) for one in [(block, order), *others]}
    digests |= {digest_of(block, order, block.at(x[:rows].astype(float), in_memory)) for rows in (2, 3)}
    assert len(digests) == len(others) + 3
    assert digest_of(block, order) == digest_of(replace(block, x=x.copy()), Batches(6))
