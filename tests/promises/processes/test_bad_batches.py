"""What a bank's data does: a bin without an event, categories and gaps that training had nothing like, columns gone or
in another order; by files and in Python."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import vfl
from protocols.cipher import Identity
from protocols.errors import ConfigError, DataError
from protocols.local import run_local
from tests.promises.processes.institutions import KEY, Institutions, tables
from tests.promises.processes.test_three_processes import prepared
from tests.unit.protocols.binning.test_woe_bins import formula
from vfl.job import PERMITS, load_job, load_party
from vfl.models.part_files import save_part
from vfl.models.results import baseline, data_party_result
from vfl.node.online.process import check as publishes
from vfl.run.result_frame import measuring_of
from vfl.run.scoring import prepare
from vfl.run.session import Ready
from vfl.run.train import program

NAMES = ("bank", "telecom")
KINDS: dict[str, dict[str, Any]] = {
    "scorecard": {
        "kind": "scorecard",
        "max_iter": 5,
        "link": "taylor",
        "min_bin_rows": 15,
        "min_bin_size": 0.05,
        "monotonic_trend": "none",
    },
    "trees": {"kind": "boosted-trees", "n_estimators": 2, "max_depth": 2, "max_bin": 8, "min_bin_rows": 4},
    "one-hot": {"max_iter": 5, "link": "taylor"},
}
ESTIMATORS: dict[str, tuple[Any, dict[str, Any]]] = {
    "scorecard": (
        vfl.Scorecard(max_iter=5, link="taylor", min_bin_rows=15, min_bin_size=0.05, monotonic_trend="none"),
        {},
    ),
    "trees": (vfl.BoostedTrees(n_estimators=2, max_depth=2, max_bin=8, min_bin_rows=4), {}),
    "one-hot": (
        vfl.LogisticRegression(max_iter=5, link="taylor"),
        {"preprocess": vfl.Preprocessing(impute="median", encode="onehot")},
    ),
}


def made() -> dict[str, pd.DataFrame]:
    """A town of the host in which nobody defaults, and gaps in a column of numbers."""
    data = tables(300, 3, overlap=1.0)
    data["telecom"] = data["telecom"].sort_values(KEY).reset_index(drop=True)
    good = (data["bank"]["canarylabel"] == "canarygood").to_numpy()
    towns = np.array(["canarybath", "canaryyork", "canaryely"])[np.arange(300) % 3]
    data["telecom"]["canarytown"] = np.where(good & (np.arange(300) % 2 == 0), "canarywells", towns)
    data["telecom"].loc[::7, "canarylate"] = np.nan
    return data


def trained(parties: Institutions, kind: str) -> tuple[dict[str, pd.DataFrame], dict[str, Ready], dict[str, Any]]:
    """The job's files, its programs in this process without encryption, and each party's model folder."""
    data = made()
    parties.lay_out(data, settings={"allow": tuple(PERMITS)}, **KINDS[kind])
    if kind == "one-hot":
        parties.job.write_text(parties.job.read_text() + '\n[preprocess]\nimpute = "median"\nencode = "onehot"\n')
    ready = prepared(parties)
    found = run_local(ready["bank"].roles, {name: program(one) for name, one in ready.items()}, Identity())
    for name in NAMES:
        folder, by = parties.folder / name / "model", measuring_of(ready[name].job)
        save_part(found[name].part, folder, kind=ready[name].job.model.kind, job_digest=ready[name].job.digest)
        baseline(by, found[name]).save(folder)
    return data, ready, found


def test_a_bin_without_an_event_has_half_of_one(parties: Institutions) -> None:
    _, ready, found = trained(parties, "scorecard")
    part = found["telecom"].part
    column = next(c for c in part.bins if c.name == "canarytown")
    wells = next(k for k, names in enumerate(column.categories) if names == ("canarywells",))
    assert column.events[wells] == 0 or column.events[wells] == column.rows[wells]
    woe, iv = formula(list(column.rows), list(column.events))
    assert column.woe == pytest.approx(woe, abs=1e-9)
    assert column.iv == pytest.approx(iv, abs=1e-9)
    assert np.isfinite(column.woe).all()
    by = measuring_of(ready["telecom"].job)
    told = data_party_result({"party": "telecom", "model": {}}, by, found["telecom"], baseline(by, found["telecom"]))
    (line,) = [row for row in told["model"]["woe"] if row["bin"] == "canarywells"]
    assert line["event_rate"] in (0.0, 1.0)


def new_batch(parties: Institutions, data: dict[str, pd.DataFrame], change: Any) -> tuple[str, ...]:
    """A new table of the telecom's customers, and the command's options for it."""
    file = parties.folder / "telecom" / "new.csv"
    change(data["telecom"].copy()).to_csv(file, index=False)
    return "--model", str(parties.folder / "telecom" / "model"), "--data", str(file)


@pytest.mark.parametrize("kind", KINDS)
def test_new_tables_by_files(parties: Institutions, kind: str) -> None:
    data, _, found = trained(parties, kind)
    job, party = load_job(parties.job), load_party(parties.file("telecom"))
    part, folder = found["telecom"].part, parties.folder / "telecom" / "model"

    def scoring(change: Any) -> Any:
        *_, file = new_batch(parties, data, change)
        return prepare(job, party, folder, file, None)

    plain = scoring(lambda t: t)
    assert plain.cautions == ()
    turned = scoring(lambda t: t[[*reversed(t.columns)]].assign(more="text"))  # another order, and a column more
    assert turned.ready.table.digest() == plain.ready.table.digest()
    gone = scoring(lambda t: t.assign(canarylate=np.nan))
    assert gone.cautions == ("column 'canarylate': every value is missing in the new table, and was not in training",)
    unseen = scoring(lambda t: t.assign(canarytown=t["canarytown"].mask(t.index < 20, "canaryatlantis")))
    assert unseen.cautions == ("column 'canarytown': 20 of 300 rows hold a text that the model does not know",)
    new = new_batch(parties, data, lambda t: t.assign(canarytown="canaryatlantis"))
    parties.here("predict", parties.job, parties.file("telecom"), *new).says(
        3,
        "column 'canarytown': the model knows none of the texts of the 300 new rows",
        "Write its texts as the training",
    )
    numbered = [f"{n:d}" for n in (*range(10, 60), *range(10**7, 10**7 + 250))]
    zeros = scoring(lambda t: t.assign(**{KEY: numbered}))
    assert zeros.cautions == zeros.ready.cautions
    assert zeros.cautions[0].startswith(
        f"id column '{KEY}': has ids of digits in several lengths, and none with a zero"
    )
    for batch in (gone, unseen):
        features = batch.ready.table.features
        values = part.binned(features).bins if kind == "trees" else part.own(features, [b""] * len(features)).x
        assert np.isfinite(np.asarray(values, np.float64)).all()
    options = new_batch(parties, data, lambda t: t.drop(columns=["canarytown"]))
    parties.here("predict", parties.job, parties.file("telecom"), *options).says(
        3, "feature column 'canarytown' is not in the table", "Correct"
    )
    if kind != "trees":
        publishes(job, party, folder, str(new_batch(parties, data, lambda t: t)[-1]))
        with pytest.raises(DataError, match="feature column 'canarytown' is not in the table"):
            publishes(job, party, folder, new_batch(parties, data, lambda t: t.drop(columns=["canarytown"]))[-1])
        with pytest.raises(ConfigError, match="cannot be read"):
            publishes(job, party, folder, str(parties.folder / "missing.csv"))


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_new_tables_in_python(kind: str) -> None:
    data = made()
    estimator, more = ESTIMATORS[kind]
    fed = vfl.Federation.local(
        data["bank"],
        {"telecom": data["telecom"]},
        on=KEY,
        label="canarylabel",
        pos_label="canarygood",
        cipher=Identity(),
        convergence=False,
    )
    model = fed.fit(estimator, **more)
    guest, host = data["bank"].drop(columns="canarylabel"), data["telecom"]

    def score(table: pd.DataFrame) -> np.ndarray[Any, Any]:
        return model.predict_score(guest, {"telecom": table}).to_numpy()

    plain = score(host)
    assert np.isfinite(plain).all()
    assert score(host[[*reversed(host.columns)]].assign(more="text")) == pytest.approx(plain, abs=1e-12)
    with pytest.warns(UserWarning, match="telecom: column 'canarylate': every value is missing in the new rows"):
        assert np.isfinite(score(host.assign(canarylate=np.nan))).all()
    some = host.assign(canarytown=host["canarytown"].mask(host.index < 20, "canaryatlantis"))
    with pytest.warns(UserWarning, match="telecom: column 'canarytown': 20 of 300 rows hold a text"):
        assert np.isfinite(score(some)).all()
    with pytest.raises(DataError, match="'canarytown': the model knows none of the texts of the 300 new rows"):
        score(host.assign(canarytown="canaryatlantis"))
    with pytest.raises(DataError, match="canarytown"):
        score(host.drop(columns="canarytown"))


@pytest.mark.slow
def test_a_prediction_says_so_and_goes_on(parties: Institutions) -> None:
    """Real processes: a caution at the party whose column is gone, and a finite score for every row."""
    data = made()
    parties.lay_out(data, settings={"allow": tuple(PERMITS)}, **KINDS["scorecard"])
    folders = {name: result.folder for name, result in parties.done(seconds=120).items()}
    started = {"trustco": parties.start("trustco", "--model", str(folders["trustco"] / "model"), command="predict")}
    for name in NAMES:
        table = data[name].drop(columns="canarylabel", errors="ignore")
        table = table.assign(canarylate=np.nan) if name == "telecom" else table
        table[[*reversed(table.columns)]].to_csv(parties.folder / name / "new.csv", index=False)
        options = ["--model", str(folders[name] / "model"), "--data", str(parties.folder / name / "new.csv")]
        started[name] = parties.start(name, *options, command="predict")
    ended = {name: process.wait(100) for name, process in started.items()}
    assert [e.code for e in ended.values()] == [0, 0, 0], ended
    assert "caution: column 'canarylate': every value is missing" in " ".join(ended["telecom"].err.split())
    assert "caution" not in ended["bank"].err
    scores = pd.read_csv(Path(ended["bank"].folder) / "scores.csv")
    assert scores["points"].notna().all()
