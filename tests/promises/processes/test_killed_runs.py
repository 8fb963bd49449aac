"""One of three institutions dies, or its user stops it, in the middle of training: the others end within 15 s and say
who."""

from __future__ import annotations

import signal
import time

import pytest

from tests.promises.processes.institutions import Institutions, Process
from vfl.ledger import read_ledger


def in_training(parties: Institutions) -> dict[str, Process]:
    """All parties, in the middle of a long training."""
    parties.lay_out(max_iter=500)
    started = {name: parties.start(name) for name in parties.roles}
    for process in started.values():
        process.until(
            lambda events: any(e["phase"] == "train" and (e["step"] or 0) >= 2 and e["of"] == 500 for e in events)
        )
    return started


@pytest.mark.parametrize(
    "victim", ["bank", pytest.param("telecom", marks=pytest.mark.slow), pytest.param("trustco", marks=pytest.mark.slow)]
)
def test_kill_nine_ends_the_other_two_within_15_seconds(parties: Institutions, victim: str) -> None:
    others = in_training(parties)
    others.pop(victim).kill(signal.SIGKILL)
    killed = time.monotonic()
    for name, process in others.items():
        ended = process.wait(15)
        assert ended.code == 4, ended.err
        ended.says(ended.code, victim, r"start all parties again|repair the cause")
        (folder,) = (parties.folder / name / "runs").glob("credit-risk-*")
        assert not (folder / "model").exists()
        assert not (folder / "report.json").exists()
        *_, last = read_ledger(folder / "ledger.jsonl")
        assert last["outcome"] in ("peer-closed", "peer-aborted")
    assert time.monotonic() - killed < 15


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(signal.SIGINT, marks=pytest.mark.slow),
        signal.SIGTERM,
        pytest.param(signal.SIGHUP, marks=pytest.mark.slow),
    ],
)
def test_a_user_who_stops_a_run_stops_it_for_all(parties: Institutions, number: signal.Signals) -> None:
    others = in_training(parties)
    stopped = others.pop("telecom")
    stopped.kill(number)
    stopped.wait(15).says(
        128 + number, "stopped on request; the other parties were informed", "When every .* it resumes"
    )
    (ledger,) = (parties.folder / "telecom" / "runs").rglob("ledger.jsonl")
    assert [line.get("outcome") for line in read_ledger(ledger)][-1] == "stopped"
    for process in others.values():
        process.wait(15).says(4, "telecom was stopped by Ctrl-C or a signal", "Ask telecom")


def test_a_user_who_stops_while_waiting_for_others(parties: Institutions) -> None:
    parties.lay_out()
    alone = parties.start("bank")
    alone.until(lambda events: bool(events))
    alone.kill(signal.SIGINT)
    alone.wait(15).says(130, "stopped on request")
    assert list((parties.folder / "bank" / "runs").iterdir()) == []
