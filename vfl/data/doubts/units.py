"""Numbers of new rows that lie elsewhere than those of the training: another unit, decimal sign or code."""

from __future__ import annotations

import numpy as np

from vfl.data.doubts.scale import Floats, Scale, Sorted
from vfl.data.schema import Usual
from vfl.data.texts import say_rows

ROWS = 100_000  # from about so many rows on, a part of them tells where the numbers lie
FACTOR = 8.0  # how many times as far numbers must spread to be told
FEW, MANY = 10, 50  # new rows: fewer do not tell how far they spread, or that they spread less
AWAY, FAR = 10.0, 20.0  # by how many spreads the median must be away; of few rows
FINE = 8  # parts of the spread to which the middle is known


def usual(numbers: Floats) -> Usual | None:
    """What is kept of a column (n,) of the training; None where it has no value."""
    every = Sorted.of(numbers[:: max(1, len(numbers) // ROWS)])
    if not every.total:
        return None
    found = Scale.of(every)
    known = numbers[np.isfinite(numbers)]
    spread = float(f"{found.spread:.2g}")
    step = spread / FINE or float(f"{abs(found.middle):.0e}") or 1.0
    return Usual(float(np.round(found.middle / step)) * step, spread, bool(np.isin(known, (0.0, 1.0)).all()))


def moved(name: str, before: Usual, numbers: Floats) -> str:
    """What to say of a column (n,) of new rows that lies elsewhere than in training; else empty."""
    column = Sorted.of(numbers)
    if not column.total:
        return ""
    if before.truth:
        others = np.flatnonzero(np.isfinite(numbers) & ~np.isin(numbers, (0.0, 1.0)))
        what = f"holds other numbers than 0 and 1 in {say_rows(others + 1)}, and held none in the training"
        return f"column '{name}' {what}: is it coded in another way?" if len(others) else ""
    if not before.spread:
        return ""  # it had one value, and carries no weight
    now = Scale.of(column)
    factor = now.spread / before.spread if column.total >= FEW else 0.0
    away = abs(now.middle - before.middle) / before.spread
    if factor >= FACTOR or (column.total >= MANY and 0 < factor <= 1 / FACTOR and _shrank(before, now)):
        return (
            f"column '{name}': its values spread about {factor:.1g} times as far as those of the training: is the unit "
            f"the same, and the decimal sign?"
        )
    if away >= (AWAY if column.total >= FEW else FAR):
        return (
            f"column '{name}': its values lie far from those of the training: is the unit the same, and is it the same "
            f"column?"
        )
    return ""


def _shrank(before: Usual, now: Scale) -> bool:
    """Whether the median moved to 0 too, as with another unit, and unlike in a narrow part of the old values."""
    return abs(before.middle) < before.spread / 2 or abs(now.middle) <= abs(before.middle) / 4
