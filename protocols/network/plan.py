"""What all parties of a network know before training starts: scales, sizes of layers, mini-batches, chunks, rates.

Everything is integers.  Columns are in units of 2^-FEATURE and weights in 2^-WEIGHT, so that sums of the first layer
have UNIT fractional bits.  Activations, slopes and residuals have FRACTION, and sums of further layers PRODUCT.  What a
training carries from step to step (weights and momenta) is in units of 2^-FINE, and is cut to 2^-WEIGHT wherever it is
multiplied: so the cuts of a step do not add up over steps.

Bounds.  |D_0| < 2^DELTA, so that a gradient of the first layer over a batch of 2^b rows, whose columns are at most
2^clip, is below 2^(b + FEATURE + clip + FRACTION + DELTA).  Where weights grow so far that this fails, the sums of some
layer leave the table's range, and training ends.

Steps are those of scikit-learn's `solver="sgd"`: with g the gradient of a batch's mean loss and of alpha |w|^2 / 2 over
its rows, v' = momentum v - rate g, and w' = w + v', or with Nesterov's momentum w' = w + momentum v' - rate g.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

from protocols.cipher import HEAD_ROOM
from protocols.errors import ConfigError
from protocols.glm.batches import Batches
from protocols.glm.plan import FEATURE, SIGMA, WEIGHT, rows_log2
from protocols.glm.progress import MOST_VERDICTS
from protocols.glm.slots import SPILL, Slots
from protocols.network.activations import FRACTION, RANGE, Activation, Curves, Family, hidden
from protocols.network.dealt import Product, Scheme
from protocols.network.layout import Packing
from protocols.network.ring import Shape
from protocols.network.watch import Stopping
from protocols.randomness import Seed

UNIT = FEATURE + WEIGHT  # fractional bits of the first layer's sums
PRODUCT = FRACTION + WEIGHT  # of further layers' sums, and of their gradients
FINE = 40  # of what a training carries
RATE = 40  # of rates
DELTA = 6  # log2 of the bound of what reaches the first layer
MOST_LAYERS, MOST_UNITS = 2, 256
MOST_BATCH, USUAL_BATCH = 1 << 17, 200


@dataclass(frozen=True)
class Terms:
    """What the parties agreed on.  batch_size: the most rows of a batch; None: USUAL_BATCH, or all where there are
    fewer.  clip: the largest value of a standardised column; order: what the random order of rows comes from; None: a
    secret of the guest's; stopping: what ends training early; None: nothing; weighted: rows have weights,
    which the guest knows."""

    hidden: tuple[int, ...]
    activation: Activation
    family: Family
    epochs: int
    batch_size: int | None
    rate: float
    momentum: float = 0.9
    nesterov: bool = True
    alpha: float = 1e-4
    clip: float = 8.0
    order: int | None = None
    stopping: Stopping | None = None
    weighted: bool = False

    @property
    def units(self) -> int:
        """Of the first layer."""
        return self.hidden[0]

    @property
    def further(self) -> tuple[Shape, ...]:
        """(units, inputs) of each layer after the first; the last has one unit."""
        sizes = (*self.hidden, 1)
        return tuple((sizes[k + 1], sizes[k]) for k in range(len(sizes) - 1))

    @property
    def curves(self) -> list[Curves]:
        """Of the hidden layers."""
        return [hidden(self.activation, UNIT if k == 0 else PRODUCT) for k in range(len(self.hidden))]

    @property
    def last(self) -> int:
        """The number of the last layer."""
        return len(self.hidden)

    def bound(self, layer: int, columns: int) -> float:
        """Initial weights of a layer are uniform up to this: Glorot and Bengio's, as scikit-learn's."""
        sizes = (columns, *self.hidden, 1)
        gain = 2.0 if self.activation == "logistic" else 6.0
        return math.sqrt(gain / (sizes[layer] + sizes[layer + 1]))


@dataclass(frozen=True)
class Chunk:
    """Epochs whose iterations are prepared together."""

    number: int
    first: int
    epochs: int


@dataclass(frozen=True)
class Plan:
    """`terms` over `rows` rows under a key with this number of usable bits.  Raises ConfigError where the key is too
    small."""

    terms: Terms
    rows: int
    plain_bits: int

    @property
    def batches(self) -> int:
        """Per epoch."""
        return -(-self.rows // (self.terms.batch_size or min(USUAL_BATCH, self.rows)))

    @property
    def batch_rows(self) -> tuple[int, int]:
        """The minimum and maximum number of rows of a batch."""
        return self.rows // self.batches, -(-self.rows // self.batches)

    @cached_property
    def slots(self) -> list[Slots]:
        """The layouts of the units' groups, which together have the pads of one batch in all epochs of a chunk."""
        clip = max(0, math.ceil(math.log2(self.terms.clip)))
        bits = rows_log2(self.batch_rows[1]) + FEATURE + clip + FRACTION + DELTA
        z_bits = RANGE[self.terms.activation] + 1 + UNIT
        one = Slots.of_all(self.plain_bits, z_bits, bits, 1)[0]
        fits = (self.plain_bits + HEAD_ROOM - SIGMA - SPILL) // one.g_width
        packing = Packing(one, fits, self.rows, self.batch_rows[1])
        return packing.layouts(self.terms.units, self.terms.epochs)

    @property
    def together(self) -> int:
        """How many epochs a chunk has; they take the rows in one order."""
        return sum(one.passes for one in self.slots) // self.terms.units

    @property
    def chunks(self) -> list[Chunk]:
        firsts = range(0, self.terms.epochs, self.together)
        return [Chunk(k, first, min(self.together, self.terms.epochs - first)) for k, first in enumerate(firsts)]

    def order(self, seed: Seed | None) -> Batches:
        return Batches(self.rows, self.batches, seed if self.batches > 1 else None, self.together)

    def scheme(self, rows: int) -> Scheme:
        """The dealt products of a step over this number of rows.  Of layer l: A its inputs, S the slopes of these, W
        its weights, D what is propagated to its sums, G to its inputs."""
        shapes, products = dict[str, Shape](), list[Product]()
        for layer, (units, inputs) in enumerate(self.terms.further, 1):
            shapes |= {f"A{layer}": (inputs, rows), f"S{layer}": (inputs, rows), f"G{layer}": (inputs, rows)}
            shapes |= {f"W{layer}": (units, inputs), f"D{layer}": (units, rows)}
            products += [forward(layer), gradient(layer), back(layer), sloped(layer)]
            products += [square(layer)] if self.terms.curves[layer - 1].slope is None else []
        return Scheme(shapes, tuple(products))

    def rate(self, rows: int) -> int:
        """Of the sum of gradients over a batch's rows."""
        return round(self.terms.rate / rows * 2.0**RATE)

    def decay(self, rows: int) -> int:
        """Of the weights, for the penalty."""
        return round(self.terms.rate * self.terms.alpha / rows * 2.0**RATE)

    @property
    def momentum(self) -> int:
        return round(self.terms.momentum * 2.0**WEIGHT)


def forward(layer: int) -> Product:
    return Product(f"W{layer}", f"A{layer}")


def gradient(layer: int) -> Product:
    return Product(f"D{layer}", f"A{layer}", turn_second=True)


def back(layer: int) -> Product:
    return Product(f"W{layer}", f"D{layer}", turn_first=True)


def sloped(layer: int) -> Product:
    return Product(f"G{layer}", f"S{layer}", elementwise=True)


def square(layer: int) -> Product:
    return Product(f"A{layer}", f"A{layer}", elementwise=True)


def further_count(further: tuple[Shape, ...]) -> int:
    """How many weights and intercepts layers of these shapes have."""
    return sum(units * inputs + units for units, inputs in further)


def check(terms: Terms, rows: int) -> None:
    """Raises ConfigError for sizes that no network of this protocol has."""
    if not 1 <= len(terms.hidden) <= MOST_LAYERS or not all(1 <= k <= MOST_UNITS for k in terms.hidden):
        raise ConfigError(
            "hidden_layer_sizes names layers that a sealed network cannot have",
            remedy=f"Name one or two layers of 1 to {MOST_UNITS} units",
        )
    if terms.batch_size is not None and terms.batch_size > rows:
        raise ConfigError(
            "a batch would have more rows than there are training rows",
            remedy="Lower batch_size",
            expected=f"at most {rows}",
            found=terms.batch_size,
        )
    if terms.stopping is not None and terms.epochs > MOST_VERDICTS:
        raise ConfigError(
            "early stopping would open more verdicts than a training may, one after each epoch",
            remedy="Lower max_iter, or leave early_stopping out",
            expected=f"at most {MOST_VERDICTS}",
            found=terms.epochs,
        )
