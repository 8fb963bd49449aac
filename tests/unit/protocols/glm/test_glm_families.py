"""Counts, weighted rows, several models on the same rows, no intercept: each reaches scikit-learn's optimum of the same
objective."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, PoissonRegressor, Ridge

from protocols.cipher import Identity
from protocols.errors import DataError
from protocols.glm import IDENTITY, LOGISTIC_LINKS, POISSON, Link, Penalty
from protocols.glm.links import Weighted
from protocols.glm.plan import WEIGHT, rows_log2
from tests.harness import TOY, short_masks
from tests.unit.protocols.glm.test_glm import Matrix, joined, problem, train

EXACT = LOGISTIC_LINKS["exact"]


def counts(
    n: int = 300, widths: tuple[int, ...] = (2, 3), base: float = 0.3, seed: int = 0
) -> tuple[list[Matrix], Matrix]:
    rng = np.random.default_rng(seed)
    blocks, _ = problem(n, widths, seed)
    return blocks, rng.poisson(np.exp(base + np.hstack(blocks) @ rng.normal(0, 0.4, sum(widths)))).astype(float)


def poisson_optimum(blocks: list[Matrix], y: Matrix, alpha: float, weights: Matrix | None = None) -> Matrix:
    best = PoissonRegressor(alpha=alpha, tol=1e-12, max_iter=10_000).fit(np.hstack(blocks), y, sample_weight=weights)
    return np.r_[best.coef_, best.intercept_]


@pytest.mark.parametrize(
    ("widths", "alpha", "base"),
    [
        pytest.param((2, 3), 1.0, 0.3, marks=pytest.mark.slow),
        ((0, 3), 0.01, 0.3),
        ((2, 2, 1), 0.01, -3.0),
        pytest.param((2, 2, 1), 0.1, 5.0, marks=pytest.mark.slow),
    ],
)
def test_counts_reach_scikit_learns_optimum(widths: tuple[int, ...], alpha: float, base: float) -> None:
    blocks, y = counts(widths=widths, base=base)
    found = joined(train(blocks, y, 100, Identity(), fixed=False, link=POISSON, penalty=Penalty(alpha, mean=True)))
    best = poisson_optimum(blocks, y, alpha)
    assert np.abs(found - best).max() <= 2e-3 * np.abs(best).max()
    x = np.column_stack([*blocks, np.ones(len(y))])
    assert np.abs(np.exp(x @ (found - best)) - 1).max() <= 1e-2


def test_a_mean_beyond_the_knee_stops_the_run_at_its_end() -> None:
    blocks, y = counts()
    blocks[1][:3, 0] = 6.0
    y[:3] = 500 * y.mean()
    with pytest.raises(DataError, match="far above the labels' mean"):
        train(blocks, y, 60, Identity(), fixed=False, link=POISSON, penalty=Penalty(1e-4, mean=True))


def test_a_count_beyond_all_bounds_is_refused_before_anything_is_encrypted() -> None:
    blocks, y = counts()
    y[0] = 2.0**30
    with pytest.raises(DataError, match=r"too large|far larger"):
        train(blocks, y, 60, Identity(), link=POISSON, penalty=Penalty(1.0, mean=True))


Fit = Callable[[Matrix, Matrix, Matrix], Matrix]


def logistic_fit(x: Matrix, y: Matrix, weights: Matrix) -> Matrix:
    best = LogisticRegression(C=1.0, tol=1e-10, max_iter=10_000).fit(x, y, sample_weight=weights)
    return np.r_[best.coef_[0], best.intercept_]


def ridge_fit(x: Matrix, y: Matrix, weights: Matrix) -> Matrix:
    best = Ridge(alpha=1.0, tol=1e-12).fit(x, y, sample_weight=weights)
    return np.r_[best.coef_, best.intercept_]


def poisson_fit(x: Matrix, y: Matrix, weights: Matrix) -> Matrix:
    return poisson_optimum([x], y, 0.1, weights)


@pytest.mark.parametrize(
    ("link", "fit", "scale"),
    [
        pytest.param(EXACT, logistic_fit, 40.0, marks=pytest.mark.slow),
        (IDENTITY, ridge_fit, 0.01),
        pytest.param(POISSON, poisson_fit, 1.0, marks=pytest.mark.slow),
    ],
)
def test_weighted_rows_reach_scikit_learns_optimum(link: Link, fit: Fit, scale: float) -> None:
    blocks, y = counts() if link is POISSON else problem(n=300)
    weights = np.random.default_rng(3).uniform(0.2, 3.0, len(y)) * scale
    penalty = Penalty(1.0)
    if link is POISSON:
        weights, penalty = weights / weights.mean(), Penalty(0.1, mean=True)
    found = joined(train(blocks, y, 100, Identity(), fixed=False, link=link, weights=weights, penalty=penalty))
    best = fit(np.hstack(blocks), y, weights)
    assert np.abs(found - best).max() <= 2e-3 * np.abs(best).max()
    plain = joined(train(blocks, y, 100, Identity(), fixed=False, link=link, penalty=penalty))
    assert np.abs(plain - best).max() > 2e-2 * np.abs(best).max()  # the weights matter


def test_several_models_are_those_of_each_target_alone() -> None:
    blocks, y = problem(n=60)
    targets = np.stack([y, 1 - y, (blocks[0][:, 0] > 0).astype(float)])
    together = train(blocks, targets, 20, Identity(), fixed=False, link=EXACT)
    for k, target in enumerate(targets):
        alone = train(blocks, target, 20, Identity(), fixed=False, link=EXACT)
        for ours, theirs in zip(together, alone, strict=True):
            assert np.abs(ours[k] - theirs).max() <= 1e-4


@pytest.mark.parametrize(
    "link", [pytest.param(EXACT, marks=pytest.mark.slow), pytest.param(IDENTITY, marks=pytest.mark.slow), POISSON]
)
def test_without_intercept(link: Link) -> None:
    blocks, y = counts() if link is POISSON else problem(n=300)
    x = np.hstack(blocks)
    penalty = Penalty(0.1, mean=True) if link is POISSON else Penalty(1.0)
    oracles = {
        EXACT: lambda: LogisticRegression(tol=1e-10, max_iter=10_000, fit_intercept=False).fit(x, y),
        IDENTITY: lambda: Ridge(fit_intercept=False).fit(x, y),
        POISSON: lambda: PoissonRegressor(alpha=0.1, tol=1e-12, max_iter=10_000, fit_intercept=False).fit(x, y),
    }
    best = oracles[link]().coef_.ravel()
    found = np.concatenate(train(blocks, y, 100, Identity(), fixed=False, link=link, penalty=penalty, intercept=False))
    assert np.abs(found - best).max() <= 2e-3 * np.abs(best).max()


@pytest.mark.parametrize("link", [EXACT, IDENTITY, POISSON])
def test_weighted_rows_are_the_same_integers_under_encryption(link: Link, monkeypatch: pytest.MonkeyPatch) -> None:
    short_masks(monkeypatch, 500)
    blocks, y = counts(n=20, widths=(1, 1, 2)) if link is POISSON else problem(n=20, widths=(1, 1, 2))
    weights = np.linspace(0.3, 5.0, 20)
    runs = [
        train(blocks, y, 3, s, link=link, weights=weights, penalty=Penalty(0.5, mean=link is POISSON))
        for s in (Identity(512), TOY)
    ]
    for ours, theirs in zip(*runs, strict=True):
        assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("alpha", [1e-3, 1.0, 30.0])
def test_head_room_of_weighted_counts(alpha: float) -> None:
    """No residual within the link's bound makes a gradient beyond the plan's."""
    from protocols.glm.block import Block

    blocks, _ = counts(n=500, widths=(6,))
    for mean_log2, weight_log2 in ((-6, 0), (0, 5), (8, -3)):
        link = Weighted(POISSON.scaled(mean_log2), weight_log2)
        plan = link.plan(rows_log2(500), Penalty(alpha, mean=True), 10, 2, 2007)
        block = Block.of(blocks[0], plan, intercept=True)
        residual = 2.0 ** (plan.residual_log2 + plan.residual_bits)
        data = np.sqrt((block.preconditioned[:].astype(float) ** 2).sum(axis=0)).max() * np.sqrt(500) * residual
        decay = np.abs(block.penalty.astype(float)).sum(axis=1).max() * 2.0 ** (block.penalty_shift + 8 + WEIGHT)
        assert data + decay < 2.0**plan.gradient_bits
        assert data > 2.0 ** (plan.gradient_bits - 20)  # not idle
