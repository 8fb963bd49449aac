"""The whole of UCI credit by a job file: 30,000 customers, the bank's 5 columns and the partner's 18, three processes,
Paillier of 2,048 bits, the exact link."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from protocols.binning.merging import merge
from tests.harness import KNOWN
from tests.promises.processes.institutions import KEY, Institutions
from tests.unit.protocols.binning.test_woe_bins import formula
from vfl.data.keys import canonical_ids, split_rows
from vfl.job import PERMITS, load_job
from vfl.models.part_files import load_part
from vfl.models.scorecard.part import ScorecardPart
from vfl.preprocessing import Fitting, Preprocessing

OWN = ["LIMIT_BAL", "SEX", "EDUCATION", "MARRIAGE", "AGE"]
SECTIONS = (
    "answer",
    "alignment",
    "columns",
    "features",
    "model",
    "evaluation",
    "stability",
    "disclosure",
    "cost",
    "card",
    "run",
)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_the_whole_table_by_a_job_file(parties: Institutions, data_folder: Path) -> None:
    """IV and WOE are the formula's on the joined table; the points reproduce every row's score; AUC within 0.003 of the
    centralised scorecard; a whole report."""
    table = pd.read_csv(data_folder / "uci_credit_card.csv").rename(
        columns={"ID": KEY, "default.payment.next.month": "canarylabel"}
    )
    rest = [c for c in table.columns if c not in (KEY, "canarylabel", *OWN)]
    data = {"bank": table[[KEY, "canarylabel", *OWN]], "telecom": table[[KEY, *rest]]}
    parties.lay_out(
        data,
        settings={"allow": tuple(PERMITS)},
        kind="scorecard",
        max_iter=8,
        link="exact",
        key_bits=2048,
        reveal=KNOWN,
    )
    started = {name: parties.start(name) for name in parties.roles}
    results = {name: process.wait(6000) for name, process in started.items()}
    assert [r.code for r in results.values()] == [0, 0, 0], results
    parts: dict[str, ScorecardPart] = {}
    for name in data:
        part, _ = load_part(results[name].folder / "model")
        assert isinstance(part, ScorecardPart)
        parts[name] = part

    split = load_job(parties.job).split
    held_out = split_rows(
        canonical_ids(table, "bank", [KEY], {KEY: "text"}), split.test, split.seed
    )  # nobody but this test has the joined table
    train = table[~held_out]
    y = train["canarylabel"].to_numpy(int)
    for part in parts.values():
        for column in part.bins:
            bins = column.bin_of(train[column.name].astype(float))
            rows, events = (
                np.bincount(bins, minlength=len(column.rows)),
                np.bincount(bins, y, minlength=len(column.rows)),
            )
            assert (tuple(rows), tuple(events)) == (column.rows, column.events)
            woe, iv = formula(rows.tolist(), events.tolist())
            assert column.woe == pytest.approx(woe, abs=1e-9)
            assert column.iv == pytest.approx(iv, abs=1e-9)
    reports = {name: json.loads(results[name].report.read_text()) for name in data}
    shown = [line["iv"] for name in data for line in reports[name]["model"]["iv"]]
    assert len(shown) == len(OWN) + len(rest) == 23
    assert sorted(shown) == pytest.approx(sorted(c.iv for part in parts.values() for c in part.bins), abs=1e-9)

    x, new = table[[*OWN, *rest]].astype(float), table[held_out]
    fitting = Fitting.start(x[~held_out], Preprocessing(encode="woe"), "all")
    merged = [
        merge(fitting.settings.rule, n, np.bincount(b, weights=y, minlength=len(n)).astype(int), apart=a, ordered=o)
        for b, n, a, o in zip(
            fitting.bins.bins.T, fitting.bins.rows, fitting.bins.apart, fitting.bins.ordered, strict=True
        )
    ]
    central = fitting.finish(merged)
    w, v = central.transform(x[~held_out], "all").to_numpy(), central.transform(x[held_out], "all").to_numpy()
    best = LogisticRegression(C=1.0, max_iter=5000).fit((w - w.mean(0)) / w.std(0), y)
    wanted = roc_auc_score(new["canarylabel"], best.predict_proba((v - w.mean(0)) / w.std(0))[:, 1])
    found = reports["bank"]["metrics"]["test"]["joint"]["auc"]
    print(
        f"AUC {found:.4f}, centralised {wanted:.4f}, guest alone "
        f"{reports['bank']['metrics']['test']['guest_alone']['auc']:.4f}"
    )
    assert abs(found - wanted) < 0.003

    started = {}
    for name, frame in data.items():
        frame.drop(columns="canarylabel", errors="ignore").to_csv(parties.folder / name / "all.csv", index=False)
        options = ["--model", str(results[name].folder / "model"), "--data", str(parties.folder / name / "all.csv")]
        started[name] = parties.start(name, *options, command="predict")
    ended = {name: process.wait(1200) for name, process in started.items()}
    assert [e.code for e in ended.values()] == [0, 0], ended
    scores = pd.read_csv(ended["bank"].folder / "scores.csv", index_col=KEY)
    total = np.full(len(table), parts["bank"].base)
    for name, part in parts.items():
        lines = pd.DataFrame(reports[name]["model"]["points"])
        for column in part.bins:  # the points that the report prints, looked up by the bins' names
            printed = lines[lines["column"] == column.name].set_index("bin")["points"]
            total += np.array([printed[label] for label in column.labels()])[column.bin_of(x[column.name])]
    assert (scores.loc[table[KEY], "points"].to_numpy() == total).all()

    page = (results["bank"].folder / "report.html").read_text()
    assert [s for s in SECTIONS if f'<section id="{s}"' not in page] == []
