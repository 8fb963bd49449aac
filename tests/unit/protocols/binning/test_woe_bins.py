"""WOE, IV and merging against the published formula, written out independently, and against scikit-learn's isotonic
regression."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression

from protocols.binning.merging import BinningRule, iv_terms, merge, weight_of_evidence
from protocols.errors import ConfigError

FREE = BinningRule(min_bin_size=0.0, max_n_bins=256, monotonic_trend="none")


def formula(rows: list[int], events: list[int]) -> tuple[list[float], float]:
    """One bin at a time, as the issue states it: ln(non-event share / event share), 0.5 for an empty class."""
    E, G = sum(events), sum(rows) - sum(events)
    woe, iv = [], 0.0
    for n, e in zip(rows, events, strict=True):
        good, bad = (n - e or 0.5) / G, (e or 0.5) / E
        woe.append(math.log(good / bad))
        iv += (good - bad) * woe[-1]
    return woe, iv


counts = st.lists(st.tuples(st.integers(1, 400), st.integers(0, 400)), min_size=1, max_size=24).map(
    lambda pairs: (np.array([n for n, _ in pairs]), np.array([min(n, e) for n, e in pairs]))
)


def both_classes(table: tuple[Any, Any]) -> bool:
    return 0 < table[1].sum() < table[0].sum()


@given(counts.filter(both_classes))
@settings(max_examples=60, deadline=None)
def test_woe_and_iv_are_the_formula(table: tuple[Any, Any]) -> None:
    woe, iv = formula(table[0].tolist(), table[1].tolist())
    assert weight_of_evidence(*table) == pytest.approx(woe, abs=1e-12)
    assert iv_terms(*table).sum() == pytest.approx(iv, abs=1e-9)


def test_sign_and_values_are_those_of_optbinning() -> None:
    """What the `BinningTable` of optbinning 1.0.0 prints for these counts (four bins of numbers, one of missing
    values)."""
    rows, events = np.array([961, 756, 736, 447, 100]), np.array([37, 82, 161, 198, 16])
    assert weight_of_evidence(rows, events) == pytest.approx(
        [1.593887, 0.482603, -0.350942, -1.394722, 0.03432], abs=1e-6
    )
    assert iv_terms(rows, events) == pytest.approx([0.468310, 0.049690, 0.033852, 0.420436, 0.000039], abs=1e-6)


@given(counts.filter(both_classes), st.sampled_from(["ascending", "descending"]))
@settings(max_examples=60, deadline=None)
def test_pooling_is_isotonic_regression(table: tuple[Any, Any], trend: str) -> None:
    rows, events = table
    found = merge(
        BinningRule(min_bin_size=0.0, max_n_bins=256, monotonic_trend=trend), rows, events, apart=0, ordered=True
    )
    rates = found.events / found.rows
    assert np.all(np.diff(rates) > 0 if trend == "ascending" else np.diff(rates) < 0)
    oracle = IsotonicRegression(increasing=trend == "ascending").fit_transform(
        np.arange(len(rows)), events / rows, sample_weight=rows
    )
    assert rates[found.group] == pytest.approx(oracle, abs=1e-9)


@given(counts.filter(both_classes), st.booleans(), st.integers(0, 2), st.integers(2, 5), st.floats(0, 0.3))
@settings(max_examples=60, deadline=None)
def test_final_bins_keep_every_rule(table: tuple[Any, Any], ordered: bool, apart: int, most: int, size: float) -> None:
    rows, events = table
    apart = min(apart, len(rows))
    known = len(rows) - apart
    found = merge(BinningRule(min_bin_size=size, max_n_bins=most), rows, events, apart=apart, ordered=ordered)
    assert np.array_equal(np.bincount(found.group, weights=rows), found.rows)
    assert np.array_equal(np.bincount(found.group, weights=events), found.events)
    finals = len(found.rows) - apart
    assert finals <= most
    assert (found.group[known:] == finals + np.arange(apart)).all()  # special and missing values stay apart
    if finals > 1:
        assert (found.rows[:finals] >= size * rows.sum()).all()
        trend = np.diff((found.events / found.rows)[:finals])
        if ordered:
            assert (np.diff(found.group[:known]) >= 0).all()  # only neighbours are merged
            assert (trend > 0).all() or (trend < 0).all()


def test_auto_keeps_the_trend_of_more_iv() -> None:
    rows, events = np.full(6, 100), np.array([5, 10, 9, 20, 30, 28])
    both = [
        merge(BinningRule(monotonic_trend=t, min_bin_size=0.0), rows, events, apart=0, ordered=True)
        for t in ("ascending", "descending")
    ]
    auto = merge(BinningRule(min_bin_size=0.0), rows, events, apart=0, ordered=True)
    assert auto.iv == max(m.iv for m in both) == both[0].iv > both[1].iv
    falling = merge(BinningRule(min_bin_size=0.0), rows, events[::-1].copy(), apart=0, ordered=True)
    assert falling.iv == pytest.approx(auto.iv)


def test_nothing_is_merged_without_need() -> None:
    rows, events = np.full(5, 100), np.array([10, 5, 20, 0, 40])
    found = merge(FREE, rows, events, apart=1, ordered=True)
    assert found.group.tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_n_prebins": 1},
        {"min_bin_rows": 0},
        {"min_bin_size": 0.6},
        {"max_n_bins": True},
        {"monotonic_trend": "peak"},
    ],
)
def test_impossible_rules_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        BinningRule(**wrong)
