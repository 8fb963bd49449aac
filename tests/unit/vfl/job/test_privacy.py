"""[privacy] in the job of a guest and hosts: which jobs can promise it, and what the programs make of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from protocols.errors import ConfigError
from vfl.job import Job, load_job
from vfl.job.opened import rows_taken
from vfl.job.plan import plan_of
from vfl.job.starter import starter_job
from vfl.models import accounting

SECTION = '\n[privacy]\nunit = "label"\nepsilon = 2\ndelta = 1e-6\n'


def job(tmp_path: Path, text: str) -> Job:
    (tmp_path / "job.toml").write_text(text)
    return load_job(tmp_path / "job.toml")


def without(text: str, *permits: str) -> str:
    return "\n".join(line for line in text.splitlines() if not any(f'"{permit}"' in line for permit in permits)) + "\n"


SCORECARD = without(starter_job(kind="scorecard"), "convergence-to-parties", "host-weights-to-host")


def test_a_scorecard_can_promise_it(tmp_path: Path) -> None:
    plain, private = job(tmp_path, SCORECARD), job(tmp_path, SCORECARD + SECTION)
    assert plain.digest != private.digest
    assert plan_of(plain).noise is None
    noise = plan_of(private).noise
    assert noise is not None
    assert noise.multiplier == accounting.multiplier(2.0, 1e-6, 1)
    assert b"privacy" not in plain.canonical


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (starter_job(kind="scorecard") + SECTION, "convergence-to-parties"),
        (without(starter_job(kind="logistic-regression"), "convergence-to-parties") + SECTION, "no events of bins"),
        (starter_job(kind="boosted-trees") + SECTION, "no events of bins"),
        (SCORECARD + SECTION.replace("label", "row"), "for an averaging of members"),
        (SCORECARD + SECTION + "clip = 2.0\n", "nothing is clipped"),
        (SCORECARD + SECTION.replace("epsilon = 2\n", ""), "privacy.epsilon"),
    ],
)
def test_other_jobs_are_refused(tmp_path: Path, text: Any, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        job(tmp_path, text)


def test_rows_per_label_number_does_not_count_events_with_noise(tmp_path: Path) -> None:
    from tests.unit.vfl.run.budget.test_budgets import init_party, load_party

    init_party(tmp_path / "bank", "guest", "bank")
    bank = load_party(tmp_path / "bank" / "party.toml")
    assert rows_taken(job(tmp_path, SCORECARD), bank)
    assert not rows_taken(job(tmp_path, SCORECARD + SECTION), bank)
