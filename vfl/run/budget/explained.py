"""Each budget of a party in one sentence with its numbers, for `vfl check`."""

from __future__ import annotations

from collections.abc import Sequence

from vfl.data import Table
from vfl.job import Party
from vfl.run.budget.disclosed import most_rows, most_vectors
from vfl.run.budget.spread import HALF, Spread
from vfl.run.budget.table import MODELS, NUMBERS, PREDICTIONS, RUNS, SCORES, VECTORS, BudgetFile
from vfl.screen.sentences import counted


def explained(
    party: Party,
    partners: Sequence[str],
    period: str,
    table: Table | None,
    vectors: int,
    models: int,
    guest: str,
    spread: Spread | None,
    *,
    ever: bool,
    adds: str = "",
) -> list[str]:
    """period: this month; table: this party's own; vectors: how many the job opens at a host; models: how many it
    counts against models_per_label; spread: of a host's columns; ever: whether scores of a row are counted for good;
    adds: how many numbers computed from labels the job tells hosts, in words."""
    policy, told = party.policy, list[str]()
    with BudgetFile(party.run.directory).opened(reading=True) as counts:
        for kind, what in ((RUNS, "runs"), (PREDICTIONS, "predictions")):
            left = ", ".join(
                f"{max(0, getattr(policy, kind) - counts.used(kind, period, p))} with {p}" for p in partners
            )
            told.append(f"policy.{kind} is {getattr(policy, kind)}: {what} left this month: {left}")
        if table is None:
            return told
        if table.has_label:
            same = counts.same_labels(table)
            used = ", ".join(f"{sum(counts.used(MODELS, period, p) for period in same)} with {p}" for p in partners)
            told.append(
                f"policy.{MODELS} is {policy.models_per_label}: models of these labels so far: {used}; this "
                f"job adds {models}"
            )
            numbers, rate = sum(counts.used(NUMBERS, period) for period in same), policy.rows_per_label_number
            told.append(
                f"policy.{NUMBERS} is {rate}: with {len(table):,} training rows hosts may learn "
                f"{len(table) // rate} numbers computed from"
                f" these labels; they have learnt {numbers}{adds and f'; this job adds {adds}'}"
            )
        if party.role == "host":
            columns = tuple(table.columns)
            opened = sum(counts.used(VECTORS, period, guest) for period in counts.same_columns(columns))
            told.append(
                f"policy.{VECTORS} is {most_vectors(party, counts, columns, spread)} for "
                f"{counted(len(columns), 'own column')}: {counted(opened, 'score vector')} so far to {guest}; this job "
                f"opens {vectors}"
            )
            if spread is not None and spread.first > HALF:
                told.append(
                    f"these columns correlate so much that a single score vector can reveal up to "
                    f"{spread.first:.0%} of their variance to {guest}"
                )
            told.append(
                f"policy.{SCORES} is {policy.scores_per_row}: the number of times that a model scores the "
                f"same row for {guest} {'as long as the model exists' if ever else 'per month'}"
            )
    told.append(
        f"policy.max_partner_rows is {most_rows(party, len(table)):,}: a partner with a longer list of ids is refused"
    )
    return told
