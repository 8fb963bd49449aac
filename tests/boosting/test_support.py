"""In `shared`, no sum over fewer than min_bin_rows rows is derivable from what the guest received: everything subtracted from everything."""

from __future__ import annotations

import numpy as np
import pytest

from protocols.boosting.params import Params
from protocols.boosting.support import Reach, Support
from protocols.cipher import Identity
from tests.boosting import derive
from tests.boosting.derive import Level, watching
from tests.boosting.world import bin_blocks, joined, same, train, twin_trees

LEAST = 10


def sent(seed: int, *, alone: bool, least: int = LEAST, named: bool = False) -> list[list[Level]]:
    """What one host's sums were over, tree by tree: correlated, tied and missing values; `alone`: the guest's columns cannot split.

    named: a column of categories follows another closely, and some of its values are missing.
    """
    rng, n = np.random.default_rng(seed), 200
    x = rng.normal(size=(n, 6))
    x[:, 4], x[:, 5] = x[:, 3] + 0.05 * rng.normal(size=n), np.round(2 * x[:, 3])
    y = (x.sum(axis=1) + rng.logistic(size=n) > 0).astype(np.float64)
    x[:, 2][rng.random(n) < 0.1] = np.nan
    x[:, :1] = 1.0 if alone else x[:, :1]
    if named:
        x[:, 1] = np.digitize(x[:, 3], [-1.2, -0.5, 0.2, 0.9]) + (rng.random(n) < 0.03)
        x[:, 1][rng.random(n) < 0.07] = np.nan
    p = Params(n_estimators=2, max_depth=4, max_bin=12, membership="shared", min_bin_rows=least, subsample=0.9)
    blocks = bin_blocks([x[:, :1], x[:, 1:]], p, [[], [0]] if named else None)
    with watching() as trees:
        trained = train(blocks, y, p, Identity())
    assert same(joined(trained), twin_trees(blocks, y, p)[0])
    assert all(len(node.sets) > 40 for tree in trees for node in tree[0])
    return trees


@pytest.mark.parametrize("seed", range(6))
def test_no_small_sum_is_derivable(seed: int) -> None:
    for tree in sent(seed, alone=False):
        assert derive.at_nodes(tree, LEAST) == LEAST


@pytest.mark.parametrize("seed", range(4))
def test_not_even_across_levels_where_the_splits_are_the_hosts_own(seed: int) -> None:
    for tree in sent(seed, alone=True):
        assert derive.pairwise(tree, LEAST) == LEAST
        assert derive.covers(tree, LEAST) == LEAST


@pytest.mark.parametrize("seed", range(6))
def test_nor_from_several_categories_of_a_column(seed: int) -> None:
    for tree in sent(seed, alone=True, named=True):
        assert derive.at_nodes(tree, LEAST) == LEAST


def test_planted_disregard_of_unions_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Support, "_unite", lambda self, nodes, listed: listed)
    assert min(derive.at_nodes(tree, LEAST) for seed in range(3) for tree in sent(seed, alone=True, named=True)) < LEAST


def test_without_a_limit_single_rows_are_derivable() -> None:
    assert derive.at_nodes(sent(0, alone=True, least=1)[0], LEAST) == 1


def test_planted_lists_that_are_not_separated_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Support, "_separate", lambda self, distances, allowed: allowed)
    assert derive.at_nodes(sent(0, alone=True)[0], LEAST) < LEAST


def test_planted_lists_that_siblings_do_not_share_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = Support._separate
    monkeypatch.setattr(Support, "_pieced", lambda self, node: np.zeros(len(node.listed), dtype=np.bool_))  # rule 4 finds it too
    monkeypatch.setattr(Support, "_separate", lambda self, distances, allowed: honest(self, distances[-1:], allowed))
    assert min(derive.at_nodes(tree, LEAST) for seed in range(4) for tree in sent(seed, alone=True)) < LEAST


def test_planted_disregard_of_other_levels_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Reach, "__and__", lambda self, other: Reach(self.exact, np.full_like(self.least, 1 << 30)))
    found = [derive.covers(tree, LEAST) for seed in range(4) for tree in sent(seed, alone=True)]
    assert min(found) < LEAST
