"""Every family of regression by files: numbers, counts, several classes, weighted rows; real processes, and the same
bits as one process."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from protocols.cipher import Paillier
from protocols.local import run_local
from tests.harness import KNOWN
from tests.parts import predictor
from tests.promises.processes.institutions import KEY, Institutions, tables
from tests.promises.processes.test_three_processes import by_seed, prepared, randomness
from vfl.job import PERMITS
from vfl.models.part_files import load_part
from vfl.models.regression.part import GlmPart
from vfl.run.train import program

CASES: dict[str, tuple[dict[str, Any], str, str]] = {
    "numbers in planned passes": (
        {"kind": "linear-regression", "alpha": 2.0, "max_iter": "auto"},
        "r2",
        "standardised: mean",
    ),
    "numbers": ({"kind": "linear-regression", "alpha": 2.0}, "r2", "standardised: mean"),
    "weighted numbers": (
        {"kind": "linear-regression", "sample_weight": True, "fit_intercept": False},
        "r2",
        "canaryage",
    ),
    "frequencies": ({"kind": "poisson-regression", "alpha": 0.01, "exposure": True}, "deviance", "canaryage"),
    "counts that end early": (
        {
            "kind": "poisson-regression",
            "alpha": 0.01,
            "max_iter": 40,
            "tol": 1e-3,
            "early_stopping": True,
            "validation_fraction": 0.4,
        },
        "deviance",
        "canaryage",
    ),
    "counts": ({"kind": "poisson-regression", "alpha": 0.01}, "deviance", "canaryage"),
    "counts in batches": (
        {"kind": "poisson-regression", "alpha": 0.01, "solver": "sgd", "batch_size": 40},
        "deviance",
        "canaryage",
    ),
    "classes": ({"kind": "logistic-regression", "link": "taylor", "num_class": 3}, "accuracy", "class canaryb"),
    "weighted classes": (
        {"kind": "logistic-regression", "link": "taylor", "class_weight": {"canarygood": 2.0, "canarybad": 0.5}},
        "auc",
        "rather than 'canarybad'",
    ),
}


ROUNDED = 2.0**-10  # the unit in which weights are revealed; pads are random in each attempt


def laid_out(parties: Institutions, case: str) -> np.ndarray[Any, Any]:
    """The parties' files; returns the label."""
    data = tables(rows=120)
    x = data["bank"]["canaryage"].to_numpy()
    labels = {
        "numbers": 100 + x,
        "counts": np.random.default_rng(0).poisson(np.exp(x / 60)),
        "classes": np.array(["canarya", "canaryb", "canaryc"])[np.digitize(x, [35, 45])],
    }
    label = labels.get(
        "counts"
        if "poisson" in str(CASES[case][0])
        else case.removeprefix("weighted ").removesuffix(" in batches").removesuffix(" in planned passes")
    )
    if label is not None and case != "weighted classes":
        data["bank"]["canarylabel"] = label
    data["bank"]["canaryweight"] = np.arange(120) % 3 + 1.0
    options = CASES[case][0]
    parties.lay_out(data, settings={"allow": tuple(PERMITS)}, **({"max_iter": 5, "reveal": KNOWN} | options))
    parties.change("bank", 'label = "canarylabel"', 'label = "canarylabel"\nweight = "canaryweight"')
    return np.asarray(data["bank"]["canarylabel"])


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_by_files_as_in_one_process(parties: Institutions, case: str) -> None:
    label = laid_out(parties, case)
    _, number, words = CASES[case]
    results = by_seed(parties, list(parties.roles), 0.1)
    ready = prepared(parties)
    programs = {name: program(one) for name, one in ready.items()}
    local = run_local(ready["bank"].roles, programs, Paillier(2048), randomness=randomness(ready))
    parts: dict[str, GlmPart] = {}
    for name in ("bank", "telecom"):
        part, _ = load_part(results[name].folder / "model")
        assert isinstance(part, GlmPart)
        expected = local[name].part
        np.testing.assert_allclose(part.weights, expected.weights, rtol=0, atol=ROUNDED)
        assert part.model_id == expected.model_id
        assert (part.intercept is None) == (expected.intercept is None) == (name == "telecom")
        np.testing.assert_allclose(part.intercept or (), expected.intercept or (), rtol=0, atol=ROUNDED)
        assert "canaryweight" not in part.columns
        parts[name] = part
    report = json.loads(results["bank"].report.read_text())
    assert np.isfinite([report["metrics"]["test"][name][number] for name in ("joint", "guest_alone")]).all()
    assert parties.here("report", results["bank"].folder).code == 0
    shown = parties.here("model", "show", results["bank"].folder / "model")
    assert (shown.code, words in shown.out) == (0, True), shown

    made = tables(rows=60, seed=8, overlap=0.7)
    made["bank"] = made["bank"].drop(columns="canarylabel")
    started = {}
    for name, table in made.items():
        table.to_csv(parties.folder / name / "new.csv", index=False)
        new = ["--model", str(results[name].folder / "model"), "--data", str(parties.folder / name / "new.csv")]
        started[name] = parties.start(name, *new, command="predict")
    ended = {name: process.wait(60) for name, process in started.items()}
    assert [e.code for e in ended.values()] == [0, 0], ended
    scores = pd.read_csv(ended["bank"].folder / "scores.csv", index_col=KEY).dropna()
    both = [m.set_index(KEY).loc[scores.index] for m in made.values()]
    predictors = sum(predictor(part, frame) for part, frame in zip(parts.values(), both, strict=True))
    expected = parts["bank"].means(predictors).reshape(len(scores), -1)
    np.testing.assert_allclose(scores.to_numpy(), expected, rtol=2e-3, atol=2e-3 * parts["bank"].label_scale)
    if case == "classes":
        assert list(scores) == [f"score_{c}" for c in np.unique(label)]


def test_a_weighted_job_needs_its_column_and_a_label_of_its_kind(parties: Institutions) -> None:
    laid_out(parties, "weighted numbers")
    assert parties.here("check", parties.job, parties.file("bank")).code == 0
    parties.change("bank", '\nweight = "canaryweight"', "")
    parties.here("check", parties.job, parties.file("bank")).says(
        2, "data.weight is missing", "Name the column of row weights"
    )
    parties.change("bank", 'label = "canarylabel"', 'label = "canarylabel"\nweight = "canarynone"')
    parties.here("check", parties.job, parties.file("bank")).says(3, "weight column 'canarynone' is not in the table")
    other = parties.folder / "counts.toml"
    other.write_text(parties.job.read_text().replace("linear-regression", "poisson-regression"))
    parties.change("bank", 'weight = "canarynone"', 'weight = "canaryweight"')
    parties.here("check", other, parties.file("bank")).says(2, "edge-count-to-arbiter")


def test_a_label_with_more_values_than_agreed_is_refused_before_the_start(parties: Institutions) -> None:
    laid_out(parties, "classes")
    assert parties.here("check", parties.job, parties.file("bank")).code == 0
    parties.job.write_text(parties.job.read_text().replace("num_class = 3", "num_class = 4"))
    parties.here("check", parties.job, parties.file("bank")).says(
        3, "holds 3 different values, and the job says model.num_class = 4"
    )
