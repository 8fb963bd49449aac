"""Units and epochs of a network share plaintexts: all have their place, every slot fits, and it costs no more than
where gradients alone set how many share a plaintext."""

from __future__ import annotations

import pytest

from protocols.glm.slots import Slots
from protocols.network.layout import MOST_PADS, MOST_TOGETHER, Packing
from protocols.network.plan import Plan, Terms


def packing(bits: int, rows: int = 2000, batch: int = 200) -> Packing:
    one = Slots.of_all(bits - 41, 47, 57, 1)[0]
    return Packing(one, (bits - 113) // one.g_width, rows, batch)


def before(own: Packing, units: int, epochs: int) -> tuple[float, int]:
    """Of as many units and epochs as gradients fit in a plaintext: the cost of a chunk, and its epochs."""
    fits = min(own.fits, own.one.rows)
    if units <= fits:
        together = min(fits // units, epochs, MOST_TOGETHER)
        return own.cost_of(units * together), together
    return own.cost(units, -(-units // fits)), 1


@pytest.mark.parametrize("bits", [2048, 3072, 4096])
def test_all_units_have_their_place(bits: int) -> None:
    own = packing(bits)
    for units in (1, 2, 3, 7, 12, 16, 17, 18, 33, 64, 100, 256):
        for epochs in (1, 3, 50):
            found = own.layouts(units, epochs)
            together, left = divmod(sum(one.passes for one in found), units)
            assert left == 0
            assert 1 <= together <= epochs
            assert all(one.rows * one.passes <= own.one.rows for one in found)
            assert all(sum(one.group_sizes) == one.passes for one in found)
            assert max(max(one.group_sizes) for one in found) <= own.fits
            cost, chunk = before(own, units, epochs)
            new = sum(own.cost_of(one.passes) for one in found) * -(-epochs // together)
            assert new <= 1.03 * cost * -(-epochs // chunk)


def test_the_usual_layouts() -> None:
    def found(units: int, rows: int) -> list[tuple[int, int, int]]:
        slots = Plan(Terms((units,), "tanh", "logistic", 100, None, 0.1), rows, 2007).slots
        return [(one.passes, one.rows, one.groups) for one in slots]

    assert found(16, 2000) == [(32, 1, 2)]
    assert found(64, 2000) == 2 * [(32, 1, 2)]
    assert found(16, MOST_PADS // 20) == [(16, 2, 1)]  # pads of two epochs would take too much memory
