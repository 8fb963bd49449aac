"""A guest that trains on labels of its choice, until the scores that it is given span a host's columns: as many different ones as columns determine them.

A few values that the guest knows from elsewhere then give a column of every customer (outputs.md, finding 5).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from protocols.errors import DisclosureRefused
from tests.attacks.budgeted import Budgeted, Floats, table
from vfl.models.regression import program as glm

LINEAR = glm.GlmJob("linear", max_iter=20, measure_train=True)  # the guest is given a score of every row
CLASSES = glm.GlmJob(max_iter=12, measure_train=True)


def explained(x: Floats, held: list[Floats]) -> Floats:
    """R^2 of each host column on everything that the guest holds."""
    a = np.column_stack([np.ones(len(x)), *held])
    left = x - a @ np.linalg.lstsq(a, x, rcond=None)[0]
    return np.asarray(1 - left.var(axis=0) / x.var(axis=0))


def attack(parties: Budgeted, seed: int, rows: int, columns: int, jobs: int, classes: int = 0, unused: int = 0) -> tuple[Floats, int]:
    """R^2 of each host column after as many of `jobs` as the host takes part in, and how many these are; classes: of the labels, 0 for numbers; unused: how many
    of the last score vectors of a job are left aside."""
    rng, held, done = np.random.default_rng(seed), list[Floats](), 0
    x = rng.normal(size=(rows, columns)) @ rng.normal(size=(columns, columns))
    host, refused = table("telecom", x), None
    for _ in range(jobs):
        own = rng.normal(size=(rows, 1))
        labels = rng.integers(0, classes, rows).astype(float) if classes else rng.normal(size=rows)
        try:
            fitted = parties.train(table("bank", own, labels), host, CLASSES if classes else LINEAR)["bank"]
        except DisclosureRefused as error:
            refused = error
            break
        scores = np.empty((rows, fitted.train_scores.size // rows))
        scores[[int(name[1:]) for name in fitted.aligned.index]] = fitted.train_scores.reshape(rows, -1)
        held, done = [*held, own, scores[:, : scores.shape[1] - unused]], done + 1
    assert refused is None or ("policy.score_vectors" in refused.what and refused.party == "telecom")
    return explained(x, held), done


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    ("columns", "classes", "jobs", "seeds", "rows"),
    [
        pytest.param(5, 0, 2, 3, 200, id="numbers"),
        pytest.param(7, 3, 1, 1, 150, id="classes"),
        pytest.param(5, 0, 2, 10, 600, id="numbers, 600 rows", marks=SLOW),
        pytest.param(7, 3, 1, 10, 600, id="classes, 600 rows", marks=SLOW),
    ],
)
def test_scores_within_the_budget_explain_less_than_half(
    tmp_path: Path, columns: int, classes: int, jobs: int, seeds: int, rows: int
) -> None:
    """Two vectors of five columns, or the three of one model of three classes for seven columns: in the mean of columns and seeds."""
    found = []
    for seed in range(seeds):
        r2, done = attack(Budgeted(tmp_path / str(seed)), seed, rows, columns, 2 * columns, classes)
        assert done == jobs  # the next one is refused
        found.append(r2)
    print(f"by column: {np.mean(found, axis=0).round(3)}, all: {np.mean(found):.3f}, greatest of one run: {np.max(found):.3f}")
    assert np.mean(found) <= 0.5


@pytest.mark.parametrize(("columns", "classes"), [(5, 0), (4, 4)], ids=["numbers", "classes"])
def test_without_a_budget_they_explain_everything(columns: int, classes: int) -> None:
    """The control: as many vectors as columns."""
    jobs = 1 if classes else columns
    r2, done = attack(Budgeted(None), 0, 150, columns, jobs, classes)
    assert done == jobs
    assert r2.min() > 0.98


@SLOW
@pytest.mark.parametrize("classes", [3, 4])
def test_a_regression_of_several_classes_opens_as_many_vectors_as_it_has_classes(classes: int) -> None:
    """Not one fewer: the last one is no sum of the others, and so it counts (docs/adr/0008-budgets.md)."""
    every, fewer = ([attack(Budgeted(None), seed, 600, 5, 1, classes, unused)[0].mean() for seed in range(4)] for unused in (0, 1))
    print(f"{classes} classes: {np.mean(every):.3f} with all of them, {np.mean(fewer):.3f} without the last")
    assert np.mean(every) > np.mean(fewer) + 0.05
