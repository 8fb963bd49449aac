"""Weights of rows count in every measure as scikit-learn's `sample_weight` does, and whole ones as repeated rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as reference

import vfl
from protocols.cipher import Identity
from protocols.errors import DataError
from vfl import metrics
from vfl.metrics.classes import class_series

RNG = np.random.default_rng(8)
N = 500
Y = (RNG.random(N) < 0.3).astype(int)
P = np.clip(0.3 + 0.2 * Y + 0.15 * RNG.normal(size=N), 0.01, 0.99).round(2)  # with ties
W = np.exp(RNG.normal(size=N))
TIMES = RNG.integers(1, 5, N)
K = RNG.integers(0, 3, N)
SHARES = RNG.dirichlet(np.ones(3), N) * 0.7 + 0.3 * np.eye(3)[K]
COUNTS, MEANS = RNG.poisson(0.4, N).astype(float), np.exp(RNG.normal(-1, 0.5, N)).round(2)


def test_two_classes_are_measured_as_scikit_learn_does() -> None:
    got = metrics.binary_metrics(Y, P, W)
    assert got["auc"] == pytest.approx(reference.roc_auc_score(Y, P, sample_weight=W))
    assert got["average_precision"] == pytest.approx(reference.average_precision_score(Y, P, sample_weight=W))
    assert got["log_loss"] == pytest.approx(reference.log_loss(Y, P, sample_weight=W))
    assert got["brier"] == pytest.approx(reference.brier_score_loss(Y, P, sample_weight=W))
    assert got["accuracy"] == pytest.approx(reference.accuracy_score(Y, P > 0.5, sample_weight=W))
    fpr, tpr, _ = reference.roc_curve(Y, P, sample_weight=W)
    assert got["ks"] == pytest.approx(np.abs(tpr - fpr).max())
    assert got["base_rate"] == pytest.approx(np.average(Y, weights=W))
    assert got["n"] == N
    assert abs(got["auc"] - metrics.binary_metrics(Y, P)["auc"]) > 1e-4  # the control: they matter


def test_several_classes_are_measured_as_scikit_learn_does() -> None:
    got, given = metrics.class_metrics(K, SHARES, W), SHARES.argmax(axis=1)
    assert got["accuracy"] == pytest.approx(reference.accuracy_score(K, given, sample_weight=W))
    assert got["macro_f1"] == pytest.approx(reference.f1_score(K, given, average="macro", sample_weight=W))
    assert got["log_loss"] == pytest.approx(reference.log_loss(K, SHARES, sample_weight=W))
    aucs = [reference.roc_auc_score(k == K, SHARES[:, k], sample_weight=W) for k in range(3)]
    assert got["macro_auc"] == pytest.approx(np.mean(aucs))
    assert [line["rows"] for line in class_series(K, SHARES, "abc", W)["classes"]] == np.bincount(K).tolist()


def test_whole_weights_are_repeated_rows() -> None:
    each = np.repeat(np.arange(N), TIMES)
    for measure, y, p in (
        (metrics.binary_metrics, Y, P),
        (metrics.class_metrics, K, SHARES),
        (metrics.count_metrics, COUNTS, MEANS),
    ):
        once, often = measure(y, p, TIMES), measure(y[each], p[each])
        assert {n: v for n, v in once.items() if n != "n"} == pytest.approx(
            {n: v for n, v in often.items() if n != "n"}
        )
    once, often = metrics.plot_series(Y, P, TIMES), metrics.plot_series(Y[each], P[each])
    for name, column in (("roc", "tpr"), ("gain", "events"), ("precision_recall", "precision"), ("ks", "events")):
        assert once[name][column] == pytest.approx(often[name][column])
    for here, there in zip(once["deciles"], often["deciles"], strict=True):
        assert here["gain"] == pytest.approx(there["gain"], abs=0.01)  # groups are of whole rows there
        assert here["mean_predicted"] == pytest.approx(there["mean_predicted"], abs=0.005)


def test_calibration_bins_hold_weighted_means() -> None:
    points = metrics.plot_series(Y, P, W)["calibration"]
    plain = metrics.plot_series(Y, P)["calibration"]
    assert points["count"] == plain["count"]
    low = np.quantile(P, 0.1, method="inverted_cdf") >= P
    assert points["observed"][0] == pytest.approx(np.average(Y[low], weights=W[low]), abs=1e-6)
    assert points["predicted"][0] == pytest.approx(np.average(P[low], weights=W[low]), abs=1e-6)
    assert points["high"][0] - points["low"][0] > plain["high"][0] - plain["low"][0]  # fewer rows are worth as much
    equal = metrics.plot_series(Y, P, np.full(N, 7.0))["calibration"]
    assert equal["low"] == pytest.approx(plain["low"])


def test_intervals_of_weighted_rows_are_around_the_weighted_change() -> None:
    alone = np.clip(P + 0.2 * RNG.normal(size=N), 0.01, 0.99)
    found = metrics.uplift_interval(Y, P, alone, weight=W)["measures"]
    here, there = metrics.binary_metrics(Y, P, W), metrics.binary_metrics(Y, alone, W)
    for name in ("auc", "ks", "log_loss", "brier"):
        assert found[name]["change"] == pytest.approx(here[name] - there[name])
        assert found[name]["low"] < found[name]["change"] < found[name]["high"]


def test_the_order_of_counts() -> None:
    got = metrics.count_metrics(COUNTS, MEANS)
    assert abs(got["gini"]) < 0.15  # predictions of noise
    best = metrics.count_metrics(COUNTS, COUNTS + 0.01)
    assert best["gini"] > 0.6
    assert best["lift_10"] > 2.5
    binary = metrics.binary_metrics(Y, P)
    of_events = metrics.count_metrics(Y.astype(float), P)
    assert of_events["gini"] == pytest.approx(binary["gini"] * (1 - Y.mean()))  # the Lorenz curve's
    assert of_events["lift_10"] == pytest.approx(binary["lift_10"])
    assert metrics.count_metrics(np.zeros(5), np.ones(5))["gini"] is None
    assert metrics.count_metrics(COUNTS, np.ones(N))["gini"] == pytest.approx(0)


def test_tables_of_counts_are_sums_of_weights() -> None:
    """Cut-offs, histogram and confusion matrix, against scikit-learn; whole weights are repeated rows."""
    series = metrics.plot_series(Y, P, W)
    assert series["weighted"]
    assert "weighted" not in metrics.plot_series(Y, P)
    for cutoff in (0.0, 0.3, 0.5, 0.995):
        got = metrics.at_cutoff(series["cutoffs"], cutoff)
        table = reference.confusion_matrix(Y, cutoff <= P, sample_weight=W)
        names = ("true_negatives", "false_positives", "false_negatives", "true_positives")
        assert [got[name] for name in names] == pytest.approx(table.ravel(), abs=1e-5)
        by = {"sample_weight": W, "zero_division": np.nan}
        assert got["recall"] == pytest.approx(reference.recall_score(Y, cutoff <= P, **by), nan_ok=True)
        assert got["accuracy"] == pytest.approx(reference.accuracy_score(Y, cutoff <= P, sample_weight=W))
    assert sum(series["histogram"]["events"]) == pytest.approx(W[Y == 1].sum())
    matrix = class_series(K, SHARES, "abc", W)["confusion"]
    assert matrix == pytest.approx(reference.confusion_matrix(K, SHARES.argmax(axis=1), sample_weight=W), abs=1e-5)
    each = np.repeat(np.arange(N), TIMES)
    once, often = metrics.plot_series(Y, P, TIMES), metrics.plot_series(Y[each], P[each])
    for name in ("cutoffs", "histogram"):
        for column in once[name]:
            assert once[name][column] == pytest.approx(often[name][column])
    of_numbers = metrics.numeric_series(COUNTS, MEANS, W)["residuals"]["count"]
    assert sum(of_numbers) == pytest.approx(W.sum())


def test_evaluate_takes_weights() -> None:
    alone, some = np.clip(P + 0.1, 0, 1), np.arange(N) % 3 > 0
    scores = pd.Series(np.where(some, P, np.nan))
    with pytest.warns(UserWarning, match="333 of 500 rows"):
        found = vfl.evaluate(pd.Series(Y), scores, alone, sample_weight=pd.Series(W))
    want = metrics.binary_metrics(Y[some], P[some], W[some])
    assert found.metrics["joint"].to_dict() == pytest.approx(want)
    assert found.metrics.loc["auc", "joint"] == pytest.approx(
        reference.roc_auc_score(Y[some], P[some], sample_weight=W[some])
    )
    ends = metrics.uplift_interval(Y[some], P[some], alone[some], weight=W[some])["measures"]
    assert found.uplift.loc["auc"].to_dict() == pytest.approx(ends["auc"])
    for outcome, y, p, measure in (
        ("multiclass", K, SHARES, metrics.class_metrics),
        ("count", COUNTS, MEANS, metrics.count_metrics),
        ("numeric", COUNTS, MEANS, metrics.numeric_metrics),
    ):
        got = vfl.evaluate(y, p, outcome=outcome, sample_weight=W)
        assert got.metrics["joint"].to_dict() == pytest.approx(measure(y, p, W))
        assert got.result["plots"]["test"]["joint"]["weighted"]


def test_the_page_says_that_rows_count_by_their_weights(tmp_path: Path) -> None:
    for weight, said in ((W, 2), (None, 0)):  # the table at a cut-off, and the deciles
        page = vfl.evaluate(Y, P, sample_weight=weight).save(tmp_path / str(said))
        assert page.read_text().count("each row counted by its weight") == said


@pytest.mark.parametrize("wrong", [W[:-1], -W, W * np.nan, np.zeros(N), ["CANARY"] * N, W[:, None], {"a": 1}, "w"])
def test_evaluate_refuses_weights_that_are_none(wrong: object) -> None:
    with pytest.raises(DataError, match=r"^sample_weight (is not one number|holds values)") as caught:
        vfl.evaluate(Y, P, sample_weight=wrong)
    assert "CANARY" not in str(caught.value)


def test_frames_of_different_rows_or_classes_are_refused() -> None:
    index = pd.RangeIndex(N)
    turned = pd.Series(W, index=index[::-1])
    classes = pd.DataFrame(SHARES, columns=[0, 1, 2])
    for call, said in (
        (lambda: vfl.evaluate(pd.Series(Y), P, sample_weight=turned), "labels and sample_weight do not have"),
        (lambda: vfl.evaluate(Y, pd.Series(P), pd.Series(P, index=index[::-1])), "joint and guest_alone do not have"),
        (lambda: vfl.evaluate(K, classes, classes[[2, 1, 0]], outcome="multiclass"), "the same columns"),
    ):
        with pytest.raises(DataError, match=said):
            call()


@pytest.mark.parametrize("wrong", [W[:-1], -W, W * np.nan, np.zeros(N)])
def test_weights_that_are_none(wrong: np.ndarray) -> None:
    for measure, y, p in ((metrics.binary_metrics, Y, P), (metrics.class_metrics, K, SHARES)):
        with pytest.raises(DataError, match="weights are not one number above 0 per row"):
            measure(y, p, wrong)


def test_a_report_measures_by_the_weights_of_the_training() -> None:
    x = RNG.normal(size=(N, 2))
    y = (x.sum(axis=1) + RNG.logistic(size=N) > 0).astype(int)
    guest = pd.DataFrame({"id": range(N), "y": y, "a": x[:, 0], "w": W})
    host = pd.DataFrame({"id": range(N), "b": x[:, 1]})
    asked = {"on": "id", "label": "y", "cipher": Identity(), "convergence": False}
    fed = vfl.Federation.local(guest, {"h": host}, sample_weight="w", **asked)
    model = fed.fit(vfl.LogisticRegression(max_iter=20), split=vfl.Split(test=0.4))
    report = model.reports_["guest"]
    scores = model.predict_score(guest.drop(columns=["y", "w"]), {"h": host})
    aucs = {
        weighed: report.metrics.loc["auc", "joint"]
        - _auc_of_held_out(scores.to_numpy(), y, W if weighed else np.ones(N), report)
        for weighed in (True, False)
    }
    assert abs(aucs[True]) < 1e-9 < abs(aucs[False])


def _auc_of_held_out(scores: np.ndarray, y: np.ndarray, weights: np.ndarray, report: vfl.Evaluation) -> float:
    from vfl.data import key_lists, split_rows
    from vfl.data.keys import keys_of

    (ids,), _ = keys_of(pd.DataFrame({"id": range(N)}), "guest", key_lists(("id",)), {}, "error")
    held = split_rows(ids, 0.4, 0)
    assert held.sum() == report.metrics.loc["n", "joint"]
    return float(reference.roc_auc_score(y[held], scores[held], sample_weight=weights[held]))
