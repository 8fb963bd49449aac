"""Every budget, and what each partner learnt: for `vfl budget`, and for the board of a node."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import msgspec
from msgspec import Meta

from vfl.job import Party
from vfl.run.budget.used import budgets_used, told_by_partner
from vfl.screen.result import Result

Number: TypeAlias = Annotated[int, Meta(ge=0)]
Amount: TypeAlias = Number | float


class Limit(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One budget with one partner, in a month or, of labels and columns, for good."""

    budget: str
    partner: str
    period: str
    used: Amount
    limit: Amount | None
    left: Amount | None


class Partner(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The sum over all runs with one partner, by this party's ledgers."""

    partner: str
    runs: Number
    messages: Number
    bytes: Number
    received_messages: Number
    received_bytes: Number
    revealed: Annotated[dict[str, Number], Meta(description="by what the partner learnt, the number of such messages")]


class Budget(Result, tag="budget"):
    party: str
    limits: list[Limit]
    partners: list[Partner]
    unreadable: Annotated[list[str], Meta(description="ledgers that are in no sum")]


def budget_shown(party: Party) -> Budget:
    """Every budget, and the sums by partner.  Raises ConfigError."""
    partners, broken = told_by_partner(party.run.directory)
    return Budget(
        party=party.name,
        limits=[
            Limit(budget=b.budget, partner=b.partner, period=b.period, used=b.used, limit=b.limit, left=b.left)
            for b in budgets_used(party)
        ],
        partners=[Partner(**vars(one)) for one in partners],
        unreadable=broken,
    )
