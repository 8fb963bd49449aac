"""The guard against work that creeps in: exact counts of fixed small jobs."""

from __future__ import annotations

import pytest

from tests.promises.cost.counts import COMMAND, DIRECT, differences, expected, fresh

pytestmark = pytest.mark.long


@pytest.mark.timeout(600)
def test_no_job_costs_more_or_less_than_recorded() -> None:
    found = differences(fresh(), expected())
    assert not found, "\n".join(
        ["the counts have changed; if that is meant, run", f"  {COMMAND}", "and commit the file:", *found]
    )


PRODUCT_A_ROW = """
from protocols.glm.block import Block
once = Block.predictor
Block.predictor = lambda block, theirs, mine: (once(block, theirs, mine) + once(block, theirs, mine)) if block.width == 3 else once(block, theirs, mine)
"""  # noqa: E501
SMALL_BLOCKS = """
from protocols import parts
parts.ROWS = 16
"""
POINTS_TWICE = """
from protocols.ristretto import PointVec
once = PointVec.hash_to_group.__func__
PointVec.hash_to_group = classmethod(lambda cls, items, domain: once(cls, items, domain).__mul__(bytes([1] + [0] * 31)))
"""


SUM_A_ROW = """
from protocols.glm.links import Linear
once = Linear.difference
Linear.difference = lambda link, session, z, y, part: (z + z, once(link, session, z, y, part))[1]
"""


@pytest.mark.parametrize(
    ("planted", "job", "what"),
    [
        pytest.param(SUM_A_ROW, "linear", "products, guest", marks=pytest.mark.slow),
        pytest.param(SMALL_BLOCKS, "scorecard", "guest -> host1: BinnedLabels", marks=pytest.mark.slow),
        (PRODUCT_A_ROW, f"logistic exact, one host{DIRECT}", "products, host1"),
        pytest.param(SMALL_BLOCKS, "trees open", "guest -> host1: RowGradients", marks=pytest.mark.slow),
        pytest.param(SMALL_BLOCKS, "trees sealed", "arbiter -> host1: EncryptedPads", marks=pytest.mark.slow),
        (POINTS_TWICE, "trees sealed", "points"),
    ],
)
def test_planted_work_is_seen(planted: str, job: str, what: str) -> None:
    found = differences(fresh(job, planted), expected(job))
    assert any(what in line for line in found), found
