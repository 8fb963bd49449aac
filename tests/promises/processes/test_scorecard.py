"""Scorecards by files: run, predict, model show and report with real processes; points that anybody can add up by
hand."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from protocols.cipher import Paillier
from protocols.local import run_local
from tests.harness import KNOWN, TOY
from tests.parts import predictor
from tests.promises.processes.institutions import KEY, Institutions, tables
from tests.promises.processes.test_three_processes import by_seed, prepared, randomness
from vfl.job import PERMITS
from vfl.models.part_files import load_part, save_part
from vfl.models.results import baseline, data_party_result
from vfl.models.scorecard.part import ScorecardPart
from vfl.report.page import write_report
from vfl.run.result_frame import measuring_of, result_frame
from vfl.run.train import program

NAMES = ("bank", "telecom")


def made(rows: int, seed: int) -> dict[str, pd.DataFrame]:
    """Tables with a column of texts and gaps at the host."""
    data = tables(rows, seed)
    host = data["telecom"]
    host["canarytown"] = np.where(
        host["canarybill"] > 0.5, "canaryyork", np.where(host["canarylate"] > 0, "canarybath", None)
    )
    host.loc[host.index[::6], "canarylate"] = np.nan
    return data


def test_what_a_run_leaves(parties: Institutions) -> None:
    """The files of a job, its programs in this process: parts, report and predictions of the held-out rows fit each
    other."""
    parties.lay_out(
        made(160, 3),
        settings={"allow": tuple(PERMITS)},
        kind="scorecard",
        max_iter=5,
        link="taylor",
        min_bin_rows=8,
        min_bin_size=0.1,
        reveal=KNOWN,
    )
    ready = prepared(parties)
    found = run_local(ready["bank"].roles, {name: program(one) for name, one in ready.items()}, TOY)
    results = {}
    for name in NAMES:
        one, fitted = ready[name], found[name]
        frame = result_frame(one.job, one.party, datetime.datetime.now(datetime.UTC), "run")
        results[name] = data_party_result(frame, by := measuring_of(one.job), fitted, baseline(by, fitted))
        save_part(fitted.part, parties.folder / name / "model", kind="scorecard", job_digest=one.job.digest)
        part, _ = load_part(parties.folder / name / "model")
        assert isinstance(part, ScorecardPart)
        assert part.bins == fitted.part.bins
        write_report(parties.folder / name, results[name])
    guest, host = (results[name]["model"] for name in NAMES)
    assert {line["column"] for line in guest["host_columns"]} == {"column 1", "column 2", "column 3"}
    assert sorted(line["iv"] for line in guest["host_columns"]) == sorted(line["iv"] for line in host["iv"])
    assert "canarybill" not in json.dumps(results["bank"], default=str)
    assert {"joint", "guest_alone"} == set(results["bank"]["metrics"]["test"])
    held_out = {name: found[name].aligned.take(np.flatnonzero(found[name].held_out)).features for name in NAMES}
    assert (found["bank"].scores == sum(found[name].part.own_points(held_out[name]) for name in NAMES)).all()


@pytest.mark.slow
def test_a_scorecard_by_files(parties: Institutions) -> None:
    """Equal to one process bit for bit; prediction by id: the points are those of the printed tables; reasons at both
    parties."""
    parties.lay_out(
        made(160, 3),
        settings={"allow": tuple(PERMITS)},
        kind="scorecard",
        max_iter=5,
        link="taylor",
        min_bin_rows=8,
        min_bin_size=0.1,
        reveal=KNOWN,
        preparation="none",
    )
    results = by_seed(parties, ["bank", "telecom", "trustco"], 0.1)
    ready = prepared(parties)
    local = run_local(
        ready["bank"].roles,
        {name: program(one) for name, one in ready.items()},
        Paillier(2048),
        randomness=randomness(ready),
    )
    parts: dict[str, ScorecardPart] = {}
    for name in NAMES:
        part, head = load_part(results[name].folder / "model")
        assert isinstance(part, ScorecardPart)
        expected = local[name].part
        assert (head.kind, part.bins, part.base, part.scale, part.classes) == (
            "scorecard",
            expected.bins,
            expected.base,
            expected.scale,
            expected.classes,
        )
        assert [p.tolist() for p in part.points] == [p.tolist() for p in expected.points]
        parts[name] = part
        shown = parties.here("model", "show", results[name].folder / "model")
        assert (shown.code, "event rate" in shown.out, str(part.points[0][0]) in shown.out) == (0, True, True)
        assert parties.here("report", results[name].folder).code == 0
    report = json.loads(results["bank"].report.read_text())
    assert {"joint", "guest_alone"} == set(report["metrics"]["test"])
    assert report["model"]["base_points"] == parts["bank"].base
    assert {line["column"] for line in report["model"]["host_columns"]} == {"column 1", "column 2", "column 3"}
    assert "canarybill" not in json.dumps(report)
    hosts = json.loads(results["telecom"].report.read_text())["model"]
    assert (hosts["base_points"], "host_columns" in hosts) == (None, False)
    assert {line["column"] for line in hosts["iv"]} == {"canarybill", "canarylate", "canarytown"}
    at_guest = sorted(line["iv"] for line in report["model"]["host_columns"])
    assert at_guest == sorted(line["iv"] for line in hosts["iv"])

    new = made(70, 8)
    new["bank"] = new["bank"].drop(columns="canarylabel").sample(frac=1, random_state=4)
    new["telecom"].loc[new["telecom"].index[:5], "canarytown"] = "canaryatlantis"  # unseen in training
    started = {}
    for name, role in parties.roles.items():
        if role != "arbiter":
            new[name].to_csv(parties.folder / name / "new.csv", index=False)
            options = ["--model", str(results[name].folder / "model"), "--data", str(parties.folder / name / "new.csv")]
            started[name] = parties.start(name, *options, command="predict")
    ended = {name: process.wait(60) for name, process in started.items()}
    assert [e.code for e in ended.values()] == [0, 0], ended
    scores = pd.read_csv(ended["bank"].folder / "scores.csv", index_col=KEY)
    both = new["bank"].merge(new["telecom"], on=KEY).set_index(KEY)
    total = pd.Series(parts["bank"].base, index=both.index)
    for part in parts.values():
        for column, points in zip(part.bins, part.points, strict=True):
            total += points[column.bin_of(both[column.name].astype(object) if column.categories else both[column.name])]
    assert (scores.loc[both.index, "points"] == total).all()
    assert scores["points"].isna().sum() == scores["score"].isna().sum() == 70 - len(both) > 0
    odds = (1 - scores["score"]) / scores["score"]
    assert np.allclose((600 + 20 / np.log(2) * np.log(odds / 50)).dropna(), scores["points"].dropna())
    for name in NAMES:
        reasons = pd.read_csv(ended[name].folder / "reasons.csv", index_col=KEY)
        assert list(reasons.columns[:3]) == ["points", "reason_1", "lost_1"]
        assert len(reasons) == len(new[name])
        assert reasons["reason_1"].dropna().str.startswith(tuple(parts[name].columns)).all()
        assert (ended[name].folder / "reasons.csv").stat().st_mode & 0o077 == 0
    own = [pd.read_csv(ended[name].folder / "reasons.csv", index_col=KEY)["points"] for name in NAMES]
    assert (own[0][both.index] + own[1][both.index] == total).all()


@pytest.mark.slow
def test_a_prepared_regression_by_files(parties: Institutions) -> None:
    """[preprocess]: gaps and texts in training and prediction, the columns as they came in the part."""
    parties.lay_out(made(160, 3), settings={"allow": tuple(PERMITS)}, max_iter=5, link="taylor", reveal=KNOWN)
    parties.job.write_text(parties.job.read_text() + '\n[preprocess]\nimpute = "median"\nencode = "onehot"\n')
    results = by_seed(parties, ["bank", "telecom", "trustco"], 0.1)
    part, _ = load_part(results["telecom"].folder / "model")
    assert part.inputs == ("canarybill", "canarylate", "canarytown")
    assert part.columns == (
        "canarybill",
        "canarylate",
        "canarytown=canarybath",
        "canarytown=canaryyork",
        "canarytown is missing",
    )
    new = made(70, 8)
    started = {}
    for name in NAMES:
        new[name].drop(columns="canarylabel", errors="ignore").to_csv(parties.folder / name / "new.csv", index=False)
        options = ["--model", str(results[name].folder / "model"), "--data", str(parties.folder / name / "new.csv")]
        started[name] = parties.start(name, *options, command="predict")
    ended = {name: process.wait(60) for name, process in started.items()}
    assert [e.code for e in ended.values()] == [0, 0], ended
    scores = pd.read_csv(ended["bank"].folder / "scores.csv", index_col=KEY)["score"]
    parts = {name: load_part(results[name].folder / "model")[0] for name in NAMES}
    both = new["bank"].merge(new["telecom"], on=KEY).set_index(KEY)
    z = sum(
        predictor(part, both.astype({"canarytown": object}) if name == "telecom" else both)
        for name, part in parts.items()
    )  # type: ignore[union-attr]
    assert np.allclose(scores[both.index], 1 / (1 + np.exp(-np.asarray(z).reshape(-1))), atol=1e-3)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_uci_credit_by_files(parties: Institutions, data_folder: Path) -> None:
    """The bank's 5 columns and the partner's 18, 2,000 customers: the report has bins, IV, points, both models'
    measures; the partner's columns have numbers."""
    table = pd.read_csv(data_folder / "uci_credit_card.csv", nrows=2000).rename(
        columns={"ID": KEY, "default.payment.next.month": "canarylabel"}
    )
    own = ["LIMIT_BAL", "SEX", "EDUCATION", "MARRIAGE", "AGE"]
    rest = [c for c in table.columns if c not in (KEY, "canarylabel", *own)]
    data = {"bank": table[[KEY, "canarylabel", *own]], "telecom": table[[KEY, *rest]]}
    parties.lay_out(data, settings={"allow": tuple(PERMITS)}, kind="scorecard", max_iter=8, link="taylor", min_iv=0.02)
    started = {name: parties.start(name) for name in parties.roles}
    results = {name: process.wait(1000) for name, process in started.items()}
    assert [r.code for r in results.values()] == [0, 0, 0], results
    guest, host = (json.loads(results[name].report.read_text()) for name in NAMES)
    assert len(guest["model"]["host_columns"]) == len(rest) == 18
    assert not any(c in json.dumps(guest) for c in rest)
    assert {line["column"] for line in host["model"]["iv"]} == set(rest)
    strongest = guest["model"]["host_columns"][0]
    assert strongest["iv"] == host["model"]["iv"][0]["iv"] > 0.3
    assert host["model"]["iv"][0]["column"] == "PAY_0"
    assert any(line["dropped"] for line in host["model"]["iv"])
    test = guest["metrics"]["test"]
    print({name: round(m["auc"], 4) for name, m in test.items()})
    assert test["joint"]["auc"] > test["guest_alone"]["auc"] + 0.05
    page = (results["bank"].folder / "report.html").read_text()
    assert all(words in page for words in ("Weight of evidence", "points", "column 1"))
