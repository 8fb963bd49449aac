"""What a report and a pack say of a permission is about that job alone."""

from __future__ import annotations

import re
from typing import Any

import pytest

from vfl.job import PERMITS, Job, job_from, needed_permits
from vfl.job.meanings import meaning, meanings

OF_OTHERS = (
    "counts",
    "sealed trees",
    "open trees",
    "a network",
    "in a search",
    "link exact",
    "tol or early_stopping",
    "if it",
    "planned iterations",
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
}


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
        if text != PERMITS[name]:
            assert not [word for word in OF_OTHERS if re.search(rf"\b{word}\b", text)], (name, text)


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
