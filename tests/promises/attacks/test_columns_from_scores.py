"""A guest that trains on labels of its choice, until the scores that it is given span a host's columns: as many
different ones as columns determine them.

A few values that the guest knows from elsewhere then give a column of every customer (outputs.md, finding 5).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from protocols.errors import DisclosureRefused
from tests.parts import keys_of
from tests.plans import planned
from tests.promises.attacks.budgeted import Budgeted, Floats, table
from vfl.models.plan import Plan
from vfl.models.regression.spec import LinearRegression, LogisticRegression
from vfl.run.budget import spread_of

LINEAR = planned(LinearRegression, max_iter=20, measure_train=True)  # the guest is given a score of every row
PENALISED = replace(
    LINEAR, spec=LinearRegression(alpha=1e3, max_iter=20)
)  # a score is then nearly the direction of most variance
CLASSES = {k: planned(LogisticRegression, num_class=k, max_iter=12, measure_train=True) for k in (3, 4)}
SLOW = pytest.mark.slow


def explained(x: Floats, held: list[Floats]) -> Floats:
    """R^2 of each host column on everything that the guest holds."""
    a = np.column_stack([np.ones(len(x)), *held])
    left = x - a @ np.linalg.lstsq(a, x, rcond=None)[0]
    return np.asarray(1 - left.var(axis=0) / x.var(axis=0))


def columns_of(rows: int, columns: int, mixed: bool = True, seed: int = 0) -> Floats:
    """A host's columns, always the same; mixed: they correlate."""
    rng = np.random.default_rng([seed, 1])
    x = rng.normal(size=(rows, columns))
    return x @ rng.normal(size=(columns, columns)) if mixed else x


def attack(
    parties: Budgeted, seed: int, x: Floats, jobs: int, job: Plan[Any] = LINEAR, classes: int = 0, unused: int = 0
) -> tuple[Floats, int]:
    """R^2 of each host column after as many of `jobs` as the host takes part in, and how many these are; classes: of
    the labels, 0 for numbers; unused: how many of the last score vectors of a job are left aside."""
    rng, held, done, rows = np.random.default_rng(seed), list[Floats](), 0, len(x)
    host, refused = table("telecom", x), None
    for _ in range(jobs):
        own = rng.normal(size=(rows, 1))
        labels = rng.integers(0, classes, rows).astype(float) if classes else rng.normal(size=rows)
        try:
            fitted = parties.train(table("bank", own, labels), host, job)["bank"]
        except DisclosureRefused as error:
            refused = error
            break
        scores = np.empty((rows, fitted.train_scores.size // rows))
        scores[[int(name[1:]) for name in keys_of(fitted.aligned)]] = fitted.train_scores.reshape(rows, -1)
        held, done = [*held, own, scores[:, : scores.shape[1] - unused]], done + 1
    assert refused is None or ("policy.score_vectors" in refused.what and refused.party == "telecom")
    return explained(x, held), done


@pytest.mark.parametrize(
    ("x", "job", "classes", "seeds"),
    [
        pytest.param(columns_of(200, 5, seed=1), LINEAR, 0, 10, id="correlated columns"),
        pytest.param(columns_of(200, 5, seed=1), PENALISED, 0, 10, id="a strong penalty", marks=SLOW),
        pytest.param(columns_of(200, 10, mixed=False), CLASSES[3], 3, 3, id="classes"),
        pytest.param(columns_of(600, 5), LINEAR, 0, 40, id="correlated columns, 600 rows", marks=SLOW),
        pytest.param(columns_of(600, 5), PENALISED, 0, 40, id="a strong penalty, 600 rows", marks=SLOW),
        pytest.param(columns_of(600, 10), LINEAR, 0, 40, id="ten correlated columns, 600 rows", marks=SLOW),
        pytest.param(
            columns_of(600, 10), PENALISED, 0, 40, id="ten correlated columns, a strong penalty, 600 rows", marks=SLOW
        ),
        pytest.param(columns_of(600, 5, mixed=False), LINEAR, 0, 40, id="independent columns, 600 rows", marks=SLOW),
        pytest.param(columns_of(600, 7, mixed=False), CLASSES[3], 3, 40, id="classes, 600 rows", marks=SLOW),
    ],
)
def test_scores_within_the_budget_explain_at_most_half_of_any_column(
    tmp_path: Path, x: Floats, job: Plan[Any], classes: int, seeds: int
) -> None:
    """Of every column in the mean of seeds, of the guest's labels, and of all columns together in every single run."""
    spread, found = spread_of(pd.DataFrame(x)), []
    assert spread.first < 0.5
    for seed in range(seeds):
        r2, done = attack(Budgeted(tmp_path / str(seed)), seed, x, x.shape[1], job, classes)
        assert done == spread.most // max(1, classes)  # the next one is refused
        assert r2.mean() < 0.5 + 0.02  # the guest's own columns of noise explain a little in the sample
        found.append(r2)
    by_column = np.mean(found, axis=0)
    greatest = np.max(found, axis=1)
    print(
        f"{done} of {x.shape[1]} columns' jobs: by column {by_column.round(3)}, all {np.mean(found):.3f}, "
        f"greatest of a run {greatest.mean():.3f}, of all runs {greatest.max():.3f}"
    )
    assert by_column.max() <= 0.5


@pytest.mark.parametrize(
    ("rows", "seeds"), [pytest.param(200, 4, id="200 rows"), pytest.param(600, 40, id="600 rows", marks=SLOW)]
)
def test_planted_count_of_columns_that_correlate_lets_too_much_through(rows: int, seeds: int) -> None:
    """Half as many vectors as columns, whatever these have in common."""
    found = np.mean(
        [attack(Budgeted(None), seed, columns_of(rows, 5), 2, PENALISED)[0] for seed in range(seeds)], axis=0
    )
    print(f"{rows} rows, by column: {found.round(3)}, all: {found.mean():.3f}")
    assert found.max() > 0.6


@SLOW
def test_one_vector_of_columns_that_are_nearly_one(tmp_path: Path) -> None:
    """What `vfl check` warns of: a single vector is always opened, and the first direction may explain more than
    half."""
    x = columns_of(600, 5, seed=5)
    spread = spread_of(pd.DataFrame(x))
    found = np.mean([attack(Budgeted(tmp_path / str(seed)), seed, x, 5, PENALISED)[0] for seed in range(40)], axis=0)
    print(f"the first direction explains {spread.first:.3f}; by column: {found.round(3)}, all: {found.mean():.3f}")
    assert spread.most == 1
    assert found.mean() <= spread.first + 0.02


def known_values(tmp_path: Path, rows: int) -> tuple[Floats, Floats]:
    """A guest that knows a column's values of half of the rows trains on them, and has the other rows scored: R^2 of
    each column there on the one score, and on what its own columns say."""
    x, own = columns_of(rows, 6), np.random.default_rng(2).normal(size=(rows, 1))
    job = replace(LINEAR, measure_train=False, test=0.5, spec=LinearRegression(max_iter=40))
    fitted = Budgeted(tmp_path).train(table("bank", own, x[:, 0]), table("telecom", x), job)["bank"]
    at = np.array([int(name[1:]) for name in keys_of(fitted.aligned)])[fitted.held_out]
    return explained(x[at], [fitted.scores.reshape(-1, 1)]), explained(x[at], [own[at]])


@pytest.mark.parametrize("rows", [200, pytest.param(1000, marks=SLOW)])
def test_values_that_the_guest_knows_of_some_rows_are_learned_for_all(tmp_path: Path, rows: int) -> None:
    """What no budget stops, and the threat model declares: a model of a column is one score vector. The guest must know
    the column's values of some rows."""
    found, own = known_values(tmp_path, rows)
    print(
        f"{rows} rows: R^2 of the column {found[0]:.3f}, of the others {found[1:].round(2)}; by own columns "
        f"{own[0]:.3f}"
    )
    assert found[0] > 0.95
    assert own[0] < 0.1


@pytest.mark.parametrize(("columns", "classes"), [(5, 0), (4, 4)], ids=["numbers", "classes"])
def test_without_a_budget_they_explain_everything(columns: int, classes: int) -> None:
    """The control: as many vectors as columns."""
    jobs = 1 if classes else columns
    r2, done = attack(
        Budgeted(None), 0, columns_of(150, columns), jobs, CLASSES[classes] if classes else LINEAR, classes
    )
    assert done == jobs
    assert r2.min() > 0.98


@SLOW
@pytest.mark.parametrize("classes", [3, 4])
def test_a_regression_of_several_classes_opens_as_many_vectors_as_it_has_classes(classes: int) -> None:
    """Not one fewer: the last one is no sum of the others, and so it counts (docs/adr/0008-budgets.md)."""
    every, fewer = (
        [
            attack(Budgeted(None), seed, columns_of(600, 5, seed=seed), 1, CLASSES[classes], classes, unused)[0].mean()
            for seed in range(4)
        ]
        for unused in (0, 1)
    )
    print(f"{classes} classes: {np.mean(every):.3f} with all of them, {np.mean(fewer):.3f} without the last")
    assert np.mean(every) > np.mean(fewer) + 0.05
