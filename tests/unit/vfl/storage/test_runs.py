"""The runs of a run directory: which there are, how they ended, and which is the latest."""

from __future__ import annotations

import json
import os
from pathlib import Path

import msgspec
import pytest

from protocols.errors import ConfigError
from vfl.cli.results import Runs
from vfl.cli.show import print_runs
from vfl.screen.console import Console
from vfl.storage.runs import Listing, listed, resolved


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A training, a prediction, an alignment, one run that failed, one that was interrupted, and other folders."""

    def folder(name: str, **files: object) -> Path:
        made = tmp_path / name
        made.mkdir()
        for file, content in files.items():
            (made / file.replace("_", ".")).write_text("".join(json.dumps(line) + "\n" for line in [content]))
        return made

    begun = {
        "event": "begins",
        "job": "credit",
        "command": "predict",
        "time": "2026-03-01T10:00:00+01:00",
        "code": None,
    }
    done = {"job": "credit", "purpose": "run", "started": "2026-03-01T09:00:00+00:00"}
    (folder("credit-20260301-090000", report_json=done) / "model").mkdir()
    folder("predict-credit-20260302-090000", report_json=done | {"purpose": "predict"})
    folder("overlap-20251231-235959", alignment_json={"job": "overlap", "started": "2025-12-31T23:59:59+00:00"})
    failed = folder("credit-20260303-090000")
    (failed / "events.jsonl").write_text(
        json.dumps(begun) + "\n" + json.dumps(begun | {"event": "failed", "code": "peer-closed"}) + "\n"
    )
    (folder("credit-20260304-090000+") / "run.sqlite").touch()
    folder("credit-20260305-090000")
    (tmp_path / "budget.sqlite").touch()
    folder("something-else")
    return tmp_path


def test_every_run_is_listed_the_oldest_first(runs: Path) -> None:
    found = [(run.command, run.job, run.outcome) for run in listed(runs)]
    assert found == [
        ("align", "overlap", "done"),
        ("run", "credit", "done"),
        ("predict", "credit", "done"),
        ("predict", "credit", "peer-closed"),
        ("-", "credit", "unfinished"),
        ("-", "credit", "unknown"),
    ]
    assert listed(runs / "none") == []


def test_online_scores_are_open_until_their_ledger_is_closed(tmp_path: Path) -> None:
    folder, runs = tmp_path / "score-credit-20260306-090000", Listing(tmp_path)
    folder.mkdir()
    (folder / "events.jsonl").write_text(json.dumps({"event": "met", "job": "credit", "command": "score"}) + "\n")
    ledger = folder / "ledger.jsonl"
    ledger.write_text(json.dumps({"type": "message"}) + "\n")
    assert [one.outcome for one in runs.runs()] == ["open"]
    ledger.write_text(json.dumps({"type": "end", "outcome": "peer-aborted"}) + "\n")
    os.utime(ledger, ns=(1, 1))
    assert [one.outcome for one in runs.runs()] == ["peer-aborted"]
    ledger.write_text("torn")
    os.utime(ledger, ns=(2, 2))
    assert [one.outcome for one in runs.runs()] == ["unknown"]


def test_latest_is_the_newest_that_is_done_and_has_what_follows(runs: Path) -> None:
    assert resolved(runs / "latest") == runs / "predict-credit-20260302-090000"
    assert resolved(runs / "latest" / "model") == runs / "credit-20260301-090000" / "model"
    assert resolved(runs / "credit-20260303-090000") == runs / "credit-20260303-090000"
    with pytest.raises(ConfigError, match="holds no finished run with nothing"):
        resolved(runs / "latest" / "nothing")
    (runs / "latest").mkdir()  # somebody's own folder of that name is that folder
    assert resolved(runs / "latest") == runs / "latest"


def test_a_list_for_people_and_one_for_programs(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = Runs(runs=listed(runs))
    lines = msgspec.json.decode(msgspec.json.encode(found), type=Runs).runs
    assert [line.outcome for line in lines][:2] == ["done", "done"]
    print_runs(found, runs, Console(width=120))
    shown = capsys.readouterr().out
    assert "2026-03-01 09:00:00" in shown
    print_runs(Runs(runs=[]), runs / "none", Console())
    assert "no runs in" in capsys.readouterr().out


def test_a_damaged_report_hides_no_run(runs: Path) -> None:
    (runs / "credit-20260301-090000" / "report.json").write_text("{")
    assert [run.outcome for run in listed(runs)][1] == "done"
