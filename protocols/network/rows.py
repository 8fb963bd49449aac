"""What scores of rows by a network need of its layers, and what each data party draws for a row: pads and, at a host,
an error (scoring.py).  Nothing here touches a channel.

A draw is a pseudo-random function of the model, the row's id and the party's own values of the row, under a key that
the party alone has: the same row is scored under the same pads, and other values under others.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from protocols._native import PlainVec
from protocols.glm.plan import WEIGHT
from protocols.glm.shares import WeightShares
from protocols.look_up import CUT
from protocols.network.activations import FRACTION, Activation
from protocols.network.dealt import Product, Scheme
from protocols.network.plan import Terms, forward
from protocols.network.ring import BITS, Shape
from protocols.parts import ROWS

FINEST = FRACTION + CUT + WEIGHT  # fractional bits of sums that are never cut


@dataclass(frozen=True)
class Layers:
    """The layers of a network: what of its terms scores need."""

    hidden: tuple[int, ...]
    activation: Activation

    @property
    def further(self) -> tuple[Shape, ...]:
        return Terms(self.hidden, self.activation, "logistic", 1, 1, 1.0).further

    def scheme(self, rows: int) -> Scheme:
        """The dealt products of this number of rows."""
        shapes, found = dict[str, Shape](), list[Product]()
        for layer, (units, inputs) in enumerate(self.further, 1):
            shapes |= {f"A{layer}": (inputs, rows), f"W{layer}": (units, inputs)}
            found.append(forward(layer))
        return Scheme(shapes, tuple(found))

    def blocks(self, rows: int) -> list[slice]:
        """The rows that are scored together."""
        size = max(1, ROWS // max(self.hidden))
        return [slice(first, min(first + size, rows)) for first in range(0, rows, size)]

    def bits(self, layer: int) -> int:
        """log2 of the modulus of a hidden layer's sums, from 0."""
        return BITS if layer else 64

    @property
    def row_bytes(self) -> int:
        """Of a row's pads, and of its error."""
        return sum(units * self.bits(layer) for layer, units in enumerate(self.hidden)) // 8 + BITS // 8


@dataclass(frozen=True, eq=False)
class Own:
    """A data party's own part of the scores.  x (rows, width): its columns in units of 2^-FEATURE; drawn (rows,
    row_bytes): its pads and error of each row (`row_draws`); score_bits: a host's; None at the guest."""

    model_id: bytes
    layers: Layers
    x: NDArray[np.int64]
    shares: WeightShares = field(repr=False)
    drawn: NDArray[np.uint8] = field(repr=False)
    score_bits: int | None = None

    def pads(self, layer: int, rows: slice) -> PlainVec:
        """pi of a hidden layer's sums (units rows,), unit after unit."""
        units, size = self.layers.hidden[layer], self.layers.bits(layer) // 8
        first = sum(u * self.layers.bits(k) // 8 for k, u in enumerate(self.layers.hidden[:layer]))
        return integers(self.drawn[rows, first : first + units * size].reshape(-1, units, size))

    def error(self, rows: slice) -> PlainVec:
        """e (rows,) in units of 2^-FINEST."""
        assert self.score_bits is not None
        step = FINEST - self.score_bits
        return integers(self.drawn[rows, -BITS // 8 :].reshape(-1, 1, BITS // 8)).residue(step)


def integers(drawn: NDArray[np.uint8]) -> PlainVec:
    """(rows, units, bytes) as integers, unit after unit."""
    limbs = np.ascontiguousarray(drawn.transpose(1, 0, 2))
    header = (limbs.shape[2] // 8).to_bytes(4, "little") + (limbs.shape[0] * limbs.shape[1]).to_bytes(8, "little")
    return PlainVec.from_bytes(header + limbs.tobytes())


def row_draws(
    key: bytes, model_id: bytes, ids: Iterable[bytes], x: NDArray[np.int64], layers: Layers
) -> NDArray[np.uint8]:
    """(rows, row_bytes) what a data party draws for each row: the same for the same key, model, id and values x."""
    head = hmac.digest(key, b"vfl network row|" + model_id, "sha256")
    found = np.empty((len(x), layers.row_bytes), np.uint8)
    for row, (name, values) in enumerate(zip(ids, np.ascontiguousarray(x), strict=True)):
        text = head + len(name).to_bytes(4, "big") + name + values.tobytes()
        found[row] = np.frombuffer(hashlib.shake_256(text).digest(layers.row_bytes), np.uint8)
    return found
