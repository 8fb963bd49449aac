"""The sums that a party has opened in all its averagings, and how many models of the same columns: in `budget.sqlite`.

Two runs whose members differ by one give away that member's sums of columns and number of rows.  So each party keeps of
which members every sum was opened, by the columns of the job.  It compares the sums of a new run with all of these of
which a column, or the label, is one of the new job's too: jobs without a common column say no more together than the
numbers of rows.  A member keeps too of which of its rows the sums were (changed.py).
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from functools import partial

from protocols.averaging.cohorts import Members
from protocols.averaging.lists import OtherRuns
from protocols.errors import DisclosureRefused
from vfl.job import Party
from vfl.job.members_job import MembersJob
from vfl.run.budget.disclosed import AGREES, refused
from vfl.run.budget.noise import NoiseBudget, OfColumns
from vfl.run.budget.runs import Budget
from vfl.run.budget.table import MODELS, RUNS, BudgetFile, Counts
from vfl.run.members import changed
from vfl.run.members.tables import OwnTable


def today() -> datetime.date:
    return datetime.datetime.now(datetime.UTC).date()


class KeptSums(OtherRuns):
    """This party's, for a run of a job."""

    def __init__(self, job: MembersJob, party: Party, own: OwnTable | None = None) -> None:
        """own: a member's table; its rows are compared and kept unless the sums carry noise."""
        self._file, self._days, self._party = BudgetFile(party.run.directory), party.policy.sums_days, party
        self._columns, self._own = (job.table.label, *job.table.columns), own if job.privacy is None else None
        self._new = set[Members]()  # kept by this run, and by none before it
        self._table_kept = own is None

    @property
    def survivors(self) -> tuple[Members, ...]:
        """As they are now: those of runs at the same time among them, without those that only this run has kept."""
        return tuple(each for each in self._read() if each not in self._new)

    @property
    def _since(self) -> str:
        since = datetime.date.min if self._days is None else today() - datetime.timedelta(self._days)
        return since.isoformat()

    def _read(self) -> list[Members]:
        with self._file.opened(reading=True) as counts:
            return counts.sums(self._columns, self._since)

    def check_table(self) -> int | None:
        """Raises DisclosureRefused if this table differs by too few rows from those of earlier runs; returns by how
        many it differs, None if it is the same or none is known."""
        with self._file.opened(reading=True) as counts:
            return self._checked(counts)

    def _checked(self, counts: Counts) -> int | None:
        found = list[int]()
        for part in () if self._own is None else self._own.summed:
            if known := counts.tables(self._columns, part, self._since):
                assert self._own is not None
                least = changed.check(self._party, known, counts.key, partial(self._own.part, part), part)
                found += [] if least is None else [least]
        return min(found, default=None)

    def keep(self, survivors: Members) -> None:
        """Raises DisclosureRefused where another run has meanwhile kept a table that differs by too few rows."""
        if survivors not in self._read():
            self._new.add(survivors)
        with self._file.opened() as counts:
            if self._own is not None and not self._table_kept:
                self._checked(counts)
                columns = tuple(sorted(self._columns))
                for part in self._own.summed:
                    rows = changed.hashed(self._own.part(part, columns), counts.key)
                    counts.add_table(columns, part, rows, today().isoformat())
            counts.add_sum(self._columns, survivors, today().isoformat())
        self._table_kept = True


class MemberBudget:
    """What a party of averagings agrees to in number: runs and models with each other party, whether they have a
    channel or not, and which sums."""

    def __init__(self, job: MembersJob, party: Party, own: OwnTable | None) -> None:
        self._job, self._party, self.sums = job, party, KeptSums(job, party, own)
        self._budget, self._file = Budget(party), BudgetFile(party.run.directory)
        self._partners = [name for name in job.parties.names if name != party.name]
        self._columns, noise = (job.table.label, *job.table.columns), job.noise
        release = None if noise is None else (noise.multiplier, noise.sums)
        self._noise = None if release is None else NoiseBudget(party, self._partners, OfColumns(self._columns), release)

    def check(self) -> tuple[str, ...]:
        """Raises DisclosureRefused if this run is more than what is left, or if no sum of its members may be opened;
        returns who would be left out of all sums."""
        self._budget.check(self._partners)
        self._check_models()
        if self._noise is not None:
            self._noise.check()
        self.sums.check_table()
        return self._left_out()

    def charge(self, run: bytes, now: datetime.datetime) -> None:
        """Counts the run, by its name; or raises DisclosureRefused and counts nothing."""
        self.check()
        self._budget.charge(self._partners, run, now)
        if self._noise is not None:
            self._noise.charge(run)
        if self._party.role != "member":
            return
        with self._file.opened() as counts:
            period = counts.columns(self._columns)
            for partner in self._partners:
                if not counts.charged(run, MODELS, partner):
                    counts.charge(run, MODELS, partner)
                    counts.add(MODELS, partner, period, 1, self._party.policy.models_per_label)

    def _models(self) -> dict[str, int]:
        with self._file.opened(reading=True) as counts:
            same = counts.same_columns(self._columns)
            return {p: sum(counts.used(MODELS, period, p) for period in same) for p in self._partners}

    def _check_models(self) -> None:
        limit = self._party.policy.models_per_label
        for partner, used in self._models().items() if self._party.role == "member" else ():
            if used >= limit:
                what = f"{used} models of these columns were averaged with {partner}"
                raise refused(self._party.name, what, MODELS, limit, "Use the existing models")

    def _left_out(self) -> tuple[str, ...]:
        terms = self._job.model.terms(self._job.parties.members)
        every = frozenset(terms.members)
        if self._job.model.fraction < 1:
            return ()
        found = terms.survivors(every, (), terms.members, self.sums.survivors)
        if found is not None:
            return tuple(name for name in terms.members if name not in found)
        raise DisclosureRefused(
            f"{self._party.name}: with the sums of its earlier runs, each sum of this job's members would say "
            f"something about fewer than {terms.min_members} members (model.min_members)",
            remedy=f"Let the same members take part as before, or {terms.min_members} more or fewer than then{AGREES} "
            "let policy.sums_days end the comparison",
            party=self._party.name,
            about="policy.sums_days",
        )

    def explained(self, period: str) -> list[str]:
        """A sentence for each budget; period: this month."""
        policy, kept = self._party.policy, self.sums.survivors
        with self._file.opened(reading=True) as counts:
            used = {p: counts.used(RUNS, period, p) for p in self._partners}
        runs = ", ".join(f"{max(0, policy.runs_per_partner_per_month - n)} with {p}" for p, n in used.items())
        told = [f"policy.{RUNS} is {policy.runs_per_partner_per_month}: runs left this month: {runs}"]
        if self._party.role == "member":
            models = ", ".join(f"{n} with {p}" for p, n in self._models().items())
            told.append(f"policy.{MODELS} is {policy.models_per_label}: models of these columns so far: {models}")
        told += [self._noise.explained()] if self._noise is not None else []
        days = "for good" if policy.sums_days is None else f"for {policy.sums_days} days"
        what = "no sum of an earlier run has" if not kept else _said(kept)
        told.append(f"{what} a column of this job; opened sums are compared with those of later runs {days}")
        if self._party.role == "member" and self._job.privacy is None:
            found, floor = self.sums.check_table(), policy.min_changed_rows
            rows = "no row has changed since earlier runs" if found is None else f"{found} rows have changed"
            told.append(f"policy.min_changed_rows is {floor}: {rows}; fewer, and the run would be refused")
        return told


def _said(kept: Sequence[Members]) -> str:
    sizes = sorted({len(each) for each in kept})
    of = f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    groups = "sums of one group" if len(kept) == 1 else f"sums of {len(kept)} groups"
    return f"{groups} of {of} members were opened in earlier runs with"
