"""What scores of rows by a network need of its layers, and what each data party draws for a row: pads of the first
layer's sums and, at a host, an error (scoring.py).  Nothing here touches a channel.

A draw is a pseudo-random function of the model, the row's id and the party's own values of the row, under a key that
the party alone has: the same row is scored under the same pads, and other values under others.  The guest alone pads
sums of further layers, because they depend on all parties' values: by a function of its own draw and of what all
parties' pads of the first layer add up to, which changes with any party's values.
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
from protocols.glm.shares import WeightShares, words_of
from protocols.look_up import CUT
from protocols.network.activations import FRACTION, Activation
from protocols.network.dealt import Product, Scheme
from protocols.network.plan import Terms, forward
from protocols.network.ring import BITS, Shape
from protocols.parts import ROWS

FINEST = FRACTION + CUT + WEIGHT  # fractional bits of sums that are never cut
TAIL = 32  # bytes of a draw behind the pads: at a host its error, at the guest the key of the row's further pads


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
        """Of a draw for a row."""
        return self.hidden[0] * self.bits(0) // 8 + TAIL


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

    def pads(self, rows: slice) -> PlainVec:
        """pi of the first layer's sums (units rows,), unit after unit."""
        return integers(self.drawn[rows, :-TAIL].reshape(-1, self.layers.hidden[0], self.layers.bits(0) // 8))

    def bound_pads(self, rows: slice, first: PlainVec) -> list[PlainVec]:
        """At the guest, the pads of the sums of each further hidden layer (units rows,); first (units rows,): what all
        parties' pads of the first layer add up to.

        No party but the guest can compute them, and two scorings of a row have the same ones only if all parties'
        values are the same."""
        units = self.layers.hidden[1:]
        if not units:
            return []
        keys, totals = self.drawn[rows, -TAIL:], words_of(first).reshape(self.layers.hidden[0], -1).T
        drawn = [
            shaken(key.tobytes() + total.astype("<u8").tobytes(), sum(units) * BITS // 8)
            for key, total in zip(keys, totals, strict=True)
        ]
        each = np.stack(drawn).reshape(len(drawn), sum(units), BITS // 8)
        return [integers(one) for one in np.split(each, np.cumsum(units)[:-1], axis=1)]

    def error(self, rows: slice) -> PlainVec:
        """e (rows,) in units of 2^-FINEST."""
        assert self.score_bits is not None
        step = FINEST - self.score_bits
        return integers(self.drawn[rows, -TAIL : BITS // 8 - TAIL].reshape(-1, 1, BITS // 8)).residue(step)


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
        found[row] = shaken(text, layers.row_bytes)
    return found


def shaken(text: bytes, count: int) -> NDArray[np.uint8]:
    """(count,) pseudo-random bytes for whoever does not know the text, which begins with a key."""
    return np.frombuffer(hashlib.shake_256(text).digest(count), np.uint8)
