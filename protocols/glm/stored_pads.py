"""A chunk's pads as arrays, for a disk.  Nothing here touches a channel."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from protocols._native import PlainVec
from protocols.glm.batches import Batches
from protocols.glm.block import Block
from protocols.glm.preparation import Pads
from protocols.kept import KeptVec
from protocols.parts import parts
from protocols.recovery.checkpoint import Arrays

LIMB = 8  # bytes


def arrays_of(pads: Sequence[Pads]) -> Arrays:
    """Those of each batch, none of which is used."""
    return {
        f"{batch}|{what}|{t}": np.frombuffer(vector.to_bytes(), np.uint8)
        for batch, one in enumerate(pads)
        for what, vectors in _named(one)
        for t, vector in enumerate(vectors)
    }


def pads_of(arrays: Arrays) -> list[Pads]:
    """The same again."""
    found = list[dict[str, dict[int, PlainVec]]]()
    for name, array in arrays.items():
        batch, rest = name.split("|", 1)
        what, t = rest.rsplit("|", 1)
        found += [{} for _ in range(len(found), int(batch) + 1)]
        found[int(batch)].setdefault(what, {})[int(t)] = PlainVec.from_bytes(array.tobytes())
    return [_pads({what: [by[t] for t in range(len(by))] for what, by in one.items()}) for one in found]


def _named(pads: Pads) -> Iterator[tuple[str, Iterable[PlainVec]]]:
    yield "predictor", (vector.whole() for vector in pads.predictor if vector is not None)
    yield from ((f"gradient {party}", vectors) for party, vectors in pads.gradient.items())
    yield from ((f"weights {party}", vectors) for party, vectors in pads.weights.items())
    yield "residual", pads.residual


def _pads(vectors: Mapping[str, list[PlainVec]]) -> Pads:
    def by_party(what: str) -> dict[str, list[PlainVec]]:
        return {name.removeprefix(f"{what} "): v for name, v in vectors.items() if name.startswith(f"{what} ")}

    predictor = [KeptVec.of(vector) for vector in vectors["predictor"]]
    return Pads([*predictor], by_party("gradient"), by_party("weights"), vectors.get("residual", []))


def bytes_of(rows: int, bits: Sequence[int]) -> int:
    """How much the pads of one iteration take on a disk; bits: of each number per row."""
    return rows * LIMB * sum(-(-(each + 1) // (8 * LIMB)) for each in bits)


def digest_of(block: Block, order: Batches, evaluated: Block | None = None) -> bytes:
    """What a data party's pads are of: its rows in their order, its columns, and the penalty; evaluated: the rows whose
    loss is."""
    made = hashlib.sha256(order.digest())
    for array in (block.x, block.preconditioned, block.penalty, *(() if evaluated is None else (evaluated.x,))):
        made.update(repr(array.shape).encode())
        for part in parts(len(array)):
            made.update(np.ascontiguousarray(array[part.rows]).data)
    return made.digest()
