"""What a party's budgets stood at, for one run: the same each time until another run changes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vfl.evidence.recorded import Recorded
from vfl.job import Party
from vfl.run.budget.used import Told, Used, budgets_used, told_by_partner

NUMBERS = "rows_per_label_number"  # counts numbers; its limit is of training rows
MONTHLY = ("runs_per_partner_per_month", "predictions_per_partner_per_month", "scores_per_row")


@dataclass(frozen=True)
class Budgets:
    """limits: those of the run's month, and those that hold for good; partners: what each learnt of all runs until this
    one; unreadable: how many ledgers are in no sum; policy: by budget, what the party file allows."""

    limits: tuple[Used, ...]
    partners: tuple[Told, ...]
    unreadable: int
    policy: Mapping[str, Any] = field(default_factory=dict)


def budgets(party: Party, run: Recorded) -> Budgets:
    """Of this party, with the partners of this run.  Raises ConfigError."""
    with_us, month = run.partners(), run.started[:7]
    limits = tuple(
        one
        for one in budgets_used(party)
        if one.partner in with_us and (one.budget not in MONTHLY or one.period == month)
    )
    sums, broken = told_by_partner(run.folder.parent, run.folder)
    allowed = party.policy.model_dump()
    policy = {one.budget: allowed[one.budget] for one in limits if one.budget in allowed}
    return Budgets(limits, tuple(one for one in sums if one.partner in with_us), len(broken), policy)
