"""What a party's budgets have left, by partner and period, and what each partner learnt of all its runs: for `vfl
budget`."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from protocols.errors import VFLError
from protocols.message import REVEALED
from vfl.job import Party
from vfl.ledger import read_ledger
from vfl.ledger.writing import Line
from vfl.run.budget.noise import epsilon_of
from vfl.run.budget.queries import FILE, PER_DAY, Queries, utc_now
from vfl.run.budget.runs import month
from vfl.run.budget.table import EPSILON, PREDICTIONS, RUNS, BudgetFile
from vfl.storage.runs import folders


@dataclass(frozen=True)
class Used:
    """One budget with one partner.  period: a month, or the name of a set of labels or columns; limit: None where each
    run has its own.  Of noise, what is used is an epsilon."""

    budget: str
    partner: str
    period: str
    used: int | float
    limit: int | float | None

    @property
    def left(self) -> int | float | None:
        return None if self.limit is None else max(0, self.limit - self.used)


@dataclass
class Told:
    """All runs with one partner, by their ledgers.  revealed: by what the partner learnt, how many messages said it."""

    partner: str
    runs: int = 0
    messages: int = 0
    bytes: int = 0
    received_messages: int = 0
    received_bytes: int = 0
    revealed: dict[str, int] = field(default_factory=dict)

    def add(self, line: Line) -> None:
        """One message, by its line in the ledger."""
        if line["type"] == "received":
            self.received_messages += 1
            self.received_bytes += line["bytes"]
            return
        self.messages += 1
        self.bytes += line["bytes"]
        if line["class"] == REVEALED.name:
            self.revealed[line["learns"]] = self.revealed.get(line["learns"], 0) + 1


def budgets_used(party: Party) -> list[Used]:
    """Every budget that was used, and those of this month that can be, used or not: a member predicts alone.  Raises
    ConfigError."""
    now, policy = month(datetime.datetime.now(datetime.UTC)), party.policy
    monthly = (RUNS,) if party.role == "member" else (RUNS, PREDICTIONS)
    with BudgetFile(party.run.directory).opened(reading=True) as counts:
        rows = counts.rows()
    known = {(kind, partner, period) for kind, partner, period, *_ in rows}
    unused = [(kind, p, now) for kind in monthly for p in party.peers if (kind, p, now) not in known]
    found = [*rows, *((*which, 0, None) for which in unused)]
    limits = {(kind, now): getattr(policy, kind) for kind in (RUNS, PREDICTIONS)}  # of earlier months, as they were
    rows = sorted(found, key=lambda row: (row[0], row[2], row[1]))
    return _online(party) + [
        Used(kind, partner, period, round(epsilon_of(used, policy.delta), 3), policy.epsilon)
        if kind == EPSILON
        else Used(kind, partner, period, used, limits.get((kind, period), limit))
        for kind, partner, period, used, limit in rows
    ]


def _online(party: Party) -> list[Used]:
    """The online queries of today, with each partner with whom there were any."""
    if not (party.run.directory / FILE).exists():
        return []
    now, queries = utc_now(), Queries(party.run.directory)
    try:
        used = queries.every(now)
    finally:
        queries.close()
    limit = party.policy.queries_per_partner_per_day
    return [Used(PER_DAY, partner, f"{now:%Y-%m-%d}", count, limit) for partner, count in used.items()]


def told_by_partner(directory: Path, last: Path | None = None) -> tuple[list[Told], list[str]]:
    """The sums over all ledgers in a run directory, and the ledgers that cannot be read; last: the folder of the last
    run that counts."""
    sums, broken = dict[str, Told](), list[str]()
    for ledger in _ledgers(directory, last):
        try:
            lines = list(read_ledger(ledger))
        except VFLError:
            broken.append(str(ledger))
            continue
        met = set[str]()
        for line in lines:
            if peer := str(line.get("to") or line.get("from") or ""):
                met.add(peer)
                sums.setdefault(peer, Told(peer)).add(line)
        for peer in met:
            sums[peer].runs += 1
    return [sums[peer] for peer in sorted(sums)], broken


def _ledgers(directory: Path, last: Path | None) -> Iterator[Path]:
    found = folders(directory)
    if last is not None and last in found:
        found = found[: found.index(last) + 1]
    return (path for folder in found if (path := folder / "ledger.jsonl").exists())
