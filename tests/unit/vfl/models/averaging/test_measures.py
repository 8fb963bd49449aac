"""What is opened of measures: means over members, and nothing of a measure that fewer than min_members have."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from protocols.averaging.secure_sum import Sum
from protocols.randomness import Seed
from vfl.models.averaging.course import Both, Course, limbs
from vfl.models.averaging.spec import Averaging

NAMES = tuple(f"m{k}" for k in range(6))
SPEC = Averaging(rounds=1)
ALONE = {"auc": Both(0.8125, 0.59375), "log_loss": Both(0.5, 0.75)}
ONE_CLASS = {"log_loss": Both(0.25, 0.125)}


def opened(course: Course, own: Mapping[str, Mapping[str, Both]]) -> Course:
    """A course after all its sums; own: by member its measures, in which its first one is better."""
    terms = course.terms
    while course.due is not None:
        words = np.zeros(course.length, np.uint64)
        for name in NAMES:
            numbers = course.numbers_of(own[name], better="auc" in own[name])
            words = words + limbs(numbers, terms.word_bits, len(NAMES), Seed(name, name.encode().ljust(32)))
        course.opened(Sum(1, frozenset(NAMES), words))
    return course


def course(due: str = "counts") -> Course:
    return Course(SPEC, SPEC.terms(NAMES), 2, ("auc", "log_loss"), due=due)  # type: ignore[arg-type]


def of(having: int) -> dict[str, Mapping[str, Both]]:
    """These many members have an AUC."""
    return {name: ALONE if k < having else ONE_CLASS for k, name in enumerate(NAMES)}


def test_a_measure_that_enough_members_have_is_a_mean_over_these() -> None:
    found = opened(course(), of(3))
    assert (found.measured["auc"].members, found.measured["auc"].alone) == (3, 0.59375)
    assert found.measured["log_loss"].members == 6
    assert found.better == 3


@pytest.mark.parametrize("having", [1, 2])
def test_a_measure_that_fewer_have_is_not_opened(having: int) -> None:
    found = opened(course(), of(having))
    assert set(found.measured) == {"log_loss"}
    assert found.better is None


def test_control_a_sum_of_all_measures_is_the_measure_of_the_one_that_has_it() -> None:
    found = opened(course("measures"), of(1))  # as if nobody had counted
    assert (found.measured["auc"].averaged, found.measured["auc"].alone) == (0.8125, 0.59375)


def test_where_nobody_has_enough_nothing_follows() -> None:
    found = opened(course(), {name: {} for name in NAMES})
    assert not found.measured
