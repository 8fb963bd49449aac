"""Bins: quantiles, ties, missing values, limits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.binning.quantile import Binner
from protocols.errors import ConfigError, DataError

NAN = float("nan")


def column(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float64).reshape(-1, 1)


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.one_of(st.just(NAN), st.integers(-20, 20).map(float), st.floats(-1e9, 1e9)), min_size=1, max_size=120),
    st.integers(2, 20),
    st.integers(1, 12),
)
def test_bins_keep_the_order_and_the_limits(values: list[float], max_bin: int, min_rows: int) -> None:
    x = column(*values)
    binner = Binner.fit(x, max_bin, min_rows)
    (cuts,), binned = binner.cuts, binner.transform(x)
    assert len(cuts) < max_bin
    assert np.all(np.diff(cuts) > 0)
    bins, known = binned.bins[:, 0], ~np.isnan(x[:, 0])
    for b, cut in enumerate(cuts):
        assert np.array_equal(bins[known] <= b, x[known, 0] < cut)
    counts = np.bincount(bins)
    if len(binned.candidates([0])):
        assert counts[counts > 0].min() >= min_rows
    assert np.array_equal(bins == binned.missing, ~known & binner.has_missing[0])
    if not binner.has_missing[0]:
        assert min((~known).sum(), known.sum()) < min_rows


def test_few_values_have_a_bin_each() -> None:
    x = column(1, 1, 2, 5, 5, 5)
    binner = Binner.fit(x, 8)
    assert binner.cuts[0].tolist() == [1.5, 3.5]
    assert binner.transform(column(0, 1.5, 3.5, 9)).bins[:, 0].tolist() == [0, 1, 2, 2]


def test_quantiles_are_even() -> None:
    x = np.random.default_rng(0).exponential(size=(10_000, 1))
    counts = np.bincount(Binner.fit(x, 32).transform(x).bins[:, 0])
    assert len(counts) == 32
    assert counts.max() - counts.min() <= 2


def test_neighbouring_floats_are_told_apart() -> None:
    low, high = 1.0, float(np.nextafter(1.0, 2.0))
    assert Binner.fit(column(low, high), 4).transform(column(low, high)).bins[:, 0].tolist() == [0, 1]
    assert Binner.fit(column(-1.7e308, 1.7e308), 4).cuts[0].tolist() == [0.0]


@pytest.mark.parametrize("values", [(3.0,) * 5, (NAN,) * 5])
def test_a_column_without_two_values_offers_nothing(values: tuple[float, ...]) -> None:
    binner = Binner.fit(column(*values), 8)
    assert len(binner.transform(column(*values)).candidates([0])) == 0


def test_candidates_with_missing_values_go_both_ways() -> None:
    x = column(1, 2, NAN, NAN)
    binned = Binner.fit(x, 4).transform(x)
    c = binned.candidates([0])
    lefts = [
        binned.goes_left(np.arange(4), *split).tolist()
        for split in zip(c.feature.tolist(), c.cut.tolist(), c.missing_left.tolist(), strict=True)
    ]
    assert lefts == [[True, False, False, False], [True, False, True, True], [True, True, False, False]]


def test_a_column_of_very_many_values_is_binned() -> None:
    x = np.arange(1_000_000, dtype=np.float64).reshape(-1, 1)
    assert Binner.fit(x, 256).width == 256


@pytest.mark.parametrize("max_bin", [1, 0, 257])
def test_max_bin_has_limits(max_bin: int) -> None:
    with pytest.raises(ConfigError, match="max_bin"):
        Binner.fit(column(1, 2), max_bin)


def test_infinite_values_are_refused() -> None:
    with pytest.raises(DataError, match="infinite"):
        Binner.fit(column(1, float("inf")), 4)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.one_of(st.just(NAN), st.integers(0, 9).map(float)), min_size=1, max_size=80),
    st.integers(2, 8),
    st.integers(1, 8),
)
def test_categories_have_a_bin_each_or_share_the_last(values: list[float], max_bin: int, min_rows: int) -> None:
    x = column(*values)
    binner = Binner.fit(x, max_bin, min_rows, [0])
    binned, named = binner.transform(x), binner.categories[0]
    assert named is not None
    bins, known = binned.bins[:, 0], ~np.isnan(x[:, 0])
    assert named.count <= max_bin
    own = [b for b in range(named.count) if b != named.other]
    assert all(len(np.unique(x[known & (bins == b), 0])) == 1 for b in own)
    c = binned.candidates([0])
    for cut, missing_left in zip(c.cut.tolist(), c.missing_left.tolist(), strict=True):
        left = binned.goes_left(np.arange(len(x)), 0, cut, missing_left)
        assert np.array_equal(left, (bins == cut) | (missing_left & (bins == binned.missing)))
        assert min_rows <= left.sum() <= len(x) - min_rows
    assert len(
        {tuple(binned.goes_left(np.arange(len(x)), 0, *s)) for s in zip(c.cut, c.missing_left, strict=True)}
    ) == len(c)


def test_a_category_not_seen_in_training_goes_with_the_rare_or_the_rest() -> None:
    x = column(1, 1, 1, 2, 2, 2, 3, 3, 3)
    plain, rare = Binner.fit(x, 8, 1, [0]), Binner.fit(np.vstack([x, column(4, 5, 6)]), 8, 3, [0])
    new = column(9, 2, NAN, -1)
    assert plain.transform(new).bins[:, 0].tolist() == [-1, 1, -1, -1]
    assert [plain.transform(new).goes_left(np.arange(4), 0, b, False).tolist() for b in range(3)] == [
        [False] * 4,
        [False, True, False, False],
        [False] * 4,
    ]
    assert rare.transform(new).bins[:, 0].tolist() == [3, 1, 3, 3]


def test_ids_are_no_categories() -> None:
    with pytest.raises(DataError, match="is it an id"):
        Binner.fit(np.arange(1_000_000, dtype=np.float64).reshape(-1, 1), 32, 1, [0])
