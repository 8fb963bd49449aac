"""Where a job asks for it, training rows are scored too: with the right scores, in the right order, and not
otherwise."""

from __future__ import annotations

import re
import tomllib
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest

from protocols.channel import Tap
from protocols.cipher import Identity
from protocols.errors import ConfigError
from protocols.local import run_local
from protocols.session import Roles
from tests.harness import KNOWN, ContextFree
from tests.parts import predictor
from tests.plans import planned
from tests.unit.vfl.job.samples import MINIMAL, with_key
from vfl.data import Table, table_from_frame
from vfl.job import Job, job_from
from vfl.metrics import binary_metrics
from vfl.models.regression import program as glm
from vfl.models.regression.spec import LogisticRegression
from vfl.models.results import baseline, data_party_result
from vfl.models.scorecard import program as scorecard
from vfl.models.scorecard.spec import Scorecard
from vfl.models.trees import program as boosting
from vfl.models.trees import scores
from vfl.models.trees.spec import BoostedTrees
from vfl.run.result_frame import measuring_of
from vfl.steps.split import by_part

ROLES = Roles("bank", ("telecom",), "trustco")


@pytest.fixture(scope="module")
def tables() -> dict[str, Table]:
    rng = np.random.default_rng(4)
    x = rng.normal(size=(90, 4))
    y = (x @ [1.0, -0.5, 0.8, 0.3] + rng.logistic(size=90) > 0).astype(int)
    frame = pd.DataFrame(x, columns=list("abcd")).assign(id=[f"c{i}" for i in range(90)], bad=y)
    common: dict[str, Any] = {"keys": ["id"], "normalise": {}, "duplicates": "error", "columns": None}
    return {
        "bank": table_from_frame(frame[["id", "bad", "a", "b"]], party="bank", label="bad", **common),
        "telecom": table_from_frame(
            frame[["id", "c", "d"]].sample(frac=1, random_state=1), party="telecom", label=None, **common
        ),
    }


JOBS = {
    "regression": (glm, partial(planned, LogisticRegression, max_iter=5, link="taylor", test=0.3, reveal=KNOWN)),
    "scorecard": (
        scorecard,
        partial(
            planned,
            Scorecard,
            min_bin_rows=8,
            min_bin_size=0.1,
            max_iter=5,
            link="taylor",
            test=0.3,
            reveal=KNOWN,
        ),
    ),
    "trees": (
        boosting,
        partial(planned, BoostedTrees, n_estimators=2, max_depth=2, max_bin=8, min_bin_rows=4, test=0.3),
    ),
}


def run(kind: str, tables: dict[str, Table], taps: dict[str, list[Tap]] | None = None, **more: Any) -> dict[str, Any]:
    module, make = JOBS[kind]
    job = make(**more)
    programs = {
        "bank": partial(module.guest, table=tables["bank"], plan=job),
        "telecom": partial(module.host, table=tables["telecom"], plan=job),
        "trustco": partial(module.arbiter, plan=job),
    }
    same: Any = {p: ContextFree(p) for p in ROLES.all}  # two runs round, and so split, alike
    return run_local(ROLES, programs, Identity(), taps=taps, randomness=same)


@pytest.mark.parametrize("kind", list(JOBS))
def test_training_rows_have_the_scores_of_both_parts_only_if_asked(kind: str, tables: dict[str, Table]) -> None:
    found = run(kind, tables, measure_train=True)
    guest, host = found["bank"], found["telecom"]
    assert host.train_scores is None
    assert len(guest.scores) == guest.held_out.sum() > 0
    assert len(guest.train_scores) == (~guest.held_out).sum()
    if kind != "trees":  # the sum of what both parts say; the scores are opened on a grid
        total = sum(predictor(found[p].part, found[p].aligned.features) for p in ("bank", "telecom"))
        assert guest.scores.reshape(-1, 1) == pytest.approx(total[guest.held_out], abs=2**-9)
        assert guest.train_scores.reshape(-1, 1) == pytest.approx(total[~guest.held_out], abs=2**-9)
    assert run(kind, tables)["bank"].train_scores is None


def test_trees_measure_training_rows_as_they_are_scored_later(tables: dict[str, Table]) -> None:
    """The margins are those of scoring the same rows as new ones, to the bit; nobody knows them before they are
    opened."""
    found = run("trees", tables, measure_train=True)
    guest = found["bank"]
    aligned = {name: found[name].aligned.take(np.flatnonzero(~guest.held_out)) for name in ("bank", "telecom")}
    programs = {
        "bank": partial(scores.predict_guest, table=aligned["bank"], part=guest.part, min_rows=1),
        "telecom": partial(scores.predict_host, table=aligned["telecom"], part=found["telecom"].part, min_rows=1),
        "trustco": partial(scores.predict_arbiter, min_rows=1, part=found["trustco"]),
    }
    rows, margins = run_local(ROLES, programs, Identity())["bank"]
    assert np.array_equal(margins, guest.train_scores[rows])


def test_a_report_has_a_column_for_each_part(tables: dict[str, Table]) -> None:
    asked = job('parts = ["test", "train"]')
    found = run("regression", tables, measure_train=True)
    reports = {}
    for name in ("bank", "telecom"):
        empty: dict[str, Any] = {"party": name, "model": {}, "metrics": {}, "plots": {}}
        by = measuring_of(asked)
        reports[name] = data_party_result(empty, by, found[name], baseline(by, found[name]))
    guest, host = reports["bank"], reports["telecom"]
    fitted = found["bank"]
    y, p = fitted.aligned.label.to_numpy()[~fitted.held_out], fitted.part.means(fitted.train_scores)
    assert guest["metrics"]["train"]["joint"] == binary_metrics(y, p)
    assert guest["metrics"]["test"]["joint"]["n"] == fitted.held_out.sum()
    assert set(guest["uplift"]) == {"test"}  # on rows that both models have seen the difference says little
    assert sum(guest["stability"]["score"]["before"]) == len(y)
    assert sum(guest["stability"]["score"]["now"]) == fitted.held_out.sum()
    assert (host["metrics"], host["stability"]["score"]) == ({}, None)


def test_scores_are_given_to_the_part_that_they_belong_to() -> None:
    held_out = np.array([True, False, True, False, False])
    scores = np.arange(5.0)
    test, train = by_part(scores, held_out)
    assert (test.tolist(), train.tolist()) == ([0, 2], [1, 3, 4])
    assert by_part(scores[held_out], held_out)[1] is None
    assert by_part(None, held_out) == (None, None)
    nothing, everything = by_part(scores, np.zeros(5, np.bool_))
    assert nothing is None
    assert everything.tolist() == scores.tolist()


def job(line: str, base: str = MINIMAL) -> Job:
    return job_from(tomllib.loads(with_key("evaluation", line, base)))


def test_the_section_is_part_of_the_digest_only_where_it_asks_for_more() -> None:
    plain = job_from(tomllib.loads(MINIMAL))
    assert not plain.evaluation.train
    assert job('parts = ["test"]').digest == plain.digest
    assert job('parts = ["train", "test"]').digest == job('parts = ["test", "train"]').digest != plain.digest
    assert job_from(tomllib.loads(with_key("evaluation", 'parts = ["test", "train"]'))).evaluation.train


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('parts = ["train"]', "does not name the held-out rows"),
        ('parts = ["test", "later"]', "later"),
        ('parts = ["test", "test"]', "twice"),
        ("part = 1", "not a known key"),
    ],
)
def test_other_parts_are_refused(line: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        job(line)


def test_early_stopping_and_training_rows_go_together() -> None:
    trees = MINIMAL.replace(
        'kind = "logistic-regression"', 'kind = "boosted-trees"\nearly_stopping_rounds = 2\nvalidation = 0.2'
    )
    allowed = (
        "bin-sums-to-arbiter",
        "wins-to-owners",
        "loss-verdict-to-parties",
        "edge-count-to-arbiter",
        "scores-to-guest",
        "intersection-to-parties",
    )
    trees = re.sub(r"allow = \[[^]]*\]", f"allow = {list(allowed)}", trees)
    assert job('parts = ["test", "train"]', trees).evaluation.train
