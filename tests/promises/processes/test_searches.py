"""[search] by files: what a party is told before, the budget of labels, real processes, a kill in a fold, and the
report."""

from __future__ import annotations

import json
import signal

import numpy as np
import pytest

from tests.promises.processes.institutions import Institutions, tables
from tests.promises.processes.test_resumed_runs import check, start, undisturbed, until_sent
from vfl.job import PERMITS

TREES = {
    "kind": "boosted-trees",
    "n_estimators": 2,
    "max_depth": 2,
    "max_bin": 4,
    "min_bin_rows": 1,
    "membership": "open",
}


def laid_out(parties: Institutions, lines: str, **job: object) -> Institutions:
    roles = {"bank": "guest", "telecom": "host"} if job.get("membership") == "open" else None
    parties.lay_out(tables(rows=60), roles=roles, settings={"allow": tuple(PERMITS)}, reconnect=60, **job)  # type: ignore[arg-type]
    text = parties.job.read_text().replace("allow = [", 'allow = [\n  "best-candidate-to-parties",', 1)
    parties.job.write_text(f"{text}\n[search]\n{lines}\n")
    return parties


def test_check_says_how_many_models_are_trained_and_what_that_takes_and_tells(parties: Institutions) -> None:
    laid_out(parties, "cv = 3\nparam_grid = { C = [0.1, 1] }")
    found = parties.here("check", parties.job, parties.file("bank"))
    told = " ".join(found.out.split())
    assert found.code == 0, found.err
    assert "2 candidates (C 0.1, 1.0) on 3 folds of the training rows, by roc_auc" in told
    assert "the best is trained once more on all of them: 7 trainings" in told
    assert "nobody learns a weight of a fold; the guest learns the rounded score of each training row" in told
    assert "for all 7 trainings" in told
    assert "could tell the guest" in " ".join(
        parties.here("check", parties.job, parties.file("telecom")).out.split()
    )  # as many candidates as columns
    assert "7 trainings" in " ".join(parties.here("job", "show", parties.job).out.split())


@pytest.mark.slow
def test_a_search_of_trees_beyond_the_budget_of_labels_is_refused_before_anything_is_sent(
    parties: Institutions,
) -> None:
    laid_out(parties, "cv = 5\nparam_grid = { max_depth = [1, 2] }", **TREES)
    fits = parties.here("check", parties.job, parties.file("bank"))
    assert (fits.code, "11 count against policy.models_per_label" in " ".join(fits.out.split())) == (0, True), fits.err
    parties.change("bank", "models_per_label = 20", "models_per_label = 10")
    words = "this job trains 11 more, and policy.models_per_label is 10", "Search fewer candidates or folds"
    parties.here("check", parties.job, parties.file("bank")).says(6, *words)
    parties.start("bank", timeout=1).wait(20).says(6, *words)
    assert parties.here("check", parties.job, parties.file("telecom")).code == 0  # it has no labels to protect


@pytest.mark.slow
def test_by_files_a_killed_search_goes_on_to_the_same_choice_and_the_same_model(parties: Institutions) -> None:
    laid_out(parties, 'cv = 2\nscoring = "neg_log_loss"\nparam_grid = { C = [0.001, 1] }', preparation="none")
    started = {name: start(parties, name) for name in parties.roles}
    until_sent(parties, "trustco", 40)  # in the second fold
    started["trustco"].kill(signal.SIGKILL)
    started["trustco"].wait(10)
    started["trustco"] = start(parties, "trustco")
    results = {name: process.wait(100) for name, process in started.items()}
    check(parties, results)
    expected = undisturbed(parties)["bank"].searched  # type: ignore[attr-defined]
    report, host, arbiter = (json.loads(results[name].report.read_text()) for name in ("bank", "telecom", "trustco"))
    found = report["search"]
    assert np.array_equal(found["scores"], expected.scores)
    assert found["best"] == expected.best == host["search"]["best"]
    assert "scores" not in host["search"]
    assert (found["trainings"], found["models_told"], found["candidates"]) == (5, 1, [{"C": 0.001}, {"C": 1.0}])
    assert sum(found["fold_rows"]) == report["alignment"]["train_rows"]
    assert report["model"]["C"] == host["model"]["C"] == found["candidates"][found["best"]]["C"]
    assert "C" not in arbiter["model"]
    opened = {
        e["message"]: e["count"]
        for e in arbiter["disclosure"]
        if e["message"] in ("ArbiterScores", "GuestWeights", "HostWeights")
    }
    assert opened == {"ArbiterScores": 4 + 1}  # four folds, and the held-out rows
    assert "openings the guest learnt" in (results["bank"].folder / "report.html").read_text()
    assert "neg_log_loss" in parties.job.read_text()
    assert parties.here("report", results["bank"].folder).code == 0


@pytest.mark.slow
def test_by_files_a_search_of_trees(parties: Institutions) -> None:
    laid_out(parties, "cv = 2\nparam_grid = { max_depth = [1, 2] }", **TREES)
    results = parties.done()
    report = json.loads(results["bank"].report.read_text())
    assert report["model"]["max_depth"] == report["search"]["candidates"][report["search"]["best"]]["max_depth"]
    assert report["search"]["models_told"] == 5
    assert "5 count against" in (results["bank"].folder / "report.html").read_text()
    parties.change("bank", "models_per_label = 20", "models_per_label = 9")
    parties.here("check", parties.job, parties.file("bank")).says(
        6, "5 models of these labels were trained with telecom, this job trains 5 more"
    )
