"""What opened scores of sealed trees tell the guest where it asks for many, or for those of few trees: declared in the
threat model, measured here."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import KDTree
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import cross_val_predict
from threadpoolctl import threadpool_limits

from protocols.binning.quantile import Binned
from protocols.boosting import twin
from protocols.boosting.ensemble import Rounds
from protocols.boosting.params import Params
from protocols.cipher import Identity
from tests.promises.attacks.trees.attacks import Bits, Floats, correlation, matched, ordered, own
from tests.promises.attacks.trees.guessing import HOST, Run, directions, run, table
from tests.unit.protocols.boosting.world import bin_blocks, joined, score, train


def test_scores_of_one_tree_tell_each_rows_leaf() -> None:
    """A tree has few leaves, and the grid tells them apart: ask for scores of one tree, or before and after one more,
    and directions follow."""
    mine, theirs, y = table(300, 4)
    blocks = bin_blocks([mine, theirs], p := Params(n_estimators=1, max_depth=4))
    trained = train(blocks, y, p, Identity())
    opened = score(trained, blocks, Identity())[:, 0]
    (tree,) = joined(trained)
    leaf = tree.route(
        300, lambda v, rows: blocks[tree.owner[v]].goes_left(rows, tree.feature[v], tree.cut[v], tree.missing_left[v])
    )
    together = [len(np.unique(leaf[opened == value])) for value in np.unique(opened)]
    print(f"{len(np.unique(leaf))} leaves; a score fits {np.mean(together):.2f} of them")
    assert np.mean(together) < 1.5


def deep_scores(x: Floats, own: Floats, vectors: int, rng: np.random.Generator) -> Floats:
    """(rows, vectors): scores on their grid, each of a model of one tree of eight levels that is trained on labels of
    noise."""
    step, found = 2.0 ** (2 - 10), []
    for _ in range(vectors):
        y = rng.normal(size=len(x))
        p = Params(
            objective="reg:squarederror",
            n_estimators=1,
            max_depth=8,
            learning_rate=1.0,
            reg_lambda=0.0,
            gradient_bits=8,
        )
        rounds = Rounds(p, y)
        twin.train(bin_blocks([own, x], p), p, rounds)
        found.append(np.floor(rounds.margin[:, 0] / step + rng.random(len(x))) * step)
    return np.array(found).T


def by_equal_scores(x: Floats, scores: Floats, known: Bits) -> float:
    """Mean over columns of the correlation with what rows of nearly the same scores, whose columns are known, have on
    average."""
    tree, found = KDTree(scores[known]), np.tile(x[known].mean(axis=0), (len(x), 1))
    for row in np.flatnonzero(~known):
        if near := tree.query_ball_point(scores[row], 1.5 * 2.0 ** (2 - 10), p=np.inf):
            found[row] = x[known][near].mean(axis=0)
    return float(np.mean([correlation(found[~known, c], x[~known, c]) for c in range(x.shape[1])]))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rows", "vectors", "least"), [(1000, 1, 0.6), (1000, 2, 0.6), (10_000, 1, 0.6), (10_000, 2, 0.8)]
)
def test_scores_of_one_deep_tree_tell_a_hosts_columns_to_a_guest_that_knows_two_thirds_of_them(
    rows: int, vectors: int, least: float
) -> None:
    """Four columns that correlate; the guest's own column is a coin.  Scores in another order tell nothing.  Means of
    five tables."""
    found, shuffled = [], []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(rows, 4)) @ rng.normal(size=(4, 4))
        own = rng.integers(0, 2, (rows, 1)).astype(np.float64)
        scores, known = deep_scores(x, own, vectors, rng), rng.random(rows) < 2 / 3
        found.append(by_equal_scores(x, scores, known))
        shuffled.append(by_equal_scores(x, rng.permutation(scores), known))
    print(
        f"{rows} rows, {vectors} score vectors: {np.mean(found):.2f} of {np.round(found, 2)}, in another "
        f"order {np.mean(shuffled):.2f}"
    )
    assert np.mean(found) > least
    assert abs(np.mean(shuffled)) < 0.1


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_so_twenty_models_of_one_tree_more_each_tell_a_hosts_columns() -> None:
    r = run(1000, 4, 20, 5)
    facts, ends = directions(r), np.cumsum([(tree.owner == HOST).sum() for tree in joined(r.trained)])
    found = {k: matched(ordered(facts[: ends[k - 1]], 1000, 4), r.bins).round(3) for k in (1, 3, 5, 10, 20)}
    print(f"by models of one tree more each: {found}")
    assert found[20].mean() > 0.8


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_scores_with_other_columns_of_its_own_span_a_hosts_columns() -> None:
    """The guest may score a customer with columns that it makes up; 30 such scores of 1,000 customers tell the host's
    columns up to a map that it can fit if it knows some of them.  So predictions have a budget
    (policy.predictions_per_partner_per_month)."""
    r, rng = run(1000, 4, 100, 5), np.random.default_rng(0)
    blocks = r.blocks
    lines, found = [score(r.trained, blocks, Identity())[:, 0]], {}
    for k in range(30):
        made_up = np.tile(blocks[0].bins[rng.integers(1000)], (1000, 1))
        lines.append(score(r.trained, [Binned(blocks[0].binner, made_up), *blocks[1:]], Identity())[:, 0])
        if k in (0, 9, 29):
            found[k + 1] = known_by(r, np.array(lines).T[r.order])
    print(
        f"own columns alone {known_by(r, np.zeros((1000, 0))).round(3)}, with so many made-up columns' scores {found}"
    )
    assert found[30].mean() > 0.9


@threadpool_limits.wrap(limits=1)
def known_by(r: Run, scores: Floats) -> Floats:
    """(columns,) correlation of a host's columns with what four fifths of the customers' truth lets the guest fit to
    its own columns and these scores."""
    x = np.hstack([own(r.mine, r.y), scores])
    fitted = cross_val_predict(RidgeCV(np.logspace(-3, 5, 17)), x, r.truth, cv=5)
    return np.array([correlation(fitted[:, k], r.truth[:, k]) for k in range(r.truth.shape[1])]).round(3)
