"""The time that `vfl check` tells, against what trainings take: CPU seconds of all parties, in one run."""

from __future__ import annotations

import pytest

from benchmarks.times import CASES, Case, compared
from vfl.cost import prepared
from vfl.cost.machine import Machine
from vfl.models.plan import Plan
from vfl.models.regression.chunks import chunks_of
from vfl.models.regression.program import terms_of
from vfl.models.regression.spec import LogisticRegression
from vfl.models.workload import Workload

WITHIN = 0.3
MACHINE = Machine(3e-7, 0.07)


def predicted(rows: int, passes: int = 10) -> tuple[float, float]:
    """Until the iterations are prepared, and from then on."""
    chunks = chunks_of(terms_of(Plan(LogisticRegression(max_iter=passes), prepared=True)), 2, rows, passes, 2048)
    return prepared.one_core_s(chunks, Workload("logistic", rows, 2, 10, passes=passes), 2048, MACHINE)


def test_prepared_iterations_of_long_tables_take_as_long_per_row_as_those_of_short_ones() -> None:
    """3 x 10^6 rows are 46 blocks; what comes before the iterations is the key alone.  Planted: ten keys, which the
    short table would feel."""
    rows = 3_000_000, 60_000
    (ahead, online), short = map(predicted, rows)
    assert ahead / rows[0] == pytest.approx(short[0] / rows[1], rel=0.15)
    assert online / rows[0] == pytest.approx(short[1] / rows[1], rel=0.15)
    key = prepared.key_of(Workload("logistic", rows[0], 2, 10, passes=10), 2048)["paced"] * MACHINE.product_s
    assert 0 < key < 0.01 * ahead
    assert (ahead + 9 * key) / rows[0] != pytest.approx((short[0] + 9 * key) / rows[1], rel=0.15)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", ["prepared", "direct", "small"])
def test_a_training_takes_what_is_predicted(name: str) -> None:
    """Also what encryption adds, which `vfl prepare` does.  The median of three: how long a search for primes takes is
    random, and much of a small training."""
    case = CASES.get(name, Case(1_500, 3, 4, 2048, 16))
    found = sorted((compared(case) for _ in range(3)), key=lambda one: one.measured)[1]
    assert abs(found.error) < WITHIN, found
    assert found.ahead_predicted == pytest.approx(found.ahead, rel=WITHIN), found
