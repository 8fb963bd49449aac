"""A data party's own part of a score."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from protocols.errors import ModelError
from tests.parts import guests, hosts, predictor, shared
from vfl.models.regression.part import GlmPart, score_error
from vfl.preprocessing import Standardiser


def table() -> pd.DataFrame:
    return pd.DataFrame(np.random.default_rng(0).normal(size=(50, 3)), columns=["a", "b", "c"])


def test_a_rows_predictor_is_the_same_bits_in_any_company() -> None:
    """Scoring orders rows anew in every run.  How a product of floats adds up is up to BLAS, and another order gives
    other last bits, which the planted lines show."""
    rows, rng = table(), np.random.default_rng(1)
    part = guests(Standardiser.fit(rows, 6.0), rng.normal(size=3), 0.3)
    for _ in range(20):
        order = rng.permutation(50)
        assert np.array_equal(predictor(part, rows)[order], predictor(part, rows.iloc[order]))
    a, b, c = (part.standardiser.transform(rows, "bank") * part.weights[0]).T
    assert not np.array_equal((a + b) + c, a + (b + c))


def test_a_predictor_is_the_product_to_the_units_of_the_integers() -> None:
    rows = table()
    part = guests(Standardiser.fit(rows, 6.0), (0.5, -1.25, 2.0), 0.25)
    wanted = part.standardiser.transform(rows, "bank") @ [0.5, -1.25, 2.0] + 0.25
    assert predictor(part, rows)[:, 0] == pytest.approx(wanted, abs=4 * 2.0**-17)
    assert part.intercept == (0.25,)


def test_a_hosts_error_hangs_on_key_model_id_and_values_alone() -> None:
    x, ids = np.arange(600).reshape(200, 3), [b"id %d" % k for k in range(200)]
    first = score_error(b"k" * 32, b"m" * 16, ids, x, 2, 10)
    assert first.shape == (200, 2)
    assert np.abs(first).max() <= 2**29
    assert np.abs(first).max() > 0.95 * 2**29
    assert abs(first.mean()) < 2**29 * 0.1
    order = np.random.default_rng(2).permutation(200)
    assert np.array_equal(score_error(b"k" * 32, b"m" * 16, [ids[k] for k in order], x[order], 2, 10), first[order])
    for other in (
        score_error(b"K" * 32, b"m" * 16, ids, x, 2, 10),
        score_error(b"k" * 32, b"M" * 16, ids, x, 2, 10),
        score_error(b"k" * 32, b"m" * 16, [b"x" + name for name in ids], x, 2, 10),
        score_error(b"k" * 32, b"m" * 16, ids, x + 1, 2, 10),
    ):
        assert not (other == first).any()


@pytest.mark.parametrize("part", ["guest", "host"])
def test_weights_that_stay_shared_are_no_partys_to_show(part: str) -> None:
    standardiser = Standardiser.fit(table(), 6.0)
    own = guests(standardiser, (0.0, 0.0, 0.0), 0.0) if part == "guest" else hosts(standardiser, [[0.0, 0.0, 0.0]])
    one = GlmPart(**(vars(own) | {"shares": shared([[0.0] * own.shares.latest.shape[1]], b"n" * 16), "arbiter": True}))
    for what in ("weights", "coef", "coef_raw", *(["intercept"] if part == "guest" else [])):
        with pytest.raises(ModelError, match="stay shared") as caught:
            getattr(one, what)
        assert caught.value.party == one.party
        assert f"{part}-weights-to-{part}" in caught.value.remedy
        assert "reveal" in caught.value.remedy
    assert repr(one) == f"<GlmPart of {one.party}: 3 columns>"
