"""The page of a prediction describes the prediction: its rows, why some have no score, and how the scores spread."""

from __future__ import annotations

import csv
import html
import io
import re
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.unit.vfl.report.conftest import frame
from vfl.models.baseline import Baseline, compare
from vfl.models.new_rows import NewRows
from vfl.report import render
from vfl.report.page import as_csv, as_plain
from vfl.report.prediction import shortened
from vfl.report.terminal import print_summary
from vfl.run.prediction_result import prediction_result
from vfl.screen.console import Console

SCORES = np.linspace(0.1, 0.5, 9)


def new_rows(total: int = 12, rows: int = 10) -> NewRows:
    table: Any = None
    index, features = pd.RangeIndex(total), pd.DataFrame(index=range(total))
    return NewRows("bank", table, np.arange(rows), features, index, {"age": 2, "<b>limit": 1}, {"region": 3})


def result(role: str = "guest", predicted: np.ndarray[Any, Any] | None = SCORES, **more: Any) -> dict[str, Any]:
    classes = None if predicted is None or predicted.ndim == 1 else ("low", "middle", "<i>high")
    party = {"guest": "bank", "host": "telecom", "arbiter": "trustco"}[role]
    told = {} if role == "arbiter" else prediction_result(new_rows(), classes, predicted)
    content = frame(role, party) | {"purpose": "predict", "outcome": "binary", "prediction": told} | more
    content["model"] = {"kind": "logistic-regression", "model_id": "5e" * 16}
    return dict(as_plain(content))


def words(page: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).replace("\u00a0", " ").split())


def test_the_numbers_add_up() -> None:
    told = prediction_result(new_rows(), None, SCORES)
    assert (told["rows"], told["scored"], told["left_out"], told["unknown"]) == (12, 9, 2, 1)
    assert told["missing"] == {"age": 2, "<b>limit": 1}
    assert sum(told["scores"]["histogram"]) == told["scored"]
    assert told["scores"]["median"] == pytest.approx(np.median(SCORES))
    assert (told["scores"]["min"], told["scores"]["max"]) == (0.1, 0.5)
    one = prediction_result(new_rows(1, 1), None, SCORES[:1])
    assert (one["unknown"], one["scores"]["sd"], one["scores"]["histogram"]) == (0, 0.0, [1])
    none = prediction_result(new_rows(1, 1), None, SCORES[:0])
    assert (none["scored"], none["unknown"], "scores" in none) == (0, 1, False)
    assert "scored" not in prediction_result(new_rows(), None, None)  # at a host


def test_a_guests_page_says_what_was_scored_and_why_the_rest_was_not() -> None:
    page = render(result())
    text = words(page)
    assert "<title>credit-risk: prediction of bank</title>" in page
    assert "The joint model scored 9 of bank’s 12 rows." in text
    assert "Without a score 3" in text
    assert "a value is missing in this party’s table: age (2), <b>limit (1) 2" in text
    assert "a partner does not know the id, or cannot score the row either 1" in text
    assert "Column region: 3 rows hold a text that the model does not know." in text
    assert "Distribution of the probability of the event" in text
    assert f"Model’s name {'5e' * 16}" in text
    assert "Scored on 20 November 2026" in text
    assert "With telecom" in text
    assert "no scores of the training to compare these with" in text
    assert "<b>limit" not in page  # escaped
    for training in ("What the partner’s columns are worth", "Model card", "Iterations over the data"):
        assert training not in text


def test_scores_are_compared_with_those_of_the_training_where_it_opened_any() -> None:
    before = Baseline.of("bank", b"m", pd.DataFrame({"age": np.arange(90.0)}), np.linspace(0, 1, 90))
    moved = compare(before, pd.DataFrame({"age": np.arange(12.0)}), SCORES)
    text = words(render(result(stability=moved)))
    assert "Compared with the scores that training opened: PSI" in text
    assert "there are no scores of the training" not in text.lower()
    unscored = compare(before, pd.DataFrame({"age": np.arange(12.0)}))
    assert "no scores of the training to compare" in words(render(result(stability=unscored)))


@pytest.mark.parametrize(
    ("bins", "short"),
    [
        (["up to 0.187259", "0.187259 to 0.231127", "above 0.231127", "missing"], ["up to 0.19", "0.19 to 0.23", "above 0.23", "missing"]),  # noqa: E501
        (["up to -0.5012", "-0.5012 to -0.5049"], ["up to -0.501", "-0.501 to -0.505"]),
        (["up to 1.00001", "above 1.00002"], ["up to 1.00001", "above 1.00002"]),  # six digits tell them apart
    ],
)  # fmt: skip
def test_bounds_have_as_few_digits_as_keep_them_apart(bins: list[str], short: list[str]) -> None:
    assert shortened(bins) == short


def test_classes_have_a_line_each() -> None:
    predicted = np.array([[0.7, 0.2, 0.1], [0.1, 0.2, 0.7], [0.2, 0.1, 0.7]])
    text = words(render(result(predicted=predicted, outcome="multiclass")))
    assert "low 33.3 %" in text
    assert "<i>high 50.0 %" in text


@pytest.mark.parametrize(
    ("role", "says", "hides"),
    [
        ("host", "telecom contributed its columns to score new rows", "Without a score"),
        ("arbiter", "trustco helped to score new rows; it saw no table and no score", "rows without"),
    ],
)
def test_other_parties_see_what_they_know(role: str, says: str, hides: str) -> None:
    text = words(render(result(role, None)))
    assert says in text
    assert hides not in text
    assert ("a value is missing in this party’s table: age (2)" in text) == (role == "host")


def test_the_same_numbers_are_in_the_csv_and_in_the_terminal() -> None:
    content = result()
    lines = {tuple(line[:4]): line[4] for line in csv.reader(io.StringIO(as_csv(content)))}
    assert lines["prediction", "", "", "scored"] == "9"
    assert lines["prediction", "", "age", "missing"] == "2"
    assert lines["prediction", "", "region", "unseen"] == "3"
    assert float(lines["prediction", "", "score", "median"]) == pytest.approx(0.3)
    stream = io.StringIO()
    print_summary(content, Console(file=stream, width=160), "runs/predict-risk")
    assert re.search(r"scored\s+9\b", stream.getvalue())
    assert "a partner does not know the id" in stream.getvalue()
    assert "smallest" in stream.getvalue()


def test_a_report_of_an_earlier_release_is_still_shown() -> None:
    old = result()
    del old["prediction"]
    old["alignment"] = {"guest_rows": 12, "host_rows": None, "intersection": 9}
    assert "The joint model scored 9 of bank’s 12 rows" in words(render(old))
