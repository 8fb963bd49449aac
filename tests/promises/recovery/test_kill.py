"""Real processes of a small federation, killed at messages and at random moments: the commands that users may run
too."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from vfl.testing.chaos.federation import MODELS


def chaos(*options: str, seconds: float = 100) -> str:
    """`vfl chaos kill` in a process of its own, which forks safely: it has no threads."""
    ended = subprocess.run(
        [sys.executable, "-m", "vfl", "chaos", "kill", *options],
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.mark.slow  # the README's command, which a default test runs, is this one
def test_a_party_killed_at_a_message_changes_nothing() -> None:
    assert "ledgers that agree" in chaos("--every", "80")


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("model", [*MODELS])
def test_a_party_killed_at_any_fifth_message_or_moment_changes_nothing(model: str) -> None:
    chaos("--model", model, "--every", "5", "--instants", "200", seconds=3500)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_run_of_prepared_iterations_is_killed_at_any_message() -> None:
    chaos("--model", "logistic-regression, prepared", "--every-boundary", seconds=1700)


@pytest.mark.slow
def test_an_alignment_is_killed_too() -> None:
    assert "ledgers that agree" in chaos("--model", "align", "--every", "6")


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("command", ["align", "predict"])
def test_other_commands_killed_at_any_message(command: str) -> None:
    chaos("--model", command, "--every-boundary", "--instants", "20", seconds=590)


PLANTED = """
import sys, pathlib
from vfl.testing.chaos import kill
from vfl.testing.chaos.kill import Chaos, Trials
found, trials = Chaos(pathlib.Path(sys.argv[1]), sys.argv[2]), Trials("telecom")
files, messages = found.expected["bank"]
found.expected["bank"] = {name: "0" * 64 for name in files}, messages
found.at_message(trials, 9)
found.expected["bank"], kill.REPEATS = (files, messages), -1
found.at_message(trials, 9)
found.weights = found.weights + found.weights.max() // 1000
found.at_message(trials, 9)
print(trials.kills, *trials.wrong, sep="\\n")
"""


@pytest.mark.slow
@pytest.mark.parametrize("model", ["logistic-regression", "logistic-regression, direct"])
def test_another_end_is_seen(tmp_path: Path, model: str) -> None:
    """Planted: expectations that the run cannot meet.  In a process without threads, as it forks."""
    ended = subprocess.run(
        [sys.executable, "-c", PLANTED, str(tmp_path), model], capture_output=True, text=True, timeout=110, check=True
    )
    kills, result, *others = ended.stdout.splitlines()
    assert (kills, result) == ("3", "telecom killed at message 9: bank has another result or sent other messages")
    assert sum("steps were repeated" in line for line in others) == 2
    assert sum("a weight differs by" in line for line in others) == (model == "logistic-regression")


def test_nothing_to_kill_is_refused() -> None:
    for options, words in (
        (("--every", "0"), "nothing is to be killed"),
        (("--model", "report"), "no run whose processes can be killed"),
    ):
        ended = subprocess.run(
            [sys.executable, "-m", "vfl", "chaos", "kill", *options],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ended.returncode == 2
        assert words in ended.stderr
