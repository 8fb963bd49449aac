"""What the guest can look up in a host's sums over few rows; the limits of the default settings against a run without them."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest.mock import PropertyMock, patch

import numpy as np
import pytest

from protocols.boosting import hidden, shared
from protocols.boosting.packing import Quantised
from protocols.boosting.params import Params
from protocols.boosting.tree import Growing
from protocols.cipher import Identity
from tests.boosting.lookup import Deepest, alone, named, watching
from tests.boosting.test_accuracy import Tables, breast, credit, vehicle
from tests.boosting.world import bin_blocks, train, twin_trees


def share(tables: Tables, **change: Any) -> float:
    """The part of the members of cells of one or two rows that the look-up names."""
    blocks, y = tables
    p = Params(**change)
    binned = bin_blocks(blocks, p)
    with watching(hidden if p.membership == "hidden" else shared) as levels:
        trained = train(binned, y, p, Identity())
    assert any(len(part) for part in trained.hosts)
    members, found, claims = named(levels, binned[1])
    assert members > 500
    print(f"{change}: {members} members of cells of 1 or 2 rows, {found / members:.1%} named, {claims} claims")
    return found / members


def synthetic(rows: int = 500) -> Tables:
    rng = np.random.default_rng(5)
    x = rng.normal(size=(rows, 6))
    return [x[:, :2], x[:, 2:]], (x.sum(axis=1) + rng.logistic(size=rows) > 0).astype(np.float64)


@pytest.mark.parametrize("membership", ["shared", "hidden"])
def test_default_settings_name_few_rows(membership: str) -> None:
    assert share(synthetic(), n_estimators=6, membership=membership) <= 0.05


def test_without_the_limits_many_rows_are_named() -> None:
    """The positive control: fine gradients, bins and nodes of any size."""
    assert share(synthetic(), n_estimators=6, gradient_bits=8, min_bin_rows=1) > 0.25


@pytest.mark.parametrize("planted", ["gradient_bits", "least_child"])
def test_either_limit_alone_does_not_do(planted: str) -> None:
    if planted == "gradient_bits":
        assert share(synthetic(), n_estimators=6, gradient_bits=8) > 0.1
        return
    with patch.object(Params, "least_child", new_callable=PropertyMock, return_value=1):
        assert share(synthetic(), n_estimators=6) > 0.05


@pytest.mark.slow
@pytest.mark.parametrize("membership", ["shared", "hidden"])
@pytest.mark.parametrize("table", ["credit", "breast"])
def test_over_twenty_trees_of_real_tables(data_folder: Path, table: str, membership: str) -> None:
    tables = credit(data_folder, 4000) if table == "credit" else breast(data_folder)
    assert share(tables, n_estimators=20, membership=membership) <= 0.05


@pytest.mark.slow
def test_sums_of_all_classes_over_one_bin_would_name_more(data_folder: Path) -> None:
    """Why a host masks the other classes of a ciphertext: with all of them the guest names about three times as many rows that are alone in a cell."""
    blocks, y = vehicle(data_folder)
    p = Params(objective="multi:softprob", num_class=4, n_estimators=3, max_depth=4)
    binned, levels, honest = bin_blocks(blocks, p), list[Deepest](), Growing.totals

    def totals(self: Growing, q: Quantised) -> Any:
        levels.append(Deepest(q, self.position()))
        return honest(self, q)

    with patch.object(Growing, "totals", totals):
        twin_trees(binned, y, p)
    trees = [level for level, below in zip(levels, [*levels[1:], None], strict=True) if below is None or below.q is not level.q]
    assert len(trees) == p.trees
    cells, apart, linked = (sum(c) for c in zip(*(alone(trees[r : r + 4], binned[1]) for r in range(0, p.trees, 4)), strict=True))
    print(f"{cells} cells of one row: {apart / cells:.1%} named by their own class's sums, {linked / cells:.1%} by all classes'")
    assert apart <= 0.05 * cells
    assert linked > 2 * apart
