"""What runs with noise cost together: as dp-accounting composes them, per partner, over runs of the same columns or
labels; and what is counted, and when."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest

from tests.unit.vfl.run.budget.test_budgets import COLUMNS, LABELS, named, now, party, refused, stored
from tests.unit.vfl.run.budget.test_label_budget import ROWS, table
from vfl.job import Party
from vfl.models import accounting
from vfl.run.budget import Budget
from vfl.run.budget.noise import NoiseBudget, OfColumns, OfLabels, epsilon_of, used_by
from vfl.run.budget.used import budgets_used

__all__ = ["party"]  # a fixture
RELEASES: list[tuple[Fraction, int]] = [(Fraction(7), 31), (Fraction(5, 2), 2), (Fraction(999, 7), 1000)]
Made = Callable[..., Party]


def test_runs_add_up_as_dp_accounting_composes_them() -> None:
    for upto in range(len(RELEASES) + 1):
        used = sum(used_by(each) for each in RELEASES[:upto])
        assert epsilon_of(used, 1e-6) == pytest.approx(accounting.epsilon(RELEASES[:upto], 1e-6), rel=1e-6)
    assert used_by((Fraction(10**6), 1)) >= 1  # rounded up: nothing is free


def of(own: Party, columns: tuple[str, ...] = COLUMNS, partners: Any = ("telecom",), number: int = 0) -> NoiseBudget:
    return NoiseBudget(own, partners, OfColumns(columns), RELEASES[number])


def test_a_run_counts_once_and_with_each_partner(party: Made) -> None:
    bank = party(epsilon=50.0)
    for _ in range(2):
        of(bank, partners=("telecom", "shop")).charge(named(1))
    of(bank).charge(named(2))
    used = {one.partner: one.used for one in budgets_used(bank) if one.budget == "epsilon"}
    assert used["shop"] == pytest.approx(accounting.epsilon(RELEASES[:1], 1e-5), abs=1e-3)
    assert used["telecom"] == pytest.approx(accounting.epsilon(RELEASES[:1] * 2, 1e-5), abs=1e-3)


def test_what_is_left_is_refused_and_nothing_counted(party: Made) -> None:
    cost = accounting.epsilon(RELEASES[:1], 1e-5)
    bank = party(epsilon=1.2 * cost)
    of(bank).check()
    of(bank).charge(named(1))
    before = stored(bank)
    for call in (of(bank).check, lambda: of(bank).charge(named(2))):
        error = refused(call)
        assert (error.party, error.about) == ("bank", "policy.epsilon")
        assert f"{cost:.3g} before it" in str(error)
    assert stored(bank) == before
    of(bank, partners=("shop",)).check()  # with whom nothing was shared
    of(bank, ("x", "y")).check()  # other columns
    refused(of(bank, ("x", COLUMNS[2])).check)  # one of them is the same


def test_a_smaller_delta_costs_more(party: Made) -> None:
    cost = accounting.epsilon(RELEASES[:1], 1e-5)
    of(party(epsilon=1.01 * cost)).check()
    refused(of(party(epsilon=1.01 * cost, delta=1e-7)).check)


def test_labels_of_the_same_customers_are_one_budget(party: Made) -> None:
    bank = party(epsilon=1.2 * accounting.epsilon(RELEASES[:1], 1e-5))
    made = lambda labels: NoiseBudget(bank, ("telecom",), OfLabels(labels), RELEASES[0])  # noqa: E731
    Budget(bank, "run", LABELS, guest="bank", noise=made(LABELS)).charge(["telecom"], named(1), now())
    again = Budget(bank, "run", LABELS, guest="bank", noise=made(LABELS))
    refused(again.check, ["telecom"])
    refused(again.charge, ["telecom"], named(2), now())
    assert [one[3] for one in stored(bank) if one[0] != "epsilon"] == [1]  # the first run alone
    made(table(slice(ROWS, 2 * ROWS))).check()  # other customers
    (sentence,) = [one for one in again.explained(["telecom"], LABELS) if one.startswith("policy.epsilon")]
    assert "runs with noise on these labels" in sentence
