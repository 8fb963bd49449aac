"""The estimate of prepared iterations: products and bytes as they are counted, and what `vfl check` says."""

from __future__ import annotations

import pytest

from tests.unit.protocols.glm.test_prepared_cost import CHUNKS, per_evaluation, per_row
from tests.unit.vfl.job.samples import MINIMAL, with_key
from vfl.cost import estimate, prepared
from vfl.cost.machine import Machine
from vfl.job import load_job
from vfl.models.plan import Plan
from vfl.models.regression.chunks import chunks_of
from vfl.models.regression.program import terms_of
from vfl.models.regression.spec import LogisticRegression
from vfl.models.workload import Workload

DIRECT = with_key("crypto", 'preparation = "none"')


@pytest.fixture
def machine(monkeypatch):
    """The reference machine, so that nothing is measured."""
    found = Machine(3e-7, 0.05)
    monkeypatch.setattr(Machine, "measured", classmethod(lambda cls, key_bits: found))


@pytest.mark.parametrize(
    ("rows", "columns", "bits", "chunk"),
    [
        pytest.param(569, (10, 20), 2048, 16, marks=pytest.mark.slow),
        (120, (4, 5), 2048, 16),
        pytest.param(3_000, (5, 18), 2048, 16, marks=pytest.mark.slow),
        pytest.param(1_000, (5, 9, 9), 2048, 16, marks=pytest.mark.slow),
        pytest.param(1_000, (10, 40), 3072, 24, marks=pytest.mark.slow),
    ],
)
@pytest.mark.timeout(600)
def test_products_and_bytes_as_they_are_counted(rows: int, columns: tuple[int, ...], bits: int, chunk: int) -> None:
    plan = Plan(LogisticRegression(max_iter=chunk), prepared=True)
    chunks = chunks_of(terms_of(plan), len(columns), rows, chunk, bits)
    work = Workload("logistic", rows, columns[0], sum(columns[1:]), len(columns) - 1, passes=chunk)
    found = prepared.counts(chunks, work, bits)
    products, sent = per_row(rows, columns, bits, True, chunk)
    print(f"{found.products / rows / chunk:.1f} {products:.1f} {found.bytes / rows / chunk:.0f} {sent:.0f}")
    assert [s.passes for s in chunks] == [chunk]
    assert found.products / rows / chunk == pytest.approx(products, rel=prepared.WORST)
    assert found.bytes / rows / chunk == pytest.approx(sent, rel=prepared.WORST)
    assert found.path_products <= found.products
    assert found.path_bytes <= found.bytes


@pytest.mark.parametrize(
    ("rows", "link"), [(400, "exact"), pytest.param(4_000, "exact", marks=pytest.mark.slow), (400, "taylor")]
)
@pytest.mark.timeout(600)
def test_evaluations_of_a_loss_as_they_are_counted(rows: int, link: str) -> None:
    passes = CHUNKS[link]
    plan = Plan(LogisticRegression(max_iter=passes, link=link), prepared=True)
    chunks = chunks_of(terms_of(plan), 2, rows, passes, 2048)
    found = prepared.evaluations(chunks, Workload("logistic", rows, 5, 18, passes=passes + 2, link=link), 2048)
    products, sent = per_evaluation(rows, (5, 18), True, link)
    print(f"{found.products / rows / 2:.1f} {products:.1f} {found.bytes / rows / 2:.0f} {sent:.0f}")
    assert found.products / rows / 2 == pytest.approx(products, rel=prepared.WORST)
    assert found.bytes / rows / 2 == pytest.approx(sent, rel=prepared.WORST)
    assert found.path_products <= found.products
    assert found.path_bytes <= found.bytes


def seconds(write, text: str, rows: int = 8000) -> float:
    return min(estimate.times(load_job(write(text)), rows, 12).values())


@pytest.mark.usefixtures("machine")
def test_what_makes_a_prepared_job_longer_makes_its_estimate_longer(write) -> None:
    base = seconds(write, MINIMAL)
    assert seconds(write, DIRECT) > 2 * base
    assert seconds(write, with_key("model", "max_iter = 300", MINIMAL)) == pytest.approx(3 * base, rel=0.3)
    assert seconds(write, MINIMAL, 16_000) == pytest.approx(2 * base, rel=0.2)
    assert seconds(write, with_key("model", 'solver = "sgd"\nbatch_size = 512', MINIMAL)) > base
    for text in (MINIMAL, with_key("model", 'link = "taylor"', MINIMAL)):
        said = estimate.in_words(load_job(write(text)), (8000, 12))
        assert f"prepared iterations are predicted within {prepared.WORST:.0%}" in said
    assert "prepared" not in estimate.in_words(load_job(write(DIRECT)), (8000, 12))
