"""What a report and a pack say of a permission is about that job alone."""

from __future__ import annotations

import re
from typing import Any

import pytest

from vfl.job import PERMITS, Job, job_from, needed_permits
from vfl.job.meanings import meaning, meanings, of_members
from vfl.job.members_job import MembersJob
from vfl.schema.section import build

OF_OTHERS = (
    "counts",
    "sealed trees",
    "open trees",
    "a network",
    "in a search",
    "link exact",
    "tol or early_stopping",
    "if it knows",
    "planned iterations",
    "boosted trees",
    "networks?",
    "without this permission",
    "with several keys",
    "with one host",
    "where rows are held out",
    "top_rate",
)
MODELS: dict[str, dict[str, Any]] = {
    "regression": {"kind": "logistic-regression", "max_iter": 30},
    "planned": {"kind": "logistic-regression", "max_iter": "auto"},
    "tol": {"kind": "logistic-regression", "max_iter": 30, "tol": 1e-3},
    "counts": {"kind": "poisson-regression", "max_iter": 30},
    "trees": {"kind": "boosted-trees", "early_stopping_rounds": 3, "validation": 0.2, "objective": "reg:squarederror"},
    "open trees": {"kind": "boosted-trees", "membership": "open"},
    "scorecard": {"kind": "scorecard"},
    "network": {"kind": "mlp-classifier"},
    "network that stops": {"kind": "mlp-classifier", "early_stopping": True},
    "sampled": {"kind": "boosted-trees", "membership": "open", "top_rate": 0.2, "other_rate": 0.1},
}


SEVERAL = {"hosts": ["telecom", "shop"], "arbiter": "trustco"}


def job(model: dict[str, Any], **more: Any) -> Job:
    content = {
        "version": 1,
        "name": "credit-risk",
        "parties": {"guest": "bank", "hosts": ["telecom"]} | ({} if "membership" in model else {"arbiter": "trustco"}),
        "align": {"keys": [["id"]], "normalise": {"id": "text"}},
        "split": {"test": 0.25, "seed": 7},
        "model": model,
        "disclosure": {
            "allow": [name for name in PERMITS if name not in ("averages-to-parties", "updates-to-other-member")]
        },
    }
    return job_from(content | more)


@pytest.mark.parametrize("kind", MODELS)
def test_no_sentence_is_about_another_job(kind: str) -> None:
    asked = job(MODELS[kind])
    told = meanings(asked, needed_permits(asked))
    assert set(told) == set(needed_permits(asked)) & set(asked.disclosure.allow)
    for name, text in told.items():
        assert text, name
        assert not [word for word in OF_OTHERS if re.search(rf"\b{word}\b", text)], (name, text)
    whole = {name: PERMITS[name] for name in told}  # the control
    assert [name for name, text in whole.items() if any(re.search(rf"\b{word}\b", text) for word in OF_OTHERS)]


def test_several_hosts_and_keys_are_those_of_the_job() -> None:
    asked = job(
        MODELS["network"],
        parties={"guest": "bank", **SEVERAL},
        align={"keys": [["id"], ["phone"]], "normalise": {"id": "text", "phone": "text"}},
    )
    told = meanings(asked, needed_permits(asked))
    assert told["dealer-collusion"].startswith("the first host hands out")
    assert told["matched-keys-to-parties"].startswith("each data party learns how many rows each key matches")
    assert not [text for text in told.values() if any(re.search(rf"\b{word}\b", text) for word in OF_OTHERS)]
    assert "after each epoch" in meaning(job(MODELS["network that stops"]), "loss-verdict-to-parties")


@pytest.mark.parametrize("test", [0.0, 0.25])
def test_an_averaging_says_what_it_opens_of_held_out_rows(test: float) -> None:
    found = build(
        MembersJob,
        {
            "version": 1,
            "name": "hospitals",
            "parties": {"members": ["a", "b", "c"], "arbiter": "office"},
            "table": {"label": "y", "columns": ["x"]},
            "split": {"test": test, "seed": 7},
            "model": {"kind": "averaging"},
            "disclosure": {"allow": ["averages-to-parties"]},
        },
        "job.toml",
    )
    (text,) = of_members(found).values()
    assert ("how many members have each of two measures" in text) == (test > 0)
    assert "where rows are held out" not in text


def test_each_condition_that_holds_is_said() -> None:
    edge, scale, loss, scores = (
        "edge-count-to-arbiter", "label-scale-to-parties", "loss-verdict-to-parties", "scores-to-guest",
    )  # fmt: skip
    jobs = {kind: job(model) for kind, model in MODELS.items()}
    assert "far above the labels' mean" in meaning(jobs["counts"], edge)
    assert "far above" not in meaning(jobs["regression"], edge)
    assert "a sum of any layer" in meaning(jobs["network"], edge)
    assert meaning(jobs["planned"], scale).endswith(": of p (1 - p) for the rarest class")
    assert meaning(jobs["counts"], scale).endswith(": of the labels' mean")
    assert meaning(jobs["trees"], scale).endswith(": of the labels' spread")
    assert "three possible answers" in meaning(jobs["tol"], loss)
    assert "two possible answers" in meaning(jobs["trees"], loss)
    assert "hosts' part of the score" in meaning(jobs["regression"], scores)
    assert "scored before with the same values" in meaning(jobs["network"], scores)
    assert "changed" not in meaning(jobs["trees"], scores)
    searched = job(MODELS["regression"], search={"param_grid": {"C": [0.1, 1.0]}})
    assert "of each candidate" in meaning(searched, scores)
