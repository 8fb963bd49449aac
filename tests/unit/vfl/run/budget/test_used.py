"""`vfl budget`: what is used, by partner and period, and the sums over all runs by their ledgers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from protocols.alignment.ecdh import BlindedIds, IntersectionSize
from tests.unit.vfl.run.budget.test_budgets import LABELS, month, named, now, party
from vfl.job import Party
from vfl.ledger import LedgerTap, LedgerWriter
from vfl.run.budget import Budget
from vfl.run.budget.queries import PER_DAY, Queries, utc_now
from vfl.run.budget.used import budgets_used, told_by_partner

__all__ = ["party"]  # a fixture


def test_what_is_used_and_left(party: Callable[..., Party]) -> None:
    bank = party("guest", runs_per_partner_per_month=3)
    for run in range(2):
        budget = Budget(bank, "run", LABELS, guest="bank")
        budget.charge(["telecom"], named(run), now())
        budget.allowance(named(run), ["telecom"]).training({}, 0)
    found = {(one.budget, one.partner): one for one in budgets_used(bank)}
    monthly = found["runs_per_partner_per_month", "telecom"]
    assert (monthly.period, monthly.used, monthly.limit, monthly.left) == (month(), 2, 3, 1)
    models = found["models_per_label", "telecom"]
    assert (models.used, models.left) == (2, 18)
    assert models.period.startswith("labels ")


def test_sums_over_runs(tmp_path: Path) -> None:
    for number, sizes in enumerate(((1,), (1, 1))):
        folder = tmp_path / f"credit-2026010{number + 1}-090000"
        folder.mkdir()
        with LedgerWriter(folder / "ledger.jsonl", job="credit", job_digest=bytes(32), party="bank") as writer:
            tap = LedgerTap(writer)
            for size in sizes:
                tap.sent("telecom", IntersectionSize, bytes(size))
            tap.sent("telecom", BlindedIds, bytes(100))
            tap.received("telecom", BlindedIds, bytes(7))
    (tmp_path / "credit-20260103-090000").mkdir()
    (tmp_path / "credit-20260103-090000" / "ledger.jsonl").write_text("torn")
    (told,), broken = told_by_partner(tmp_path)
    assert (told.partner, told.runs, told.messages, told.bytes) == ("telecom", 2, 5, 203)
    assert (told.received_messages, told.received_bytes) == (2, 14)
    assert told.revealed == {IntersectionSize.learns: 3}
    assert [Path(path).parent.name for path in broken] == ["credit-20260103-090000"]


def test_online_queries_of_today(party: Callable[..., Party]) -> None:
    bank = party("guest", queries_per_partner_per_day=9)
    assert not [one for one in budgets_used(bank) if one.budget == PER_DAY]
    queries = Queries(bank.run.directory)
    queries.charge(["telecom"], 4, 9, utc_now())
    queries.close()
    (used,) = [one for one in budgets_used(bank) if one.budget == PER_DAY]
    assert (used.partner, used.used, used.left) == ("telecom", 4, 5)
