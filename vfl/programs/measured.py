"""Which rows are scored once a model is trained, and whose score is whose."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float64]
Rows = NDArray[np.bool_]


def by_part(scores: Scores | None, held_out: Rows) -> tuple[Scores | None, Scores | None]:
    """Scores of held-out and of training rows, in the order of the rows; None for a part without.

    scores: of the held-out rows alone, or of all rows (held_out (n,) marks a part of them, never all).
    """
    if scores is None or len(scores) == held_out.sum():
        return scores, None
    return (scores[held_out] if held_out.any() else None), scores[~held_out]
