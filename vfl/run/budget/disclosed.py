"""What a party agrees to disclose within a run, counted over all its runs (protocols/allowance.py)."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from protocols.allowance import Allowance
from protocols.errors import DisclosureRefused
from vfl.data import Table
from vfl.job import Party
from vfl.job.policy import columns_check
from vfl.run.budget.spread import Spread
from vfl.run.budget.table import EVER, MODELS, NUMBERS, SCORES, VECTORS, BudgetFile, Counts
from vfl.screen.sentences import listed

FEWER = "fewer columns or fine bins (max_n_prebins)"
PARTNER_ROWS = 5  # times this party's own


@dataclass(frozen=True)
class Labels:
    """What a run trains on: the guest's table.  models: how many of its models the partners learn something of."""

    table: Table
    models: int = 1


class RunAllowance(Allowance):
    """run: its name; partners: all other parties; labels: where the run trains on the guest's; guest: to whom a host
    opens scores; spread: of a host's own columns, where a model is trained on them; rows: the fewest that count as this
    party's own, so that a small batch of new rows can be held against a partner's whole table.
    """

    def __init__(
        self,
        party: Party,
        file: BudgetFile,
        run: bytes,
        partners: Sequence[str],
        labels: Labels | None,
        guest: str,
        spread: Spread | None = None,
        rows: int = 0,
    ) -> None:
        self._party, self._file, self._run, self._partners, self._labels = party, file, run, partners, labels
        self._guest, self._spread, self._rows = guest, spread, rows

    def label_numbers(
        self, what: str, told: Mapping[str, int], rows: int, fewer: Callable[[int], str] | None = None
    ) -> None:
        assert self._labels is not None
        with self._file.opened() as counts:
            self._count_numbers(counts, self._labels.table, what, told, rows, fewer)

    def training(
        self,
        numbers: Mapping[str, Mapping[str, int]],
        rows: int,
        fewer: Callable[[int], str] | None = None,
        *,
        begins: bool = True,
    ) -> None:
        if self._labels is None:
            return
        with contextlib.suppress(_OnlyAsked), self._file.opened() as counts:
            self._count_models(counts, self._labels)
            for what, told in numbers.items():
                self._count_numbers(counts, self._labels.table, what, told, rows, fewer)
            if not begins:
                raise _OnlyAsked

    def _count_models(self, counts: Counts, labels: Labels) -> None:
        new = [partner for partner in self._partners if not counts.charged(self._run, MODELS, partner)]
        check_models(counts, self._party, new, labels)
        period = counts.labels(labels.table) if new else ""
        for partner in new:
            counts.charge(self._run, MODELS, partner)
            counts.add(MODELS, partner, period, labels.models, self._party.policy.models_per_label)

    def _count_numbers(
        self,
        counts: Counts,
        labels: Table,
        what: str,
        told: Mapping[str, int],
        rows: int,
        fewer: Callable[[int], str] | None,
    ) -> None:
        rate, item = self._party.policy.rows_per_label_number, self._run + what.encode()
        limit, more = rows // rate, sum(told.values())
        if all(counts.charged(item, NUMBERS, host) for host in told):
            return
        used = sum(counts.used(NUMBERS, period) for period in counts.same_labels(labels))
        if used + more > limit:
            hosts = listed(sorted(told), "and")
            raise DisclosureRefused(
                f"{self._party.name}: {hosts} would learn {more} numbers computed from these labels "
                f"({what}), hosts learnt {used} before,"
                f" and {rows} training rows allow {limit}: policy.{NUMBERS} is {rate}",
                remedy=f"Use more rows, or {FEWER if fewer is None else fewer(max(0, limit - used))}, or "
                f"agree on a job that tells hosts no such numbers"
                f"{AGREES} lower policy.{NUMBERS}",
                party=self._party.name,
                about=f"policy.{NUMBERS}",
            )
        period = counts.labels(labels)
        for host, number in told.items():
            counts.charge(item, NUMBERS, host)
            counts.add(NUMBERS, host, period, number, limit)

    def score_vectors(self, model: bytes, vectors: int, columns: Sequence[str]) -> None:
        model = model or self._run + b" search"
        with self._file.opened() as counts:
            if self.check_vectors(counts, model, vectors, columns):
                counts.charge(model, VECTORS, self._guest)
                counts.add(
                    VECTORS,
                    self._guest,
                    counts.columns(columns),
                    vectors,
                    most_vectors(self._party, counts, columns, self._spread),
                )

    def check_vectors(self, counts: Counts, model: bytes, vectors: int, columns: Sequence[str]) -> bool:
        """Whether these are to be counted; raises DisclosureRefused if they are too many."""
        if model and counts.charged(model, VECTORS, self._guest):
            return False
        limit = most_vectors(self._party, counts, columns, self._spread)
        used = sum(counts.used(VECTORS, period, self._guest) for period in counts.same_columns(columns))
        if used + vectors > limit:
            what = (
                f"{used} score vectors of these {len(columns)} columns were opened to {self._guest}, this run "
                f"opens {vectors} more"
            )
            raise refused(
                self._party.name,
                what,
                VECTORS,
                limit,
                "Use the existing models, train fewer models or classes, or provide more columns",
            )
        return True

    def rows_scored(self, model: bytes, what: str, ids: Iterable[bytes], *, ever: bool = False) -> None:
        item, limit = self._run + what.encode(), self._party.policy.scores_per_row
        period = EVER if ever else f"{datetime.datetime.now(datetime.UTC):%Y-%m}"
        with self._file.opened() as counts:
            if counts.charged(item, SCORES, self._guest):
                return
            beyond, most = counts.score(model, self._guest, period, ids, limit)
            if beyond:
                said = (
                    f"{beyond} of the rows to be scored were scored by this model for {self._guest} {limit} "
                    f"times{'' if ever else ' this month'}"
                )
                later = "train a new model" if ever else "wait for the next month"
                remedy = f"Leave these rows out (the training scored its held-out rows), or {later}"
                raise refused(self._party.name, said, SCORES, limit, remedy, counted=True)
            counts.charge(item, SCORES, self._guest)
            counts.reached(SCORES, self._guest, period, most, limit)

    def partner_rows(self, partner: str, rows: int, own: int) -> None:
        if own == 0 and self._party.policy.max_partner_rows is None:
            return
        if rows > (limit := most_rows(self._party, max(own, self._rows))):
            what, remedy = f"the list of {partner} has {rows} rows or more", f"Let {partner} use a smaller list"
            raise refused(self._party.name, what, "max_partner_rows", limit, remedy, counted=True)

    def partner_columns(self, partner: str, columns: int) -> None:
        columns_check(self._party, partner, columns)


class _OnlyAsked(Exception):
    """Takes back what a transaction counted."""


def check_models(counts: Counts, party: Party, partners: Sequence[str], labels: Labels) -> None:
    """Raises DisclosureRefused if models of these labels are more than what is left with one of `partners`."""
    limit, more, same = party.policy.models_per_label, labels.models, counts.same_labels(labels.table)
    for partner in partners:
        used = sum(counts.used(MODELS, period, partner) for period in same)
        if used + more > limit:
            what = f"{used} models of these labels were trained with {partner}" + (
                f", this job trains {more} more" if more > 1 else ""
            )
            remedy = ("Search fewer candidates or folds, use" if more > 1 else "Use") + " other rows"
            raise refused(party.name, what, MODELS, limit, remedy)


def most_vectors(party: Party, counts: Counts, columns: Sequence[str], spread: Spread | None) -> int:
    """How many score vectors of these columns a host opens: by its policy, or half as many as columns, or what their
    spread allows, which is less where columns have few values or correlate; spread: of the columns in the table that a
    model is trained on, None for a model that is trained (what its table allowed is then known from before)."""
    given = party.policy.score_vectors
    if given is not None:
        return given
    known = counts.most(columns) if spread is None else spread.most
    return max(1, min(len(columns) // 2, len(columns) if known is None else known))


def most_rows(party: Party, own: int) -> int:
    """How many rows a partner's list may have; own: how many this party has."""
    given = party.policy.max_partner_rows
    return PARTNER_ROWS * own if given is None else given


COUNTED = ". This run has begun, so it counts in its budget all the same"
AGREES = ", or, if the person responsible for this party's data agrees,"


def refused(party: str, what: str, key: str, limit: int, remedy: str, *, counted: bool = False) -> DisclosureRefused:
    """The error for a budget that is used up; counted: the run itself was counted before this was found."""
    return DisclosureRefused(
        f"{party}: {what}, and policy.{key} is {limit}",
        remedy=f"{remedy}{AGREES} raise policy.{key}{COUNTED if counted else ''}",
        party=party,
        about=f"policy.{key}",
    )
