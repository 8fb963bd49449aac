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
    chaos("--model", "logistic-regression, prepared", "--every-boundary", "--jobs", "2", seconds=1700)


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


SHARED = """
import os
from protocols.errors import LocalProtocolError
from vfl.testing.chaos import workers
from vfl.testing.chaos.kill import Trials, Undisturbed
def told(model, *, number, of, **asked):
    yield Undisturbed(1.0 + number, {"bank": 3 + (model == "other" and number), "telecom": 2})
    if model == "dies" and number:
        os._exit(1)
    if model == "fails" and number:
        raise LocalProtocolError("planted", remedy="None")
    for party in ("bank", "telecom"):
        yield Trials(party, kills=1 + number, repeats=number, longest=1.0 - number, wrong=[f"{party} {number}"])
workers.shared_kills = told
for model in ("good", "other", "dies", "fails"):
    try:
        print(*workers.kills(model, every=1, instants=0, seed=0, jobs=2), sep="; ")
    except LocalProtocolError as error:
        print(error.what)
"""


def test_federations_that_share_trials_are_counted_together_and_missed() -> None:
    """Planted: one with other messages, one that dies, one that fails."""
    ended = subprocess.run(
        [sys.executable, "-c", SHARED], capture_output=True, text=True, timeout=60, check=True
    ).stdout.splitlines()
    whole = "Undisturbed(seconds=2.0, messages={'bank': 3, 'telecom': 2})"
    each = [
        f"Trials(party='{party}', kills=3, resumed=0, repeats=1, longest=1.0, wrong=['{party} 0', '{party} 1'])"
        for party in ("bank", "telecom")
    ]
    assert ended[0] == "; ".join((whole, *each))
    assert ended[1:] == [
        "undisturbed runs differ in their messages",
        "a process with trials died",
        "planted",
    ]


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
