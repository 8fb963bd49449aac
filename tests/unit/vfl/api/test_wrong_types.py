"""Values of a wrong type, as a notebook passes them: each is a typed error that says what the parameter is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

import vfl
from protocols.errors import ConfigError, DataError, VFLError

ESTIMATORS = (
    vfl.LogisticRegression,
    vfl.LinearRegression,
    vfl.PoissonRegression,
    vfl.BoostedTrees,
    vfl.Scorecard,
    vfl.Preprocessing,
    vfl.Split,
)
TABLE = pd.DataFrame({"id": ["a", "b", "c"], "label": [0, 1, 1], "x": [1.0, 2.0, 3.0]})


def federation(**changed: Any) -> vfl.Federation:
    given: dict[str, Any] = {
        "guest": TABLE,
        "hosts": {"lab": TABLE[["id", "x"]]},
        "on": "id",
        "label": "label",
    } | changed
    return vfl.Federation.local(**given, convergence=False)


@pytest.mark.parametrize(
    "value", ["x", [[1]], {}, b"x", object(), float("nan")], ids=["text", "list", "mapping", "bytes", "object", "nan"]
)
@pytest.mark.parametrize(("estimator", "name"), [(e, name) for e in ESTIMATORS for name in e().get_params()])
def test_a_parameter_of_a_wrong_type_is_a_typed_error(estimator: type, name: str, value: object) -> None:
    with pytest.raises(VFLError, match=name):
        estimator(**{name: value})


@pytest.mark.parametrize("estimator", [vfl.BoostedTrees, vfl.Scorecard])
@pytest.mark.parametrize("key", ["min_bin_rows", "base_score"])
def test_a_truth_value_is_no_number(estimator: type, key: str) -> None:
    with pytest.raises(ConfigError, match=f"{key} = True is not possible"):
        estimator(**{key: True})


def test_a_number_of_numpy_is_a_number() -> None:
    assert vfl.BoostedTrees(learning_rate=np.float32(0.25), base_score=np.float64(0.5)).learning_rate == 0.25


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        ({"on": 3}, "on is neither"),
        ({"on": [3]}, "on is neither"),
        ({"normalise": 3}, "normalise is neither"),
        ({"sample_weight": np.ones(3)}, "sample_weight is the name of a column"),
    ],
)
def test_a_federation_names_what_has_the_wrong_type(changed: dict[str, Any], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        federation(**changed)


def test_steps_that_are_no_preprocessing_are_refused() -> None:
    with pytest.raises(ConfigError, match="preprocess is a str"):
        federation().fit(vfl.LogisticRegression(), preprocess="median")  # type: ignore[call-overload]


@pytest.mark.parametrize(
    "evaluate",
    [
        lambda: vfl.evaluate([0, 1], ["x", "y"]),
        lambda: vfl.evaluate("ab", [0.1, 0.2]),
        lambda: vfl.evaluate([0, 1], 0.5),
        lambda: vfl.evaluate(["x", "y"], [1.0, 2.0], outcome="numeric"),
    ],
    ids=["texts as predictions", "a text as labels", "one number", "texts as numbers"],
)
def test_an_evaluation_of_no_numbers_is_a_data_error(evaluate: Callable[[], object]) -> None:
    with pytest.raises(DataError):
        evaluate()
