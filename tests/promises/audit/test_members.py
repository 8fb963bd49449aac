"""The audit of an averaging: in one process, and of a party's own folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import vfl
from protocols.errors import ConfigError
from tests.promises.audit.scenes import averaged
from vfl.attacks import own_members
from vfl.attacks.attack import SEEDS
from vfl.attacks.audit import attacked, tried_on
from vfl.attacks.averages import Averaged
from vfl.attacks.page import render
from vfl.attacks.registry import ATTACKS
from vfl.attacks.single_updates import SingleUpdates, differences, numbers
from vfl.job.alignment_job import agreement_in
from vfl.job.members_job import MembersJob
from vfl.models.averaging.course import whole
from vfl.schema.section import read_toml

JOB = """
version = 1
name = "hospitals"
[parties]
members = ["a", "b", "c", "d"]
arbiter = "office"
[table]
label = "readmitted"
columns = ["age", "pulse"]
[model]
kind = "averaging"
rounds = 5
[disclosure]
allow = ["averages-to-parties"]
"""


def test_single_members_are_not_found_and_planted_ones_are() -> None:
    run, attack = averaged(), SingleUpdates()
    tried = tried_on(run, attack, SEEDS)
    assert tried.holds
    assert attack.smallest(run, SEEDS) == attack.found == 0.1
    with_others = numbers(run.entries("hospital-0"), 8)
    sums = {sum(each) for each in zip(*(run.first_numbers(name) for name in run.roles.members), strict=True)}
    assert sums <= with_others  # what is opened is found as it would be of one


def test_a_difference_of_two_sums_is_found() -> None:
    run = averaged()
    one, rest = run.first_numbers("hospital-0"), run.first_numbers("hospital-1")
    words = [
        np.array([(number >> 16 * k) & 0xFFFF if k < 7 else number >> 112 for number in one_list for k in range(8)])
        for one_list in ([a + b for a, b in zip(one, rest, strict=True)], rest)
    ]
    found = {number for each in differences([w.astype("<i8").view("<u8") for w in words]) for number in whole(each)}
    assert set(one) <= found


def test_members_and_their_averaging_are_audited() -> None:
    rng = np.random.default_rng(1)
    table = pd.DataFrame({"age": rng.normal(size=80), "ill": rng.integers(0, 2, 80)})
    members = vfl.Members.local({name: table.iloc[k::4] for k, name in enumerate("abcd")}, label="ill")
    found = vfl.audit(members, vfl.Averaging(rounds=2), seeds=2)
    assert [one.attack.number for one in found.tried] == [18]
    assert len(found.untried) == len(ATTACKS) - 1
    assert set(found.untried.values()) == {Averaged.without, *Averaged.reasons.values()}
    assert "averaging on 80 rows; columns: a 1" in render(found.as_dict())
    with pytest.raises(ConfigError, match="an averaging takes no split"):
        vfl.audit(members, vfl.Averaging(rounds=2), split=vfl.Split(test=0.5))


def test_the_twin_has_the_members_and_columns_of_the_job(tmp_path: Path) -> None:
    (tmp_path / "job.toml").write_text(JOB)
    job = agreement_in(*read_toml(tmp_path / "job.toml"), "job.toml")
    assert isinstance(job, MembersJob)
    twin = own_members.twin_of(job)
    assert twin.columns == dict.fromkeys("abcd", 2)
    tried, _ = attacked(twin, 2)
    assert all(one.holds for one in tried)
