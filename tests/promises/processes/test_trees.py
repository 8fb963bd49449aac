"""Boosted trees by files: run, predict, report, ledger and model parts, with real processes; what they give is the
local federation's, bit for bit."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import vfl
from protocols.boosting.ensemble import Ensemble
from protocols.boosting.sealed_parts import GuestTrees, Shape
from protocols.cipher import Identity as Clear
from protocols.cipher import Paillier
from protocols.local import run_local
from protocols.session import Roles
from tests.harness import scores_some_rows
from tests.promises.processes.institutions import KEY, Ended, Institutions, tables
from tests.promises.processes.test_three_processes import LOCAL_ROLES, by_seed, prepared, randomness
from vfl.data import read_source
from vfl.job import PERMITS
from vfl.job.plan import plan_of
from vfl.ledger import verify_ledger
from vfl.models.joint import Trained
from vfl.models.new_rows import Reader
from vfl.models.part_files import load_part
from vfl.models.registry import kind_of
from vfl.models.trees.joint import FederatedTrees
from vfl.models.trees.leaf_values import LeafValues
from vfl.models.trees.part import TreesPart
from vfl.run.train import program
from vfl.transport.identity import Identity

SMALL: dict[str, Any] = {"kind": "boosted-trees", "n_estimators": 2, "max_depth": 2, "max_bin": 6, "min_bin_rows": 3}
POLICY: dict[str, Any] = {"allow": tuple(PERMITS)}
OPEN = {"bank": "guest", "telecom": "host"}


def check_same(found: TreesPart, expected: TreesPart) -> None:
    """Two parts equal each other in every bit."""
    assert (found.party, found.model_id, found.columns, found.depth, found.classes) == (
        expected.party,
        expected.model_id,
        expected.columns,
        expected.depth,
        expected.classes,
    )
    assert found.binner.has_missing == expected.binner.has_missing
    assert [c.tolist() for c in found.binner.cuts] == [c.tolist() for c in expected.binner.cuts]
    assert (found.ensemble is None) == (expected.ensemble is None)
    if found.ensemble is not None and expected.ensemble is not None:
        assert found.ensemble.params == expected.ensemble.params
        own, others = clear(found.trees), clear(expected.trees)
        for one, other in zip(own.trees, others.trees, strict=True):
            for name, values in vars(one).items():
                np.testing.assert_array_equal(values, vars(other)[name])
        np.testing.assert_array_equal(own.base, others.base)
    if isinstance(found.ensemble, GuestTrees):
        assert isinstance(expected.ensemble, GuestTrees)
        for name in ("feature", "cut", "missing_left"):
            np.testing.assert_array_equal(getattr(found.ensemble, name), getattr(expected.ensemble, name))
        check_shape(found.ensemble.shape, expected.ensemble.shape)
        assert found.ensemble.margin_unit == expected.ensemble.margin_unit
    if expected.splits is not None:
        assert vars(found.splits) == vars(expected.splits)


def clear(trees: Ensemble | GuestTrees) -> Ensemble:
    """The trees that the guest knows: all open ones, or its own first ones."""
    return trees.own if isinstance(trees, GuestTrees) else trees


def check_shape(found: Shape, expected: Shape) -> None:
    np.testing.assert_array_equal(found.owner, expected.owner)
    np.testing.assert_array_equal(found.order, expected.order)


def check_leaves(result: Ended, folder: Path, expected: LeafValues) -> None:
    """The arbiter's part on its disk is the expected one; it is sealed by the arbiter's key."""
    identity = Identity.load(folder / "identity" / "key.pem", folder / "identity" / "cert.pem", folder.name)
    part, head = load_part(result.folder / "model", identity)
    assert isinstance(part, LeafValues)
    assert (head.kind, part.model_id, part.count) == ("leaf-values", expected.model_id, expected.count)
    check_shape(part.trees.shape, expected.trees.shape)
    np.testing.assert_array_equal(part.trees.value, expected.trees.value)
    shown, _ = load_part(result.folder / "model")
    assert (len(shown.trees.shape), shown.count) == (0, expected.count)


def new_tables(parties: Institutions) -> dict[str, pd.DataFrame]:
    """New customers of both, in files beside the old ones, in another order."""
    names = [name for name, role in parties.roles.items() if role != "arbiter"]
    made = dict(zip(names, tables(rows=60, seed=8, overlap=0.7).values(), strict=True))
    made[names[0]] = made[names[0]].drop(columns="canarylabel").sample(frac=1, random_state=4)
    for name, table in made.items():
        table.to_csv(parties.folder / name / "new.csv", index=False)
    return made


def predicted(parties: Institutions, results: dict[str, Ended]) -> pd.Series:
    """The guest's scores of the new rows, by id."""
    started = {}
    for name, role in parties.roles.items():
        data = [] if role == "arbiter" else ["--data", str(parties.folder / name / "new.csv")]
        options = ["--model", str(results[name].folder / "model"), *data]
        started[name] = parties.start(name, *options, command="predict")
    ended = {name: process.wait(60) for name, process in started.items()}
    assert [e.code for e in ended.values()] == [0] * len(started), ended
    guest = next(name for name, role in parties.roles.items() if role == "guest")
    scores = pd.read_csv(ended[guest].folder / "scores.csv", dtype=str, index_col=KEY)["score"]
    return scores.map(float)  # pandas reads some numbers one bit off


def part_of(result: Ended) -> TreesPart:
    part, head = load_part(result.folder / "model")
    assert isinstance(part, TreesPart)
    assert head.kind == "boosted-trees"
    return part


@scores_some_rows
def test_sealed_trees_by_files_equal_the_federation(parties: Institutions) -> None:
    """Training and prediction, the arbiter in both; the same rows again get the same bits."""
    data = tables()
    parties.lay_out(
        {"guest": data["bank"], "telecom": data["telecom"]}, roles=LOCAL_ROLES, settings=POLICY, test=0.0, **SMALL
    )
    results = by_seed(parties, ["telecom", "arbiter", "guest"], 0.1)
    frames = {name: read_source(parties.folder / name / "customers.csv", keys=[KEY]) for name in ("guest", "telecom")}
    federation = vfl.Federation.local(
        frames["guest"],
        {"telecom": frames["telecom"]},
        on=KEY,
        label="canarylabel",
        pos_label="canarygood",
        min_intersection=5,
    )
    with pytest.warns(UserWarning, match="112-bit"):
        model = federation.fit(
            vfl.BoostedTrees(**{k: v for k, v in SMALL.items() if k != "kind"}, key_bits=2048),
            randomness=randomness(prepared(parties)),
        )
    for name in ("guest", "telecom"):
        check_same(part_of(results[name]), model.parts[name])
    assert model.leaf_values is not None
    check_leaves(results["arbiter"], parties.folder / "arbiter", model.leaf_values)
    shown = parties.here("model", "show", results["arbiter"].folder / "model")
    assert (shown.code, "leaf values" in shown.out.lower()) == (0, True), shown
    made = new_tables(parties)
    scores = predicted(parties, results)
    pd.testing.assert_series_equal(
        scores, model.predict_score(made["guest"], {"telecom": made["telecom"]}), check_exact=True
    )
    assert scores.notna().sum() == 42
    pd.testing.assert_series_equal(predicted(parties, results), scores, check_exact=True)


@pytest.mark.slow
@scores_some_rows
def test_open_trees_need_no_arbiter(parties: Institutions) -> None:
    """Missing values, a held-out part, what report, ledger and model show say, and prediction: two parties in all."""
    data = tables()
    data["telecom"].loc[data["telecom"].index[::9], "canarybill"] = np.nan
    parties.lay_out(data, roles=OPEN, settings=POLICY, test=0.25, membership="open", **SMALL)
    checked = [parties.here("check", parties.job, parties.file(name)) for name in OPEN]
    assert [c.code for c in checked] == [0, 0], checked
    results = by_seed(parties, list(OPEN), 0.1)
    ready = prepared(parties)
    roles = ready["bank"].roles
    local = run_local(
        roles, {name: program(one) for name, one in ready.items()}, Paillier(2048), randomness=randomness(ready)
    )
    for name in OPEN:
        check_same(part_of(results[name]), local[name].part)
        certificate = (parties.folder / name / "identity" / "cert.pem").read_bytes()
        assert verify_ledger(results[name].folder / "ledger.jsonl", certificate).outcome == "done"
    report = json.loads(results["bank"].report.read_text())
    assert (report["parties"]["arbiter"], report["model"]["membership"]) == (None, "open")
    assert (report["alignment"]["train_rows"], report["alignment"]["test_rows"]) == (
        len(local["bank"].aligned) - (local["bank"].held_out | local["bank"].validation).sum(),
        19,
    )
    assert {"joint", "guest_alone"} == set(report["metrics"]["test"])
    assert sum(row["splits"] for row in report["model"]["importance"]) > 0
    hosts = json.loads(results["telecom"].report.read_text())
    assert {row["column"] for row in hosts["model"]["splits"]} == {"canarybill", "canarylate"}
    for name, words in (("bank", "host 1 of the job, all columns"), ("telecom", "canarylate")):
        shown = parties.here("model", "show", results[name].folder / "model")
        assert (shown.code, words in shown.out) == (0, True), shown
        assert parties.here("report", results[name].folder).code == 0
    made = new_tables(parties)
    scores = predicted(parties, results)
    parts = {name: part_of(results[name]) for name in OPEN}
    job = ready["bank"].job
    fitted = {name: dataclasses.replace(local[name], part=parts[name]) for name in OPEN}
    trained = Trained(
        kind_of(job.model),
        plan_of(job),
        Roles("bank", ("telecom",), "none"),
        fitted,
        None,
        Clear(),
        Reader(((KEY,),), {KEY: "text"}, "error"),
        "canarylabel",
    )
    model = FederatedTrees(trained.learned())
    pd.testing.assert_series_equal(
        scores, model.predict_score(made["bank"], {"telecom": made["telecom"]}), check_exact=True
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("objective", "more", "number"),
    [
        ("reg:squarederror", {"sample_weight": True}, "r2"),
        ("count:poisson", {}, "deviance"),
        ("multi:softprob", {"num_class": 3}, "accuracy"),
    ],
)
def test_other_labels_by_files(parties: Institutions, objective: str, more: dict[str, Any], number: str) -> None:
    """Numbers, counts and several classes: run, report and prediction, which has the same label's units."""
    data = tables(rows=120)
    x = data["bank"]["canaryage"].to_numpy()
    labels: dict[str, Any] = {
        "reg:squarederror": 100 + x,
        "count:poisson": np.random.default_rng(0).poisson(np.exp(x / 60)),
        "multi:softprob": np.array(["canarya", "canaryb", "canaryc"])[np.digitize(x, [35, 45])],
    }
    data["bank"]["canarylabel"] = labels[objective]
    data["bank"]["canaryweight"] = np.arange(120) % 3 + 1.0
    parties.lay_out(data, settings=POLICY, objective=objective, **SMALL, **more)
    parties.change("bank", 'label = "canarylabel"', 'label = "canarylabel"\nweight = "canaryweight"')
    results = parties.done()
    report = json.loads(results["bank"].report.read_text())
    joint, alone = (report["metrics"]["test"][name][number] for name in ("joint", "guest_alone"))
    assert np.isfinite([joint, alone]).all()
    assert parties.here("report", results["bank"].folder).code == 0
    shown = parties.here("model", "show", results["bank"].folder / "model")
    assert (shown.code, "canaryweight" in shown.out) == (0, False)
    fresh = new_tables(parties)
    assert len(fresh["bank"]) == 60
    started = {}
    for name, role in parties.roles.items():
        new = [] if role == "arbiter" else ["--data", str(parties.folder / name / "new.csv")]
        started[name] = parties.start(name, "--model", str(results[name].folder / "model"), *new, command="predict")
    ended = {name: process.wait(60) for name, process in started.items()}
    scores = pd.read_csv(ended["bank"].folder / "scores.csv").drop(columns=KEY).dropna()
    assert len(scores) == 42
    if objective == "multi:softprob":
        assert list(scores) == ["score_canarya", "score_canaryb", "score_canaryc"]
        np.testing.assert_allclose(scores.sum(axis=1), 1)
    else:
        assert scores["score"].between(np.min(labels[objective]), np.max(labels[objective])).all()


@pytest.mark.slow
def test_texts_by_files(parties: Institutions) -> None:
    """A host's column of categories, with missing values: training, the page, monitoring's baseline and prediction of
    rows with a category never seen."""
    data = tables(rows=120)
    trade = np.random.default_rng(2).choice(["canarybaker", "canarysmith", "canarytailor"], 120)
    data["bank"]["canarylabel"] = (trade == "canarysmith").astype(int)
    data["telecom"]["canarytrade"] = pd.Series(trade).where(np.arange(120) % 11 > 0, None)
    parties.lay_out(data, settings=POLICY, **SMALL)
    results = parties.done()
    part = part_of(results["telecom"])
    assert list(part.categories) == ["canarytrade"]
    assert part.names[part.columns.index("canarytrade")] == ("canarybaker", "canarysmith", "canarytailor")
    assert parties.here("report", results["telecom"].folder).code == 0
    made = new_tables(parties)
    made["telecom"]["canarytrade"] = np.where(np.arange(len(made["telecom"])) % 5 > 0, "canarysmith", "canarymiller")
    made["telecom"].to_csv(parties.folder / "telecom" / "new.csv", index=False)
    assert predicted(parties, results).notna().sum() == 42
