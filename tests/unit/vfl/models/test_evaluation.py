"""`vfl.evaluate`: what a notebook gets is what the metrics say of the rows that were scored; and the tutorial runs as
printed."""

from __future__ import annotations

import json
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import vfl
from protocols.cipher import Paillier
from protocols.errors import ConfigError, DataError
from tests.places import ROOT
from vfl import metrics
from vfl.models.evaluation import Sampling, optimistic


def labels_and_scores(n: int = 90) -> tuple[pd.Series, pd.Series, np.ndarray]:
    rng = np.random.default_rng(2)
    score = pd.Series(rng.random(n), index=[f"id{i}" for i in range(n)])
    y = pd.Series(np.where(rng.random(n) < score, "bad", "good"), index=score.index)
    return y, score, rng.random(n)


def test_unscored_rows_are_left_out_of_both_models(tmp_path: Path) -> None:
    y, score, alone = labels_and_scores()
    score.iloc[::3] = np.nan
    known = score.notna().to_numpy()
    event = (y[known] == "good").to_numpy().astype(float)
    with pytest.warns(UserWarning, match="evaluate is of 60 of 90 rows: joint has no prediction of the others") as said:
        found = vfl.evaluate(y, score, alone, pos_label="good", seed=4)
    assert [one.filename for one in said] == [__file__]
    assert found.metrics["joint"].to_dict() == pytest.approx(metrics.binary_metrics(event, score[known]))
    assert found.metrics["guest_alone"].to_dict() == pytest.approx(metrics.binary_metrics(event, alone[known]))
    expected = metrics.uplift_interval(event, score[known], alone[known], seed=4)["measures"]
    assert found.uplift.loc["auc"].to_dict() == pytest.approx(expected["auc"])
    page = found.save(tmp_path / "out")
    assert json.loads(page.with_name("report.json").read_text())["classes"] == ["bad", "good"]
    assert "60 held-out rows" in page.read_text().replace("\u2011", "-")
    assert repr(found).startswith("Evaluation of 60 rows")


def test_a_report_is_not_overwritten_by_accident(tmp_path: Path) -> None:
    y, score, alone = labels_and_scores()
    aligned = vfl.align(
        pd.DataFrame({"id": y.index, "a": score.to_numpy()}), {"shop": pd.DataFrame({"id": y.index[:50]})}, on="id"
    )
    first = vfl.evaluate(y, score, name="first", pos_label="good")
    second = vfl.evaluate(y, score, alone, name="second", pos_label="good")
    page = first.save(tmp_path / "out")
    for other in (second, aligned):
        with pytest.raises(ConfigError, match=r"out holds a report already \(report.html.*overwrite=True"):
            other.save(tmp_path / "out")
    assert "<title>first" in page.read_text()
    assert "<title>second" in second.save(tmp_path / "out", overwrite=True).read_text()
    with pytest.raises(ConfigError, match="overwrite"):
        second.save(tmp_path / "out", overwrite="yes")  # type: ignore[arg-type]
    for _ in range(2):
        aligned.save(tmp_path / "aligned", overwrite=True)


def test_other_outcomes_and_one_model_alone() -> None:
    rng = np.random.default_rng(5)
    y = rng.choice(["bus", "saab", "van"], 60)
    p = pd.DataFrame(rng.dirichlet([1, 1, 1], 60), columns=["van", "bus", "saab"])
    codes = [["van", "bus", "saab"].index(v) for v in y]
    found = vfl.evaluate(y, p, outcome="multiclass")
    assert found.metrics["joint"].to_dict() == pytest.approx(metrics.class_metrics(codes, p))
    assert found.uplift.empty
    assert list(found.uplift.columns) == ["change", "low", "high"]
    mean = rng.random(60) + 0.5
    counts = rng.poisson(mean)
    assert (
        vfl.evaluate(counts, mean, outcome="count").metrics.loc["deviance", "joint"]
        == metrics.count_metrics(counts, mean)["deviance"]
    )
    assert (
        vfl.evaluate(counts, mean, outcome="numeric").metrics.loc["r2", "joint"]
        == metrics.numeric_metrics(counts, mean)["r2"]
    )


def test_what_does_not_fit_is_refused() -> None:
    y, score, _ = labels_and_scores()
    for call, error, words in (
        (lambda: vfl.evaluate(y, score.sample(frac=1, random_state=1)), DataError, "same index"),
        (
            lambda: vfl.evaluate([0, 1, 1], [0.1, 0.2], [0.1]),
            DataError,
            "one length: y holds 3 values, joint 2 values, guest_alone one value. Pass",
        ),
        (
            lambda: vfl.evaluate([1, 1], [0.1, 0.2]),
            DataError,
            "one value only. Measures .* need rows with and without",
        ),
        (lambda: vfl.evaluate(["a", "b", "c"], [0.1, 0.2, 0.3]), DataError, "the labels hold 3 values"),
        (lambda: vfl.evaluate(y, score, outcome="survival"), ConfigError, "outcome = 'survival' is not possible"),
        (
            lambda: vfl.evaluate(["x"], pd.DataFrame({"a": [0.5], "b": [0.5]}), outcome="multiclass"),
            DataError,
            "none of the classes",
        ),
        (
            lambda: vfl.evaluate([0, 1, 0], [10, 20, 30]),
            DataError,
            "3 of 3 scores are not probabilities, .* Pass the probability of the event",
        ),
        (lambda: vfl.evaluate([0, 1], [0.5, 0.5], sample_weight=[1]), DataError, "expected 2 values, found one value"),
        (
            lambda: vfl.metrics.binary_metrics([0, 1], [0.5, np.nan]),
            DataError,
            "1 of 2 scores are missing. Leave out the rows",
        ),
        (lambda: vfl.evaluate([0, 1], [np.nan, np.nan]), DataError, "no row has a prediction"),
        (lambda: vfl.evaluate([0, 1], [0.2, 0.3], [0.2, np.nan]), DataError, "guest_alone misses predictions"),
        (lambda: vfl.evaluate(pd.Series(["a", 1]), [0.2, 0.3]), DataError, "the labels mix types"),
    ):
        with pytest.raises(error, match=words):
            call()


CLASSES = pd.DataFrame(np.full((4, 3), 1 / 3), columns=[0, 1, 2])
HALF = [0.5, 0.4, 0.3, 0.2]
DAYS = pd.date_range("2026-01-01", periods=4)


@pytest.mark.parametrize(
    ("y", "joint", "outcome", "words"),
    [
        ([], [], "binary", "no row has a prediction"),
        ([0, 1, None, 1], HALF, "binary", "labels are missing in row 3"),
        (["a", None, "b", None], HALF, "binary", "labels are missing in rows 2, 4"),
        ([0, 1, np.nan, 1], HALF, "numeric", "labels are missing in row 3"),
        (pd.array([0, None, 1, 1], "Int64"), HALF, "count", "labels are missing in row 2"),
        (np.ma.masked_array([0, 1, 0, 1], [0, 0, 1, 0]), HALF, "binary", "labels are missing in row 3"),
        ([0, 1, 0, 1], pd.DataFrame({0: HALF, 1: HALF}), "binary", "predictions are a frame"),
        ([0, 1, 0, 1], pd.Series(HALF).to_frame(), "binary", "predictions are a frame"),
        ([0, 1, 0, 1], np.array(HALF) + 1j, "binary", "predictions are not numbers"),
        ([0, 1, 0, 1], DAYS, "numeric", "predictions are not numbers"),
        ([0, 1, 0, 1], DAYS - DAYS[0], "numeric", "predictions are not numbers"),
        (DAYS, HALF, "numeric", "labels are not numbers"),
        (DAYS - DAYS[0], HALF, "count", "labels are not numbers"),
        (np.array(HALF) + 1j, HALF, "numeric", "labels are not numbers"),
        ([0, 1, 0, 1], CLASSES.to_numpy(), "multiclass", "for each class: 2 classes, columns 3"),
        ([0, 1, 2, 1], HALF, "multiclass", "do not have a column for each class"),
    ],
)
def test_odd_labels_and_predictions_are_refused(y: Any, joint: Any, outcome: Any, words: str) -> None:
    with pytest.raises(DataError, match=words):
        vfl.evaluate(y, joint, outcome=outcome)


def test_labels_of_rows_without_a_prediction_may_be_missing() -> None:
    y, score = pd.Series([0, 1, None, 1, 0], dtype="Int64"), pd.Series([0.2, 0.7, None, 0.6, 0.4], dtype="Float64")
    with pytest.warns(UserWarning, match="of 4 of 5 rows"):
        found = vfl.evaluate(y, score)
    assert found.metrics.loc["n", "joint"] == 4
    assert found.metrics.loc["auc", "joint"] == 1.0
    masked = np.ma.masked_array([0.2, 0.7, 0.0, 0.6, 0.4], [0, 0, 1, 0, 0])
    with pytest.warns(UserWarning, match="of 4 of 5 rows"):
        assert vfl.evaluate([0, 1, 1, 1, 0], masked).metrics.loc["n", "joint"] == 4
    with pytest.warns(UserWarning, match="of 2 of 3 rows"):
        only_one = vfl.evaluate([0, 1, 1], [np.nan, 0.5, 0.6])  # the other class is among rows without a prediction
    assert only_one.metrics.loc["n", "joint"] == 2


@pytest.mark.long
@pytest.mark.timeout(400)  # on the portable arithmetic and a slow machine
def test_every_block_of_the_tutorial_runs_as_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under a small key: which bits it has changes no line of it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("vfl.api.federation.paillier", lambda bits: Paillier(1024))
    text = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    assert len(blocks) == text.count("\n## ") - 1  # one a section, but for the last
    names: dict[str, object] = {}
    with warnings.catch_warnings():  # of a scorecard, as the page says; the signs are near zero
        warnings.filterwarnings("ignore", message=".*a weight of the wrong sign", category=UserWarning)
        exec(compile("\n".join(blocks), "tutorial.md", "exec"), names)
    found, score = names["found"], names["score"]
    assert isinstance(found, vfl.Evaluation)
    assert isinstance(score, pd.Series)
    assert found.metrics.loc["auc", "joint"] > 0.6
    assert found.metrics.loc["n", "joint"] == score.notna().sum() == len(names["test"])  # type: ignore[arg-type]
    assert (tmp_path / "report" / "report.html").exists()
    assert len(names["before"]) == len(names["now"]) > 1  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("now", "earlier", "said"),
    [
        ((0.2, 7), (0.2, 7), False),
        ((0.1, 7), (0.2, 7), False),
        ((0.3, 7), (0.2, 7), True),
        ((0.2, 8), (0.2, 7), True),
        ((0.2, 7), (), True),
        ((), (), False),
        ((0.2, 7, "", "phone"), (0.2, 7, "", "id"), True),
        ((0.2, 7, "2026-02-01"), (0.2, 7, "2026-01-01"), False),
        ((0.0, 0, "2026-01-01"), (0.2, 7, "2026-01-01"), False),
        ((0.2, 7, "2026-01-01"), (0.2, 7, "2026-02-01"), True),
        ((0.0, 0, "2026-01-01"), (0.2, 7), True),
        ((0.2, 7), (0.2, 7, "2026-01-01"), False),
    ],
)
def test_a_continued_model_is_measured_on_rows_that_all_its_rounds_left_out(
    now: tuple[Any, ...], earlier: tuple[Any, ...], said: bool
) -> None:
    """Against rows themselves: what is held out now, less what was left out then."""
    assert bool(optimistic(Sampling(*now), Sampling(*earlier))) is said
    day = {"": 10**6, "2026-01-01": 20, "2026-02-01": 30}

    def left_out(drawn: Sampling) -> set[int]:
        draw = np.random.default_rng([drawn.seed, len(drawn.ids)]).random(40)
        return set(np.flatnonzero(draw < drawn.test)) | set(range(day[drawn.cut_off], 40))

    assert bool(left_out(Sampling(*now)) - left_out(Sampling(*earlier))) is said
