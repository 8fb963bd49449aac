"""Which units and epochs of a network share a plaintext of weights.

A product of a row with such a plaintext serves all that stand in its slots, and what it costs to open a ciphertext of
predictors is shared by as many rows as fit.  Gradients have wider slots: where they do not fit, there are several
groups of them (glm/slots.py).  Nothing here touches a channel.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from protocols.glm.slots import OPENING, Slots

MOST_TOGETHER, MOST_PLAINTEXTS = 16, 3  # epochs of a chunk, and its plaintexts of weights if it has several epochs
MOST_PADS = 1 << 22  # units and epochs of a chunk times rows, if it has several epochs
WORTH = 1.03  # what a chunk of fewer epochs may cost: its pads take less memory, and rows change places sooner
# per row and plaintext of weights, its products; per batch, plaintext and row that shares a ciphertext, the weights
PREDICTED, ENCRYPTED = 0.6, 26.0  # where a residual's ciphertext costs 1; counted at 24 columns


@dataclass(frozen=True)
class Packing:
    """one: the layout of one unit in one epoch; fits: how many gradients a plaintext has room for; rows, batch: rows of
    the table and of a batch."""

    one: Slots
    fits: int
    rows: int
    batch: int

    def layouts(self, units: int, epochs: int) -> list[Slots]:
        """Those of the plaintexts of a chunk, for all units of as many epochs as are worth it."""
        room = min(MOST_PLAINTEXTS * self.one.rows, MOST_PADS // self.rows)
        most = max(1, min(epochs, MOST_TOGETHER, room // units))
        counts = {together: self.cheapest(units * together) for together in range(1, most + 1)}
        costs = {k: -(-epochs // k) * self.cost(units * k, count) for k, count in counts.items()}
        together = next(k for k, cost in costs.items() if cost <= WORTH * min(costs.values()))
        passes, count = units * together, counts[together]
        sizes = [passes * (k + 1) // count - passes * k // count for k in range(count)]
        return [replace(self.one.of_predictors(size), groups=-(-size // self.fits)) for size in sizes]

    def cheapest(self, passes: int) -> int:
        """The number of plaintexts of weights in which this number of units and epochs costs least."""
        return min(range(-(-passes // self.one.rows), passes + 1), key=lambda count: self.cost(passes, count))

    def cost(self, passes: int, count: int) -> float:
        """Of a row, in `count` plaintexts of weights."""
        few, more = divmod(passes, count)
        return sum(n * self.cost_of(size) for size, n in ((few, count - more), (few + 1, more)) if n)

    def cost_of(self, passes: int) -> float:
        """In one."""
        shared = self.one.rows // passes
        return OPENING / shared + PREDICTED + ENCRYPTED * shared / self.batch - (-passes // self.fits)
