"""The estimate of trainings on shares of Gram matrices: products and bytes as they are counted, and what `vfl check`
says."""

from __future__ import annotations

import pytest

from protocols.glm.gram_layout import Layout
from tests.harness import gram_shares
from tests.unit.protocols.glm.test_prepared_cost import total
from tests.unit.vfl.job.samples import MINIMAL, with_key
from vfl.cost import ahead, estimate, gram, prepared
from vfl.cost.machine import Machine
from vfl.job import load_job
from vfl.models.plan import Plan
from vfl.models.regression.chunks import chunks_of, gram_of
from vfl.models.regression.program import terms_of
from vfl.models.regression.spec import LogisticRegression
from vfl.models.workload import Workload

TAYLOR = with_key("model", 'link = "taylor"', with_key("model", "max_iter = 60", MINIMAL))
SIZES = '"intersection-sizes-to-arbiter"'
UNWATCHED = with_key("crypto", 'preparation = "gram"', TAYLOR.replace('"edge-count-to-arbiter", ', ""))


def layout_of(work: Workload, bits: int = 2048) -> Layout | None:
    plan = Plan(LogisticRegression(max_iter=work.passes, link="taylor"), prepared=True, gram=True)
    return gram_of(terms_of(plan), work, bits)


@pytest.mark.parametrize(
    ("rows", "columns", "bits", "once", "each"),
    [
        (569, (10, 20), 2048, 620, 23_000),
        (4_000, (5, 18), 2048, 180, 16_500),
        (10_000, (5, 18), 2048, 155, 21_500),
        (10_000, (5, 18), 3072, 190, 15_000),
        (10_000, (10, 100), 2048, 840, 127_000),
    ],
)
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_products_and_bytes_as_they_are_counted(
    monkeypatch: pytest.MonkeyPatch, rows: int, columns: tuple[int, int], bits: int, once: float, each: float
) -> None:
    """Once per row at most `once` products modulo n^2, and per iteration at most `each`, whatever the rows."""
    gram_shares(monkeypatch)
    (few, sent), (many, more) = (total(rows, columns, bits, passes, True, "taylor", gram=True) for passes in (5, 15))
    product, size = (many - few) / 10, (more - sent) / 10
    before = (few - 5 * product) / rows
    print(
        f"{rows} x {columns}, {bits} bits: once per row {before:.1f} products, {(sent - 5 * size) / rows:.0f} bytes; "
        f"per iteration {product:.0f} products, {size:.0f} bytes"
    )
    assert before <= once
    assert product <= each
    work = Workload("logistic", rows, *columns, passes=15, link="taylor")
    layout = layout_of(work, bits)
    assert layout is not None
    found = gram.counts(layout, work, bits)
    assert found.products == pytest.approx(many, rel=prepared.WORST)
    assert found.bytes == pytest.approx(more, rel=prepared.WORST)
    assert found.path_products <= found.products
    assert found.path_bytes <= found.bytes


@pytest.mark.parametrize("columns", [(5, 18), (10, 100), (100, 10)])
def test_the_rule_takes_them_where_they_cost_less(columns: tuple[int, int]) -> None:
    """By the same counts with which vfl check estimates both, with the keys of both parties; where the rule says yes,
    and where it says no by more than a quarter."""
    said = set()
    for rows in (1 << k for k in range(9, 20)):
        work = Workload("logistic", rows, *columns, passes=40, link="taylor")
        plan = Plan(LogisticRegression(max_iter=40, link="taylor"), prepared=True, gram=True)
        other = prepared.counts(chunks_of(terms_of(plan), 2, rows, 40, 2048), work, 2048).products
        with pytest.MonkeyPatch.context() as patch:
            gram_shares(patch)
            forced = layout_of(work)
        assert forced is not None
        cost = gram.counts(forced, work, 2048).products + 2 * gram.KEY
        taken = layout_of(work) is not None
        assert cost < other if taken else cost > other / 4
        said.add(taken)
    assert said == {False, True}


@pytest.fixture
def machine(monkeypatch):
    """The reference machine, so that nothing is measured."""
    found = Machine(3e-7, 0.05)
    monkeypatch.setattr(Machine, "measured", classmethod(lambda cls, key_bits: found))


@pytest.mark.usefixtures("machine")
def test_what_vfl_check_says(write) -> None:
    job = load_job(write(UNWATCHED))
    said = estimate.in_words(job, (8_000, 12))
    assert "iterations on shares of Gram matrices are predicted within 15%" in said
    assert "has nothing to do" in ahead.in_words(job, (8_000, 12))
    assert "has nothing to do" in ahead.in_words(job, None)
    small = estimate.in_words(job, (200, 12))
    assert "prepared iterations are predicted within 15%" in small
    assert "can leave pads" in ahead.in_words(job, (200, 12))
    seconds = [min(estimate.times(job, rows, 12).values()) for rows in (8_000, 16_000)]
    assert seconds[0] < seconds[1] < 2 * seconds[0]
    longer = load_job(write(with_key("model", "max_iter = 600", UNWATCHED)))
    assert min(estimate.times(longer, 8_000, 12).values()) < 3 * seconds[0]
    direct = load_job(write(UNWATCHED.replace('preparation = "gram"', 'preparation = "none"')))
    assert min(estimate.times(direct, 8_000, 12).values()) > 5 * seconds[0]
    more = UNWATCHED.replace('["telecom"]', '["telecom", "shop"]').replace("allow = [", f"allow = [{SIZES}, ")
    hosts = load_job(write(more))
    assert "prepared iterations" in estimate.in_words(hosts, (8_000, 12))
