"""An averaging by real processes over TLS, of which one is killed: the others end with the right model, or with a typed
error at every party."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from protocols.averaging.secure_sum import Sum
from tests.places import ROOT
from tests.promises.processes.averaging_party import SUM
from tests.promises.processes.averaging_tables import MEMBERS, SPEC, rows_of
from tests.unit.vfl.models.averaging.test_course import members
from vfl.transport.identity import create_identity


def run(folder: Path, dies: dict[str, int]) -> dict[str, dict[str, Any]]:
    """All parties as processes; what each printed at its end, nothing of one that was killed."""
    for name in (SUM, *MEMBERS):
        create_identity(folder / name, name)
    processes: dict[str, subprocess.Popen[str]] = {}
    address = None
    try:
        for name in (SUM, *MEMBERS):
            processes[name] = subprocess.Popen(
                [sys.executable, "-m", "tests.promises.processes.averaging_party"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                cwd=ROOT,
            )
            told = {"name": name, "folder": str(folder), "address": address, "dies": dies.get(name, 0)}
            stdin, stdout = processes[name].stdin, processes[name].stdout
            assert stdin is not None
            assert stdout is not None
            print(json.dumps(told), file=stdin, flush=True)
            if name == SUM:
                address = f"127.0.0.1:{int(stdout.readline())}"
        said = {name: process.communicate(timeout=90)[0] for name, process in processes.items()}
    finally:
        for process in processes.values():
            process.kill()
            process.wait()
    return {name: json.loads(text) for name, text in said.items() if text.strip()}


def expected(survivors: tuple[str, ...]) -> tuple[float, ...]:
    """The model of these members, in one place and without masks."""
    own = members({name: rows_of(name) for name in MEMBERS}, **SPEC.get_params())
    rest = {name: own[name] for name in survivors}
    for turn in (1, 2):
        total = np.sum([one.numbers(turn) for one in rest.values()], axis=0, dtype=np.uint64)
        for one in rest.values():
            one.opened(Sum(turn, frozenset(rest), total))
    return tuple(own["north"].course.weights)


@pytest.mark.slow
def test_all_processes_end_with_one_model(tmp_path: Path) -> None:
    ended = run(tmp_path, {})
    assert set(ended) == {SUM, *MEMBERS}
    assert {tuple(each["weights"]) for each in ended.values()} == {expected(MEMBERS)}


def test_one_killed_before_the_first_sum_leaves_the_others_a_model(tmp_path: Path) -> None:
    """After its shares were dealt: the three others scale by their own rows, and have the model of three members."""
    ended = run(tmp_path, {"east": 1})
    assert set(ended) == {SUM, "north", "south", "west"}
    assert {tuple(each["members"]) for each in ended.values()} == {(3,)}
    assert {tuple(each["weights"]) for each in ended.values()} == {expected(("north", "south", "west"))}


@pytest.mark.slow
def test_two_killed_end_every_party_with_a_typed_error(tmp_path: Path) -> None:
    """Two of four are fewer than the threshold."""
    ended = run(tmp_path, {"east": 1, "west": 1})
    assert set(ended) == {SUM, "north", "south"}
    assert ended[SUM]["code"] == "too-few-members"
    assert {ended[name]["code"] for name in ("north", "south")} == {"peer-aborted"}
    assert all("too few members" in ended[name]["text"] for name in ("north", "south"))
