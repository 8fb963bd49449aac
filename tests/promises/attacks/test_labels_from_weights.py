"""A host that follows the protocol and adds columns of noise, other ones in each of up to twenty models of the same
labels, and reads the labels off its own final weights.

At the optimum X^T (y - p) = w / C: each weight is one equation in the labels (outputs.md, finding 2).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from protocols.errors import DisclosureRefused
from tests.parts import keys_of
from tests.plans import planned
from tests.promises.attacks.budgeted import Budgeted, Floats, table
from vfl.metrics.binary import binary_metrics
from vfl.models.regression.spec import LogisticRegression

RATE = 0.2  # of events
JOB = planned(LogisticRegression, link="taylor", max_iter=12, reveal=("hosts",))


def attack(parties: Budgeted, seed: int, rows: int, columns: int, runs: int = 20) -> tuple[float, int]:
    """AUC of what the host makes of its weights, for the training labels, and in how many of `runs` the guest took
    part.  Its columns know nothing of the labels."""
    rng, equations, right, done = np.random.default_rng(seed), list[Floats](), list[Floats](), 0
    own = rng.normal(size=(rows, 3))
    margin = own @ [0.6, -0.5, 0.4] + rng.logistic(size=rows)
    y = (margin > np.quantile(margin, 1 - RATE)).astype(float)
    guest, refused = table("bank", own, y), None
    for _ in range(runs):
        noise = rng.choice([-1.0, 1.0], size=(rows, columns))
        try:
            fitted = parties.train(guest, table("telecom", noise), JOB)["telecom"]
        except DisclosureRefused as error:
            refused = error
            break
        at = [int(name[1:]) for name in keys_of(fitted.aligned)]
        x = np.zeros((rows, columns))
        x[at] = fitted.part.standardiser.transform(fitted.aligned.features, "telecom")
        equations, right, done = [*equations, x], [*right, fitted.part.weights[0]], done + 1
    assert refused is None or ("policy.rows_per_label_number" in refused.what and refused.party == "bank")
    if not done:
        return 0.5, 0
    a, b = np.column_stack(equations), np.concatenate(right)
    guess = (
        a @ np.linalg.solve(a.T @ a + 1e-6 * np.eye(a.shape[1]), b)
        if a.shape[1] < rows
        else np.linalg.lstsq(a.T, b, rcond=None)[0]
    )
    return float(binary_metrics(y, (guess - guess.min()) / np.ptp(guess))["auc"] or 0.0), done


@pytest.mark.parametrize(
    ("rows", "columns", "runs", "seeds"),
    [
        (200, 2, 2, 3),
        pytest.param(1000, 4, 5, 10, marks=pytest.mark.slow),
        pytest.param(1000, 20, 1, 10, marks=pytest.mark.slow),
    ],
)
def test_labels_are_not_read_off_the_weights_within_the_budget(
    tmp_path: Path, rows: int, columns: int, runs: int, seeds: int
) -> None:
    """One number per 50 rows, in one model or in several: the next model is refused before its weights are computed."""
    found = []
    for seed in range(seeds):
        auc, done = attack(Budgeted(tmp_path / str(seed)), seed, rows, columns)
        assert done == runs
        found.append(auc)
    print(f"AUC {np.mean(found):.3f}, at most {max(found):.3f}")
    assert np.mean(found) <= 0.63


@pytest.mark.parametrize(("rows", "columns"), [(200, 20), pytest.param(1000, 100, marks=pytest.mark.slow)])
def test_without_a_budget_twenty_models_tell_the_labels(rows: int, columns: int) -> None:
    """The control, at ten rows per weight."""
    auc, done = attack(Budgeted(None), 0, rows, columns)
    print(f"AUC {auc:.3f}")
    assert done == 20
    assert auc > 0.98


def test_too_many_columns_for_one_model_are_refused(tmp_path: Path) -> None:
    assert attack(Budgeted(tmp_path), 0, 200, 5)[1] == 0
