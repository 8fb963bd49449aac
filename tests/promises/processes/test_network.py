"""Three institutions train a sealed network by files, and score new rows with it."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.promises.processes.institutions import KEY, Institutions, tables
from tests.promises.processes.test_predict import new_tables, predicted
from tests.promises.processes.test_resumed_runs import start, until_sent
from vfl.job import PERMITS
from vfl.ledger import read_ledger, verify_ledger

NETWORK = {"kind": "mlp-classifier", "hidden_layer_sizes": (3,), "max_iter": 3, "learning_rate_init": 0.3}


def scores(folder: Path) -> pd.Series:
    return pd.read_csv(folder / "scores.csv").set_index(KEY)["score"]


def test_check_run_report_and_predict(parties: Institutions) -> None:
    parties.lay_out(**NETWORK)  # type: ignore[arg-type]
    checked = parties.here("check", parties.job, parties.file("bank"))
    assert checked.code == 0, checked.err
    assert "3 hidden units (tanh)" in " ".join(checked.out.split())
    ended = parties.done()
    report = json.loads(ended["bank"].report.read_text())
    assert (report["model"]["kind"], report["model"]["hidden_layer_sizes"]) == ("mlp-classifier", [3])
    assert report["metrics"]["test"]["joint"]["n"] > 0
    page = (ended["bank"].folder / "report.html").read_text()
    assert "mlp-classifier" in page
    assert "every sum and activation" in page
    shown = parties.here("model", "show", parties.models(ended)["trustco"])
    assert "3 units, tanh" in shown.out
    new_tables(parties)
    first = predicted(parties, parties.models(ended))
    assert [one.code for one in first.values()] == [0] * 3, [one.err for one in first.values()]
    found = scores(first["bank"].folder)
    assert 20 < found.notna().sum() < len(found)
    second = predicted(parties, parties.models(ended))
    assert np.array_equal(scores(second["bank"].folder), found, equal_nan=True)


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["bank", "telecom", "trustco"])
def test_a_party_that_is_killed_comes_back(parties: Institutions, victim: str) -> None:
    parties.lay_out(reconnect=60, **NETWORK | {"max_iter": 12})  # type: ignore[arg-type]
    started = {name: start(parties, name) for name in parties.roles}
    until_sent(parties, victim, 60)
    started[victim].kill(signal.SIGKILL)
    started[victim].wait(10)
    started[victim] = start(parties, victim)
    ended = {name: process.wait(100) for name, process in started.items()}
    assert all(one.code == 0 for one in ended.values()), [one.err for one in ended.values()]
    for one in ended.values():
        assert verify_ledger(one.folder / "ledger.jsonl").outcome == "done"
        assert any(line["type"] == "renewed" for line in read_ledger(one.folder / "ledger.jsonl"))


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["bank", "telecom", "trustco"])
def test_weights_and_early_stopping_by_files_with_a_party_killed_after_a_verdict(
    parties: Institutions, victim: str
) -> None:
    """`vfl check` names the weights and what stops; all reports name the same epochs."""
    stops = {"early_stopping": True, "validation_fraction": 0.45, "n_iter_no_change": 2, "tol": 0.02}
    data = tables(rows=160)
    data["bank"]["canaryweight"] = np.arange(160) % 3 + 9.0
    options = NETWORK | {"max_iter": 20, "learning_rate_init": 1.0, "sample_weight": True} | stops
    parties.lay_out(data, reconnect=60, settings={"allow": tuple(PERMITS)}, **options)  # type: ignore[arg-type]
    parties.change("bank", 'label = "canarylabel"', 'label = "canarylabel"\nweight = "canaryweight"')
    checked = " ".join(parties.here("check", parties.job, parties.file("bank")).out.split())
    assert "weighted, by sample_weight at bank" in checked
    assert "training ends when more than 2 in a row are not" in checked
    started = {name: start(parties, name) for name in parties.roles}
    until_sent(parties, victim, 2, b"EpochVerdict")
    started[victim].kill(signal.SIGKILL)
    started[victim].wait(10)
    started[victim] = start(parties, victim)
    ended = {name: process.wait(100) for name, process in started.items()}
    assert all(one.code == 0 for one in ended.values()), [one.err for one in ended.values()]
    told = [json.loads(ended[name].report.read_text())["model"] for name in ("bank", "telecom")]
    assert told[0]["ended"] == ["loss"]
    assert told[0]["passes_made"][0] == told[0]["best_epoch"] + 3
    for key in ("ended", "passes_made", "best_epoch", "settled"):
        assert told[0][key] == told[1][key]


@pytest.mark.slow
def test_two_layers_on_breast_cancer(parties: Institutions, data_folder: Path) -> None:
    """64 and 32 units, 569 rows of 10 + 20 columns."""
    guest, host = (pd.read_csv(data_folder / f"breast_hetero_{who}.csv") for who in ("guest", "host"))
    label = np.where(guest["y"] == 1, "canarybad", "canarygood")
    data = {
        "bank": guest.drop(columns="y").rename(columns={"id": KEY}).assign(canarylabel=label),
        "telecom": host.rename(columns={"id": KEY}),
    }
    parties.lay_out(data, **NETWORK | {"hidden_layer_sizes": (64, 32), "learning_rate_init": 0.1})  # type: ignore[arg-type]
    processes = {name: parties.start(name) for name in parties.roles}
    ended = {name: process.wait(400) for name, process in processes.items()}
    assert [one.code for one in ended.values()] == [0] * 3, [one.err for one in ended.values()]
    report = json.loads(ended["bank"].report.read_text())
    assert report["alignment"]["intersection"] == 569
    assert report["metrics"]["test"]["joint"]["auc"] > 0.95
