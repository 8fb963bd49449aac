"""As how many rows weighted rows count, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from protocols.errors import TooFewHeldOut
from protocols.group_size import LEAST_ROWS, check_rows, check_weights, rows_by_weight


def test_rows_count_by_the_heaviest_one() -> None:
    assert rows_by_weight(np.full(40, 3.0)) == pytest.approx(40)
    assert rows_by_weight(np.r_[np.ones(20), np.zeros(20)]) == pytest.approx(20)
    assert rows_by_weight(np.r_[1e300, np.full(99, 1e290)]) == pytest.approx(1)
    assert rows_by_weight(np.zeros(3)) == rows_by_weight(np.zeros(0)) == 0


def test_so_they_never_count_as_more_than_their_effective_number() -> None:
    rng = np.random.default_rng(0)
    for spread in (0.1, 1.0, 3.0):
        weights = np.exp(spread * rng.normal(size=200))
        assert rows_by_weight(weights) <= weights.sum() ** 2 / (weights @ weights)


def test_too_few_rows_are_refused_by_their_number_and_their_weights() -> None:
    check_rows(LEAST_ROWS, "bank", "more")
    with pytest.raises(TooFewHeldOut, match=r"bank: 1 row is too few") as refused:
        check_rows(1, "bank", "more")
    assert refused.value.party == "bank"
    check_weights(None, "bank", "leave it out")
    check_weights(np.full(12, 0.5), "bank", "leave it out")  # equal weights are no choice of rows
    check_weights(np.r_[1.3, np.ones(39)], "bank", "leave it out")
    with pytest.raises(TooFewHeldOut, match=r"bank: by their weights 40 rows count as 1\.0 rows of") as heavy:
        check_weights(np.r_[1000.0, np.ones(39)], "bank", "leave it out")
    assert heavy.value.party == "bank"
    assert heavy.value.remedy == "Bring the weights closer together, leave it out"
    with pytest.raises(TooFewHeldOut, match="40 rows"):  # of several models each is checked
        check_weights(np.stack([np.ones(40), np.r_[5.0, np.ones(39)]]), "bank", "leave it out")
