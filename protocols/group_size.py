"""The smallest group of rows that an opened verdict may be about.

A guest that follows every protocol chooses the weights of its rows.  If one row has nearly all the weight, a verdict on
the rows' loss, or on weights that are trained on them, is one about that row.  So the guest refuses weights under which
a row has more than the LEAST_ROWS-th part of all.  The effective number of rows, (sum w)^2 / sum w^2, is then at least
LEAST_ROWS too; by itself it is no bound: with 39 rows of weight 1, one of weight 5 would pass, and it decides eight of
ten verdicts (tests/promises/attacks/test_weighted_verdicts.py).  Nobody else sees the weights: a guest whose engine
leaves this check out is not stopped (docs/threat-model.md).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from protocols.errors import TooFewHeldOut

LEAST_ROWS = 30


def rows_by_weight(weights: NDArray[np.float64]) -> float:
    """How many rows as heavy as the heaviest one would weigh as much as these, (n,) at least 0; 0 of none."""
    heaviest = float(weights.max(initial=0.0))
    return 0.0 if heaviest == 0.0 else float((weights / heaviest).sum())


def check_rows(rows: int, party: str, remedy: str) -> None:
    """Raises TooFewHeldOut where too few rows would decide when training ends."""
    if rows < LEAST_ROWS:
        raise TooFewHeldOut(
            f"{party}: {rows} {'row is' if rows == 1 else 'rows are'} too few to decide when training ends: their loss "
            "would reveal too much about single rows",
            remedy=remedy,
            party=party,
            expected=f"at least {LEAST_ROWS}",
        )


def check_weights(weights: NDArray[np.float64] | None, party: str, remedy: str) -> None:
    """At the guest, before a training whose verdicts are about rows of these weights (models, n) or (n,), None for
    equal ones: raises TooFewHeldOut where they count as too few rows."""
    for own in () if weights is None else np.atleast_2d(weights):
        if np.ptp(own) > 0 and (count := rows_by_weight(own)) < LEAST_ROWS:
            raise TooFewHeldOut(
                f"{party}: by their weights {len(own):,} rows count as {count:.1f} rows of the heaviest one, too few "
                "to decide when training ends: a verdict would reveal too much about single rows",
                remedy=f"Bring the weights closer together, {remedy}",
                party=party,
                expected=f"at least {LEAST_ROWS}",
            )
