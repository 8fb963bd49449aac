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


@pytest.mark.slow
def test_revealed_weights_of_labels_with_noise(parties: Institutions) -> None:
    """A regression that reveals weights to their owners: trained on labels with noise, said in every report, counted at
    the guest as epsilon and not as numbers computed from labels; another such run is refused."""
    job = {"kind": "logistic-regression", "max_iter": 20, "link": "exact", "C": 0.05, "key_bits": 2048}
    parties.lay_out(tables(300, 3, overlap=1.0), settings={"allow": tuple(PERMITS)}, **job)
    told_weights = parties.job.read_text().replace("allow = [", 'allow = [\n  "host-weights-to-host",', 1)
    parties.job.write_text(told_weights + SECTION)
    checked = parties.here("check", parties.job, parties.file("bank"))
    assert checked.code == 0, checked.err
    shown = " ".join(checked.out.split())
    assert "runs with noise on these labels have cost 0 so far" in shown
    assert "the model is trained on labels with noise, sigma = " in shown
    ended = parties.done()
    told = {name: json.loads(one.report.read_text()) for name, one in ended.items()}
    promise = told["telecom"]["privacy"]
    assert (promise["unit"], promise["sums"], promise["on"]) == ("label", 1, "labels that are trained on")
    (weights,) = [line for line in told["trustco"]["disclosure"] if line["message"] == "HostWeights"]
    assert f"sigma = {promise['multiplier']:.4f} times what one label can change" in weights["noise"]
    assert "with noise" in (ended["trustco"].folder / "report.html").read_text()
    used = {(one.budget, one.partner): one for one in budgets_used(load_party(parties.file("bank")))}
    assert used["epsilon", "telecom"].used == pytest.approx(
        accounting.epsilon([(promise["multiplier"], 1)], 1e-5), abs=1e-3
    )
    assert used["epsilon", "trustco"].used == used["epsilon", "telecom"].used  # it learns of the training too
    assert ("rows_per_label_number", "telecom") not in used
    parties.here("check", parties.job, parties.file("bank")).says(6, r"policy\.epsilon is 10", "before it")
