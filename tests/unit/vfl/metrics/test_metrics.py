"""Is every number of the report what counting by hand says, with ties, one class, no rows too?"""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.errors import DataError
from vfl import metrics
from vfl.metrics import binary, curves

# Scores on a coarse grid, so that ties are the rule.
parts = st.lists(st.tuples(st.booleans(), st.integers(0, 8).map(lambda k: k / 8)), min_size=1, max_size=60)
two_classes = parts.filter(lambda rows: 0 < sum(event for event, _ in rows) < len(rows))


def columns(rows: list[tuple[bool, float]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([int(e) for e, _ in rows]), np.array([s for _, s in rows])


def expected_events(y: np.ndarray, p: np.ndarray, share: float) -> float:
    """Events in the riskiest share of rows, averaged over every order of the tied rows, row by row."""
    left, found = share * len(y), 0.0
    for score in sorted(set(p), reverse=True):
        tied = y[p == score]
        take = min(left, len(tied))
        found += take * tied.mean()
        left -= take
    return found


def pairs_in_order(y: np.ndarray, p: np.ndarray) -> float:
    """The share of pairs of an event and a non-event in which the event scores more; a tie counts as half a pair."""
    gap = p[y == 1][:, None] - p[y == 0][None, :]
    return float((gap > 0).mean() + 0.5 * (gap == 0).mean())


def flagged(y: np.ndarray, p: np.ndarray) -> tuple[list[float], list[float]]:
    """The precision of the rows that score s or more, and the share of events found there, for each score s from the
    highest."""
    cuts = [p >= s for s in sorted(set(p), reverse=True)]
    return [y[c].mean() for c in cuts], [y[c].sum() / y.sum() for c in cuts]


@settings(deadline=None)
@given(two_classes)
def test_numbers_equal_those_counted_by_hand(rows):
    y, p = columns(rows)
    got = metrics.binary_metrics(y, p)
    assert got["auc"] == pytest.approx(pairs_in_order(y, p))
    assert got["gini"] == pytest.approx(2 * pairs_in_order(y, p) - 1)
    assert got["ks"] == pytest.approx(max(abs((p[y == 1] >= s).mean() - (p[y == 0] >= s).mean()) for s in p))
    precision, recall = flagged(y, p)
    assert got["average_precision"] == pytest.approx(np.diff([0.0, *recall]) @ precision)
    of_truth = np.clip(np.where(y == 1, p, 1 - p), 2.0**-52, None)
    assert got["log_loss"] == pytest.approx(-np.log(of_truth).mean())
    assert got["log_loss"] == pytest.approx(binary.log_losses(y, p).mean())
    assert got["brier"] == pytest.approx(((p - y) ** 2).mean())
    assert got["accuracy"] == pytest.approx(((p > 0.5) == y).mean())
    for q in (5, 10, 20):
        assert got[f"lift_{q}"] == pytest.approx(expected_events(y, p, q / 100) / (q / 100 * len(y)) / y.mean())
    assert (got["n"], got["base_rate"], got["mean_predicted"]) == (len(y), y.mean(), pytest.approx(p.mean()))


def test_a_worked_example():
    """Five rows; scores .9 .8 .8 .3 .1, of which the first, one of the tied ones and the fourth are events."""
    got = metrics.binary_metrics([1, 1, 0, 1, 0], [0.9, 0.8, 0.8, 0.3, 0.1])
    assert got["auc"] == pytest.approx((2 + 1.5 + 1) / 6)
    assert got["ks"] == pytest.approx(0.5)  # at .3: 3 of 3 events, 1 of 2 others
    assert got["average_precision"] == pytest.approx(1 / 3 * 1 + 1 / 3 * 2 / 3 + 1 / 3 * 3 / 4)
    assert got["log_loss"] == pytest.approx(-np.log(0.9 * 0.8 * 0.2 * 0.3 * 0.9) / 5)
    assert got["brier"] == pytest.approx((0.01 + 0.04 + 0.64 + 0.49 + 0.01) / 5)
    assert got["accuracy"] == pytest.approx(3 / 5)
    assert got["lift_20"] == pytest.approx(5 / 3)


@settings(deadline=None)
@given(parts, st.randoms())
def test_nothing_depends_on_the_order_of_the_rows(rows, random):
    shuffled = random.sample(rows, len(rows))
    assert metrics.plot_series(*columns(rows)) == metrics.plot_series(*columns(shuffled))


@settings(deadline=None)
@given(parts)
def test_a_part_of_any_kind_gives_json_without_a_warning(rows):
    y, p = columns(rows)
    for labels in (y, np.zeros_like(y), np.ones_like(y)):
        json.dumps([metrics.binary_metrics(labels, p), metrics.plot_series(labels, p)], allow_nan=False)


@pytest.mark.parametrize("event", [0, 1])
def test_one_class_leaves_the_ranking_undefined_and_no_more(event):
    got = metrics.binary_metrics([event] * 4, [0.1, 0.2, 0.2, 0.9])
    assert got["auc"] is got["ks"] is got["gini"] is None
    assert got["lift_10"] == (pytest.approx(1.0) if event else None)
    assert got["brier"] is not None
    assert got["log_loss"] is not None
    assert curves.roc_curve_points([event] * 4, [0.1, 0.2, 0.2, 0.9]) is None


def test_a_constant_score_ranks_nothing():
    got = metrics.binary_metrics([0, 1, 0, 1], [0.3] * 4)
    assert (got["auc"], got["ks"], got["gini"], got["lift_5"]) == (0.5, 0.0, 0.0, pytest.approx(1.0))


def test_an_empty_part_has_no_rows_and_nothing_else():
    got = metrics.binary_metrics([], [])
    assert got.pop("n") == 0
    assert set(got.values()) == {None}
    assert metrics.plot_series([], [])["calibration"] is None
    assert curves.decile_table([], []) == []


def test_curves_are_thin_and_keep_their_ends_and_the_ks_point():
    rng = np.random.default_rng(1)
    y = rng.integers(0, 2, 5000)
    p = np.clip(0.5 + 0.2 * (y - 0.5) + 0.2 * rng.normal(size=5000), 0, 1)
    series, numbers = metrics.plot_series(y, p), metrics.binary_metrics(y, p)
    for name in ("roc", "ks", "gain"):
        for values in (v for v in series[name].values() if isinstance(v, list)):
            assert len(values) <= curves.POINTS
            assert (values[0], values[-1]) == (0.0, 1.0)
            assert values == sorted(values)
    gaps = np.abs(np.subtract(series["ks"]["events"], series["ks"]["non_events"]))
    assert gaps.max() == pytest.approx(numbers["ks"], abs=1e-5)
    assert series["ks"]["ks"] == pytest.approx(numbers["ks"], abs=1e-6)
    assert series["ks"]["share"][int(gaps.argmax())] == series["ks"]["at"]
    assert np.trapezoid(series["roc"]["tpr"], series["roc"]["fpr"]) == pytest.approx(numbers["auc"], abs=1e-3)


@settings(deadline=None)
@given(two_classes)
def test_calibration_histogram_and_deciles_count_every_row_once(rows):
    y, p = columns(rows)
    series = metrics.plot_series(y, p)
    calibration, histogram, deciles = series["calibration"], series["histogram"], series["deciles"]
    count = np.array(calibration["count"])
    assert count.sum() == len(y)
    assert (count * calibration["observed"]).sum() == pytest.approx(y.sum(), abs=1e-3)
    assert (count * calibration["predicted"]).sum() == pytest.approx(p.sum(), abs=1e-3)
    low, rate, high = (np.array(calibration[k]) for k in ("low", "observed", "high"))
    assert ((low <= rate) & (rate <= high)).all()
    assert (sum(histogram["events"]), sum(histogram["non_events"])) == (y.sum(), (1 - y).sum())
    assert sum(row["rows"] for row in deciles) == len(y)
    assert sum(row["events"] for row in deciles) == pytest.approx(y.sum(), abs=1e-4)
    assert (deciles[-1]["gain"], deciles[-1]["lift"]) == (1.0, 1.0)
    top = deciles[0]
    assert top["events"] == pytest.approx(expected_events(y, p, top["rows"] / len(y)), abs=1e-5)


@settings(deadline=None)
@given(two_classes)
def test_precision_and_recall_are_those_of_the_flagged_rows(rows):
    y, p = columns(rows)
    precision, recall = flagged(y, p)
    points = metrics.plot_series(y, p)["precision_recall"]
    assert points["recall"] == pytest.approx(recall, abs=1e-6)
    assert points["precision"] == pytest.approx(precision, abs=1e-6)


@settings(deadline=None)
@given(two_classes, st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.625, 0.995]))
def test_a_cut_off_gives_the_confusion_matrix(rows, cutoff):
    y, p = columns(rows)
    got = metrics.at_cutoff(metrics.plot_series(y, p)["cutoffs"], cutoff)
    tn, fp, fn, tp = (int(((y == truth) & ((p >= cutoff) == flag)).sum()) for truth in (0, 1) for flag in (False, True))
    names = ("true_negatives", "false_positives", "false_negatives", "true_positives")
    assert tuple(got[n] for n in names) == (tn, fp, fn, tp)
    assert got["cutoff"] == cutoff
    assert got["recall"] == pytest.approx(tp / (tp + fn))
    assert got["specificity"] == pytest.approx(tn / (tn + fp))
    assert got["precision"] == (pytest.approx(tp / (tp + fp)) if tp + fp else None)
    assert got["f1"] == pytest.approx(2 * tp / (2 * tp + fp + fn))


def test_the_widest_cut_off_is_where_the_ks_is():
    y, p = [0, 0, 0, 1, 1], [0.1, 0.2, 0.3, 0.8, 0.9]
    cutoffs = metrics.plot_series(y, p)["cutoffs"]
    found = metrics.at_cutoff(cutoffs, binary.widest(cutoffs))
    assert (found["true_positives"], found["false_positives"]) == (2, 0)
    assert binary.widest(metrics.plot_series([0, 0], [0.1, 0.2])["cutoffs"]) == 0.5


def test_the_wilson_interval_is_the_published_one():
    # 8 of 10: the textbook's 95 % Wilson interval.
    points = curves.calibration_points([1] * 8 + [0] * 2, [0.7] * 10)
    assert (points["low"][0], points["high"][0]) == (pytest.approx(0.4902, abs=1e-4), pytest.approx(0.9433, abs=1e-4))


@pytest.mark.parametrize(
    ("y", "p", "words"),
    [
        ([0, 1], [0.1], "one length"),
        ([0, 2], [0.1, 0.2], "neither 0 nor 1"),
        ([0, 1], [0.1, float("nan")], "1 of 2 scores"),
        ([0, 1], [-0.1, 1.2], "2 of 2 scores"),
    ],
)
def test_what_cannot_be_measured_is_refused(y, p, words):
    with pytest.raises(DataError, match=words):
        metrics.binary_metrics(y, p)


def test_uplift_is_joint_minus_alone():
    assert metrics.uplift({"joint": {"auc": 0.75}, "guest_alone": {"auc": 0.5}}, "auc") == 0.25
    assert metrics.uplift({"joint": {"auc": 0.75}, "guest_alone": {"auc": None}}, "auc") is None
    assert metrics.uplift({}, "auc") is None
