"""A guest that reads a host's 0/1 columns, such as the one-hot columns of a category, from scores of rows whose other
columns hide them.

Rows with the same 0/1 values differ in the other columns alone.  With more score vectors than there are others, one
combination of the vectors has none of the others in it, and rows with the same values are equal there.  The guest
brings a column that is about one row only, so that every other row's score is the host's.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from protocols.errors import DisclosureRefused
from tests.plans import planned
from tests.promises.attacks.budgeted import Budgeted, Floats, table
from vfl.models.regression import program as glm
from vfl.models.regression.spec import LogisticRegression
from vfl.run.budget import spread
from vfl.steps.search import Search

ROWS, STEP, COARSE, FINE, FEW = 400, 2.0**-10, 720, 10_000, 4
STEPS = STEP * 2.0 ** np.arange(-1, 4)
JOB = planned(LogisticRegression, max_iter=15, measure_train=True)  # the guest is given a score of every row
CANDIDATES = tuple(planned(LogisticRegression, max_iter=15, C=C) for C in (1.0, 0.01))


def columns_of(numbers: int, seed: int, rows: int = ROWS) -> tuple[Floats, Floats]:
    """A host's columns, and those that are 0 or 1: three of yes or no, and a category of three as two columns."""
    rng = np.random.default_rng([seed, numbers])
    category = rng.integers(0, 3, rows)
    bits = np.column_stack([rng.random((rows, 3)) < 0.5, category == 0, category == 1]).astype(np.float64)
    return np.hstack([bits, rng.normal(size=(rows, numbers))]), bits


def own_column(rows: int) -> Floats:
    return np.eye(rows, 1)


def outcome(x: Floats, rng: np.random.Generator) -> Floats:
    """Labels that hang on all columns."""
    score = ((x - x.mean(axis=0)) / x.std(axis=0)).sum(axis=1)
    return np.asarray(score + rng.logistic(size=len(x)) > 0, np.float64)


def read(points: Floats, bits: Floats, angles: int) -> float:
    """The part of the 0/1 columns that groups of near rows tell for 99% of them, in the best direction and with the
    best distance, which the guest is granted; points (rows, score vectors)."""
    found, turn = [0.0], np.arange(angles) * np.pi / angles
    directions = np.column_stack([np.cos(turn), np.sin(turn)]) if points.shape[1] == 2 else np.ones((1, 1))
    for line in (points @ directions.T).T:
        order = np.argsort(line)
        gaps = np.diff(line[order])
        for apart in (gaps > step for step in STEPS):
            if (1 + apart.sum()) * FEW <= len(line):  # groups have FEW rows or more, in the mean
                group = np.empty(len(line), np.int64)
                group[order] = np.r_[0, np.cumsum(apart)]
                found.append(told(group, bits))
    return max(found)


def told(group: NDArray[np.int64], bits: Floats) -> float:
    """The part of the columns that one value in each group is right about for 99% of the rows."""
    sizes = np.bincount(group)
    ones = np.array([np.bincount(group, column) for column in bits.T])
    return float((np.maximum(ones, sizes - ones).sum(axis=1) >= 0.99 * len(group)).mean())


def by_models(parties: Budgeted, numbers: int, seed: int, angles: int) -> tuple[float, int]:
    """What the guest reads from models of labels of its choice, and how many the host took part in."""
    rng, (x, bits), held, refused = np.random.default_rng(seed), columns_of(numbers, seed), list[Floats](), None
    for k in range(2):
        y = rng.integers(0, 2, ROWS).astype(np.float64) if k else outcome(x, rng)
        try:
            fitted = parties.train(table("bank", own_column(ROWS), y), table("telecom", x), JOB)["bank"]
        except DisclosureRefused as error:
            refused = error
            break
        scores = np.empty(ROWS)
        scores[[int(name.rpartition(b"c")[2]) for name in fitted.aligned.names]] = fitted.train_scores[:, 0]
        held.append(scores)
    assert refused is None or "policy.score_vectors" in refused.what
    return read(np.column_stack(held)[1:], bits[1:], angles), len(held)


def by_search(parties: Budgeted, numbers: int, seed: int, monkeypatch: pytest.MonkeyPatch) -> float:
    """What it reads from the folds of a search with two candidates.  Raises DisclosureRefused."""
    rng, (x, bits), seen = np.random.default_rng(seed), columns_of(numbers, seed, 2 * ROWS), list[Any]()
    asked: Any = Search(CANDIDATES, "binary", cv=2)
    honest = glm.fold_guest

    def fold(session: Any, train: Any, plan: Any, rows: Any, in_folds: Any) -> Floats:
        p = np.asarray(honest(session, train, plan, rows, in_folds))
        at = np.array([int(name.rpartition(b"c")[2]) for name in train.take(np.flatnonzero(rows)).names])
        seen.append((at[at > 0], np.log(p / (1 - p))[at > 0]))
        return p

    monkeypatch.setattr(glm, "fold_guest", fold)
    roles = {name: partial(getattr(glm, name), asked=asked) for name in ("guest", "host", "arbiter")}
    tables = table("bank", own_column(2 * ROWS), outcome(x, rng)), table("telecom", x)
    parties.train(*tables, CANDIDATES[0], module=SimpleNamespace(**roles))
    (first, one), (second, other) = (found for found in seen if set(found[0]) == set(seen[0][0]))
    assert (first == second).all()
    return read(np.column_stack([one, other]), bits[first], FINE)


def test_one_model_of_a_host_with_one_number_tells_no_column(tmp_path: Path) -> None:
    found = [by_models(Budgeted(tmp_path / str(seed)), 1, seed, COARSE) for seed in range(5)]
    print(f"{np.mean([one for one, _ in found]):.3f}")
    assert {done for _, done in found} == {1}
    assert np.mean([one for one, _ in found]) <= 0.1


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_models_of_a_host_with_five_numbers_tell_no_column(tmp_path: Path) -> None:
    found = [by_models(Budgeted(tmp_path / str(seed)), 5, seed, FINE) for seed in range(10)]
    print(f"{np.mean([one for one, _ in found]):.3f}")
    assert {done for _, done in found} == {2}
    assert np.mean([one for one, _ in found]) <= 0.1


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_search_over_a_host_with_five_numbers_tells_no_column(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [by_search(Budgeted(tmp_path / str(seed)), 5, seed, monkeypatch) for seed in range(10)]
    print(f"{np.mean(found):.3f}")
    assert np.mean(found) <= 0.1


def test_a_search_over_a_host_with_one_number_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DisclosureRefused, match=r"policy\.score_vectors"):
        by_search(Budgeted(tmp_path), 1, 0, monkeypatch)


def test_planted_count_of_all_columns_lets_them_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: half as many vectors as columns, whatever values these have."""
    monkeypatch.setattr(spread, "few_valued", lambda _: [])
    assert by_models(Budgeted(tmp_path), 1, 0, COARSE) == (1.0, 2)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_planted_count_of_all_columns_lets_a_search_read_some(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Likewise; candidates that differ in C alone have similar weights, so that their rounding hides more."""
    monkeypatch.setattr(spread, "few_valued", lambda _: [])
    found = [by_search(Budgeted(tmp_path / str(seed)), 1, seed, monkeypatch) for seed in range(6)]
    print(f"{np.mean(found):.3f}")
    assert np.mean(found) > 0.2
