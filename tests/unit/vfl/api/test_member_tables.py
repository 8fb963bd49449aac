"""Tables of members that do not fit: one clear cause each, which names the member, the column and the remedy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import vfl
from protocols.errors import ConfigError, DataError
from tests.unit.vfl.api.test_members import FEW, frame

TABLE = frame()[["a", "b", "event"]]
THREE = dict.fromkeys(("x", "y", "z"), TABLE)


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        (TABLE.drop(columns="b"), "z: the table has no column b"),
        (TABLE.assign(d=1, e=1), "z: the table has 'd', 'e', which x lacks"),
        (TABLE.drop(columns="event"), "z: the table has no label 'event'"),
        (TABLE.assign(b="text"), "z: column 'b' does not hold numbers.*take ids out"),
        (TABLE.assign(b=np.nan), "z: column 'b' misses values"),
        (TABLE.iloc[:0], "z: the table has no row"),
        (TABLE.rename(columns={"b": 3}), "z: names of columns are no texts"),
        (pd.concat([TABLE, TABLE[["a"]]], axis=1), "z: names of columns are no texts, or occur twice"),
    ],
)
def test_a_table_that_does_not_fit_the_others(changed: pd.DataFrame, match: str) -> None:
    with pytest.raises(DataError, match=match) as raised:
        vfl.Members.local(THREE | {"z": changed}, label="event")
    assert raised.value.party == "z"


@pytest.mark.parametrize(
    ("changed", "estimator", "match"),
    [
        (TABLE.assign(event=2), "logistic", "z: the label holds other values.*takes labels that are 0 or 1"),
        (TABLE.assign(event=0.5), "poisson", "whole numbers of at least 0"),
        (TABLE.assign(event="yes"), "logistic", r"z: the label is no number.*0 or 1: convert them, such as"),
        (TABLE.assign(event="yes"), "linear", r"takes labels that are numbers: convert them$"),
        (TABLE.assign(event=np.nan), "linear", "z: the label misses values"),
        (TABLE.assign(event=pd.NA).astype({"event": "Int64"}), "logistic", "z: the label misses values"),
    ],
)
def test_a_label_that_does_not_fit(changed: pd.DataFrame, estimator: str, match: str) -> None:
    with pytest.raises(DataError, match=match) as raised:
        vfl.Members.local(THREE | {"z": changed}, label="event").fit(vfl.Averaging(estimator=estimator, rounds=2))
    assert raised.value.party == "z"


@pytest.mark.filterwarnings("ignore:one member that drops out", "ignore:all members. column 'b'")
@pytest.mark.parametrize(
    ("changed", "match"),
    [
        (TABLE.drop(columns="b"), "^new rows: the table has no column b. The model was trained on it: add it"),
        (
            TABLE.assign(b="text"),
            "^new rows: column 'b' does not hold numbers. Encode it as in the table of the training",
        ),
    ],
)
def test_new_rows_that_do_not_fit_the_model(changed: pd.DataFrame, match: str) -> None:
    """The other members' tables, which a training's errors name, have no part in it."""
    model = vfl.Members.local(THREE, label="event").fit(FEW)
    with pytest.raises(DataError, match=match):
        model.predict_score(changed)


def test_a_split_that_leaves_no_row() -> None:
    with pytest.raises(DataError, match="z: the split leaves no row to train on"):
        vfl.Members.local(THREE | {"z": TABLE.iloc[:1]}, label="event").fit(FEW, split=vfl.Split(test=0.9))


@pytest.mark.filterwarnings("ignore:one member that drops out", "ignore:all members. column 'b'")
def test_a_column_beyond_all_sizes_is_named() -> None:
    with pytest.raises(DataError, match=r"[xyz]: column 'b' is too large"):
        vfl.Members.local(dict.fromkeys(THREE, TABLE.assign(b=1e30)), label="event").fit(FEW)


@pytest.mark.parametrize(
    ("given", "label", "match"),
    [
        ({"x": TABLE}, "event", "fewer than 2"),
        (THREE | {"aggregator": TABLE}, "event", "a member is called aggregator"),
        (THREE, 3, "label is no text"),
        ([TABLE], "event", "named tables"),
    ],
)
def test_impossible_arguments(given: Any, label: Any, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        vfl.Members.local(given, label)
