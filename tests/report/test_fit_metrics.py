"""Numbers, counts, classes: what scikit-learn says; the interval of the partner's worth; and whether two samples are alike."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    d2_tweedie_score,
    f1_score,
    log_loss,
    mean_absolute_error,
    mean_poisson_deviance,
    mean_squared_error,
    r2_score,
    roc_auc_score,
)
from sklearn.metrics import confusion_matrix as sklearn_confusion

from protocols.errors import ConfigError, DataError
from vfl import metrics
from vfl.metrics import Bins
from vfl.metrics.classes import class_series


def test_a_numbers_metrics_equal_the_reference():
    rng = np.random.default_rng(2)
    y = rng.normal(3, 2, 400)
    p = y + rng.normal(0.2, 1, 400)
    got = metrics.numeric_metrics(y, p)
    assert got["r2"] == pytest.approx(r2_score(y, p))
    assert got["rmse"] == pytest.approx(mean_squared_error(y, p) ** 0.5)
    assert got["mae"] == pytest.approx(mean_absolute_error(y, p))
    assert got["n"] == 400
    assert metrics.numeric_metrics([1.0, 1.0], [0.0, 1.0])["r2"] is None


def test_a_counts_metrics_equal_the_reference():
    rng = np.random.default_rng(3)
    mean = np.exp(rng.normal(-1, 1, 500))
    y = rng.poisson(mean)
    got = metrics.count_metrics(y, mean)
    assert got["deviance"] == pytest.approx(mean_poisson_deviance(y, mean))
    assert got["d2"] == pytest.approx(d2_tweedie_score(y, mean, power=1))
    assert metrics.count_metrics([0, 0], [0.1, 0.2])["d2"] is None
    for wrong in ([0.0, 1.0], [-1.0, 1.0]):
        with pytest.raises(DataError, match="not above 0"):
            metrics.count_metrics([0, 1], wrong)


def test_the_classes_metrics_equal_the_reference():
    rng = np.random.default_rng(4)
    y = rng.integers(0, 3, 300)
    raw = rng.random((300, 3)) + 1.2 * np.eye(3)[y]
    p = raw / raw.sum(axis=1, keepdims=True)
    got, series = metrics.class_metrics(y, p), class_series(y, p, ["a", "b", "c"])
    chosen = p.argmax(axis=1)
    assert got["accuracy"] == pytest.approx(accuracy_score(y, chosen))
    assert got["log_loss"] == pytest.approx(log_loss(y, p))
    assert got["macro_auc"] == pytest.approx(roc_auc_score(y, p, multi_class="ovr"))
    assert got["macro_f1"] == pytest.approx(f1_score(y, chosen, average="macro"))
    assert series["confusion"] == sklearn_confusion(y, chosen).tolist()
    assert [c["f1"] for c in series["classes"]] == pytest.approx(f1_score(y, chosen, average=None))
    assert sum(c["rows"] for c in series["classes"]) == 300


def test_a_class_that_nobody_has_leaves_its_auc_undefined_and_no_more():
    got = metrics.class_metrics([0, 1, 0], [[0.7, 0.2, 0.1]] * 3)
    assert got["macro_auc"] is None
    assert got["macro_f1"] == pytest.approx(f1_score([0, 1, 0], [0, 0, 0], labels=[0, 1, 2], average="macro", zero_division=0))


@pytest.mark.parametrize(
    ("measure", "y", "p", "words"),
    [
        (metrics.numeric_metrics, [1.0], [1.0, 2.0], "one length"),
        (metrics.numeric_metrics, [1.0], [float("nan")], "not finite"),
        (metrics.class_metrics, [0, 3], [[0.5, 0.5]] * 2, "none of the model's classes"),
        (metrics.class_metrics, [0, 1], [[0.5, 0.6]] * 2, "add up to 1"),
        (metrics.class_metrics, [0, 1], [0.5, 0.6], "class probabilities"),
    ],
)
def test_what_cannot_be_measured_is_refused(measure, y, p, words):
    with pytest.raises(DataError, match=words):
        measure(y, p)


@given(st.lists(st.tuples(st.integers(0, 6), st.floats(0.01, 5)), max_size=40), st.randoms())
def test_series_of_numbers_count_every_row_once_whatever_their_order(rows, random):
    y, p = [r[0] for r in rows], [r[1] for r in rows]
    series = metrics.numeric_series(y, p)
    json.dumps([series, metrics.count_metrics(y, p), metrics.numeric_metrics(y, p)], allow_nan=False)
    if rows:
        assert sum(series["calibration"]["count"]) == len(rows)
        assert sum(series["residuals"]["count"]) == len(rows)
        assert series["deciles"][0]["mean_predicted"] >= series["deciles"][-1]["mean_predicted"]


def customers(n: int = 600) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(7)
    signal, more = rng.normal(size=(2, n))
    y = (rng.random(n) < 1 / (1 + np.exp(1 - signal - more))).astype(int)
    return y, 1 / (1 + np.exp(1 - signal - more)), 1 / (1 + np.exp(0.9 - 0.8 * signal))


def test_the_interval_is_that_of_the_published_standard_error_of_paired_aucs():
    y, joint, alone = customers()
    got = metrics.uplift_interval(y, joint, alone)
    auc = got["measures"]["auc"]
    assert auc["change"] == pytest.approx(roc_auc_score(y, joint) - roc_auc_score(y, alone))
    # DeLong, DeLong and Clarke-Pearson 1988: the variance of the difference, from the placements of each event and non-event.
    placed = []
    for p in (joint, alone):
        above = (p[y == 1][:, None] > p[y == 0][None, :]) + 0.5 * (p[y == 1][:, None] == p[y == 0][None, :])
        placed.append((above.mean(axis=1), above.mean(axis=0)))
    se = sum(np.var(placed[0][k] - placed[1][k], ddof=1) / len(placed[0][k]) for k in (0, 1)) ** 0.5
    assert (auc["high"] - auc["low"]) / (2 * 1.96) == pytest.approx(se, rel=0.1)
    assert auc["low"] < auc["change"] < auc["high"]
    assert auc["low"] > 0
    losses = got["measures"]["log_loss"]
    assert losses["change"] == pytest.approx(log_loss(y, joint) - log_loss(y, alone))
    assert losses["high"] < 0


def test_the_interval_is_seeded_and_a_model_beside_itself_has_none():
    y, joint, alone = customers(120)
    assert metrics.uplift_interval(y, joint, alone, seed=3) == metrics.uplift_interval(y, joint, alone, seed=3)
    assert metrics.uplift_interval(y, joint, alone, seed=3) != metrics.uplift_interval(y, joint, alone, seed=4)
    same = metrics.uplift_interval(y, joint, joint)["measures"]
    assert {v for m in same.values() for v in m.values()} == {0.0}


def test_every_kind_of_outcome_has_an_interval():
    rng = np.random.default_rng(5)
    y = rng.poisson(2, 80)
    good, bad = np.maximum(y + rng.normal(0, 0.5, 80), 0.1), np.full(80, 2.0)
    for outcome, better in (("numeric", {"r2": 1, "rmse": -1, "mae": -1}), ("count", {"deviance": -1, "mae": -1})):
        found = metrics.uplift_interval(y, good, bad, outcome)["measures"]
        assert set(found) == set(better)
        for name, sign in better.items():
            assert found[name]["low"] * sign > 0
            assert found[name]["high"] * sign > 0
    codes = rng.integers(0, 3, 80)
    sure = 0.1 + 0.7 * np.eye(3)[codes]
    found = metrics.uplift_interval(codes, sure, np.full((80, 3), 1 / 3), "multiclass")["measures"]
    assert found["accuracy"]["low"] > 0
    with pytest.raises(ConfigError, match="'survival' is not known"):
        metrics.uplift_interval(y, good, bad, "survival")


def test_no_row_and_one_class_have_no_interval_and_no_crash():
    assert metrics.uplift_interval([], [], [])["measures"] == {}
    one = metrics.uplift_interval([0, 0, 0], [0.1, 0.2, 0.3], [0.3, 0.3, 0.3])["measures"]
    assert "auc" not in one
    assert one["brier"]["low"] is not None
    rare = metrics.uplift_interval([1] + [0] * 3, [0.9, 0.1, 0.1, 0.2], [0.5] * 4)["measures"]["auc"]
    assert rare["change"] == 0.5


def test_psi_is_the_formula():
    assert metrics.psi([50, 50], [50, 50]) == 0
    assert metrics.psi([50, 50], [80, 20]) == pytest.approx(0.3 * np.log(1.6) - 0.3 * np.log(0.4))
    assert metrics.psi([1, 1], [0, 8]) == pytest.approx((0.5 / 8 - 0.5) * np.log(0.5 / 8 / 0.5) + 0.5 * np.log(2))
    assert metrics.psi([5, 0, 5], [1, 0, 1]) == 0
    assert metrics.psi([0, 0], [1, 2]) is None
    assert [metrics.mark(v) for v in (None, 0.0999, 0.1, 0.2499, 0.25)] == [None, "stable", "watch", "watch", "shifted"]
    for wrong in ([1, 2, 3], [-1, 3]):
        with pytest.raises(DataError, match="one length"):
            metrics.psi([1, 2], wrong)


def test_bins_hold_every_row_once_and_see_a_shift():
    rng = np.random.default_rng(6)
    train, same, other = (pd.Series(rng.normal(m, 1, 4000), name="x") for m in (0, 0, 1))
    bins = Bins.fit(train)
    assert len(bins.edges) == 9
    assert max(bins.count(train)[:-1]) <= 401
    assert metrics.psi(bins.count(train), bins.count(same)) < 0.02
    assert metrics.psi(bins.count(train), bins.count(other)) > 0.25
    gaps = train.mask(train.index < 1000)
    assert bins.count(gaps)[-1] == 1000
    assert sum(bins.count(gaps)) == 4000
    assert len(bins.names()) == len(bins.count(train))


def test_few_values_and_texts_have_a_bin_each_and_one_for_what_is_new():
    numbers = Bins.fit(pd.Series([1, 1, 0, 1, 3]))
    assert numbers.count(pd.Series([1.0, 0.0, 2.0, None])) == [1, 1, 0, 1, 1]
    assert numbers.names() == ["0", "1", "3", "others", "missing"]
    texts = Bins.fit(pd.Series(["b", "a", "a", None]))
    assert texts.values == ("a", "b")
    assert texts.count(pd.Series(["a", "z", None])) == [1, 0, 1, 1]
    assert Bins.fit(pd.Series([None, None], dtype=float)).count(pd.Series([1.0, None])) == [1, 1]
    with pytest.raises(DataError, match="'age' holds no numbers"):
        numbers.count(pd.Series(["a"], name="age"))
