"""The split by the guest's dates in job files: check, run and report; the date column is no feature and never
leaves."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.promises.processes.institutions import KEY, Institutions, tables
from vfl.job import PERMITS
from vfl.models.part_files import load_part

NAMES = ("bank", "telecom")
KINDS: dict[str, dict[str, Any]] = {
    "regression": {"max_iter": 5, "link": "taylor"},
    "scorecard": {"kind": "scorecard", "max_iter": 5, "link": "taylor", "min_bin_rows": 8, "min_bin_size": 0.1},
    "trees": {"kind": "boosted-trees", "n_estimators": 1, "max_depth": 2, "max_bin": 4, "min_bin_rows": 4},
}


def laid_out(parties: Institutions, **job: Any) -> dict[str, pd.DataFrame]:
    """A job with out_of_time; the guest's table has dates as texts."""
    data = tables(200, 5)
    data["bank"]["canaryopened"] = pd.date_range("2025-01-01", periods=200).strftime("%Y-%m-%d")
    parties.lay_out(data, settings={"allow": tuple(PERMITS)}, **job)
    text = parties.job.read_text().replace("[split]\n", "[split]\nout_of_time = 2025-06-01\n")
    parties.job.write_text(text.replace("allow = [", 'allow = ["out-of-time-rows-to-hosts", '))
    parties.change("bank", 'label = "canarylabel"', 'label = "canarylabel"\ndate = "canaryopened"')
    return data


def test_check_and_show_say_what_is_told(parties: Institutions) -> None:
    laid_out(parties, **KINDS["regression"])
    shown = parties.here("job", "show", parties.job)
    assert "2025-06-01" in shown.out
    checked = parties.here("check", parties.job, parties.file("bank"))
    assert (checked.code, "out-of-time-rows-to-hosts" in checked.out) == (0, True), checked.err
    parties.change("bank", 'date = "canaryopened"\n', "")
    parties.here("check", parties.job, parties.file("bank")).says(2, "data.date is missing", "Name the column of dates")
    parties.change(
        "bank", 'label = "canarylabel"', 'label = "canarylabel"\ndate = "canaryage"\ncolumns = ["canarylimit"]'
    )
    parties.here("check", parties.job, parties.file("bank")).says(
        3, "date column 'canaryage' holds no date in rows", "2026-01-31"
    )
    parties.change("telecom", "[data]", '[data]\ndate = "canarybill"')
    parties.here("check", parties.job, parties.file("telecom")).says(2, "only the guest's dates decide")


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_three_processes_measure_every_part(parties: Institutions, kind: str) -> None:
    data = laid_out(parties, **KINDS[kind])
    parties.job.write_text(parties.job.read_text() + '\n[evaluation]\nparts = ["test", "train"]\n')
    results = parties.done()
    guest, host = (json.loads(results[name].report.read_text()) for name in NAMES)
    both = data["bank"].merge(data["telecom"], on=KEY)
    later = int((both["canaryopened"] >= "2025-06-01").sum())
    assert guest["alignment"]["out_of_time_rows"] == host["alignment"]["out_of_time_rows"] == later > 0
    assert sum(guest["alignment"][f"{part}_rows"] for part in ("train", "test", "out_of_time")) == len(both)
    assert guest["metrics"]["out_of_time"]["joint"]["n"] == later
    assert set(guest["metrics"]) == {"test", "out_of_time", "train"}
    assert [line["column"] for line in guest["stability"]["out_of_time"]["columns"]] == ["canaryage", "canarylimit"]
    assert {line["rows"] for line in host["stability"]["out_of_time"]["columns"]} == {later}
    part, _ = load_part(results["bank"].folder / "model")
    assert "canaryopened" not in part.columns
    ledger = (results["bank"].folder / "ledger.jsonl").read_text()
    assert ledger.count("LaterRows") == 1
    page = (results["bank"].folder / "report.html").read_text()
    assert "out\u2011of\u2011time rows" in page
    assert "2025-06-01" in page  # the job's day; no date of a row
    opened = np.array(data["bank"]["canaryopened"])
    assert not any(day in page for day in opened if day != "2025-06-01")
    new = {name: frame.drop(columns=["canarylabel", "canaryopened"], errors="ignore") for name, frame in data.items()}
    for name, frame in new.items():  # a table to be scored needs no dates
        frame.to_csv(parties.folder / name / "new.csv", index=False)
    started = {}
    for name in parties.roles:
        own = results[name].folder / "model"
        model = ["--model", str(own)] if own.exists() else []
        model += [] if name == "trustco" else ["--data", str(parties.folder / name / "new.csv")]
        started[name] = parties.start(name, *model, command="predict")
    assert [process.wait(100).code for process in started.values()] == [0] * len(started)
