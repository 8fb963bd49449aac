"""A host that deviates and asks the link's table about labels, without the permission to learn verdicts.

Its matrix of preconditioned columns adds up the residuals of rows of its choice in a weight, which drives the predictor
of another row out of the table if one of these rows is an event.  The run then stops, which nobody can hide.
docs/threat-model.md declares this.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from protocols import glm
from protocols._native import PlainVec
from protocols.cipher import Identity
from protocols.errors import DataError
from protocols.glm import prepared, scoring
from protocols.glm.block import Block, Share
from protocols.glm.chunks import Ready
from protocols.glm.digits import COARSE
from protocols.glm.links import LOGISTIC_LINKS
from protocols.glm.plan import FEATURE, WEIGHT, Penalty, Plan
from protocols.glm.shares import WeightShares
from protocols.kept import KeptVec
from protocols.local import run_local
from protocols.session import Roles, Session

ROLES = Roles("guest", ("h0",), "arbiter")
ROWS, RATE, PASSES = 600, 0.02, 17  # in one chunk
ASKED, COLUMNS = 8, 8  # rows of one column, and columns
NONE, STEP = -20.0, 120.0  # the driven predictor where no row is an event, and how much an event adds
Integers = NDArray[np.int64]


def crafted(plan: Plan, groups: list[Integers]) -> Block:
    """Column j adds up the residuals of group j, and row j alone has a value in it."""
    unit, weight = 1 << (plan.batch_log2 + plan.precondition_bits - 4), Share.start(PlainVec.zeros(1))
    for step in plan.steps()[:-1]:
        weight.step(PlainVec.from_ints([unit << plan.residual_bits]), plan.shift, step)  # where the sum is 1
    moved = weight.point.to_ints()[0] / 2**WEIGHT
    x, p = np.zeros((2, ROWS, COLUMNS), dtype=np.int64)
    for j, group in enumerate(groups):
        p[group, j], x[j, j] = unit, round(-STEP / moved * 2**FEATURE)
    return Block(x, p, np.zeros((COLUMNS, COLUMNS), dtype=np.int64), plan.penalty_shift, False)


def stops(monkeypatch: pytest.MonkeyPatch, y: Integers, groups: list[Integers] | None) -> bool:
    """Whether a training stops whose host asks about these rows, or is honest."""
    rng, honest, unchanged = np.random.default_rng(0), Block.of, prepared.predictor
    x, h = rng.normal(size=(ROWS, 2)), rng.normal(size=(ROWS, COLUMNS)).clip(-3, 3)
    terms = glm.Terms(LOGISTIC_LINKS["exact"], Penalty(1.0), PASSES, prepared=True)

    def of(x: Any, plan: Plan, *, intercept: bool, **more: Any) -> Block:
        if intercept or groups is None:
            return honest(x, plan, intercept=intercept, **more)
        return crafted(plan, groups)

    def predictor(session: Session, ready: Ready, block: Block, moved: PlainVec) -> KeptVec:
        z = unchanged(session, ready, block, moved)
        if session.me == "guest" or groups is None:
            return z
        start = np.zeros(ROWS, dtype=np.int64)
        start[:COLUMNS] = round((NONE + STEP * ASKED * RATE) * 2**COARSE.unit)
        return KeptVec.of(z.whole() + PlainVec.from_i64(start))

    with monkeypatch.context() as patch:
        patch.setattr(Block, "of", of)
        patch.setattr(prepared, "predictor", predictor)
        try:
            run_local(
                ROLES,
                {
                    "guest": lambda s: glm.guest(s, x, y[None].astype(float), terms, bytes(16)),
                    "h0": lambda s: glm.host(s, h, terms),
                    "arbiter": lambda s: glm.arbiter(s, s.scheme.generate("arbiter", s.seed("key")), terms),
                },
                Identity(),
            )
        except DataError:
            return True
    return False


def test_a_stopped_run_tells_a_host_that_deviates_whether_one_of_its_rows_is_an_event(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(3)
    y = (rng.random(ROWS) < RATE).astype(np.int64)
    events, others = np.flatnonzero(y), np.flatnonzero(y == 0)
    rng.shuffle(others)
    groups = list(others[: ASKED * COLUMNS].reshape(COLUMNS, ASKED))
    assert not stops(monkeypatch, y, groups)  # 64 rows are cleared in one chunk
    groups[5][2] = events[0]
    assert stops(monkeypatch, y, groups)
    assert not stops(monkeypatch, y, None)  # the control: an honest host


def too_large(own_part: float, threshold: float) -> bool:
    """Whether a scoring of one row stops, in which a host adds what lifts a score from `threshold` on beyond 2^20."""
    x, name = np.ones((1, 1), dtype=np.int64) << FEATURE, bytes(16)
    weights = {party: np.array([[round(value * 2**WEIGHT)]]) for party, value in (("guest", own_part), ("h0", 0.0))}
    lift = np.array([[round((scoring.MAX_SCORE - threshold) * 2**scoring.UNIT)]])

    def own(party: str) -> scoring.Own:
        error = lift if party == "h0" else None
        return scoring.Own(name, x, WeightShares.known(weights[party]), False, error)

    try:
        run_local(
            ROLES,
            {
                "guest": lambda s: scoring.guest(s, own("guest")),
                "h0": lambda s: scoring.host(s, own("h0")),
                "arbiter": lambda s: None,
            },
            Identity(),
        )
    except DataError:
        return True
    return False


def test_a_scoring_that_stops_compares_a_score_with_a_number_of_the_hosts_choice() -> None:
    """A number below 2^20 is opened as it is: the control is a host that adds nothing."""
    assert [too_large(1.25, threshold) for threshold in (1.0, 1.2, 1.3, 2.0)] == [True, True, False, False]
    assert not too_large(1.25, scoring.MAX_SCORE)
