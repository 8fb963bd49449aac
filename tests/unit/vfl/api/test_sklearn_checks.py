"""scikit-learn's own checks of estimators, those that need no table: its tools clone and show ours as their own."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from sklearn.utils import estimator_checks

import vfl

ESTIMATORS = (vfl.LogisticRegression, vfl.LinearRegression, vfl.PoissonRegression, vfl.BoostedTrees, vfl.Scorecard)
CHECKS = (
    "check_estimator_cloneable",
    "check_no_attributes_set_in_init",
    "check_parameters_default_constructible",
    "check_get_params_invariance",
    "check_estimator_repr",
    "check_estimator_tags_renamed",
    "check_valid_tag_types",
    "check_estimators_unfitted",
    "check_mixin_order",
)  # check_set_params sets impossible values, which we refuse at once and scikit-learn at fit


def held(name: str, estimator: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        getattr(estimator_checks, name)(type(estimator).__name__, estimator)


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_an_estimator_passes_the_checks_of_scikit_learn(cls: Any) -> None:
    for name in CHECKS:
        held(name, cls())


def test_planted_fault_an_estimator_that_forgets_a_parameter_is_found() -> None:
    class Forgetful(vfl.LinearRegression):
        def get_params(self, deep: bool = True) -> dict[str, Any]:
            return {} if deep else super().get_params(deep)

    with pytest.raises(AssertionError):
        held("check_get_params_invariance", Forgetful())
