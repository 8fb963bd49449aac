"""`vfl check` says how many numbers computed from labels a job tells hosts, as the budget counts them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.vfl.job.test_meanings import job
from vfl.job.opened import numbers_added

WEIGHTS = ("guest-weights-to-guest", "host-weights-to-host")
SETTLES = "1 for each host, which learns when training ended"


def asked(*without: str, preprocess: dict[str, Any] | None = None, **model: Any) -> str:
    made = job(model, **({} if preprocess is None else {"preprocess": preprocess}))
    allow = tuple(name for name in made.disclosure.allow if name not in without)
    disclosure = made.disclosure.model_copy(update={"allow": allow})
    return numbers_added(made.model_copy(update={"disclosure": disclosure}))


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        (lambda: asked("convergence-to-parties", *WEIGHTS, kind="logistic-regression"), "none"),
        (lambda: asked(*WEIGHTS, kind="logistic-regression"), SETTLES),
        (lambda: asked(kind="logistic-regression"), f"1 for each weight of a host and {SETTLES}"),
        (
            lambda: asked(kind="logistic-regression", num_class=4),
            "4 for each weight of a host and 4 for each host, which learns when training ended",
        ),
        (lambda: asked(*WEIGHTS, kind="logistic-regression", tol=1e-3), SETTLES),
        (lambda: asked(kind="boosted-trees", n_estimators=4), "10 for the splits that hosts win"),
        (lambda: asked(kind="boosted-trees", membership="open"), "none"),
        (lambda: asked(kind="mlp-classifier"), "none"),
        (lambda: asked(kind="mlp-classifier", early_stopping=True), SETTLES),
        (
            lambda: asked("convergence-to-parties", *WEIGHTS, kind="scorecard", max_n_prebins=8),
            "up to 7 for each host column, whose bins are chosen by the label",
        ),
    ],
)
def test_what_a_job_adds(found: Any, wanted: str) -> None:
    assert found() == wanted
