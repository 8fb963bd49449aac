"""A party learns before anything is sent that a job does not fit into its memory, and is warned where it may not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.promises.processes.institutions import Institutions
from tests.promises.processes.test_refusals import nothing_sent
from vfl.cost.machine import Machine
from vfl.run import own_memory

MIB = 1 << 20


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A known one, so that no time is measured."""
    monkeypatch.setattr(Machine, "measured", classmethod(lambda cls, key_bits: Machine(3e-7, 0.05)))


def can_get(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """This process has a MiB and can get the rest."""
    monkeypatch.setattr(own_memory, "resident", lambda: MIB)
    monkeypatch.setattr(own_memory, "memory_left", lambda: count - MIB)


def checked(parties: Institutions, name: str) -> dict[str, Any]:
    found = parties.here("check", parties.job, parties.file(name), "--json")
    assert found.code == 0, found.err
    told: dict[str, Any] = json.loads(found.out.splitlines()[-1])
    return told


def test_check_tells_each_party_what_it_needs(parties: Institutions, monkeypatch: pytest.MonkeyPatch) -> None:
    parties.lay_out()
    can_get(monkeypatch, 1000 * MIB)
    for name in ("bank", "telecom", "trustco"):
        told = checked(parties, name)
        memory = told["memory"]
        assert 150 * MIB < memory["least"] <= memory["needs"] < memory["left"] == 1000 * MIB
        assert "of 1.05 GB that it can get" in told["facts"]["memory"]
        assert not any("memory" in caution for caution in told["cautions"])
    assert "for 10,000 common rows" in told["facts"]["memory"]  # at the arbiter, who has no table


def test_too_little_for_all_rows_is_a_caution(parties: Institutions, monkeypatch: pytest.MonkeyPatch) -> None:
    parties.lay_out()
    needs = checked(parties, "telecom")["memory"]["needs"]
    can_get(monkeypatch, needs - 1)
    told = checked(parties, "telecom")
    (said,) = [caution for caution in told["cautions"] if "may run out of memory" in caution]
    assert "Use a machine with more memory" in said
    assert told["memory"]["left"] == needs - 1


@pytest.mark.parametrize("command", ["check", "run", "align", "prepare"])
def test_too_little_for_the_fewest_rows_is_refused(
    parties: Institutions, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    parties.lay_out()
    can_get(monkeypatch, 100 * MIB)
    refused = parties.here(command, parties.job, parties.file("telecom"))
    refused.says(8, "telecom: this process can get too little memory for the job", "expected at least", "found 105 MB")
    assert "ulimit" not in refused.err
    nothing_sent(parties)
