"""The budgets of one party in one run: checked before anything is sent, charged when the run has begun."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from vfl.data import Table
from vfl.job import Party
from vfl.run.budget.disclosed import Labels, RunAllowance, check_models, refused
from vfl.run.budget.explained import explained
from vfl.run.budget.noise import NoiseBudget
from vfl.run.budget.spread import Spread
from vfl.run.budget.table import PREDICTIONS, RUNS, BudgetFile, Counts

KINDS = {"run": RUNS, "align": RUNS, "predict": PREDICTIONS}
WORDS = {RUNS: ("run", "runs"), PREDICTIONS: ("prediction", "predictions")}


@dataclass(frozen=True)
class Opened:
    """The score vectors that a host's run is going to open, as far as it is known beforehand.  model: the host's own
    name for it, b"" for one that is not trained yet; spread: of the columns of the table that it is trained on, None
    for one that is trained; ever: whether its scores of a row are counted for good."""

    vectors: int
    columns: tuple[str, ...]
    model: bytes = b""
    spread: Spread | None = None
    ever: bool = False


class Budget:
    """purpose: the command ("run", "align", "predict"); labels: the guest's table, where models of its labels are
    trained; models: how many of them the partners learn something of; opened: at a host, and guest: whom to; rows: the
    fewest that count as this party's own; noise: at a guest, on what hosts learn.
    """

    def __init__(
        self,
        party: Party,
        purpose: str = "run",
        labels: Table | None = None,
        models: int = 1,
        opened: Opened | None = None,
        guest: str = "",
        rows: int = 0,
        noise: NoiseBudget | None = None,
    ) -> None:
        self._party, self._more, self._opened, self._guest, self._rows = party, models, opened, guest, rows
        self._spread = None if opened is None else opened.spread
        self._kind = KINDS[purpose]
        self._limit: int = getattr(party.policy, self._kind)
        self._labels = Labels(labels, models) if labels is not None and labels.label is not None else None
        self._file, self._noise = BudgetFile(party.run.directory), noise

    def check(self, partners: Sequence[str]) -> None:
        """Raises DisclosureRefused if this run is more than what is left with one of `partners`."""
        with self._file.opened(reading=True) as counts:
            self._check(counts, partners, month(datetime.datetime.now(datetime.UTC)))
        if self._noise is not None:
            self._noise.check()
        with self._file.opened(reading=True) as counts:
            if self._opened is not None:
                self.allowance(b"").check_vectors(
                    counts, self._opened.model, self._opened.vectors, self._opened.columns
                )

    def charge(self, partners: Sequence[str], run: bytes, now: datetime.datetime) -> None:
        """Counts a run with each of `partners`, once for each name of a run; or raises DisclosureRefused and counts
        none, or noise alone.  What it tells of labels is counted when a training begins (`allowance`), but with noise
        here, and first: a crash in between leaves nothing uncounted."""
        if self._noise is not None:
            self._noise.charge(run)
        with self._file.opened() as counts:
            if all(counts.charged(run, self._kind, p) for p in partners):
                return
            self._check(counts, partners, month(now))
            for partner in partners:
                counts.charge(run, self._kind, partner)
                counts.add(self._kind, partner, month(now), 1, self._limit)
                if self._opened is not None and self._spread is not None:
                    counts.columns(self._opened.columns, self._spread.most)

    def allowance(self, run: bytes, partners: Sequence[str] = ()) -> RunAllowance:
        """What else this party agrees to disclose to them in the run of this name."""
        return RunAllowance(self._party, self._file, run, partners, self._labels, self._guest, self._spread, self._rows)

    def explained(self, partners: Sequence[str], table: Table | None, adds: str = "") -> list[str]:
        """A sentence for each budget; table: this party's own; adds: as `job.opened.numbers_added`."""
        now, opened = month(datetime.datetime.now(datetime.UTC)), self._opened or Opened(0, ())
        vectors, ever = opened.vectors, opened.ever
        more = (vectors, self._more, self._guest, self._spread)
        told = explained(self._party, partners, now, table, *more, ever=ever, adds=adds)
        return told if self._noise is None else [*told, self._noise.explained()]

    def used(self, partner: str) -> int:
        """How many were counted this month."""
        with self._file.opened(reading=True) as counts:
            return counts.used(self._kind, month(datetime.datetime.now(datetime.UTC)), partner)

    def _check(self, counts: Counts, partners: Sequence[str], period: str) -> None:
        for partner in partners:
            used = counts.used(self._kind, period, partner)
            if used >= self._limit:
                what = f"{used} {WORDS[self._kind][used != 1]} with {partner} this month"
                raise refused(self._party.name, what, self._kind, self._limit, "Wait for the next month")
        if self._labels is not None:
            check_models(counts, self._party, partners, self._labels)


def month(now: datetime.datetime) -> str:
    return f"{now:%Y-%m}"
