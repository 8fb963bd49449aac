"""A party reads what it keeps for each row a block at a time: no step of a regression gathers a column, a vector or
the table again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

import vfl
from protocols import parts
from protocols._native import PlainVec
from protocols.cipher import Identity
from protocols.glm.block import Block
from protocols.kept import KeptRows, KeptVec
from tests.unit.protocols.glm import test_glm as glm
from vfl.data.kept_table import KeptTable
from vfl.models.regression import program

ROWS, BLOCK = 130, 24
LINKS = {"exact": glm.EXACT, "taylor": glm.TAYLOR}


def most_read(monkeypatch: pytest.MonkeyPatch, **job: Any) -> int:
    """The most rows that any party of a training has read at once."""
    blocks, y = glm.problem(n=ROWS, widths=(2, 3, 1))
    read, of_vec, of_rows = [0], KeptVec.between, KeptRows.__getitem__

    def vec(own: KeptVec, first: int, last: int) -> PlainVec:
        read.append(last - first)
        return of_vec(own, first, last)

    def rows(own: KeptRows[Any], some: slice) -> NDArray[Any]:
        read.append(len(range(*some.indices(len(own)))))
        return of_rows(own, some)

    with monkeypatch.context() as patch:
        patch.setattr(parts, "ROWS", BLOCK)
        patch.setattr(KeptVec, "between", vec)
        patch.setattr(KeptRows, "__getitem__", rows)
        glm.train(blocks, y, 3, Identity(), **job)
    return max(read)


@pytest.mark.parametrize("prepared", [True, False])
@pytest.mark.parametrize("link", LINKS)
def test_no_iteration_gathers_a_vector_or_a_column(monkeypatch: pytest.MonkeyPatch, link: str, prepared: bool) -> None:
    assert most_read(monkeypatch, link=LINKS[link], prepared=prepared) == BLOCK


def test_planted_fault_a_gradient_that_gathers_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def gathers(block: Block, residual: KeptVec) -> PlainVec:
        return residual.whole().t_matmul(block.preconditioned[:])

    monkeypatch.setattr(Block, "slope_of", gathers)
    assert most_read(monkeypatch, link=glm.EXACT, prepared=True) == ROWS


class Gathered(Exception):
    """A party has read all columns at once."""


def fitted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A regression with a report; raises Gathered."""

    def features(table: KeptTable) -> pd.DataFrame:
        raise Gathered

    rng = np.random.default_rng(4)
    ids = [f"c{k}" for k in range(ROWS)]
    bank = pd.DataFrame({"id": ids, "x": rng.normal(size=ROWS), "label": rng.integers(0, 2, ROWS)})
    telecom = pd.DataFrame(rng.normal(size=(ROWS, 2)), columns=["u", "v"]).assign(id=ids)
    hosts = {"telecom": telecom}
    federation = vfl.Federation.local(
        guest=bank, hosts=hosts, label="label", on="id", cipher=Identity(), convergence=False
    )
    with monkeypatch.context() as patch:
        patch.setattr(parts, "ROWS", BLOCK)
        patch.setattr(KeptTable, "features", property(features))
        federation.fit(vfl.LogisticRegression(link="taylor", max_iter=5), split=vfl.Split(test=0.3))


def test_neither_training_nor_report_gathers_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    fitted(monkeypatch)
    monkeypatch.setattr(program, "standardised", lambda session, rows, how: how.transform(rows.features, session.me))
    with pytest.raises(Gathered):
        fitted(monkeypatch)
