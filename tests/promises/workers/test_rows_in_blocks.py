"""A party reads what it keeps for each row a block at a time: no step of a regression gathers a column, a vector or
the table again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

import vfl
from protocols import parts
from protocols._native import PlainVec
from protocols.cipher import Identity
from protocols.glm import dealt_products
from protocols.glm.block import Block
from protocols.glm.progress import Stopping
from protocols.kept import KeptRows, KeptVec
from protocols.parts import Part
from protocols.session import Session
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
        glm.train(blocks, y, job.pop("passes", 3), Identity(), **job)
    return max(read)


@pytest.mark.parametrize("prepared", [True, False])
@pytest.mark.parametrize("link", LINKS)
def test_no_iteration_gathers_a_vector_or_a_column(monkeypatch: pytest.MonkeyPatch, link: str, prepared: bool) -> None:
    assert most_read(monkeypatch, link=LINKS[link], prepared=prepared) == BLOCK


@pytest.mark.parametrize("prepared", [True, False])
@pytest.mark.parametrize("link", LINKS)
def test_no_weight_of_rows_and_no_loss_gathers(monkeypatch: pytest.MonkeyPatch, link: str, prepared: bool) -> None:
    job = {"link": LINKS[link], "prepared": prepared, "passes": 6, "stopping": Stopping(1e-4, 3, False)}
    weights = np.random.default_rng(1).uniform(0.5, 2, ROWS)
    assert most_read(monkeypatch, **job) == most_read(monkeypatch, weights=weights, **job) == BLOCK


def test_planted_faults_a_weight_and_a_loss_that_gather_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def gathers(session: Session, count: int, factors: Any, share: Callable[[Part], PlainVec]) -> Iterator[PlainVec]:
        share(Part(0, 1, 0, count))
        return blocks(session, count, factors, share)

    blocks, job = dealt_products.guest_blocks, {"link": glm.EXACT, "prepared": True, "passes": 6}
    monkeypatch.setattr(dealt_products, "guest_blocks", gathers)
    assert most_read(monkeypatch, **job) == BLOCK
    assert most_read(monkeypatch, **job, weights=np.full(ROWS, 1.5)) == ROWS
    assert most_read(monkeypatch, **job, stopping=Stopping(1e-4, 3, False)) == ROWS


def test_planted_fault_a_gradient_that_gathers_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def gathers(block: Block, residual: KeptVec) -> PlainVec:
        return residual.whole().t_matmul(block.preconditioned[:])

    monkeypatch.setattr(Block, "slope_of", gathers)
    assert most_read(monkeypatch, link=glm.EXACT, prepared=True) == ROWS


class Gathered(Exception):
    """A party has read all columns at once."""


def fitted(monkeypatch: pytest.MonkeyPatch, **given: Any) -> None:
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
        model = vfl.LogisticRegression(link="taylor", **({"max_iter": 5} | given))
        federation.fit(model, split=vfl.Split(test=0.3))


STOPS = {"early_stopping": True, "validation_fraction": 0.5, "n_iter_no_change": 5, "max_iter": 15, "tol": 1.0}


@pytest.mark.parametrize("given", [{}, {"class_weight": "balanced"}, STOPS], ids=["plain", "weights", "early stopping"])
def test_neither_training_nor_report_gathers_the_table(monkeypatch: pytest.MonkeyPatch, given: dict[str, Any]) -> None:
    fitted(monkeypatch, **given)
    monkeypatch.setattr(program, "standardised", lambda session, rows, how: how.transform(rows.features, session.me))
    with pytest.raises(Gathered):
        fitted(monkeypatch, **given)
