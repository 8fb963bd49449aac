"""A scorecard whose job promises privacy of labels, by three processes: the host's events carry noise, the guest counts
what it costs, and a second such run is refused before anything is sent."""

from __future__ import annotations

import json

import pytest

from tests.promises.processes.institutions import Institutions, tables
from vfl.job import PERMITS, load_party
from vfl.models import accounting
from vfl.models.part_files import load_part
from vfl.run.budget.used import budgets_used

JOB = {"kind": "scorecard", "max_iter": 5, "link": "taylor", "min_bin_rows": 15, "min_bin_size": 0.05, "key_bits": 2048}
SECTION = '\n[privacy]\nunit = "label"\nepsilon = 9\ndelta = 1e-6\n'


def test_noise_is_added_reported_and_counted(parties: Institutions) -> None:
    parties.lay_out(tables(300, 3, overlap=1.0), settings={"allow": tuple(PERMITS)}, **JOB)
    text = parties.job.read_text()
    kept = [line for line in text.splitlines() if '"convergence-to-parties"' not in line]
    parties.job.write_text("\n".join(kept) + SECTION)
    ended = parties.done()
    told = {name: json.loads(one.report.read_text()) for name, one in ended.items()}
    assert all(one["privacy"] == told["bank"]["privacy"] for one in told.values())
    promise = told["bank"]["privacy"]
    assert (promise["unit"], promise["sums"]) == ("label", 1)
    assert 8.9 < promise["epsilon"] <= 9
    assert "Events of bins carry noise" in (ended["telecom"].folder / "report.html").read_text()
    parts = {name: load_part(ended[name].folder / "model")[0] for name in ("bank", "telecom")}
    totals = {name: {sum(column.events) for column in part.bins} for name, part in parts.items()}
    assert len(totals["bank"]) == 1
    assert totals["telecom"] != totals["bank"]  # without noise each column has all events
    used = {(one.budget, one.partner): one for one in budgets_used(load_party(parties.file("bank")))}
    once = accounting.epsilon([(promise["multiplier"], 1)], 1e-5)
    assert used["epsilon", "telecom"].used == pytest.approx(once, abs=1e-3)
    assert ("rows_per_label_number", "telecom") not in used
    again = parties.here("check", parties.job, parties.file("bank"))
    again.says(6, r"policy\.epsilon is 10", "before it")
