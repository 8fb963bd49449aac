"""A host of sealed trees that follows the protocol, brings columns of noise, other ones in each model of the same
labels, and reads the labels off its own wins.

Which of its splits won is all that it uses: the rows that such a split sends left, weighted by the level and the tree,
add up to the gradients.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from protocols.boosting import twin, wins
from protocols.boosting.ensemble import Rounds
from protocols.boosting.params import Params
from protocols.errors import DisclosureRefused
from tests.plans import planned
from tests.promises.attacks.budgeted import Budgeted, Floats, table
from tests.unit.protocols.boosting.world import bin_blocks
from vfl.metrics.binary import binary_metrics
from vfl.models.trees import program
from vfl.models.trees.spec import BoostedTrees

SLOW = pytest.mark.slow
SHRINKING = 0.95  # of a tree's weight, from one to the next


def attack(parties: Budgeted, seed: int, rows: int, columns: int, models: int, **settings: Any) -> tuple[float, int]:
    """AUC of the first singular vector of the host's wins, for the labels, none of which it knows; and in how many of
    `models` the guest took part."""
    rng, seen, done = np.random.default_rng(seed), list[Floats](), 0
    y = np.arange(rows) % 2 * 1.0
    guest, refused = table("bank", rng.integers(0, 2, (rows, 1)) * 1.0, y), None
    for _ in range(models):
        host = table("telecom", rng.normal(size=(rows, columns)))
        try:
            part = parties.train(guest, host, planned(BoostedTrees, **settings), module=program)["telecom"].part
        except DisclosureRefused as error:
            refused = error
            break
        binned, every, done = part.binned(host.features), np.arange(rows), done + 1
        for handle, (tree, level, _seat) in enumerate(part.splits.seat):
            seen.append(weighted(part.splits.goes_left(binned, every, handle), tree, level))
    assert refused is None or ("policy.rows_per_label_number" in refused.what and refused.party == "bank")
    if not done:
        return 0.5, 0
    return unsupervised(seen, y), done


def weighted(left: NDArray[np.bool_], tree: int, level: int) -> Floats:
    """A win (rows,): which rows the split sends left, of all rows, as the host does not know the node."""
    found = left - left.mean()
    return np.asarray(found / np.linalg.norm(found) * 2.0**-level * SHRINKING**tree)


def unsupervised(seen: list[Floats], y: Floats) -> float:
    guess = np.linalg.svd(np.array(seen), full_matrices=False)[2][0]
    auc = auc_of(y, guess)
    return max(auc, 1 - auc)


def supervised(seen: list[Floats], y: Floats, part: float) -> float:
    """By ridge regression, for the labels that the host does not know; part: of those that it knows."""
    x = np.array(seen).T
    known, x = np.random.default_rng(3).random(len(y)) < part, x * 30 / np.linalg.norm(x)
    a = x[known] - x[known].mean(axis=0)
    weights = a.T @ np.linalg.solve(a @ a.T + np.eye(len(a)), y[known] - y[known].mean())
    return auc_of(y[~known], x[~known] @ weights)


def auc_of(y: Floats, guess: Floats) -> float:
    return float(binary_metrics(y, (guess - guess.min()) / np.ptp(guess))["auc"] or 0.0)


def in_the_clear(
    seed: int, rows: int, columns: int, models: int, trees: int, depth: int
) -> tuple[list[Floats], Floats]:
    """The wins of a host by `twin.train`, whose trees equal those of the protocol, and the labels."""
    rng, seen, p = np.random.default_rng(seed), list[Floats](), Params(n_estimators=trees, max_depth=depth)
    own, y = rng.integers(0, 2, (rows, 1)) * 1.0, (rng.random(rows) < 0.5) * 1.0
    for _ in range(models):
        blocks = bin_blocks([own, rng.normal(size=(rows, columns))], p)
        for number, tree in enumerate(twin.train(blocks, p, Rounds(p, y))):
            level = np.zeros(len(tree.owner), int)
            for node in np.flatnonzero(tree.owner >= 0):
                level[tree.left[node]] = level[tree.left[node] + 1] = level[node] + 1
            for node in np.flatnonzero(tree.owner == 1):
                cut = int(tree.feature[node]), int(tree.cut[node]), bool(tree.missing_left[node])
                seen.append(weighted(blocks[1].goes_left(np.arange(rows), *cut), number, level[node]))
    return seen, y


@SLOW
@pytest.mark.parametrize(("trees", "depth", "models"), [(1, 1, 4), (1, 5, 4), (4, 5, 2), (16, 1, 1), (16, 5, 1)])
@pytest.mark.parametrize("columns", [30, 300])
def test_every_shape_within_the_budget_tells_about_as_little(columns: int, trees: int, depth: int, models: int) -> None:
    """The calibration: 20 numbers from 1,000 rows, as many models as that allows."""
    assert models * wins.label_numbers(trees, 1) <= 20 < (models + 1) * wins.label_numbers(trees, 1)
    found = []
    for seed in range(6):
        seen, y = in_the_clear(seed, 1000, columns, models, trees, depth)
        found.append((unsupervised(seen, y), supervised(seen, y, 0.1), supervised(seen, y, 2 / 3)))
    print(
        f"{columns} columns, {models} models of {trees} trees of depth {depth}: AUC {np.mean(found, axis=0).round(3)}"
    )
    assert np.mean(found, axis=0)[0] <= 0.63


@pytest.mark.parametrize(
    ("rows", "columns", "settings", "models", "seeds"),
    [
        pytest.param(
            200, 30, {"n_estimators": 1, "max_depth": 1, "min_bin_rows": 5}, 0, 1, id="too few rows for one tree"
        ),
        pytest.param(250, 30, {"n_estimators": 1, "max_depth": 1, "min_bin_rows": 5}, 1, 6, id="one tree"),
        pytest.param(
            1000, 100, {"n_estimators": 1, "max_depth": 1}, 4, 3, id="four models of one tree, 1,000 rows", marks=SLOW
        ),
    ],
)
def test_labels_are_not_read_off_the_wins_within_the_budget(
    tmp_path: Path, rows: int, columns: int, settings: dict[str, Any], models: int, seeds: int
) -> None:
    """One number per 50 rows: the next model is refused before it is trained."""
    found = []
    for seed in range(seeds):
        auc, done = attack(Budgeted(tmp_path / str(seed)), seed, rows, columns, 20, **settings)
        assert done == models
        found.append(auc)
    print(f"AUC {np.mean(found):.3f}, at most {max(found):.3f}")
    assert np.mean(found) <= 0.63


@pytest.mark.parametrize(("rows", "columns"), [(250, 30), pytest.param(1000, 300, marks=SLOW)])
def test_without_a_budget_twenty_models_of_one_tree_tell_the_labels(rows: int, columns: int) -> None:
    """The control."""
    auc, done = attack(Budgeted(None), 0, rows, columns, 20, n_estimators=1, max_depth=1, min_bin_rows=5)
    print(f"AUC {auc:.3f}")
    assert done == 20
    assert auc > 0.7


def test_a_refusal_says_how_many_rounds_are_left(tmp_path: Path) -> None:
    parties = Budgeted(tmp_path)
    rng = np.random.default_rng(0)
    guest, host = (
        table("bank", rng.normal(size=(600, 1)), np.arange(600) % 2 * 1.0),
        table("telecom", rng.normal(size=(600, 2))),
    )
    with pytest.raises(DisclosureRefused) as caught:
        parties.train(guest, host, planned(BoostedTrees), module=program)
    assert "telecom would learn 50 numbers computed from these labels (wins)" in caught.value.what
    assert "Use more rows, or at most 5 joint rounds (n_estimators)" in caught.value.remedy
    parties.train(guest, host, planned(BoostedTrees, n_estimators=5, max_depth=1), module=program)


def test_a_model_counts_as_the_square_root_of_its_trees() -> None:
    assert [wins.label_numbers(rounds, 1) for rounds in (0, 1, 2, 4, 16, 17, 100)] == [0, 5, 8, 10, 20, 21, 50]
    assert wins.label_numbers(100, 3) == 150
    for numbers in range(60):
        most = wins.most_rounds(numbers, 1)
        assert wins.label_numbers(most, 1) <= numbers < wins.label_numbers(most + 1, 1)
