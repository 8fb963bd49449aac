"""Neither a training of trees nor its report reads all columns of the common rows at once (`Kind.in_blocks`)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import vfl
from protocols.cipher import Identity
from vfl.data import Table
from vfl.data.kept_table import KeptTable
from vfl.models.trees import program

ROWS = 90


class Gathered(Exception):
    """A party has read all columns at once."""


def fit(monkeypatch: pytest.MonkeyPatch, membership: str) -> None:
    """Raises Gathered."""

    def gathered(*_: Any) -> pd.DataFrame:
        raise Gathered

    rng = np.random.default_rng(4)
    ids = [f"c{k}" for k in range(ROWS)]
    bank = pd.DataFrame({"id": ids, "x": rng.normal(size=ROWS), "label": np.arange(ROWS) % 2})
    telecom = pd.DataFrame(rng.normal(size=(ROWS, 2)), columns=["u", "v"]).assign(id=ids)
    federation = vfl.Federation.local(guest=bank, hosts={"telecom": telecom}, label="label", on="id", cipher=Identity())
    trees = vfl.BoostedTrees(n_estimators=1, max_depth=2, max_bin=4, min_bin_rows=2, membership=membership)
    with monkeypatch.context() as patch:
        patch.setattr(KeptTable, "_frame", gathered)
        federation.fit(trees, split=vfl.Split(test=0.3))


@pytest.mark.parametrize("membership", ["sealed", "open"])
def test_columns_are_read_one_at_a_time(monkeypatch: pytest.MonkeyPatch, membership: str) -> None:
    fit(monkeypatch, membership)


def test_planted_fault_a_training_that_gathers_the_table_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = program.bin_table

    def whole(table: Table, *others: Any) -> Any:
        assert not table.features.empty
        return honest(table, *others)

    monkeypatch.setattr(program, "bin_table", whole)
    with pytest.raises(Gathered):
        fit(monkeypatch, "sealed")
