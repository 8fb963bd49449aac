"""What deserves a word in a party's own columns is told to it: a warning in Python, and its own report alone."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest

import vfl
from protocols.cipher import Identity
from vfl.report.page import render
from vfl.report.words import all_cautions

N = 300
RNG = np.random.default_rng(5)
X = RNG.normal(size=(N, 4))
Y = (X.sum(axis=1) + RNG.logistic(size=N) > 0).astype(int)
IDS = [f"C{i:05d}" for i in RNG.permutation(N)]
TREES = vfl.BoostedTrees(n_estimators=2, max_depth=2, max_bin=8)


def fitted(spec: Any, guest: dict[str, Any] | None = None, host: dict[str, Any] | None = None, **more: Any) -> Any:
    """The model and what was warned of, but of a training that was cut short."""
    bank = pd.DataFrame({"id": IDS, "y": Y, "a": X[:, 0], "b": X[:, 1], **(guest or {})})
    shop = pd.DataFrame({"id": IDS, "c": X[:, 2], "d": X[:, 3], **(host or {})})
    fed = vfl.Federation.local(bank, {"shop": shop}, on="id", label="y", cipher=Identity(), **more)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        model = fed.fit(spec, split=vfl.Split(test=0.25))
    return model, [str(one.message) for one in seen if "max_iter" not in str(one.message)]


def spoilt(value: float, rows: int) -> np.ndarray:
    out = X[:, 2].copy()
    out[:rows] = value
    return out


@pytest.mark.parametrize(("value", "rows"), [(1e12, 1), (999999999.0, 6), (-999.0, 20)])
def test_a_flattened_column_is_told_to_its_owner_alone(value: float, rows: int) -> None:
    model, seen = fitted(vfl.LogisticRegression(max_iter=10), host={"e": spoilt(value, rows)})
    (said,) = seen
    assert said.startswith("shop: column 'e': the value")
    reports = {party: all_cautions(report.result) for party, report in model.reports_.items()}
    assert said.removeprefix("shop: ") in reports["shop"]
    assert not any("'e'" in one for one in reports["guest"])
    assert "far outside of all others" in render(model.reports_["shop"].result)
    assert "far outside of all others" not in render(model.reports_["guest"].result)


def test_who_bins_its_columns_is_not_told_of_distances() -> None:
    wild = {"e": spoilt(1e12, 1)}
    assert fitted(TREES, host=wild)[1] == []
    fed_steps = vfl.Preprocessing(clip_quantiles=(0.01, 0.99))
    bank = pd.DataFrame({"id": IDS, "y": Y, "a": X[:, 0]})
    fed = vfl.Federation.local(
        bank, {"shop": pd.DataFrame({"id": IDS, **wild})}, on="id", label="y", cipher=Identity(), convergence=False
    )
    fed.fit(vfl.LogisticRegression(max_iter=5), preprocess=fed_steps)  # warnings are errors here


@pytest.mark.parametrize(
    ("column", "words"),
    [
        (Y, "tells the label"),
        (np.where(Y == 1, "late", "paid"), "tells the label"),
        (IDS, "holds the ids"),
        (pd.date_range("2024-01-01", periods=N).strftime("%Y%m%d").astype(int), "days (YYYYMMDD)"),
        (np.arange(N), "numbers the rows"),
        (4_000_000_000 + RNG.permutation(N), "numbers of accounts"),
        (np.full(N, 7.0), "all rows have one value"),
        (["same"] * N, "all rows have one value"),
    ],
    ids=["label", "text of the label", "ids", "days", "rows", "accounts", "one number", "one text"],
)
def test_columns_that_are_no_features(column: Any, words: str) -> None:
    (said,) = fitted(TREES, guest={"e": column})[1]
    assert said.startswith("guest: column 'e': ")
    assert words in said
    assert 'vfl.TableOptions(exclude=["e"])' in said


@pytest.mark.parametrize(
    ("spec", "who"),
    [
        (vfl.Scorecard(min_bin_rows=N, link="taylor", max_iter=5), ["guest", "shop"]),
        (vfl.BoostedTrees(n_estimators=2, max_depth=2, min_bin_rows=N), ["shop"]),  # a guest bins its own as it likes
    ],
    ids=["scorecard", "trees"],
)
def test_bins_of_more_rows_than_there_are_leave_nothing_to_learn_from(spec: Any, who: list[str]) -> None:
    said = [one for one in fitted(spec)[1] if "one bin" in one]
    assert [one.partition(":")[0] for one in said] == who
    assert all(f"min_bin_rows = {N}, and this table has {N} rows" in one for one in said)
    assert not [one for one in fitted(TREES)[1] if "one bin" in one]


def test_a_guessed_event_is_told_in_the_report_too() -> None:
    model, seen = fitted(TREES, guest={"y": np.where(Y == 1, "late", "ok")})
    assert "name the event in pos_label" in seen[0]
    assert "name the event in pos_label" in all_cautions(model.reports_["guest"].result)[0]
    assert not all_cautions(model.reports_["shop"].result)
    _, named = fitted(TREES, guest={"y": np.where(Y == 1, "late", "ok")}, pos_label="late")
    assert named == []


def test_the_label_of_another_table_tells_nothing_to_a_host() -> None:
    """A host has no label to compare with, and nothing of the guest's reaches it."""
    assert fitted(TREES, host={"e": Y})[1] == []


def test_a_model_says_how_many_rows_it_was_trained_on() -> None:
    model, _ = fitted(TREES)
    rows = model.reports_["guest"].result["alignment"]["train_rows"]
    assert 200 < rows < N
    assert f"trained on {rows} of {N} common rows" in repr(model)
