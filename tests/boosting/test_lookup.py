"""What the guest can look up in a host's sums over few rows; the limits of the default settings against a run without them."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest.mock import PropertyMock, patch

import numpy as np
import pytest

from protocols.boosting import hidden, shared
from protocols.boosting.params import Params
from protocols.cipher import Identity
from tests.boosting.lookup import named, watching
from tests.boosting.test_accuracy import Tables, breast, credit
from tests.boosting.world import bin_blocks, train


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
