"""Numbers, counts, classes: what the formulas say; the interval of the partner's worth; and whether two samples are
alike."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.errors import ConfigError, DataError
from vfl import metrics
from vfl.metrics import Bins
from vfl.metrics.classes import class_series


def test_a_numbers_metrics_are_the_formulas():
    rng = np.random.default_rng(2)
    y = rng.normal(3, 2, 400)
    p = y + rng.normal(0.2, 1, 400)
    got = metrics.numeric_metrics(y, p)
    assert got["r2"] == pytest.approx(1 - ((y - p) ** 2).mean() / y.var())
    assert got["rmse"] == pytest.approx(((y - p) ** 2).mean() ** 0.5)
    assert got["mae"] == pytest.approx(np.abs(y - p).mean())
    assert got["n"] == 400
    worked = metrics.numeric_metrics([1.0, 2.0, 6.0], [2.0, 2.0, 4.0])  # errors 1, 0, 2; squares about the mean 4, 1, 9
    assert (worked["mae"], worked["rmse"], worked["r2"]) == pytest.approx((1.0, (5 / 3) ** 0.5, 1 - 5 / 14))
    assert metrics.numeric_metrics([1.0, 1.0], [0.0, 1.0])["r2"] is None


def log_likelihood(y: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Of each count under Poisson, by its probability."""
    return np.array(
        [count * math.log(m) - m - math.lgamma(count + 1) if m else 0.0 for count, m in zip(y, mean, strict=True)]
    )


def test_a_counts_metrics_are_twice_the_lost_log_likelihood():
    rng = np.random.default_rng(3)
    mean, weight = np.exp(rng.normal(-1, 1, 500)), rng.random(500)
    y = rng.poisson(mean)
    got = metrics.count_metrics(y, mean)
    full, fitted, null = (log_likelihood(y, m) for m in (y, mean, np.full(500, y.mean())))
    assert got["deviance"] == pytest.approx(2 * (full - fitted).mean())
    assert got["d2"] == pytest.approx(1 - (full - fitted).sum() / (full - null).sum())
    weighted = log_likelihood(y, np.full(500, weight @ y / weight.sum()))
    assert metrics.explained_deviance(y, mean, weight) == pytest.approx(
        1 - weight @ (full - fitted) / (weight @ (full - weighted))
    )
    assert metrics.explained_deviance([2.0, 2.0], [1.0, 3.0], [1.0, 1.0]) == 0
    assert metrics.count_metrics([0, 0], [0.1, 0.2])["d2"] is None
    for wrong in ([0.0, 1.0], [-1.0, 1.0]):
        with pytest.raises(DataError, match="not above 0"):
            metrics.count_metrics([0, 1], wrong)


def test_the_classes_metrics_are_those_counted_by_hand():
    rng = np.random.default_rng(4)
    y = rng.integers(0, 3, 300)
    raw = rng.random((300, 3)) + 1.2 * np.eye(3)[y]
    p = raw / raw.sum(axis=1, keepdims=True)
    got, series = metrics.class_metrics(y, p), class_series(y, p, ["a", "b", "c"])
    chosen = p.argmax(axis=1)
    counted = [[int(((y == k) & (chosen == j)).sum()) for j in range(3)] for k in range(3)]
    precision, recall = (np.diag(counted) / np.sum(counted, axis=axis) for axis in (0, 1))
    f1 = 2 * precision * recall / (precision + recall)
    gaps = [p[y == k, k][:, None] - p[y != k, k][None, :] for k in range(3)]
    assert got["accuracy"] == pytest.approx((chosen == y).mean())
    assert got["log_loss"] == pytest.approx(-np.log(p[np.arange(300), y]).mean())
    assert got["macro_auc"] == pytest.approx(np.mean([(gap > 0).mean() for gap in gaps]))
    assert got["macro_f1"] == pytest.approx(f1.mean())
    assert series["confusion"] == counted
    for name, expected in (
        ("precision", precision),
        ("recall", recall),
        ("f1", f1),
        ("auc", [(gap > 0).mean() for gap in gaps]),
    ):
        assert [c[name] for c in series["classes"]] == pytest.approx(expected)
    assert [c["rows"] for c in series["classes"]] == np.sum(counted, axis=1).tolist()


def test_a_class_that_nobody_has_leaves_its_auc_undefined_and_no_more():
    got = metrics.class_metrics([0, 1, 0], [[0.7, 0.2, 0.1]] * 3)
    assert got["macro_auc"] is None
    assert got["macro_f1"] == pytest.approx((2 * 2 / 3 * 1 / (2 / 3 + 1) + 0 + 0) / 3)
    lines = class_series([0, 1, 0], [[0.7, 0.2, 0.1]] * 3, ["a", "b", "c"])["classes"]
    assert lines[1] == {"class": "b", "rows": 1, "precision": None, "recall": 0.0, "f1": 0.0, "auc": 0.5}
    assert lines[2] == {"class": "c", "rows": 0, "precision": None, "recall": None, "f1": None, "auc": None}


def test_shares_that_were_rounded_are_measured():
    assert metrics.class_metrics([0, 1], [[0.666667, 0.333334]] * 2)["log_loss"] == pytest.approx(
        -np.log(2 / 9) / 2, abs=1e-5
    )


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


@settings(deadline=None)
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
    measured = [metrics.binary_metrics(y, p) for p in (joint, alone)]
    assert auc["change"] == pytest.approx(measured[0]["auc"] - measured[1]["auc"])
    # DeLong, DeLong and Clarke-Pearson 1988: the variance of the difference, from the placements of each event and
    # non-event.
    placed = []
    for p in (joint, alone):
        above = (p[y == 1][:, None] > p[y == 0][None, :]) + 0.5 * (p[y == 1][:, None] == p[y == 0][None, :])
        placed.append((above.mean(axis=1), above.mean(axis=0)))
    se = sum(np.var(placed[0][k] - placed[1][k], ddof=1) / len(placed[0][k]) for k in (0, 1)) ** 0.5
    assert (auc["high"] - auc["low"]) / (2 * 1.96) == pytest.approx(se, rel=0.1)
    assert auc["low"] < auc["change"] < auc["high"]
    assert auc["low"] > 0
    losses = got["measures"]["log_loss"]
    assert losses["change"] == pytest.approx(measured[0]["log_loss"] - measured[1]["log_loss"])
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
    parts = {0.6: "stable", 0.65: "stable", 0.66: "watch", 0.73: "watch", 0.75: "shifted"}  # an index of 0.08 to 0.27
    many = 10**6
    for part, told in parts.items():
        assert metrics.mark([many / 2, many / 2], [part * many, (1 - part) * many]) == told
    assert metrics.mark([0, 0], [1, 2]) is None
    assert metrics.mark([10, 10], [15, 5]) == "stable"  # the index of 0.75: as likely by chance
    for wrong, words in (([1, 2, 3], "one length"), ([-1, 3], "actual holds a negative count")):
        with pytest.raises(DataError, match=words):
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


@pytest.mark.parametrize("measure", ["numeric", "count"])
def test_weights_of_rows_are_scikit_learns(measure: str) -> None:
    """A row of weight 2 counts as two rows: in every measure, in the deciles and in the bootstrap's change."""
    rng = np.random.default_rng(4)
    y, p, q = rng.poisson(2.0, 60).astype(float), rng.uniform(0.5, 4, 60), rng.uniform(0.5, 4, 60)
    weight = rng.integers(1, 4, 60)
    again = np.repeat(np.arange(60), weight)
    of = {"numeric": metrics.numeric_metrics, "count": metrics.count_metrics}[measure]
    weighed, repeated = of(y, p, weight), of(y[again], p[again])
    assert {k: v for k, v in weighed.items() if k != "n"} == pytest.approx(
        {k: v for k, v in repeated.items() if k != "n"}
    )
    assert weighed != of(y, p)  # the control
    change = metrics.uplift_interval(y, p, q, measure, weight=weight)["measures"]
    whole = metrics.uplift_interval(y[again], p[again], q[again], measure)["measures"]
    assert {k: v["change"] for k, v in change.items()} == pytest.approx({k: v["change"] for k, v in whole.items()})
    cells = metrics.numeric_series(y, p, weight)["calibration"]
    totals = [w.sum() for w in np.array_split(weight[np.argsort(-p, kind="stable")], 10)]
    assert np.average(cells["observed"], weights=totals) == pytest.approx(np.average(y, weights=weight), abs=1e-5)
    with pytest.raises(DataError, match="weights are not one number above 0 per row"):
        of(y, p, weight - 1)


@pytest.mark.parametrize(
    ("rows", "later"),
    [
        (210, 70),
        (60, 20),
        (2000, 30),
        *(pytest.param(*size, marks=pytest.mark.slow) for size in ((300, 100), (600, 200), (3000, 1000))),
    ],
)
@pytest.mark.parametrize("kind", ["numbers", "few values", "texts"])
def test_samples_of_one_population_are_seldom_marked(rows: int, later: int, kind: str) -> None:
    """The index of one population is what `by_chance` says on average, and exceeds its quantile once in twenty."""
    rng, found, marked = np.random.default_rng(1), [], []
    for _ in range(200):
        x = rng.normal(size=rows + later)
        x = x if kind == "numbers" else np.digitize(x, [-1, 0, 1])
        column = pd.Series([f"v{v}" for v in x] if kind == "texts" else x)
        bins = Bins.fit(column[:rows])
        counts = bins.count(column[:rows]), bins.count(column[rows:])
        index, chance = metrics.psi(*counts), metrics.by_chance(*counts)
        assert index is not None
        assert chance is not None
        found.append(index / chance[0])
        marked.append(metrics.mark(*counts) != "stable")
        assert not marked[-1] or index > chance[1]
    assert 0.75 < np.mean(found) < 1.35
    assert np.mean(marked) < 0.12


def test_a_shift_is_marked_at_any_size_that_can_tell() -> None:
    """The power: a shift of one standard deviation, and a column whose texts all changed."""
    rng, marks = np.random.default_rng(2), []
    for _ in range(50):
        bins = Bins.fit(before := pd.Series(rng.normal(size=210)))
        counts = bins.count(before), bins.count(pd.Series(rng.normal(1.0, 1.0, size=70)))
        marks.append(metrics.mark(*counts))
    assert marks.count("shifted") > 45
    old = pd.Series(rng.choice(["a", "b", "c"], 100))
    bins = Bins.fit(old)
    counts = bins.count(old), bins.count(pd.Series(rng.choice(["x", "y"], 20)))
    assert metrics.mark(*counts) == "shifted"
    assert metrics.by_chance([1, 2], [0, 0]) is None


def test_the_interval_of_a_measure_itself_is_where_repetitions_fall() -> None:
    """95 of 100 tables of as many rows have their AUC within an interval of its width around the true one."""
    rng = np.random.default_rng(0)

    def drawn(rows: int) -> tuple[np.ndarray, np.ndarray]:
        p = rng.random(rows)
        return (rng.random(rows) < p).astype(int), p

    y, p = drawn(300)
    found = metrics.uplift_interval(y, p, 1 - p)
    joint, alone = found["models"]["joint"], found["models"]["guest_alone"]  # type: ignore[index]
    assert joint["auc"]["low"] < metrics.binary_metrics(y, p)["auc"] < joint["auc"]["high"]
    assert alone["auc"]["high"] < 0.5 < joint["auc"]["low"]
    spread = np.std([metrics.binary_metrics(*drawn(300))["auc"] for _ in range(200)])
    assert joint["auc"]["high"] - joint["auc"]["low"] == pytest.approx(2 * 1.96 * spread, rel=0.25)
    nothing = metrics.uplift_interval([0, 0, 0], [0.1, 0.2, 0.3], [0.3, 0.3, 0.3])["models"]
    assert "auc" not in nothing["joint"]  # type: ignore[index]
