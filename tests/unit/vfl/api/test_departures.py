"""Members that leave: how many are needed so that one may, what is warned of before, and said when a run has ended."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

import vfl
from protocols.averaging.cohorts import Terms
from protocols.errors import ConfigError, DataError, PlaintextOverflow, TooFewMembers
from tests.unit.vfl.api.test_members import FEW, frame, members, names
from vfl.api.departures import caution


@pytest.mark.parametrize("least", [3, 4, 5])
@pytest.mark.parametrize("whole_run", [True, False])
def test_the_least_size_is_that_of_the_rule(least: int, whole_run: bool) -> None:
    """Against the sums that the protocol opens: after one of all members, is there one without any of them?"""
    spec = vfl.Averaging(min_members=least, window="run" if whole_run else "recent")
    for count in range(least, 20):
        terms = Terms(tuple(names(count)), least, whole_run=whole_run)
        everybody = frozenset(names(count))
        survives = terms.survivors(everybody - {"m0"}, [everybody], names(count)) is not None
        assert survives == (count >= spec.least_members), count
        assert bool(caution(spec, count)) == (not survives)


def test_ten_survive_one_and_nine_do_not() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # nothing to say of ten
        model = members(10).fit(FEW, leaves={"m3": 2})
    assert model.rounds_["members"].tolist() == [10, 7, 7]
    with (
        pytest.warns(UserWarning, match="ends the run of 9 members.*10 members are the fewest"),
        pytest.raises(
            TooFewMembers, match="m3 left: 8 of 9 members remain, and a sum needs 7, after the first sum all 9"
        ) as raised,
    ):
        members(9).fit(FEW, leaves={"m3": 2})
    assert "a run of 10 members or more survives" in raised.value.remedy


@pytest.mark.filterwarnings("ignore:one member that drops out")
@pytest.mark.parametrize("count", [3, 5])
def test_too_many_that_leave_end_the_run(count: int) -> None:
    for leaves in ({"m0": 1, "m1": 1}, {"m2": 2}, {"m1": 3}):
        with pytest.raises(TooFewMembers, match=rf"{' and '.join(leaves)} left: \d of {count} members remain"):
            members(count).fit(FEW, leaves=leaves)


@pytest.mark.filterwarnings("ignore:one member that drops out")
def test_another_cause_is_not_hidden() -> None:
    """Nobody was asked to leave: the member's own error is the cause."""
    with pytest.raises(PlaintextOverflow, match="local training moved"):
        members(3, "number").fit(vfl.Averaging(estimator="linear", rounds=3, learning_rate=50.0, local_epochs=30))
    with pytest.raises(DataError, match="more rows than max_rows"):
        members(3).fit(vfl.Averaging(max_rows=100))


def test_few_that_are_drawn() -> None:
    spec = vfl.Averaging(fraction=0.3, window="recent")
    assert "draws 3 of 9 members" in caution(spec, 9)
    assert caution(vfl.Averaging(fraction=0.5, window="recent"), 12) == ""


@pytest.mark.parametrize(
    ("leaves", "match"),
    [
        ({"m4": 1}, "leaves names 'm4' who is no member.*The members are m0, m1 and m2"),
        ({"m0": 4}, r"leaves\['m0'\] = 4 is not possible.*from 1 to rounds = 3"),
        ({"m0": 0}, "is not possible"),
        ({"m0": True}, "is not possible"),
        ({"m0": 1.5}, "is not possible"),
        ({3: 1}, "names somebody who is no member"),
        (frame(), "leaves = a DataFrame is not possible"),
    ],
)
def test_impossible_departures(leaves: Any, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        members(3).fit(FEW, leaves=leaves)
