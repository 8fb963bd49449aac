"""A data party's own part of a score."""

from __future__ import annotations

import numpy as np
import pandas as pd

from vfl.model import GlmPart
from vfl.preprocessing import Standardiser


def test_a_rows_predictor_is_the_same_bits_in_any_company() -> None:
    """Scoring orders rows anew in every run; BLAS's products differ then in the last bit for most tables, which the planted line shows."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(50, 3)), columns=["a", "b", "c"])
    part = GlmPart("bank", bytes(16), Standardiser.fit(table, 6.0), rng.normal(size=(1, 3)), "logistic", "exact", 10, (0.3,))
    planted = False
    for _ in range(20):
        order = rng.permutation(50)
        assert np.array_equal(part.predictor(table)[order], part.predictor(table.iloc[order]))
        x = part.standardiser.transform(table, "bank")
        planted |= not np.array_equal((x @ part.weights[0])[order], np.asfortranarray(x[order]) @ part.weights[0])
    assert planted
