"""What runs with noise cost together (`policy.epsilon`): per partner, over all runs that share a column, for good.

A run adds sums / multiplier^2 to what is used: Renyi divergences of Gaussians add up, so that this number is all that
an epsilon depends on.  It is kept in whole units, rounded up.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

from protocols.errors import DisclosureRefused
from vfl.data import Table
from vfl.job import Party
from vfl.models import accounting
from vfl.models.accounting import Release
from vfl.run.budget.disclosed import AGREES
from vfl.run.budget.table import EPSILON, BudgetFile, Counts

UNIT = 1 << 32  # of what is used


def used_by(release: Release) -> int:
    """What these sums add to what is used."""
    multiplier, sums = release
    return math.ceil(sums * UNIT / Fraction(multiplier) ** 2)


def epsilon_of(used: int, delta: float) -> float:
    """What everything that was used costs, as if by one sum.  Raises ConfigError where dp-accounting is missing."""
    return accounting.epsilon([(math.sqrt(UNIT / used), 1)], delta) if used else 0.0


@dataclass(frozen=True)
class OfColumns:
    """Runs of which a column is the same."""

    columns: Sequence[str]
    said: ClassVar[str] = "these columns"

    def same(self, counts: Counts) -> list[str]:
        return counts.same_columns(self.columns)

    def own(self, counts: Counts) -> str:
        return counts.columns(self.columns)


@dataclass(frozen=True)
class OfLabels:
    """Runs on labels of the same customers."""

    table: Table
    said: ClassVar[str] = "these labels"

    def same(self, counts: Counts) -> list[str]:
        return counts.same_labels(self.table)

    def own(self, counts: Counts) -> str:
        return counts.labels(self.table)


@dataclass(frozen=True)
class OfSizes:
    """All sizes of intersections with a partner, whatever the ids."""

    said: ClassVar[str] = "sizes of intersections"

    def same(self, counts: Counts) -> list[str]:
        return [self.said]

    def own(self, counts: Counts) -> str:
        return self.said


class NoiseBudget:
    """For one run: of what, with which partners; release: its multiplier, and how many sums."""

    def __init__(
        self, party: Party, partners: Sequence[str], what: OfColumns | OfLabels | OfSizes, release: Release
    ) -> None:
        self._party, self._partners, self._what = party, partners, what
        self._more, self._file = used_by(release), BudgetFile(party.run.directory)

    def check(self) -> None:
        """Raises DisclosureRefused if this run costs more than what is left."""
        with self._file.opened(reading=True) as counts:
            self._check(counts)

    def charge(self, run: bytes) -> None:
        """Counts the run, once for each name; or raises DisclosureRefused and counts nothing."""
        with self._file.opened() as counts:
            new = [p for p in self._partners if not counts.charged(run, EPSILON, p)]
            if new:
                self._check(counts)
            period = self._what.own(counts)
            for partner in new:
                counts.charge(run, EPSILON, partner)
                counts.add(EPSILON, partner, period, self._more, math.floor(1000 * self._party.policy.epsilon))

    def explained(self) -> str:
        """What was used, and what this run adds."""
        policy = self._party.policy
        with self._file.opened(reading=True) as counts:
            before = max((self._used(counts, p) for p in self._partners), default=0)
        now, after = (epsilon_of(used, policy.delta) for used in (before, before + self._more))
        return (
            f"policy.{EPSILON} is {policy.epsilon:g} with policy.delta = {policy.delta:g}: runs with noise on "
            f"{self._what.said} have cost {now:.3g} so far, {after:.3g} with this one"
        )

    def _used(self, counts: Counts, partner: str) -> int:
        return sum(counts.used(EPSILON, period, partner) for period in self._what.same(counts))

    def _check(self, counts: Counts) -> None:
        policy = self._party.policy
        for partner in self._partners:
            before = self._used(counts, partner)
            after = epsilon_of(before + self._more, policy.delta)
            if after > policy.epsilon:
                earlier = f", {epsilon_of(before, policy.delta):.3g} before it" if before else ""
                raise DisclosureRefused(
                    f"{self._party.name}: with this run, what {partner} learns of {self._what.said} would cost epsilon "
                    f"= {after:.3g} for delta = {policy.delta:g}{earlier}, and policy.{EPSILON} is {policy.epsilon:g}",
                    remedy=f"Agree on a job with a smaller privacy.epsilon, or use the existing models{AGREES} raise "
                    f"policy.{EPSILON}",
                    party=self._party.name,
                    about=f"policy.{EPSILON}",
                )
