"""The generated hospital and insurer: partly the same patients, other columns."""

from __future__ import annotations

import pytest

from protocols.errors import ConfigError
from vfl.demo.readmission import readmission_sim


def test_both_know_partly_the_same_patients_and_only_the_hospital_who_came_back() -> None:
    hospital, insurer = readmission_sim()
    common = set(hospital["insured"]) & set(insurer["insured"])
    assert 0.65 < len(common) / 1200 < 0.8
    assert hospital["insured"].is_unique
    assert insurer["insured"].is_unique
    assert set(hospital.columns) & set(insurer.columns) == {"insured"}
    assert 0.1 < hospital["back"].mean() < 0.3


def test_a_seed_gives_the_same_tables() -> None:
    one, same, other = readmission_sim(200), readmission_sim(200), readmission_sim(200, seed=4)
    assert one[0].equals(same[0])
    assert one[1].equals(same[1])
    assert not one[0].equals(other[0])
    with pytest.raises(ConfigError, match="patients"):
        readmission_sim(10)
